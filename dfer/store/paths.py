"""The file of a clip in a store: a name that fits on every disk, derived from the clip's id alone.

Ordinary ids are their own paths: `Action/Happy/0267` lies in `crops/Action/Happy/0267.zip`. A part of an id that some
system could not hold as a name, or that would mean something else there, becomes a readable beginning and a hash.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

_MAX_PART = 230  # bytes; with a suffix it stays below the 255 that file systems allow
_MAX_ID = 1000  # bytes; systems allow paths of 1024 to 4096
_READABLE = 60  # bytes of the beginning
_HASH_DIGITS = 16
# Windows, exFAT and network drives refuse these; "/" is here for ids that become one name as a whole.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]) *(?:\.|$)", re.IGNORECASE)
_DERIVED = re.compile(rf"~[0-9a-f]{{{_HASH_DIGITS}}}$", re.IGNORECASE)


def clip_path(root: Path, clip_id: str) -> Path:
    """Return the path of a clip's ZIP in the store at `root`; it is inside the store, and different for each id."""
    parts = clip_id.split("/") if len(_encoded(clip_id)) <= _MAX_ID else [clip_id]
    # A folder may not be named as a clip's ZIP beside it could be.
    folders = [_derived(part) if part.lower().endswith(".zip") else _fitting(part) for part in parts[:-1]]
    return root.joinpath("crops", *folders, f"{_fitting(parts[-1])}.zip")


def _fitting(part: str) -> str:
    fits = 0 < len(_encoded(part)) <= _MAX_PART and part[0] != "." and part[-1] not in ". "
    plain = not (_FORBIDDEN.search(part) or _DEVICE.match(part) or _DERIVED.search(part))
    return part if fits and plain else _derived(part)


def _derived(part: str) -> str:
    readable = _FORBIDDEN.sub("_", part).encode()[:_READABLE].decode(errors="ignore").strip(". ")
    readable = f"_{readable}" if _DEVICE.match(readable) else readable
    return f"{readable}~{hashlib.sha256(_encoded(part)).hexdigest()[:_HASH_DIGITS]}"


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
