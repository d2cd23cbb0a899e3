"""Raw data set -> clip records. To add a data set, write a file beside these and give it a line in `DATASETS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from dfer.datasets import afew, caer, crema_d, dfew, enterface, ferplus, ferv39k, folder, mafw, ravdess
from dfer.datasets.coverage import one_sided_classes
from dfer.datasets.folder.options import FolderOptions
from dfer.datasets.ids import with_portable_names
from dfer.datasets.media import Report
from dfer.datasets.merge import OfficialSizes, RawDataset
from dfer.datasets.outputs import refuse_store
from dfer.errors import UsageError
from dfer.registry import Registry

__all__ = ["DATASETS", "DatasetEntry", "FolderOptions", "RawDataset", "official_sizes", "read_dataset"]


@dataclass(frozen=True)
class DatasetEntry:
    """A data set in the registry.

    Attributes:
        read: reads the lists and finds the clips, given the raw data set and a callback for lines of progress.
        help: one sentence for `dfer preprocess --help`, without its full stop.
        official: the sizes of the official lists; None where there are none, or where clips are left out of them.
    """

    read: Callable[[Path, Report], RawDataset]
    help: str
    official: OfficialSizes | None = None


DATASETS = Registry(
    "data set",
    DatasetEntry,
    {
        "dfew": DatasetEntry(dfew.read_dfew, "11,697 film clips, 7 emotions, 5 folds", dfew.OFFICIAL_SIZES),
        "ferv39k": DatasetEntry(
            ferv39k.read_ferv39k, "38,935 clips of 22 scenes, 7 emotions, 1 split", ferv39k.OFFICIAL_SIZES
        ),
        "mafw": DatasetEntry(mafw.read_mafw, "9,172 clips, 11 emotions, 5 folds", mafw.OFFICIAL_SIZES),
        "afew": DatasetEntry(afew.read_afew, "1,156 film clips, 7 emotions, 1 split", afew.OFFICIAL_SIZES),
        "caer": DatasetEntry(caer.read_caer, "clips of television series, 7 emotions, 1 split"),
        "ravdess": DatasetEntry(ravdess.read_ravdess, "2,452 videos of 24 actors, speech and song, 8 emotions"),
        "crema-d": DatasetEntry(crema_d.read_crema_d, "7,442 videos of 91 actors, 6 emotions"),
        "enterface": DatasetEntry(enterface.read_enterface, "eNTERFACE'05, 1,293 videos of 44 people, 6 emotions"),
        "ferplus": DatasetEntry(ferplus.read_ferplus, "FER+, 35,710 still faces with the votes of ten annotators"),
        "folder": DatasetEntry(folder.read_folder, "your own clips, in a folder per class or listed in a CSV"),
    },
)


def official_sizes(name: str) -> OfficialSizes | None:
    """Return the sizes of a data set's official lists, or None if it has none to compare with.

    Raises:
        UsageError: unknown data set.
    """
    return _entry(name).official


def read_dataset(
    name: str, raw: Path, *, report: Report | None = None, options: FolderOptions | None = None
) -> RawDataset:
    """Read the lists of a raw data set and find its clips on disk.

    Every clip of the lists has a record, without a source if it is not on disk.

    Args:
        name: a key of `DATASETS`.
        raw: the folder that the data set was unpacked to; for "folder" also a CSV.
        report: called with lines of progress.
        options: the user's decisions on recordings of their own; for "folder" only.

    Raises:
        UsageError: unknown data set, or options that it does not have.
        DataError: `raw` does not contain this data set or is a store, or its lists contradict themselves.
    """
    entry = _entry(name)
    refuse_store(Path(raw))
    read = entry.read
    if options is not None:
        if name != "folder":
            raise UsageError(f"--labels and --images are for the data set folder, not for {name}")
        read = partial(folder.read_folder, options=options)
    dataset = with_portable_names(read(Path(raw), report or (lambda _line: None)))
    one_sided = one_sided_classes(((clip.label_name, clip.folds) for clip in dataset.clips), dataset.labels)
    return replace(dataset, notices=[*dataset.notices, *one_sided]) if one_sided else dataset


def _entry(name: str) -> DatasetEntry:
    if name not in DATASETS:
        near = get_close_matches(name.lower(), DATASETS, n=1)
        known = f"known data sets: {', '.join(DATASETS)}"
        raise UsageError(f"unknown data set {name!r}", hint=f"did you mean {near[0]}? {known}" if near else known)
    return DATASETS[name]
