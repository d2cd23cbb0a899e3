"""The probe of time: what each change does, and what it finds in models that see time, or do not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dfer.evaluation.compare import measure
from dfer.evaluation.compared_runs import Run
from dfer.evaluation.comparison import Comparison
from dfer.evaluation.evaluate import evaluate
from dfer.evaluation.plan import FoldTask
from dfer.evaluation.predictions import read_predictions
from dfer.evaluation.probe import (
    AS_THEY_ARE,
    PROBES,
    probe,
    verdict,
)
from dfer.model.video_model import ModelConfig, VideoModel
from dfer.store import CropRecord, Store, clip_path, open_store, write_clip
from dfer.store.manifest import write_manifest
from tests.answers import write_run
from tests.checkpoints import checkpoint_info
from tests.stores import SIZE, small_store

T = 8


class OfBrightness(VideoModel):
    """A model that reads how the brightness of a clip rises, or its mean: nothing else tells the classes apart."""

    def __init__(self, *, sees_time: bool) -> None:
        super().__init__()
        self.config = ModelConfig(num_classes=3, num_frames=T, image_size=32)
        self.sees_time = sees_time
        self.head = nn.Linear(1, 3)
        with torch.no_grad():  # rising, falling, flat; by the mean, whatever lies nearest
            self.head.weight.copy_(torch.tensor([[4.0], [-4.0], [0.0]]))
            self.head.bias.copy_(torch.tensor([0.0, 0.0, 0.5]))

    def forward_features(self, clips: Tensor, repeats: int = 1) -> Tensor:  # noqa: ARG002
        means = clips.mean(dim=(2, 3, 4))
        if not self.sees_time:
            return means.mean(dim=1, keepdim=True)
        return means[:, -2:].mean(dim=1, keepdim=True) - means[:, :2].mean(dim=1, keepdim=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Clips that get brighter, clips that get darker, and clips that stay as they are."""
    root = tmp_path_factory.mktemp("data") / "ramps"
    small = small_store(root, clips_per_class=24, num_frames=T, num_folds=1)
    record = CropRecord(list(range(T)), [n / 25 for n in range(T)], [[0.0, 0.0, 48.0, 48.0]] * T, [True] * T)
    rows = []
    for row in small.rows:
        rising = np.linspace(40, 210, T)
        levels = (rising, rising[::-1], np.full(T, 125.0))[row.label]
        crops = [np.full((SIZE, SIZE, 3), level, np.uint8) for level in levels]
        rows.append(replace(row, sha256=write_clip(clip_path(root, row.clip_id), crops, record)))
    write_manifest(root / "manifest.csv", rows)
    return open_store(root)


def probed(store: Store, monkeypatch: pytest.MonkeyPatch, *, sees_time: bool, batch_size: int = 16) -> Comparison:
    data = {"name": store.info.name, "fold": 1, "fingerprint": store.fingerprint()}
    info = checkpoint_info(segments=4, data=data, epoch=3)
    loaded = (OfBrightness(sees_time=sees_time).eval(), info)
    monkeypatch.setattr("dfer.evaluation.evaluate.load_checkpoint", lambda *_: loaded)
    tasks = [FoldTask(1, Path("a.safetensors"), store.root)]
    options = {"device": "cpu", "batch_size": batch_size}
    return probe(tasks, evaluate(tasks, **options), resamples=400, **options)  # type: ignore[arg-type]


def test_a_model_that_reads_motion_falls_to_chance(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = probed(store, monkeypatch, sees_time=True)
    recalls = {method.name: [recall.value for recall in method.recalls] for method in comparison.methods}
    assert recalls[AS_THEY_ARE] == [1, 1, 1]
    assert recalls["reversed"] == [0, 0, 1], "backwards, each of the pair is the other"
    assert all(0.2 < recall < 0.7 for recall in recalls["shuffled"][:2])
    assert recalls["frozen"] == [0, 0, 1]
    assert [pair.second for pair in comparison.pairs] == list(PROBES)
    assert all(pair.first == AS_THEY_ARE for pair in comparison.pairs)
    reversed_ = next(pair for pair in comparison.pairs if pair.second == "reversed")
    assert reversed_.metrics["war"].value == pytest.approx(-2 / 3)
    assert reversed_.recalls[2].to_dict() == {"value": 0, "low": 0, "high": 0}
    assert verdict(comparison).startswith("The order of the frames matters: reversed, they cost 66.7 [")
    assert verdict(comparison).endswith("most of it in happy (100.0 points of its recall).")


def test_a_model_without_time_does_not_move(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = probed(store, monkeypatch, sees_time=False)
    for pair in comparison.pairs[:2]:
        assert [value.value for value in (*pair.metrics.values(), *pair.recalls)] == [0] * 6
        assert pair.p["war"] == 1
    assert "Nothing shows that the answers depend on time: on these 72 clips" in verdict(comparison)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_the_figures_do_not_depend_on_the_batch_size(
    store: Store, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    one, other = (probed(store, monkeypatch, sees_time=True, batch_size=size) for size in (16, batch_size))
    assert one.to_dict() == other.to_dict()


def test_each_change_by_hand() -> None:
    frames = torch.arange(5)[None, :, None, None, None].expand(3, 5, 2, 2, 3)
    order = {name: make()(frames)[:, :, 0, 0, 0].tolist() for name, make in PROBES.items()}
    assert order["reversed"] == [[4, 3, 2, 1, 0]] * 3
    assert order["frozen"] == [[2] * 5] * 3
    assert order["subsampled"] == [[0, 0, 2, 2, 4]] * 3
    assert all(sorted(clip) == [0, 1, 2, 3, 4] for clip in order["shuffled"])
    assert len(set(map(tuple, order["shuffled"]))) > 1, "each clip has an order of its own"


@pytest.mark.parametrize("make", PROBES.values(), ids=PROBES)
def test_a_still_stays_as_it_is(make: type) -> None:
    still = torch.rand(2, 1, 3, 3, 3)
    assert torch.equal(make()(still), still)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"frozen": 0.3}, "Several frames matter, but nothing shows that their order does: frozen, they cost"),
        ({"subsampled": 0.3}, "The number of frames matters: subsampled, they cost"),
        ({"shuffled": 0.3, "frozen": 0.6}, "The order of the frames matters: shuffled, they cost"),
        ({}, "Nothing shows that the answers depend on time"),
    ],
    ids=["frozen", "subsampled", "shuffled", "none"],
)
def test_the_verdict(tmp_path: Path, wrong: dict[str, float], words: str) -> None:
    right = {AS_THEY_ARE: 0.9, **{name: 0.9 - wrong.get(name, 0.0) for name in PROBES}}
    runs = [
        Run(name, tmp_path, read_predictions(write_run(tmp_path / name, right=[share] * 3, clips=200)))
        for name, share in right.items()
    ]
    assert verdict(measure(runs, resamples=300, against=AS_THEY_ARE)).startswith(words)
