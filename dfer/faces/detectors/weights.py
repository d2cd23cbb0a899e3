"""The weights of the SCRFD detector: found on this machine, or downloaded."""

from __future__ import annotations

import io
import logging
import os
import zipfile
from functools import cache
from pathlib import Path

from platformdirs import user_cache_dir

from dfer.errors import DferError
from dfer.runtime.files import write_bytes

# insightface's smallest pack (15 MB) with a detector: SCRFD-500M.
PACK = "buffalo_sc"
PACK_URL = "https://github.com/deepinsight/insightface/releases/download/model-zoo/buffalo_sc.zip"
TIMEOUT_S = 10.0  # to connect, and for each read
WEIGHTS_ENV = "DFER_DETECTOR_WEIGHTS"
WEIGHTS_HINT = (
    f"download {PACK_URL}, unpack it, and give its folder with --detector-weights or in ${WEIGHTS_ENV}; "
    "or use --detector haar"
)

# The larger the detector, the better; insightface's packs name it det_*.onnx.
_PACKS_BY_QUALITY = ("buffalo_l", "antelopev2", "buffalo_m", "buffalo_s", "buffalo_sc")

logger = logging.getLogger(__name__)


class WeightsNotFoundError(DferError):
    """No weights were named, none are in the cache, and the download failed."""


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
    """Find SCRFD's .onnx file as `find_detector_weights` does, or else download it.

    Raises:
        DferError: weights were named and do not exist.
        WeightsNotFoundError: none were named or cached, and the download failed.
    """
    found, reason = find_detector_weights(weights), ""
    if found is None:
        found, reason = download_detector_weights()
    if found is None:
        raise WeightsNotFoundError(f"no weights for the SCRFD detector: {reason}", hint=WEIGHTS_HINT)
    return found


@cache
def download_detector_weights() -> tuple[Path | None, str]:
    """Download insightface's smallest pack into dfer's cache; tried once per process.

    Returns:
        The detector's file and "", or None and the reason for the failure.
    """
    from http.client import HTTPException  # slow to import
    from urllib.request import urlopen

    folder = own_models() / PACK
    logger.info("downloading the SCRFD detector (licensed for non-commercial research) from %s", PACK_URL)
    try:
        with urlopen(PACK_URL, timeout=TIMEOUT_S) as response:
            archive = io.BytesIO(response.read())
        with zipfile.ZipFile(archive) as pack:
            member = next((name for name in pack.namelist() if Path(name).match("det_*.onnx")), None)
            if member is None:
                return None, "the downloaded pack contains no detector"
            target = folder / Path(member).name
            write_bytes(target, pack.read(member))
    except (OSError, HTTPException, zipfile.BadZipFile, DferError) as error:
        return None, f"the download failed: {error}"
    return target, ""


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
