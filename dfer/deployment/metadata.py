"""The entries that an exported model carries about itself, readable without dfer."""

from __future__ import annotations

import json

from dfer.model.export import Exportable
from dfer.prediction.windows import default_window_s
from dfer.version import __version__

_USUAL_FPS = 25.0
_NUM_LANDMARKS = 5
FLOAT32 = "float32"


def describe(exportable: Exportable, precision: str) -> dict[str, str]:
    """Return the metadata of an exported model; what is no text is JSON.

    Args:
        exportable: the model.
        precision: the number format of the weights.
    """
    info, config = exportable.info, exportable.model.config
    values = {
        "labels": info.labels,
        "crop_size": info.crop_size,
        "template": template_of(exportable),
        "num_frames": config.num_frames,
        "window_s": window_s(exportable),
        "temperature": exportable.answering.temperature,
        "mirror": exportable.mirror,
    }
    return {
        **{name: json.dumps(value, ensure_ascii=False) for name, value in values.items()},
        "prior": exportable.answering.prior,
        "precision": precision,
        "notice": info.notice,
        "licence": info.licence,
        "producer": f"dfer {__version__}",
    }


def template_of(exportable: Exportable) -> list[list[float]] | None:
    """Return the places of the five landmarks in a crop, pixels (x, y), or None where the checkpoint does not say."""
    points, size = exportable.info.alignment.get("points", ()), exportable.info.crop_size
    try:
        places = [[round(float(x) * size - 0.5, 4), round(float(y) * size - 0.5, 4)] for x, y in points]
        return places if len(places) == _NUM_LANDMARKS else None
    except (TypeError, ValueError):
        return None


def window_s(exportable: Exportable) -> float:
    """Return the length of the stretches of time that `dfer predict` gives this model at 25 frames a second."""
    return default_window_s(exportable.info.clip_s, exportable.model.config.num_frames / _USUAL_FPS)
