"""Raw data set -> clip records: one reader per data set, official split sizes kept as data."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from dfer.datasets.dfew import read_dfew
from dfer.datasets.ferplus import read_ferplus
from dfer.datasets.ferv39k import read_ferv39k
from dfer.datasets.folder import read_folder
from dfer.datasets.mafw import read_mafw
from dfer.datasets.splits import RawDataset
from dfer.errors import UsageError

__all__ = ["DATASETS", "RawDataset", "read_dataset"]

DATASETS: dict[str, Callable[[Path, Callable[[str], None]], RawDataset]] = {
    "dfew": read_dfew,
    "ferv39k": read_ferv39k,
    "mafw": read_mafw,
    "ferplus": read_ferplus,
    "folder": read_folder,
}


def read_dataset(name: str, raw: Path, *, report: Callable[[str], None] | None = None) -> RawDataset:
    """Read the lists of a raw data set and find its clips on the disk.

    Every clip of the lists has a record, with no source if it is not on the disk.

    Args:
        name: a key of `DATASETS`.
        raw: the folder the data set was unpacked to; for "folder" also a CSV.
        report: told in one line what is being done, for progress.

    Raises:
        UsageError: no data set has this name.
        DataError: `raw` holds no such data set, or its lists contradict themselves.
    """
    reader = DATASETS.get(name)
    if reader is None:
        near = get_close_matches(name.lower(), DATASETS, n=1)
        known = f"known data sets: {', '.join(DATASETS)}"
        hint = f"did you mean {near[0]}? {known}" if near else known
        raise UsageError(f"unknown data set {name!r}", hint=hint)
    return reader(Path(raw), report or (lambda _line: None))
