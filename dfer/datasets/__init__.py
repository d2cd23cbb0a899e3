"""Raw data set -> clip records: one reader per data set, official split sizes kept as data."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from dfer.datasets import dfew, ferv39k, mafw
from dfer.datasets.dfew import read_dfew
from dfer.datasets.ferplus import read_ferplus
from dfer.datasets.ferv39k import read_ferv39k
from dfer.datasets.folder import read_folder
from dfer.datasets.mafw import read_mafw
from dfer.datasets.merge import OfficialSizes, RawDataset
from dfer.errors import UsageError

__all__ = ["DATASETS", "RawDataset", "official_sizes", "read_dataset"]

DATASETS: dict[str, Callable[[Path, Callable[[str], None]], RawDataset]] = {
    "dfew": read_dfew,
    "ferv39k": read_ferv39k,
    "mafw": read_mafw,
    "ferplus": read_ferplus,
    "folder": read_folder,
}


_OFFICIAL = {"dfew": dfew.OFFICIAL_SIZES, "ferv39k": ferv39k.OFFICIAL_SIZES, "mafw": mafw.OFFICIAL_SIZES}


def official_sizes(name: str) -> OfficialSizes | None:
    """What the official lists of a data set hold; None where clips are left out of them, or there are none.

    Raises:
        UsageError: no data set has this name.
    """
    _reader(name)
    return _OFFICIAL.get(name)


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
    return _reader(name)(Path(raw), report or (lambda _line: None))


def _reader(name: str) -> Callable[[Path, Callable[[str], None]], RawDataset]:
    reader = DATASETS.get(name)
    if reader is None:
        near = get_close_matches(name.lower(), DATASETS, n=1)
        known = f"known data sets: {', '.join(DATASETS)}"
        hint = f"did you mean {near[0]}? {known}" if near else known
        raise UsageError(f"unknown data set {name!r}", hint=hint)
    return reader
