"""The store's folder, opened for writing by one run or by several shards at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from dfer.errors import UsageError
from dfer.preprocessing.journal import ensure_exclusive, remove_journals
from dfer.runtime.files import create_json, is_inside, is_same_file, is_unfinished, resolved, write_error
from dfer.store import DatasetInfo, read_info

STORE_FILES = ("dataset.json", "manifest.csv", "report.html")
STORE_FOLDERS = ("crops", "contact_sheets")


def open_for_writing(out: Path, info: DatasetInfo, shard: tuple[int, int], *, overwrite: bool) -> None:
    """Create a store, or check that the one in the folder was made with the same settings.

    Args:
        out: the folder; new, empty, or such a store.
        info: description of the store to write.
        shard: this run's shard, (i, n).
        overwrite: delete a store that is there.

    Raises:
        UsageError: the folder holds a store made with other settings, or something else.
        DferError: another run is writing to it, or it cannot be written.
    """
    ensure_exclusive(out, shard)
    if overwrite and (out / "dataset.json").exists():
        clear_store(out)
    if out.exists() and not out.is_dir():
        raise UsageError("this is a file", where=out, hint="choose another folder with --out")
    there = read_info(out) if out.is_dir() else None
    if there is None:
        is_new = not out.exists() or all(map(is_unfinished, out.iterdir()))
        if is_new and create_json(out / "dataset.json", info.to_dict()):
            return
        there = read_info(out)  # another shard may have created it meanwhile
    if there is None:
        raise UsageError("not empty, and not a store", where=out, hint="choose another folder with --out")
    ours, theirs = asdict(info), asdict(there)
    different = [key for key in ours if key != "tool_version" and ours[key] != theirs[key]]
    if different:
        changes = ", ".join(f"{key} {theirs[key]!r:.40} -> {ours[key]!r:.40}" for key in different)
        raise UsageError(
            f"the store was made with other settings: {changes}",
            where=out,
            hint="use the same settings, another --out, or --overwrite to start from scratch",
        )


def require_apart(out: Path, raw: Path, sources: Iterable[Path]) -> None:
    """Refuse a store among the files of the raw data set, or around them; beside them in RAW it may lie.

    Args:
        out: the store's folder.
        raw: the raw data set.
        sources: its videos, frame folders and images.

    Raises:
        UsageError: the store would be there.
    """
    hint = "choose another folder with --out"
    if is_same_file(out, raw):
        raise UsageError("the store would be written into the raw data set", where=out, hint=hint)
    if is_inside(raw, out):
        raise UsageError("the raw data set lies in the folder of the store", where=out, hint=hint)
    base, place = (raw if raw.is_dir() else raw.parent).absolute(), resolved(out)
    root = resolved(base)
    taken = {place, *place.parents} - {root, *root.parents}
    for source in sources if taken else ():
        path = root / os.path.relpath(source.absolute(), base)
        if path in taken or path.parent in taken:
            raise UsageError("the store would be written among the clips of the raw data set", where=out, hint=hint)


def clear_store(out: Path) -> None:
    """Delete a store's files; `dataset.json` goes last, so that a kill half way leaves a store."""
    try:
        for name in STORE_FILES[1:]:
            (out / name).unlink(missing_ok=True)
        remove_journals(out)
        for name in STORE_FOLDERS:
            if (out / name).exists():
                shutil.rmtree(out / name)
        (out / STORE_FILES[0]).unlink()
    except OSError as error:
        raise write_error(out, error) from error
