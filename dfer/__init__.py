"""dfer: dynamic facial expression recognition, from raw clips to predictions on your video.

Public names load on first use, so that `import dfer` imports neither torch nor OpenCV nor pandas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfer.version import __version__

if TYPE_CHECKING:
    from dfer.errors import DferError
    from dfer.plugins import load_plugin
    from dfer.prediction.predictor import Predictor
    from dfer.prediction.saved import read_predictions
    from dfer.records import Prediction

__all__ = ["DferError", "Prediction", "Predictor", "__version__", "load_plugin", "read_predictions"]

_LAZY = {
    "DferError": "dfer.errors",
    "load_plugin": "dfer.plugins",
    "Predictor": "dfer.prediction.predictor",
    "Prediction": "dfer.records",
    "read_predictions": "dfer.prediction.saved",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'dfer' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
