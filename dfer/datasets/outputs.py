"""Recognise what dfer itself has written, which must not be read as data: stores, runs and reports."""

from __future__ import annotations

from pathlib import Path

from dfer.errors import DataError
from dfer.runtime.reading import open_regular

REPORT_MARK = b'content="dfer.index/1"'  # of the index of a folder of pages

_READ_AT_MOST = 2**20
_FOLDERS = frozenset({"crops", "contact_sheets"})  # of a store


def is_store(folder: Path) -> bool:
    """Return whether a folder is a store, finished or not."""
    description = folder / "dataset.json"
    try:
        with open_regular(description) as file:  # opening a pipe would wait for a writer
            return b'"dfer.store/' in file.read(_READ_AT_MOST) or (folder / "manifest.csv").is_file()
    except OSError:
        return False


def is_run(folder: Path) -> bool:
    """Return whether a folder is a fold of a training run."""
    return (folder / "run.json").is_file() and (folder / "recipe.yaml").is_file()


def is_report(folder: Path) -> bool:
    """Return whether a folder holds the pages of `dfer predict --report`, and copies of videos beside them."""
    try:
        with open_regular(folder / "index.html") as file:
            return REPORT_MARK in file.read(_READ_AT_MOST)
    except OSError:
        return False


def refuse_store(raw: Path) -> None:
    """Check that a raw data set is not a store, nor a part of one.

    Raises:
        DataError: it is.
    """
    if store_around(raw) is not None:
        raise DataError(
            "this is a store that dfer preprocess has written, not a raw data set",
            where=raw,
            hint=f"give the raw data set as RAW; to train on the store, use data.path={raw} in the recipe",
        )


def store_around(path: Path) -> Path | None:
    """Return the store that a file or folder is or belongs to, or None; other folders may lie in a store's."""
    whole = path.absolute()
    for folder in (whole, *whole.parents):
        inside = whole.relative_to(folder).parts
        if (not inside or inside[0] in _FOLDERS or whole.is_file()) and is_store(folder):
            return folder
    return None
