"""The weights of the SCRFD detector: found on this machine, or downloaded when the user asks for it."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import zipfile
from pathlib import Path

from platformdirs import user_cache_dir

from dfer.errors import DferError, os_reason
from dfer.runtime.files import sha256_of, write_bytes

# insightface's smallest pack (15 MB) with a detector: SCRFD-500M.
PACK = "buffalo_sc"
PACK_URL = "https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_sc.zip"
PACK_SHA256 = "57d31b56b6ffa911c8a73cfc1707c73cab76efe7f13b675a05223bf42de47c72"
LICENCE = "licensed for non-commercial research only"
TIMEOUT_S = 10.0  # to connect, and for each read
WEIGHTS_ENV = "DFER_DETECTOR_WEIGHTS"
WEIGHTS_HINT = (
    f"`dfer doctor --get scrfd` downloads them ({LICENCE}); or give a folder with --detector-weights or ${WEIGHTS_ENV}"
)
DOWNLOAD_HINT = (
    f"fetch {PACK_URL} by other means, unpack it, and give its folder with --detector-weights or ${WEIGHTS_ENV}"
)

# The larger the detector, the better; insightface's packs name it det_*.onnx.
_PACKS_BY_QUALITY = ("buffalo_l", "antelopev2", "buffalo_m", "buffalo_s", "buffalo_sc")

# SHA-256 of the published detectors with landmarks, by the names that they are distributed under: insightface's packs
# buffalo_s and buffalo_sc, buffalo_m, buffalo_l, antelopev2. Other projects that pin these files name the same digests,
# such as yakhyo/uniface in its table of weights.
_SCRFD_10G = ("5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",)
PUBLISHED_SHA256 = {
    "det_500m.onnx": (
        "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a",
        # Published nowhere that we know of: the copy that dfer was developed and measured with, taken on trust.
        "e1bd4150e4ed9dd6dee500d66f616832e76e34be1cb630dca7565b7fdb7a26fb",
    ),
    "det_2.5g.onnx": ("041f73f47371333d1d17a6fee6c8ab4e6aecabefe398ff32cca4e2d5eaee0af9",),
    "det_10g.onnx": _SCRFD_10G,
    "scrfd_10g_bnkps.onnx": _SCRFD_10G,
}

logger = logging.getLogger(__name__)


def insightface_models() -> Path:
    """Return the folder in which insightface caches its model packs."""
    return Path.home() / ".insightface" / "models"


def own_models() -> Path:
    """Return the folder in which dfer keeps the model packs that it downloads."""
    return Path(user_cache_dir("dfer", appauthor=False)) / "models"


def find_detector_weights(weights: Path | None = None) -> Path | None:
    """Find SCRFD's .onnx file, without downloading anything.

    Args:
        weights: the file or its folder; else `$DFER_DETECTOR_WEIGHTS`, then dfer's and insightface's caches are tried.

    Returns:
        The file, or None if none was named and the caches have none.

    Raises:
        DferError: weights were named, by argument or environment variable, and do not exist.
    """
    if weights is not None:
        return _named(Path(weights), "--detector-weights")
    if os.environ.get(WEIGHTS_ENV):
        return _named(Path(os.environ[WEIGHTS_ENV]), f"${WEIGHTS_ENV}")
    folders = (own_models(), insightface_models())
    packs = sorted((path for folder in folders for path in folder.glob("*/det_*.onnx")), key=_pack_rank)
    return packs[0] if packs else None


def require_detector_weights(weights: Path | None = None) -> Path:
    """Find SCRFD's .onnx file as `find_detector_weights` does.

    Raises:
        DferError: weights were named and do not exist, or there are none.
    """
    found = find_detector_weights(weights)
    if found is None:
        raise DferError("no weights for the SCRFD detector", hint=WEIGHTS_HINT)
    return found


def verify_detector_weights(weights: Path) -> None:
    """Compare a weight file with the published SHA-256, before anything reads it.

    A file of another name that the user keeps outside the caches is taken for a detector of their own; the log says
    that it was not verified.

    Raises:
        DferError: a file of a published name, or one in a cache, is not what was published, or it cannot be read.
    """
    try:
        digest = sha256_of(weights)
    except OSError as error:
        raise DferError(f"cannot read the detector's weights: {os_reason(error)}", where=weights) from error
    if any(digest in known for known in PUBLISHED_SHA256.values()):
        return
    in_cache = any(folder in weights.absolute().parents for folder in (own_models(), insightface_models()))
    if in_cache or weights.name in PUBLISHED_SHA256:
        raise DferError(
            f"the detector's weights are damaged or altered: their SHA-256 {digest[:12]}… is not a published one",
            where=weights,
            hint="get it again with `dfer doctor --get scrfd`, or use --detector centerface; a detector of your own "
            "needs another file name, outside the caches",
        )
    logger.info("unverified detector weights, SHA-256 %s (%s)", digest, weights)


def download_detector_weights() -> Path:
    """Download insightface's smallest pack, check it, and keep its detector in dfer's cache.

    Returns:
        The detector's file.

    Raises:
        DferError: the download failed, or is not the file that it should be; nothing is kept.
    """
    from http.client import HTTPException  # slow to import
    from urllib.request import urlopen

    logger.info("downloading %s, %s", PACK_URL, LICENCE)
    try:
        with urlopen(PACK_URL, timeout=TIMEOUT_S) as response:
            content = response.read()
    except (OSError, HTTPException) as error:
        raise DferError(f"the download failed: {error}", where=PACK_URL, hint=DOWNLOAD_HINT) from error
    if hashlib.sha256(content).hexdigest() != PACK_SHA256:
        raise DferError("the download is damaged or not the expected file: its SHA-256 differs", where=PACK_URL)
    with zipfile.ZipFile(io.BytesIO(content)) as pack:
        member = next(name for name in pack.namelist() if Path(name).match("det_*.onnx"))
        target = own_models() / PACK / Path(member).name
        write_bytes(target, pack.read(member))
    return target


def _named(path: Path, by: str) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise DferError(f"{by} does not exist", where=path, hint=WEIGHTS_HINT)
    for pattern in ("det_*.onnx", "*.onnx", "*/det_*.onnx"):
        found = sorted(path.glob(pattern), key=_pack_rank)
        if found:
            return found[0]
    raise DferError(f"{by} is a folder without .onnx weights", where=path, hint=WEIGHTS_HINT)


def _pack_rank(file: Path) -> tuple[int, str]:
    pack = file.parent.name
    rank = _PACKS_BY_QUALITY.index(pack) if pack in _PACKS_BY_QUALITY else len(_PACKS_BY_QUALITY)
    return rank, str(file)
