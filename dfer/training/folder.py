"""The folder of a fold, opened for training by one process at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dfer.errors import UsageError
from dfer.runs import FOLD_FILES, TENSORBOARD, fold_folder
from dfer.runtime.files import is_inside, is_unfinished, require_places
from dfer.runtime.locks import LockedError, lock_file


@contextmanager
def open_fold(run: Path, fold: int, stores: Sequence[Path], *, resume: bool) -> Iterator[None]:
    """Keep other processes from training a fold in the block; folds of one run may be trained at the same time.

    Args:
        run: the run's folder.
        fold: 1-based.
        stores: the folders of the data, which are not written into.
        resume: keep what an earlier run left; otherwise delete it.

    Raises:
        UsageError: the folder is in a store, or holds something else than a fold.
        DferError: another process is training the fold, or the folder cannot be written.
    """
    folder = fold_folder(run, fold)
    for store in stores:
        if is_inside(folder, store):
            hint = "choose another folder with --out"
            raise UsageError("the run would be written into the store", where=folder, hint=hint)
    _require_fold(folder)
    try:
        # Beside the folder, which is deleted when training starts from scratch.
        with lock_file(run / f".fold{fold}.lock"):
            if not resume:
                shutil.rmtree(folder, ignore_errors=True)
            require_places(folder, FOLD_FILES, [TENSORBOARD])
            yield
    except LockedError as error:
        raise error.as_error("is training this fold", folder) from None


def _require_fold(folder: Path) -> None:
    """Check that a folder is new, empty or that of a fold: it may be deleted."""
    if not folder.is_dir():
        return
    names = [path.name for path in folder.iterdir() if not is_unfinished(path)]
    if names and not set(names) & set(FOLD_FILES):
        hint = "choose another folder with --out"
        raise UsageError("not empty, and not a fold of a run", where=folder, hint=hint)
