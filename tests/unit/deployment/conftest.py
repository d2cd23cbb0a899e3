"""A tiny checkpoint with all that changes an answer, and its export."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dfer.deployment.export import Exported, export_model
from dfer.model.checkpoint import save_checkpoint
from dfer.store import Store
from tests.checkpoints import checkpoint_info, tiny_model
from tests.stores import small_store

SHARES = {"happy": 0.2, "sad": 0.7, "neutral": 0.1}


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mirrored, calibrated under a prior, with a notice and a licence; its answers differ widely."""
    model = tiny_model()
    torch.nn.init.normal_(model.head.weight, std=0.2)
    info = checkpoint_info(
        model,
        mirror=True,
        temperature=0.6,
        prior={"happy": 0.5, "sad": 0.3, "neutral": 0.2},
        priors={"default": {"shares": SHARES, "temperature": 0.7}},
        notice="only stripes",
        licence="MIT",
    )
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, model.state_dict(), info)
    return path


@pytest.fixture(scope="session")
def exported(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Exported]:
    """Its ONNX file in a folder with what lies beside it, and the outcome."""
    out = tmp_path_factory.mktemp("exported") / "tiny.onnx"
    return out, export_model(tiny_checkpoint, out)


@pytest.fixture(scope="session")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store whose crops suit the checkpoint."""
    return small_store(tmp_path_factory.mktemp("data") / "stripes", clips_per_class=4, num_frames=10)
