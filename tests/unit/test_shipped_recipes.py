"""Every shipped recipe: it loads and does a step of its model on small frames; ablations change one thing each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dfer.model import logo_former_s
from dfer.model.checkpoint import save_checkpoint
from dfer.recipe import load_recipe, shipped_recipes
from dfer.store import Store
from dfer.training.artifacts import FoldFolder
from dfer.training.loop import FoldTrainer
from dfer.training.setup import open_loaders
from tests.stores import small_store

ROOT = shipped_recipes()
NAMES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.yaml"))
ABLATIONS = [name for name in NAMES if name.startswith("ablations/")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return small_store(tmp_path_factory.mktemp("data") / "tiny", clips_per_class=2, num_frames=20, num_folds=2)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_does_a_step(name: str, store: Store, tmp_path: Path) -> None:
    changes = [f"data.path={store.root}", "data.val_fraction=0", "train.batch_size=1", "model.image_size=48"]
    if name.endswith("vit_b.yaml"):
        changes.append("model.depth=1")  # of 12 equal layers
    recipe = load_recipe(ROOT / name, changes)
    # Stand-ins for weights that are not ours to ship, or that another recipe gives.
    if recipe.model.backbone:
        torch.save(logo_former_s().stem.state_dict(), tmp_path / "stem.pth")
        changes.append(f"model.backbone={tmp_path / 'stem.pth'}")
    if recipe.model.init:
        start = logo_former_s(num_frames=2 * recipe.data.segments, num_classes=len(store.info.labels))
        folder = FoldFolder(tmp_path / "first", recipe, store, 1, store.rows)
        info = folder.checkpoint_info(start.config, "last", {"epoch": 1})
        save_checkpoint(tmp_path / "start.safetensors", start.state_dict(), info)
        changes.append(f"model.init={tmp_path / 'start.safetensors'}")
    recipe = load_recipe(ROOT / name, changes)
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


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_changes_one_thing_of_the_reference(name: str, checkout: Path) -> None:
    reference = load_recipe(ROOT / "dfew.yaml").model_dump()
    ablation = load_recipe(ROOT / name).model_dump()
    assert ablation.pop("name") == f"ablation_{Path(name).stem}"
    different = [
        f"{section}.{key}"
        for section, values in ablation.items()
        for key, value in values.items()
        if reference[section][key] != value
    ]
    assert len(different) == (name != "ablations/local_global.yaml"), different
    command = f"dfer train recipes/{name} --fold all"
    assert command in (ROOT / name).read_text()
    assert f"| `{Path(name).name}` |" in (checkout / "docs" / "recipes.md").read_text()


def test_the_ablations_cover_what_the_paper_varies() -> None:
    recipes = [load_recipe(ROOT / name) for name in ABLATIONS]
    assert {recipe.model.attention for recipe in recipes} == {"local", "global", "local_global", "joint"}
    assert len({recipe.model.window for recipe in recipes}) >= 3
    assert len({recipe.model.depth for recipe in recipes}) >= 2
    assert {recipe.model.num_frames for recipe in recipes} >= {8, 16, 32}
    assert {recipe.loss.compact_weight for recipe in recipes} >= {0.0, 0.1, 0.5}
    assert {recipe.loss.compact_form for recipe in recipes} == {"logit", "center"}
    assert {recipe.model.backbone is None for recipe in recipes} == {True, False}
