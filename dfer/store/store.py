"""The store: packed face crops of a data set, with the manifest that indexes them.

    data/NAME/
      dataset.json        labels in order, crop size, alignment, detector, format and tool version
      manifest.csv        a row per clip of the official lists, whatever happened to it
      crops/CLIP_ID.zip   an uncompressed ZIP per clip: 000000.jpg, 000001.jpg, ... and clip.json; see `paths`

A clip's ZIP is written under a temporary name and renamed, and contains no timestamps: its bytes depend only on the
clip. Any ZIP and JPEG reader opens it. `clip.json` gives each crop's source frame, time (s), face box (pixels of the
source), and whether the detector found the face there or its place was interpolated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

from dfer.errors import DataError, reason_suffix
from dfer.records import MAX_FPS, Split
from dfer.runtime.files import write_json
from dfer.runtime.reading import read_json
from dfer.settings import STRICT, CropSize, Labels, Name, Note, read_record
from dfer.store.manifest import ManifestRow, contradictions, read_manifest
from dfer.store.paths import clip_path

STORE_FORMAT = "dfer.store/1"
_DAMAGED_INFO = "damaged dataset.json"
_AGAIN = "preprocess again with --overwrite"


@dataclass(frozen=True)
class DatasetInfo:
    """The content of `dataset.json`.

    Attributes:
        name: of the store, such as "dfew".
        labels: emotion names; a clip's label is an index into them.
        num_folds: folds of the official protocol.
        crop_size: side of the square crops, pixels.
        alignment: how faces were aligned; see `dfer.faces.align.alignment_settings`.
        detector: name of the face detector, or "none" for crops that came aligned.
        notice: what everyone who sees results on these data must know (drawings, not faces), or "".
        tool_version: the dfer that wrote the store.
        format: version of the store's layout.
        fps: frames per second of frame folders and other sources without times; None where that was assumed.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: Name
    labels: Labels
    num_folds: Annotated[int, Field(ge=0, le=10_000)]
    crop_size: CropSize
    alignment: dict[str, Any]
    detector: Name
    notice: Note
    tool_version: Name
    format: Name = STORE_FORMAT
    fps: Annotated[float, Field(gt=0.0, le=MAX_FPS)] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the values as `dataset.json` has them; one that was not given is left out, as in older stores."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Store:
    """An open store."""

    root: Path
    info: DatasetInfo
    rows: list[ManifestRow] = field(repr=False)

    def clip_path(self, clip_id: str) -> Path:
        """Return the path of a clip's ZIP."""
        return clip_path(self.root, clip_id)

    @property
    def weights(self) -> dict[str, float]:
        """The number of times that an epoch sees each clip, by the name of its store."""
        return {self.info.name: 1.0}

    def members(self, rows: Sequence[ManifestRow]) -> dict[str, list[int]]:
        """Return the numbers of those rows that come from each store, by its name: all from this one."""
        return {self.info.name: list(range(len(rows)))} if rows else {}

    def by_member(self, rows: Sequence[ManifestRow]) -> dict[str, list[ManifestRow]]:
        """Return the rows that come from each store, by its name; a store without any is missing."""
        return {name: [rows[number] for number in numbers] for name, numbers in self.members(rows).items()}

    def describe(self) -> dict[str, Any]:
        """Return what run.json says of the data, without the fingerprint."""
        return {"path": str(self.root.resolve()), "name": self.info.name}

    def origin(self) -> dict[str, Any]:
        """Return what a checkpoint says of the data, without fingerprint and fold."""
        return {"name": self.info.name, "detector": self.info.detector}

    def select(self, fold: int, *splits: Split) -> list[ManifestRow]:
        """Return the rows of a fold's train, val or test list in the manifest's order, or of several, list after list.

        Raises:
            DataError: the store has no such fold.
        """
        if not any(fold in row.folds for row in self.rows):
            known = sorted({number for row in self.rows for number in row.folds})
            raise DataError(f"no fold {fold}", where=self.root, hint=f"the folds here: {known}")
        return [row for split in splits for row in self.rows if row.folds.get(fold) == split]

    def fingerprint(self) -> str:
        """Return the SHA-256 of what a training run depends on: labels, lists, and each clip's crops."""
        return self._fingerprint

    @cached_property  # it takes 0.1 s for 35,000 clips, and several warnings compare it
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(json.dumps(self.info.to_dict(), sort_keys=True).encode())
        for row in self.rows:
            digest.update(
                f"{row.clip_id}\0{row.label}\0{row.sha256}\0{sorted(row.folds.items())}\n".encode(
                    errors="backslashreplace"
                )
            )
            if row.votes:
                digest.update(f"{row.votes}\n".encode())
        return digest.hexdigest()


def write_info(root: Path, info: DatasetInfo) -> None:
    """Write `dataset.json`.

    Raises:
        DataError: a value, such as a label of a thousand letters, could not be read again.
        DferError: it cannot be written.
    """
    check_info(info.to_dict(), root, what="cannot make such a store")
    write_json(root / "dataset.json", info.to_dict())


def read_info(root: Path) -> DatasetInfo | None:
    """Read `dataset.json`, or return None if there is none.

    Raises:
        DataError: it is damaged or of another format version.
    """
    path = root / "dataset.json"
    try:
        values = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{_DAMAGED_INFO}{reason_suffix(error)}", where=path, hint=_AGAIN) from error
    if not isinstance(values, dict):
        raise DataError(f"{_DAMAGED_INFO}: not a mapping", where=path, hint=_AGAIN)
    if values.get("format") != STORE_FORMAT:
        raise DataError(
            f"store format {values.get('format')!r:.40} is not the {STORE_FORMAT!r} this dfer reads",
            where=path,
            hint=_AGAIN,
        )
    return check_info(values, root)


def check_info(values: dict[str, Any], root: Path, what: str = _DAMAGED_INFO) -> DatasetInfo:
    """Return the description of a store whose values are within their bounds.

    Args:
        values: of `dataset.json`.
        root: the store's folder.
        what: beginning of the error's message.

    Raises:
        DataError: they are not.
    """
    return read_record(DatasetInfo, values, what=what, where=root / "dataset.json", error=DataError, hint=_AGAIN)


def open_store(root: Path, *, consistent: bool = True) -> Store:
    """Open a store for reading.

    Args:
        root: its folder.
        consistent: refuse a manifest that contradicts itself or dataset.json.

    Raises:
        DataError: there is no finished store at `root`, or it is damaged.
    """
    info, manifest = read_info(root), root / "manifest.csv"
    if info is None or not manifest.exists():
        unfinished = "an unfinished store" if info else "no store"
        raise DataError(f"{unfinished} here", where=root, hint="write it with `dfer preprocess DATASET RAW`")
    rows = read_manifest(manifest)
    problem = next(contradictions(rows, info.labels, info.num_folds), None) if consistent else None
    if problem is not None:
        hint = "`dfer preprocess DATASET --check` lists all problems; a run of preprocess writes the manifest again"
        raise DataError(f"the manifest contradicts itself: {problem}", where=manifest, hint=hint)
    return Store(root, info, rows)
