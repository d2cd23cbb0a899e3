"""The store's folder: claimed for one kind of crops, by many shards at once if need be."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path

from dfer.errors import UsageError
from dfer.preprocessing.journal import refuse_company, remove_journals
from dfer.runtime.files import create_json, is_unfinished, write_error
from dfer.store import DatasetInfo, read_info


def claim_folder(out: Path, info: DatasetInfo, shard: tuple[int, int], *, overwrite: bool) -> None:
    """Make a folder a store for the crops that `info` tells of, or find it to be one.

    Args:
        out: the folder; new, empty, or such a store.
        info: what the store is to hold.
        shard: of this run.
        overwrite: start anew.

    Raises:
        UsageError: it holds a store made with other settings, or something else.
        DferError: another run is at work in it, or it cannot be written.
    """
    refuse_company(out, shard)
    if overwrite and (out / "dataset.json").exists():
        empty_store(out)
    if out.exists() and not out.is_dir():
        raise UsageError("this is a file", where=out, hint="choose another folder with --out")
    there = read_info(out) if out.is_dir() else None
    if there is None:
        strange = out.exists() and not all(map(is_unfinished, out.iterdir()))
        if not strange and create_json(out / "dataset.json", asdict(info)):
            return
        there = read_info(out)  # another shard may have claimed it meanwhile
    if there is None:
        raise UsageError("this is not a store, and not empty", where=out, hint="choose another folder with --out")
    ours, theirs = asdict(info), asdict(there)
    different = [key for key in ours if key != "tool_version" and ours[key] != theirs[key]]
    if different:
        changes = ", ".join(f"{key} {theirs[key]!r:.40} -> {ours[key]!r:.40}" for key in different)
        raise UsageError(
            f"the store was made with other settings: {changes}",
            where=out,
            hint="use the same settings, another --out, or --overwrite to start anew",
        )


def empty_store(out: Path) -> None:
    """Remove what a store holds, so that a kill on the way leaves a store still: `dataset.json` goes last."""
    try:
        for name in ("manifest.csv", "report.html"):
            (out / name).unlink(missing_ok=True)
        remove_journals(out)
        for name in ("crops", "contact_sheets"):
            if (out / name).exists():
                shutil.rmtree(out / name)
        (out / "dataset.json").unlink()
    except OSError as error:
        raise write_error(out, error) from error
