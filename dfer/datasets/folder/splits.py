"""Names of splits, as folders and columns of public preparations have them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dfer.records import Split
from dfer.runtime.filenames import composed

_WORDS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training", "trainset", "trainingset", "traindata", "trainval", "trn"),
    "val": (
        "val",
        "valid",
        "validation",
        "dev",
        "devel",
        "development",
        "valset",
        "validset",
        "validationset",
        "devset",
    ),
    "test": ("test", "testing", "eval", "evaluation", "testset", "testingset", "testdata", "tst"),
}
_SPLITS = {word: split for split, words in _WORDS.items() for word in words}
# Words beside a split's name that do not change its meaning.
_FILLERS = frozenset({"set", "sets", "data", "dataset", "split", "subset", "partition", "part", "fold", "the"})
# Words of a name: train, AFEW in Train_AFEW; Public, Test in PublicTest.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\dA-Za-z_]+")


def split_of(name: str) -> Split | None:
    """Return the split that a name stands for by itself, such as "Training", "test_set" or "PublicTest".

    FER2013's public test images are its validation split, its private ones the test split.
    """
    split, others = _read(name)
    return None if others else split


def split_among_words(name: str) -> Split | None:
    """Return the one split that a name holds, whatever other words are in it, as in "Train_AFEW"."""
    return _read(name)[0]


def splits_of_folders(names: Iterable[str]) -> tuple[dict[str, Split], list[str]]:
    """Return the splits that sibling folders stand for, and the folders that are none.

    Names with further words, such as Train_AFEW, or with a number count only if there are folders for training and for
    testing: a subject may be called test_01.

    Args:
        names: of the folders.

    Returns:
        Folder -> split, empty if the folders are no splits; and the other folders beside splits.
    """
    found = {name: split for name in names if (split := _read(name)[0])}
    others = sorted(set(names) - found.keys())
    if len(set(found.values())) > 1 and "train" in found.values():
        return found, others
    plain = {name: split for name, split in found.items() if split_of(name) and not re.search(r"\d", name)}
    return plain, sorted(set(names) - plain.keys()) if plain else []


def _read(name: str) -> tuple[Split | None, bool]:
    """Return the one split in a name, and whether there are words of another meaning."""
    words = [word.lower() for word in _WORD.findall(composed(name))]
    splits = {_SPLITS[word] for word in words if word in _SPLITS}
    if splits == {"test"} and "public" in words:
        splits, words = {"val"}, [word for word in words if word != "public"]
    elif splits == {"test"}:
        words = [word for word in words if word != "private"]
    others = any(word not in _SPLITS and word not in _FILLERS for word in words)
    return (splits.pop() if len(splits) == 1 else None), others
