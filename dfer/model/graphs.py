"""A model divided into graphs for runtimes other than torch, and the folder that keeps what they make of them."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from platformdirs import user_cache_dir
from torch import Tensor, nn

from dfer.errors import DferError
from dfer.model.video_model import DividedModel, VideoModel
from dfer.runtime.files import write_bytes

Array = NDArray[np.float32]
Run = Callable[[Array], Array]
T = TypeVar("T")

MOST_KEPT = 12  # files: a few models of up to two graphs each
_FRAMES, _WINDOWS, _CLIPS = "frames", "windows", "clips"

logger = logging.getLogger(__name__)


class Graph(NamedTuple):
    """A part of a model with one input and one output, whose first axis may have any length.

    Attributes:
        name: of the part.
        module: computes it.
        example: an input, float32 [2, ...].
        fingerprint: the same for the same code and weights.
    """

    name: str
    module: nn.Module
    example: Tensor
    fingerprint: str


class GraphModel:
    """A model run graph by graph outside torch, on a CPU. Its clips have the model's own number of frames.

    Args:
        model: any model, on a CPU, in evaluation mode.
        compile_graph: makes a graph run.
    """

    def __init__(self, model: VideoModel, compile_graph: Callable[[Graph], Run]) -> None:
        self._runs = {graph.name: compile_graph(graph) for graph in divide(model)}

    @property
    def sees_frames_alone(self) -> bool:
        """Return whether `frame_maps` and `encode` may be called."""
        return _FRAMES in self._runs

    def frame_maps(self, clips: Tensor) -> Tensor:
        """Return what the backbone makes of each frame; see `DividedModel.frame_maps`."""
        maps = self._run(_FRAMES, clips.flatten(0, 1))
        return maps.view(*clips.shape[:2], *maps.shape[1:])

    def encode(self, maps: Tensor) -> Tensor:
        """Return the features of frames' maps, float32 [B, D]; see `DividedModel.encode`."""
        return self._run(_WINDOWS, maps)

    def forward_features(self, clips: Tensor) -> Tensor:
        """Return the features of clips, float32 [B, D]; see `VideoModel.forward_features`."""
        return self.encode(self.frame_maps(clips)) if self.sees_frames_alone else self._run(_CLIPS, clips)

    def _run(self, name: str, x: Tensor) -> Tensor:
        return torch.from_numpy(self._runs[name](x.contiguous().numpy()))


@torch.no_grad()
def divide(model: VideoModel) -> list[Graph]:
    """Return the graphs of a model: those of its backbone and of what follows it, or one of the whole."""
    config, fingerprint = model.config, _fingerprint(model)
    clips = torch.zeros(2, config.num_frames, 3, config.image_size, config.image_size)
    if not isinstance(model, DividedModel):
        return [Graph(_CLIPS, _Part(model, model.forward_features), clips, fingerprint)]
    frames = _Part(model, lambda frames: model.frame_maps(frames[:, None])[:, 0])
    maps = frames(clips[0])
    windows = maps.new_zeros(2, *maps.shape)
    return [
        Graph(_FRAMES, frames, clips[:, 0], fingerprint),
        Graph(_WINDOWS, _Part(model, model.encode), windows, fingerprint),
    ]


class _Part(nn.Module):
    """A method of a model, as a module that can be traced."""

    def __init__(self, model: VideoModel, compute: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self._compute = model, compute

    def forward(self, x: Tensor) -> Tensor:
        return self._compute(x)


def _fingerprint(model: VideoModel) -> str:
    """Return a digest of a model's weights, its settings and its code, torch's version with it."""
    digest = hashlib.sha256(f"{type(model).__qualname__} {model.config!r} {torch.__version__}".encode())
    own = sys.modules[type(model).__module__].__file__  # of a plugin, perhaps
    for path in sorted({*Path(__file__).parent.glob("*.py"), *([Path(own)] if own else [])}):
        digest.update(path.read_bytes())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:32]


def kept_graphs() -> Path:
    """Return the folder in which what runtimes make of models is kept."""
    return Path(user_cache_dir("dfer", appauthor=False)) / "graphs"


def keep(name: str, make: Callable[[], bytes], load: Callable[[bytes], T]) -> T:
    """Load a file of the kept graphs; make it if there is none yet, or it is damaged.

    The longest unused files beyond `MOST_KEPT` are removed. A folder that cannot be written to keeps nothing.

    Args:
        name: of the file; it says all that the content depends on.
        make: returns the content.
        load: returns what is made of the content.
    """
    path = kept_graphs() / name
    with suppress(OSError):
        data = path.read_bytes()
        os.utime(path)
        try:
            return load(data)
        except Exception as error:  # of classes that only the runtimes' binary parts name
            logger.debug("%s is damaged: %s", name, error)
    data = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
        files = sorted(path.parent.iterdir(), key=lambda file: file.stat().st_mtime, reverse=True)
        for old in files[MOST_KEPT:]:
            old.unlink(missing_ok=True)
    except (OSError, DferError) as error:
        logger.debug("%s is not kept: %s", name, error)
    return load(data)
