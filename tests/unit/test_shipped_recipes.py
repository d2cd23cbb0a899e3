"""Every shipped recipe and cell of a sweep loads and does a step of its model; ablations change one thing each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dfer.model import logo_former_s
from dfer.model.build import build_model
from dfer.model.checkpoint import save_checkpoint
from dfer.recipe import Recipe, load_recipe, read_recipe_values, shipped_recipes
from dfer.store import Store
from dfer.sweep import Cell, load_sweep
from dfer.training.artifacts import FoldFolder
from dfer.training.loop import FoldTrainer
from dfer.training.setup import open_loaders
from tests.stores import small_store

ROOT = shipped_recipes()
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.yaml"))
SWEEPS = [name for name in FILES if "recipe" in read_recipe_values(ROOT / name)]
NAMES = [name for name in FILES if name not in SWEEPS]
ABLATIONS = load_sweep(ROOT / "ablations.yaml").cells
DRAWN = load_sweep(ROOT / "ablations_drawn.yaml").cells
BASELINES = load_sweep(ROOT / "baselines_drawn.yaml")


def load(name: str, changes: list[str]) -> Recipe:
    """A recipe by its name, or a cell of the ablations by its own."""
    if name in NAMES:
        return load_recipe(ROOT / name, changes)
    return next(
        cell for cell in load_sweep(ROOT / "ablations.yaml", overrides=changes).cells if cell.name == name
    ).recipe


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("data") / "tiny", clips_per_class=2, num_frames=20, num_folds=2)


@pytest.mark.parametrize("name", [*NAMES, *(cell.name for cell in ABLATIONS)])
def test_a_recipe_does_a_step(name: str, store: Store, tmp_path: Path) -> None:
    changes = [f"data.path={store.root}", "data.val_fraction=0", "train.batch_size=1", "model.image_size=48"]
    if name.endswith("vit_b.yaml"):
        changes.append("model.depth=1")  # of 12 equal layers
    recipe = load(name, changes)
    # Stand-ins for weights that are not ours to ship, or that another recipe gives.
    stand_ins = {}
    if recipe.model.backbone:
        stand_ins["backbone"] = str(tmp_path / "stem.pth")
        torch.save(logo_former_s().stem.state_dict(), stand_ins["backbone"])
    if recipe.model.init:
        stand_ins["init"] = str(tmp_path / "start.safetensors")
        start = logo_former_s(num_frames=2 * recipe.data.segments, num_classes=len(store.info.labels))
        folder = FoldFolder(tmp_path / "first", recipe, store, 1, store.rows)
        info = folder.checkpoint_info(start.config, "last", {"epoch": 1})
        save_checkpoint(Path(stand_ins["init"]), start.state_dict(), info)
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update=stand_ins)})
    trainer = FoldTrainer(recipe, store, 1, tmp_path / "run", device=torch.device("cpu"))
    model, stepper = trainer.learner.model, trainer.stepper
    before = {key: value.clone() for key, value in model.named_parameters()}
    loader, _, _ = open_loaders(store, trainer.train_rows, [], recipe, unit=stepper.augment.unit, device=trainer.device)
    rows, parts = next(loader.shuffled([0]))
    # Half way through the run, where no schedule rests at zero.
    totals = stepper.run(rows, parts, epoch=recipe.train.epochs // 2, step=0, steps=1)
    assert torch.isfinite(totals).all()
    changed = [key for key, value in model.named_parameters() if not torch.equal(value, before[key])]
    assert any(key.startswith(stage) for key in changed for stage in model.backbone_stages)
    assert any(key.startswith("head.") for key in changed)


def test_the_papers_recipe_has_the_published_settings_and_improves_nothing() -> None:
    recipe = load_recipe(ROOT / "paper_dfew.yaml")
    model, optim, train = recipe.model, recipe.optim, recipe.train
    assert (recipe.data.segments, model.num_frames, model.image_size) == (8, 16, 112)
    assert (model.name, model.attention, model.dropout, model.drop_path) == ("logo_former_s", "local_global", 0.2, 0.1)
    assert (optim.name, optim.lr, optim.momentum) == ("sgd", 0.01, 0.9)
    assert (optim.weight_decay, optim.decayed) == (1e-4, "all")
    assert (optim.schedule, optim.step_epochs, optim.step_gamma, optim.warmup_epochs) == ("step", 40, 0.1, 0)
    assert (optim.stem_lr_scale, optim.stem_layer_decay, optim.clip_grad_norm) == (1.0, 1.0, 0.0)
    assert (train.epochs, train.batch_size, train.ema_decay) == (100, 32, 0.0)
    augment = recipe.augment.model_dump()
    assert augment.pop("crop_scale") == (0.08, 1.0)
    assert augment.pop("crop_ratio") == pytest.approx((3 / 4, 4 / 3), abs=1e-3)
    assert augment.pop("flip") == 0.5
    assert set(augment.values()) == {0.0}, "no other augmentation"
    assert (recipe.loss.name, recipe.loss.label_smoothing, recipe.loss.class_weights) == ("cross_entropy", 0, "none")


def different(recipe: Recipe, reference: Recipe) -> list[str]:
    """The keys in which two recipes differ."""
    ours, theirs = recipe.model_dump(), reference.model_dump()
    assert ours.pop("name") == theirs["name"]
    return [f"{name}.{key}" for name, values in ours.items() for key in values if values[key] != theirs[name][key]]


def test_the_shipped_sweeps_are_known() -> None:
    assert SWEEPS == ["ablations.yaml", "ablations_drawn.yaml", "baselines_drawn.yaml"]
    for name in SWEEPS:
        assert f"dfer sweep recipes/{name}" in (ROOT / name).read_text()


@pytest.mark.parametrize("cell", ABLATIONS, ids=lambda cell: cell.name)
def test_an_ablation_changes_one_thing_of_the_reference(cell: Cell, checkout: Path) -> None:
    assert len(different(cell.recipe, load_recipe(ROOT / "dfew.yaml"))) == (cell.name != "reference")
    assert f"| `{cell.name}` |" in (checkout / "docs" / "sweep.md").read_text()


def test_the_ablations_cover_what_the_paper_varies() -> None:
    recipes = [cell.recipe for cell in ABLATIONS]
    assert {recipe.model.attention for recipe in recipes} == {"local", "global", "local_global", "joint"}
    assert len({recipe.model.window for recipe in recipes}) >= 3
    assert len({recipe.model.depth for recipe in recipes}) >= 2
    assert {recipe.model.num_frames for recipe in recipes} >= {8, 16, 32}
    assert {recipe.loss.compact_weight for recipe in recipes} >= {0.0, 0.1, 0.5}
    assert {recipe.loss.compact_form for recipe in recipes} == {"logit", "center"}
    assert {recipe.model.backbone is None for recipe in recipes} == {True, False}


def test_the_ablations_on_drawings_are_those_of_the_benchmarks() -> None:
    sweep = load_sweep(ROOT / "ablations_drawn.yaml")
    assert (sweep.seeds, sweep.folds, sweep.baseline) == ([0, 1, 2], [1, 2], "local_global,num_frames=16")
    assert {cell.recipe.model.num_frames for cell in DRAWN} == {16, 64}
    changed = {cell.label: different(cell.recipe, DRAWN[0].recipe) for cell in DRAWN if cell.name.endswith("=16")}
    assert changed.pop("local_global") == []
    assert {key for keys in changed.values() for key in keys} == {
        "model.attention",
        "loss.compact_weight",
        "loss.compact_form",
    }
    assert all(len(keys) == 1 for keys in changed.values())
    assert {cell.recipe.data.val_fraction for cell in DRAWN} == {0.1}, "the epoch is not chosen on the test list"


def test_the_baselines_on_drawings_are_all_models_with_the_training_of_the_demo() -> None:
    assert (BASELINES.seeds, BASELINES.folds, BASELINES.baseline) == ([0, 1, 2], [1, 2], "logo_former")
    shipped = {load_recipe(ROOT / name).model.name for name in NAMES if name.startswith("baselines/")}
    models = [cell.recipe.model for cell in BASELINES.cells]
    assert sorted(model.name for model in models) == sorted({*shipped, "logo_former_s"})
    assert {(model.num_frames, model.image_size) for model in models} == {(8, 64)}
    demo = load_recipe(ROOT / "demo.yaml")
    for cell in BASELINES.cells:
        keys = set(different_training(cell.recipe, demo))
        assert keys == {"data.path", "data.val_fraction", "loss.compact_weight", "train.epochs"}


def different_training(recipe: Recipe, reference: Recipe) -> list[str]:
    """The keys outside `model` in which two recipes differ, whatever their names and models."""
    ours, theirs = recipe.model_dump(exclude={"model", "name"}), reference.model_dump(exclude={"model", "name"})
    return [f"{name}.{key}" for name, values in ours.items() for key in values if values[key] != theirs[name][key]]


@pytest.mark.parametrize("cell", BASELINES.cells, ids=lambda cell: cell.name)
def test_a_baseline_on_drawings_answers_clips(cell: Cell) -> None:
    model = build_model(cell.recipe.model, [f"class{number}" for number in range(7)]).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, 8, 3, 64, 64)).shape == (1, 7)
