"""What a fold is trained with: torch.compile with a way back, counts and portions of the stores, loaders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from dfer.errors import DferError
from dfer.losses.training_loss import TrainingLoss
from dfer.model import LogoFormer
from dfer.model.build import build_model
from dfer.model.former_dfer import FormerDfer
from dfer.model.video_model import VideoModel
from dfer.runtime.compiled import Compiled
from dfer.store.joined import StorePart, join_stores
from dfer.training import distributed
from dfer.training.batch_norm import share_batch_norm
from dfer.training.loop import FoldTrainer
from dfer.training.setup import (
    Learner,
    class_counts,
    compiled_features,
    epoch_portions,
    open_loaders,
    use_compile,
)
from dfer.training.step import Stepper
from tests.stores import small_store, tiny_recipe


@pytest.mark.parametrize(
    ("setting", "device", "expected"),
    [("auto", "cpu", False), ("auto", "cuda", True), ("on", "cpu", True), ("off", "cuda", False)],
)
def test_what_is_compiled(setting: str, device: str, expected: bool) -> None:
    assert use_compile(setting, torch.device(device)) == expected


_SMALL = {"num_classes": 3, "num_frames": 2, "image_size": 32, "heads": 2, "stem_width": 4}


@pytest.mark.parametrize("make", [partial(LogoFormer, dim=8, depth=1), FormerDfer], ids=["logo_former", "former_dfer"])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("processes", [1, 2])
def test_messages_are_left_out_of_what_is_compiled(
    processes: int, frozen: bool, make: Callable[..., VideoModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several processes compile what follows the shared batch norm, or everything where it is frozen."""
    monkeypatch.setattr(distributed, "world_size", lambda: processes)
    compiled: list[str] = []

    def compile_it(function: Callable[..., Tensor], **_options: object) -> Callable[..., Tensor]:
        compiled.append(function.__name__)
        return function

    monkeypatch.setattr(torch, "compile", compile_it)
    model = make(**_SMALL).eval()
    if not frozen:
        share_batch_norm(model)
    clips = torch.rand(2, 2, 3, 32, 32)
    assert torch.equal(compiled_features(model)(clips), model.forward_features(clips))
    assert compiled == ["encode" if processes == 2 and not frozen else "forward_features"]


def test_every_fold_is_compiled(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Five folds with two sizes of batches are more graphs than dynamo keeps of one function."""
    counted = CompileCounter()
    options = {"backend": counted, "dynamic": False}
    compile_it = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **_options: compile_it(function, **options))
    recipe = tiny_recipe(Path(), train={"compile": "on"}, model={"dropout": 0.0})
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        for fold in range(1, 6):
            model = build_model(recipe.model, ["a", "b", "c"])
            learner = Learner(model, TrainingLoss(recipe.loss, counts=torch.ones(3), dim=16), None, None)  # type: ignore[arg-type]
            step = Stepper(recipe, learner, device=torch.device("cpu"), dtype=torch.float32, fold=fold)
            for clips in (3, 2, 3):
                step._features(torch.rand(clips, 4, 3, 32, 32))
    assert counted.frame_count == 5 * 2
    assert not [record for record in caplog.records if record.name.startswith("dfer")]
    torch.compiler.reset()


def test_a_compiler_that_fails_costs_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """And the same bytes: it fails before anything is drawn."""

    def broken(_function: Callable[[Tensor], Tensor], **_options: object) -> Callable[[Tensor], Tensor]:
        def compiled(_clips: Tensor) -> Tensor:
            raise RuntimeError("no C++ compiler\nat all")

        return compiled

    monkeypatch.setattr(torch, "compile", broken)
    store = small_store(tmp_path / "data")
    outcomes = []
    for setting in ("off", "on"):
        recipe = tiny_recipe(store.root, train={"epochs": 1, "compile": setting})
        trainer = FoldTrainer(recipe, store, 1, tmp_path / setting, device=torch.device("cpu"))
        trainer.train()
        outcomes.append(trainer.learner.model.state_dict())
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "torch.compile failed, training continues without it: no C++ compiler"
    ]
    for name, value in outcomes[0].items():
        assert torch.equal(value, outcomes[1][name]), name


def test_full_memory_is_not_a_compilers_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_clips: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(torch, "compile", lambda _function, **_options: full)
    with pytest.raises(torch.OutOfMemoryError):
        Compiled(lambda clips: clips)(torch.zeros(1))


# ---- loaders


def test_a_stores_weight_counts_in_classes_and_epochs(tmp_path: Path) -> None:
    first, second = (small_store(tmp_path / name, clips_per_class=2, num_frames=2) for name in "ab")
    voted = replace(second, rows=[replace(row, votes=(1, 1, 2)) for row in second.rows])
    joined = join_stores([StorePart(first), StorePart(voted, weight=0.5, labels={"happy": "sad"})])
    # Two of the votes of each clip are for sad, which happy has become; the class happy has no other clips.
    assert class_counts(joined, joined.rows, soft=True).tolist() == [2.0, 2.0 + 1.5, 2.0 + 1.5]
    assert class_counts(joined, joined.rows, soft=False).tolist() == [2.0, 2.0 + 2.0, 2.0 + 1.0]
    assert epoch_portions(first, first.rows) is None
    assert epoch_portions(joined, joined.rows) == [(list(range(6)), 1.0), (list(range(6, 12)), 0.5)]
    assert epoch_portions(join_stores([StorePart(first), StorePart(second)]), joined.rows) is None
    train, val, _ = open_loaders(
        joined, joined.rows, joined.rows[-1:], tiny_recipe(first.root), unit=1, device=torch.device("cpu")
    )
    assert len(train) == -(-9 // 4)
    assert sum(len(rows) for rows, parts in train.shuffled([0]) for _ in parts) == 9
    assert len(val.rows) == 1


def test_loaders_report_one_progress_and_where_the_crops_lie(tmp_path: Path) -> None:
    store = small_store(tmp_path / "data", clips_per_class=2, num_frames=9)
    reported: list[tuple[int, int]] = []
    train, val, description = open_loaders(
        store, store.rows[:4], store.rows[4:], tiny_recipe(store.root, train={"memory_gb": 0.5}),
        unit=1, device=torch.device("cpu"), on_load=lambda *counts: reported.append(counts),
    )  # fmt: skip
    assert reported == [(9 * number, 54) for number in range(1, 7)]
    assert (len(train.rows), len(val.rows)) == (4, 2)
    assert description == "decoded in memory: 0.0 GB decoded, room for 0.5 GB of main memory"


def test_a_device_without_room_for_the_crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: Any, **_options: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    store = small_store(tmp_path / "data", clips_per_class=1)
    monkeypatch.setattr("dfer.training.setup.ClipLoader", full)
    recipe = tiny_recipe(store.root, train={"feed": "device"})
    with pytest.raises(DferError, match=r"out of memory: decoded on the device: 0.0 GB decoded, .* \(cpu\)") as caught:
        open_loaders(store, store.rows, [], recipe, unit=1, device=torch.device("cpu"))
    assert caught.value.hint == "train.feed=auto chooses a place that has room"
