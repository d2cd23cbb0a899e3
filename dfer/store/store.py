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
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from dfer.errors import DataError, reason_suffix
from dfer.records import MAX_FPS, Split
from dfer.runtime.files import atomic_path, sha256_of, write_json
from dfer.runtime.reading import open_regular, parse_json, read_json
from dfer.settings import MAX_CROP_SIZE, STRICT, CropSize, Labels, Name, Note, read_record
from dfer.store.manifest import MAX_CROPS, ManifestRow, contradictions, read_manifest
from dfer.store.paths import clip_path

STORE_FORMAT = "dfer.store/1"
JPEG_QUALITY = 95
MAX_JPEG_BYTES = 8_000_000  # of a crop
_RECORD_BYTES = 300  # of a crop in clip.json, at most
_DAMAGED_INFO = "damaged dataset.json"
_AGAIN = "preprocess again with --overwrite"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a ZIP can hold, so that the bytes do not depend on the clock

# What reading a damaged ZIP raises; a decoder of a compression that dfer does not write raises the last two.
UNREADABLE = (
    OSError, KeyError, ValueError, EOFError, cv2.error, zipfile.BadZipFile, RuntimeError, NotImplementedError,
)  # fmt: skip


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
class CropRecord:
    """The content of `clip.json`; all lists have one item per crop."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    frames: list[Annotated[int, Field(ge=0, le=2**53)]]
    times_s: list[float]
    boxes_xyxy: list[Annotated[list[float], Field(min_length=4, max_length=4)]]
    detected: list[bool]

    def contradiction(self) -> str | None:
        """Return what contradicts something else in the record, or None."""
        lengths = {len(items) for items in (self.frames, self.times_s, self.boxes_xyxy, self.detected)}
        if len(lengths) > 1:
            return f"lists of {', '.join(map(str, sorted(lengths)))} items"
        if any(later <= earlier for earlier, later in pairwise(self.frames)):
            return "frames are not in ascending order"
        return None


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


def read_clip_record(path: Path) -> CropRecord:
    """Read the origins of a clip's crops.

    Raises:
        DataError: the file is missing or damaged.
    """
    what = "damaged or missing crops"
    try:
        with open_archive(path) as archive:
            values = parse_json(_read_member(archive, "clip.json", _RECORD_BYTES * len(archive.infolist())))
    except UNREADABLE as error:
        raise DataError(f"{what}{reason_suffix(error)}", where=path) from error
    record = read_record(CropRecord, values, what=what, where=f"clip.json of {path}", error=DataError)
    if contradiction := record.contradiction():
        raise DataError(f"{what}: {contradiction}", where=f"clip.json of {path}")
    return record


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a clip's ZIP for reading.

    Raises:
        OSError: it cannot be opened, or is no regular file.
        zipfile.BadZipFile: it is no ZIP.
        ValueError: it holds more members than a clip has.
    """
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        if len(archive.infolist()) > MAX_CROPS + 1:
            raise ValueError(f"{len(archive.infolist()):,} members")
        yield archive


def read_crop(archive: zipfile.ZipFile, name: str) -> NDArray[np.uint8]:
    """Return a crop of a clip's ZIP, uint8 [S, S, 3] RGB.

    Raises:
        KeyError: there is none of this name.
        ValueError: it is not a JPEG, or larger than any crop.
    """
    data = _read_member(archive, name, MAX_JPEG_BYTES)
    check_jpeg(memoryview(data), name)
    image = decode_jpeg(data, name)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _read_member(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    info = archive.getinfo(name)
    require_plain(info, max_bytes)
    return archive.read(info)


def require_plain(member: zipfile.ZipInfo, max_bytes: int) -> None:
    """Check that a member of a clip's ZIP can be read as it lies there.

    Raises:
        ValueError: it is compressed or encrypted, or larger.
    """
    if member.compress_type != zipfile.ZIP_STORED or member.file_size > max_bytes or member.flag_bits & 1:
        raise ValueError(f"{member.filename} is compressed, encrypted, or of {member.file_size:,} bytes")


def decode_jpeg(data: bytes | memoryview, name: str) -> NDArray[np.uint8]:
    """Return an image, uint8 [H, W, 3] BGR.

    Raises:
        ValueError: it is not a JPEG.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"{name} is not a JPEG")
    return np.asarray(image, np.uint8)


def check_jpeg(data: memoryview, name: str) -> bytes:
    """Return a JPEG's header, after a look at the size that it gives, before a decoder allocates it.

    Args:
        data: of the file.
        name: for the error.

    Raises:
        ValueError: it is not a JPEG, or larger than any crop.
    """
    at = 2
    while bytes(data[:2]) == b"\xff\xd8" and at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # the first start of a frame
            side = max(int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big"))
            if side > MAX_CROP_SIZE:
                raise ValueError(f"{name} is {side:,} pixels large")
            return bytes(data[: at + 9])
        at += 2 + length
    raise ValueError(f"{name} is not a JPEG")


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
