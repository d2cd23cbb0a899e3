"""Weight files: read without running any code in them, and compared name by name before they are loaded."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dfer.errors import CheckpointError, os_reason
from dfer.model.video_model import VideoModel


def read_weights(path: Path) -> dict[str, Any]:
    """Return the content of a weight file: of .safetensors its tensors, of any other what torch's safe loader gives.

    A pickle is read with `weights_only`: one that asks for more than tensors and plain containers is refused before it
    runs.

    Raises:
        CheckpointError: the file is missing, damaged, or would run code.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path, device="cpu"))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"cannot read the weights: {os_reason(error)}", where=path) from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "refused to load the weights: the file holds more than tensors, or is damaged",
            where=path,
            hint="if you trust the file, load it with torch and save only its tensors as .safetensors",
        ) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError("the weights are damaged, or in a format that dfer does not read", where=path) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"expected a dict of tensors, got {type(content).__name__}", where=path)
    return content


def load_weights(
    model: VideoModel, state_dict: Mapping[str, Tensor], *, where: str | None = None, keep_head: bool = False
) -> None:
    """Load a checkpoint's weights: all of them, or none.

    Args:
        model: may fit them to its sizes, such as position embeddings of another grid; the log says so.
        state_dict: the checkpoint's tensors.
        where: the file, for the error message.
        keep_head: leave the model's own head as it is, to start from a checkpoint with other labels.

    Raises:
        CheckpointError: tensors are missing, unexpected or of another shape.
    """
    own, found = model.state_dict(), model.fit_weights(state_dict)
    if keep_head:
        found |= {name: tensor for name, tensor in own.items() if name.startswith("head.")}
    require_same_tensors(own, found, where=where)
    model.load_state_dict(found, strict=True)


def require_same_tensors(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], *, where: str | Path | None
) -> None:
    """Refuse weights whose names or shapes are not exactly the expected ones.

    Raises:
        CheckpointError: names what is missing, unexpected and of another shape.
    """
    differences = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "wrong shape": [
            f"{name} {list(found[name].shape)} instead of {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in found and found[name].shape != tensor.shape
        ],
    }
    listed = [f"{what}: {_shorten(names)}" for what, names in differences.items() if names]
    if listed:
        raise CheckpointError(
            f"the weights do not fit the model: {'; '.join(listed)}",
            where=where,
            hint="use the model settings that the weights were trained with",
        )


def _shorten(names: list[str], limit: int = 6) -> str:
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")
