"""The journal of finished clips, by which a run that was killed continues where it was."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from dfer.files import write_error
from dfer.store import ManifestRow, read_manifest


class Journal:
    """Finished rows, appended one JSON line each; a line torn by a kill is ignored when read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Journal:
        try:
            self._file = self.path.open("ab")
            if self.path.stat().st_size:
                self._file.write(b"\n")  # closes a torn line
        except OSError as error:
            raise write_error(self.path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, row: ManifestRow) -> None:
        """Note a finished clip."""
        try:
            self._file.write(json.dumps(asdict(row)).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise write_error(self.path, error) from error


def finished_rows(out: Path) -> dict[str, ManifestRow]:
    """The rows finished by earlier runs: of the manifest, and of the journals of all shards."""
    rows: dict[str, ManifestRow] = {}
    manifest = out / "manifest.csv"
    if manifest.is_file():
        rows.update((row.clip_id, row) for row in read_manifest(manifest))
    for path in sorted(out.glob("progress*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                values = json.loads(line)
                values["folds"] = {int(fold): split for fold, split in values["folds"].items()}
                row = ManifestRow(**values)
            except (ValueError, TypeError, KeyError):
                continue
            rows[row.clip_id] = row
    return rows
