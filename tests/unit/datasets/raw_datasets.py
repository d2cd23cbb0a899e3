"""Builds small raw data sets for the tests of their readers."""

from __future__ import annotations

from pathlib import Path

from dfer.datasets import RawDataset

DFEW_TRAIN = "EmoLabel_DataSplit/train(single-labeled)"
DFEW_TEST = "EmoLabel_DataSplit/test(single-labeled)"


def touch(root: Path, *names: str) -> None:
    """Create empty files: the readers look only at names."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(path: Path, text: str, *, encoding: str = "utf-8") -> Path:
    """Write a file with its line ends unchanged."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def write_dfew(root: Path, train: dict[str, str], test: dict[str, str], *, fold: int = 1) -> None:
    """Write the lists of one fold, clip -> label."""
    for folder, labels in ((DFEW_TRAIN, train), (DFEW_TEST, test)):
        rows = "".join(f"{clip},{label}\n" for clip, label in labels.items())
        write(root / folder / f"set_{fold}.csv", f"video_name,label\n{rows}")


def write_ferv39k(root: Path, train: str, test: str) -> None:
    """Write the two lists over all scenes."""
    write(root / "4_setups/All_scenes/train_All.csv", train)
    write(root / "4_setups/All_scenes/test_All.csv", test)


def write_mafw(root: Path, train: str = "00001.mp4 anger\n", test: str = "00002.mp4 anxiety\n") -> None:
    """Write the lists of fold 1."""
    write(root / "split/single/no_caption/set_1/train.txt", train)
    write(root / "split/single/no_caption/set_1/test.txt", test)


def sources(dataset: RawDataset, root: Path) -> dict[str, str | None]:
    """Return clip -> its source relative to the root, None if it is missing."""
    return {clip.clip_id: clip.source.relative_to(root).as_posix() if clip.source else None for clip in dataset.clips}


def notice(dataset: RawDataset, part: str) -> str:
    """Return the one notice that contains `part`."""
    found = [line for line in dataset.notices if part in line]
    assert len(found) == 1, dataset.notices
    return found[0]
