"""Crops out of a clip's ZIP: where they lie is remembered, and a clip's crops are read in few pieces and decoded."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dfer.errors import DataError, reason_suffix
from dfer.runtime.reading import open_regular
from dfer.store.clips import MAX_JPEG_BYTES, UNREADABLE, check_jpeg, decode_jpeg, open_archive, require_plain

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a member: signature, lengths of its name and of what follows it
_SIGNATURE = b"PK\x03\x04"
_NAME_BYTES = 10  # of 000000.jpg
# Crops that lie further apart are read in separate pieces.
_GAP_BYTES = 256_000
_SPARE_BYTES = 1024  # for what other programs write after a member's name


@dataclass(frozen=True)
class ClipIndex:
    """The places of a clip's crops in its ZIP, of N crops.

    Attributes:
        starts: byte at which the crop's local header begins, N of them.
        sizes: bytes of its JPEG.
        checksums: CRC-32 of its JPEG.
    """

    starts: Sequence[int]
    sizes: Sequence[int]
    checksums: Sequence[int]


def index_clip(path: Path) -> ClipIndex:
    """Return the places of a clip's crops.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with open_archive(path) as archive:
            count = sum(name.endswith(".jpg") for name in archive.namelist())
            members = [archive.getinfo(f"{number:06d}.jpg") for number in range(count)]
        for member in members:
            require_plain(member, MAX_JPEG_BYTES)
    except UNREADABLE as error:
        raise _damaged(error, path) from error
    return ClipIndex(*([getattr(member, name) for member in members] for name in ("header_offset", "file_size", "CRC")))


def read_clip(
    path: Path,
    indices: Sequence[int] | NDArray[np.int64] | None = None,
    *,
    index: ClipIndex | None = None,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Unpack a clip's crops. Decoding does not hold Python's lock.

    Args:
        path: the ZIP.
        indices: which crops, in any order, repeats allowed; None for all.
        index: of `index_clip`, where it is at hand.
        out: written to, uint8 [N, S, S, 3].

    Returns:
        uint8 [N, S, S, 3] RGB.

    Raises:
        DataError: the file is missing or damaged, or its crops have another size than `out`.
    """
    index = index or index_clip(path)
    chosen = list(range(len(index.starts))) if indices is None else [int(number) for number in indices]
    try:
        pieces = _read_pieces(path, index, sorted(set(chosen)))
        places: dict[int, int] = {}
        header = b""
        for place, number in enumerate(chosen):
            if number in places:
                assert out is not None
                out[place] = out[places[number]]
                continue
            data, start = pieces[number]
            jpeg = _checked_jpeg(data, start, index, number)
            if not header or bytes(jpeg[: len(header)]) != header:  # the crops of a clip have the same header
                header = check_jpeg(jpeg, f"{number:06d}.jpg")
            image = decode_jpeg(jpeg, f"{number:06d}.jpg")
            if out is None:
                out = np.empty((len(chosen), *image.shape), np.uint8)
            if image.shape != out.shape[1:]:
                raise ValueError(f"crops of {image.shape[0]} x {image.shape[1]} pixels, not {out.shape[1]}")
            cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=out[place])
            places[number] = place
        if out is None:
            raise ValueError("no crops")
        return out
    except (*UNREADABLE, struct.error) as error:
        raise _damaged(error, path) from error


def _read_pieces(path: Path, index: ClipIndex, numbers: Sequence[int]) -> dict[int, tuple[bytes, int]]:
    """Return, by the number of a crop, the bytes of the file that hold it, and where in them its header begins."""
    pieces: dict[int, tuple[bytes, int]] = {}
    with open_regular(path) as file:
        at = 0
        while at < len(numbers):
            begin, end, last = index.starts[numbers[at]], _end(index, numbers[at]), at + 1
            while last < len(numbers) and begin <= index.starts[numbers[last]] < end + _GAP_BYTES:
                end, last = max(end, _end(index, numbers[last])), last + 1
            file.seek(begin)
            data = file.read(end - begin)
            pieces |= {number: (data, index.starts[number] - begin) for number in numbers[at:last]}
            at = last
    return pieces


def _end(index: ClipIndex, number: int) -> int:
    """Return a byte that is not before the end of a crop: what follows a name is longer than dfer writes it."""
    return index.starts[number] + _LOCAL_HEADER.size + _NAME_BYTES + index.sizes[number] + _SPARE_BYTES


def _checked_jpeg(data: bytes, start: int, index: ClipIndex, number: int) -> memoryview:
    signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(data, start)
    begin = start + _LOCAL_HEADER.size + name_bytes + extra_bytes
    jpeg = memoryview(data)[begin : begin + index.sizes[number]]
    if signature != _SIGNATURE or zlib.crc32(jpeg) != index.checksums[number]:
        raise zipfile.BadZipFile(f"Bad CRC-32 for file '{number:06d}.jpg'")
    return jpeg


def _damaged(error: Exception, path: Path) -> DataError:
    hint = "run `dfer preprocess` again: it restores what is missing"
    return DataError(f"damaged or missing crops{reason_suffix(error)}", where=path, hint=hint)
