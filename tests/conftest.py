"""Fixtures shared by all tests: where the real assets are, and small real inputs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfer.cli import console

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED_ASSETS = CHECKOUT.parent / "shared" / "assets"


def _shared(*parts: str) -> Path:
    path = SHARED_ASSETS.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the shared assets are not beside this checkout: {'/'.join(parts)}")
    return path


@pytest.fixture(autouse=True)
def _same_logging() -> Iterator[None]:
    """A command that a test runs in this process configures logging; the next test must see nothing of it."""
    logger = logging.getLogger("dfer")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    console._quiet = False  # as in a new process
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the repository."""
    return CHECKOUT


@pytest.fixture(scope="session")
def scrfd_weights() -> Path:
    """A folder with real SCRFD weights: $DFER_DETECTOR_WEIGHTS, else the shared assets."""
    named = os.environ.get("DFER_DETECTOR_WEIGHTS")
    return Path(named) if named else _shared("detectors", "scrfd_500m")


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """Real videos: WolfgangLanger_Pexels.mp4 (20 s, one woman), single_face.mp4, no_face.mp4."""
    return _shared("clips")


@pytest.fixture(scope="session")
def annotations() -> Path:
    """The official splits of DFEW, FERV39k and MAFW, without images."""
    return _shared("annotations")
