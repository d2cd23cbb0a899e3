"""The store: packed face crops of a data set, with the manifest that indexes them.

    data/NAME/
      dataset.json        labels in order, crop size, alignment, detector, format and tool version
      manifest.csv        a row per clip of the official lists, whatever happened to it
      crops/CLIP_ID.zip   an uncompressed ZIP per clip: 000000.jpg, 000001.jpg, ... and clip.json

A clip's ZIP is written under a temporary name and renamed, and contains no timestamps: its bytes depend only on the
clip. Any ZIP and JPEG reader opens it. `clip.json` gives each crop's source frame, time (s), face box (pixels of the
source), and whether the detector found the face there or its place was interpolated.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.errors import DataError
from dfer.records import Split
from dfer.runtime.files import atomic_path, sha256_of, write_json
from dfer.store.manifest import ManifestRow, read_manifest

STORE_FORMAT = "dfer.store/1"
JPEG_QUALITY = 95
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a ZIP can hold, so that the bytes do not depend on the clock


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
    """

    name: str
    labels: list[str]
    num_folds: int
    crop_size: int
    alignment: dict[str, Any]
    detector: str
    notice: str
    tool_version: str
    format: str = STORE_FORMAT


@dataclass(frozen=True)
class CropRecord:
    """The content of `clip.json`; all lists have one item per crop."""

    frames: list[int]
    times_s: list[float]
    boxes_xyxy: list[list[float]]
    detected: list[bool]


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
        """How often an epoch sees each clip, by the name of its store."""
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

    def select(self, fold: int, split: Split) -> list[ManifestRow]:
        """Return the rows of a fold's train, val or test list, in the manifest's order.

        Raises:
            DataError: the store has no such fold.
        """
        if not any(fold in row.folds for row in self.rows):
            known = sorted({number for row in self.rows for number in row.folds})
            raise DataError(f"no fold {fold}", where=self.root, hint=f"the folds here: {known}")
        return [row for row in self.rows if row.folds.get(fold) == split]

    def fingerprint(self) -> str:
        """Return the SHA-256 of what a training run depends on: labels, lists, and each clip's crops."""
        digest = hashlib.sha256(json.dumps(asdict(self.info), sort_keys=True).encode())
        for row in self.rows:
            digest.update(f"{row.clip_id}\0{row.label}\0{row.sha256}\0{sorted(row.folds.items())}\n".encode())
            if row.votes:
                digest.update(f"{row.votes}\n".encode())
        return digest.hexdigest()


def clip_path(root: Path, clip_id: str) -> Path:
    """Return the path of a clip's ZIP in the store at `root`.

    Raises:
        DataError: the id would lead outside the store.
    """
    parts = clip_id.split("/")
    if not clip_id or any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise DataError(f"{clip_id!r} cannot be a clip's name", where=root)
    return root.joinpath("crops", *parts[:-1], f"{parts[-1]}.zip")


class ClipWriter:
    """Packs a clip's crops one by one; see `clip_writer`.

    Attributes:
        record: of the crops so far.
        sha256: of the finished file; "" before.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.record = CropRecord([], [], [], [])
        self.sha256 = ""
        self._path, self._archive = path, archive

    def add(
        self, crop: NDArray[np.uint8], *, frame: int, time_s: float, box_xyxy: Sequence[float], detected: bool
    ) -> None:
        """Write a crop, uint8 [S, S, 3] RGB, and record its origin."""
        ok, encoded = cv2.imencode(
            ".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        if not ok:
            raise DataError("cannot encode a crop", where=self._path)
        self._archive.writestr(zipfile.ZipInfo(f"{len(self.record.frames):06d}.jpg", _EPOCH), encoded.tobytes())
        self.record.frames.append(frame)
        self.record.times_s.append(time_s)
        self.record.boxes_xyxy.append(list(box_xyxy))
        self.record.detected.append(detected)


@contextmanager
def clip_writer(path: Path) -> Iterator[ClipWriter]:
    """Pack a clip's crops as they come, so that memory does not grow with their number.

    The file exists once the block has ended without an error, and not before.

    Args:
        path: the ZIP to write; see `clip_path`.

    Raises:
        DferError: it cannot be written.
    """
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            writer = ClipWriter(path, archive)
            yield writer
            archive.writestr(zipfile.ZipInfo("clip.json", _EPOCH), json.dumps(asdict(writer.record)))
        writer.sha256 = sha256_of(temporary)


def write_clip(path: Path, crops: Iterable[NDArray[np.uint8]], record: CropRecord) -> str:
    """Pack a clip's crops, as `clip_writer` does.

    Args:
        path: the ZIP to write; see `clip_path`.
        crops: uint8 [S, S, 3] RGB each.
        record: the crops' origins.

    Returns:
        SHA-256 of the file.
    """
    with clip_writer(path) as writer:
        for number, crop in enumerate(crops):
            writer.add(
                crop,
                frame=record.frames[number],
                time_s=record.times_s[number],
                box_xyxy=record.boxes_xyxy[number],
                detected=record.detected[number],
            )
    return writer.sha256


def read_clip(path: Path, indices: Sequence[int] | NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
    """Unpack a clip's crops.

    Args:
        path: the ZIP.
        indices: which crops, in any order, repeats allowed; None for all.

    Returns:
        uint8 [N, S, S, 3] RGB.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if indices is None:
                indices = range(sum(name.endswith(".jpg") for name in archive.namelist()))
            decoded: dict[int, NDArray[np.uint8]] = {}
            for index in map(int, indices):
                if index not in decoded:
                    decoded[index] = _decode_jpeg(archive.read(f"{index:06d}.jpg"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            "damaged or missing crops",
            where=path,
            hint="run `dfer preprocess` again: it restores what is missing",
        ) from error
    return np.stack([decoded[int(index)] for index in indices])


def read_clip_record(path: Path) -> CropRecord:
    """Read the origins of a clip's crops.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return CropRecord(**json.loads(archive.read("clip.json")))
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise DataError("damaged or missing crops", where=path) from error


def write_info(root: Path, info: DatasetInfo) -> None:
    """Write `dataset.json`."""
    write_json(root / "dataset.json", asdict(info))


def read_info(root: Path) -> DatasetInfo | None:
    """Read `dataset.json`, or return None if there is none.

    Raises:
        DataError: it is damaged or of another format version.
    """
    path = root / "dataset.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.get("format") != STORE_FORMAT:
            raise DataError(
                f"store format {values.get('format')!r} is not the {STORE_FORMAT!r} this dfer reads",
                where=path,
                hint="preprocess again with --overwrite",
            )
        return DatasetInfo(**values)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError("damaged dataset.json", where=path, hint="preprocess again with --overwrite") from error


def open_store(root: Path) -> Store:
    """Open a store for reading.

    Raises:
        DataError: there is no finished store at `root`, or it is damaged.
    """
    info = read_info(root)
    if info is None or not (root / "manifest.csv").is_file():
        unfinished = "an unfinished store" if info else "no store"
        raise DataError(f"{unfinished} here", where=root, hint="write it with `dfer preprocess DATASET RAW`")
    return Store(root, info, read_manifest(root / "manifest.csv"))


def _decode_jpeg(data: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("not a JPEG")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
