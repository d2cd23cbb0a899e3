"""The crops of one clip: an uncompressed ZIP of JPEG images and `clip.json`; see `dfer.store.store`."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from dfer.errors import DataError, reason_suffix
from dfer.runtime.files import atomic_path, sha256_of
from dfer.runtime.reading import open_regular, parse_json
from dfer.settings import MAX_CROP_SIZE, STRICT, read_record
from dfer.store.manifest import MAX_CROPS

JPEG_QUALITY = 95
MAX_JPEG_BYTES = 8_000_000  # of a crop
_RECORD_BYTES = 300  # of a crop in clip.json, at most
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a ZIP can hold, so that the bytes do not depend on the clock

# What reading a damaged ZIP raises; a decoder of a compression that dfer does not write raises the last two.
UNREADABLE = (
    OSError, KeyError, ValueError, EOFError, cv2.error, zipfile.BadZipFile, RuntimeError, NotImplementedError,
)  # fmt: skip


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
