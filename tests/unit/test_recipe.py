"""Recipes: typed, all errors at once, hostile YAML refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dfer.errors import UsageError
from dfer.recipe import check_recipe, load_recipe, recipe_keys, save_recipe
from dfer.recipe_sections import StoreSection

MINIMAL = "name: x\ndata: {path: data/x}\n"


@pytest.fixture
def minimal(tmp_path: Path) -> Path:
    path = tmp_path / "minimal.yaml"
    path.write_text(MINIMAL)
    return path


def test_overrides_change_the_recipe(minimal: Path) -> None:
    recipe = load_recipe(minimal, ["train.epochs=2", "model.window=[4, 2, 2]", "optim.lr=1e-3", "data.path=data/y"])
    assert recipe.train.epochs == 2
    assert recipe.model.window == (4, 2, 2)
    assert recipe.optim.lr == pytest.approx(0.001)
    assert recipe.data.path == "data/y"


def test_all_errors_are_reported_at_once_with_the_nearest_key(minimal: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe(minimal, ["train.epoch=3", "lr=3", "train.batch_size=x", "train.seed=true", "nonsense"])
    text = str(caught.value)
    assert "'train.epoch' (did you mean 'train.epochs'?)" in text
    assert "'lr' (did you mean 'optim.lr'?)" in text
    assert "train.batch_size" in text
    assert "train.seed" in text
    assert "'nonsense' is not KEY=VALUE" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        pytest.param("data.segments=5", "data.segments (5) must divide", id="segments that do not divide the frames"),
        pytest.param("augment.crop_scale=[1.0, 0.5]", "ascending", id="scales in the wrong order"),
        pytest.param("optim.lr=.inf", "optim.lr", id="infinite learning rate"),
        pytest.param("optim.lr=-1", "optim.lr", id="negative learning rate"),
        pytest.param("model.attention=sparse", "local_global", id="unknown attention names the known ones"),
        pytest.param("model.window=[2, 2]", "model.window: value 3 is missing", id="window of two numbers"),
        pytest.param("loss.name=dice", "'cross_entropy', 'focal' or 'ldam', got 'dice'", id="unknown loss"),
        pytest.param("name=../../etc", "name", id="name that leaves the runs folder"),
        pytest.param("optim.warmup_epochs=50", "warmup_epochs", id="warm-up as long as the run"),
    ],
)
def test_bad_values_name_the_key(minimal: Path, override: str, expected: str) -> None:
    with pytest.raises(UsageError, match=expected.replace("(", r"\(").replace(")", r"\)")):
        load_recipe(minimal, [override])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "is empty", id="empty"),
        pytest.param("[1, 2]", "must be a mapping", id="list"),
        pytest.param("just words", "must be a mapping", id="text"),
        pytest.param("a: [1", "not a valid YAML", id="broken"),
        pytest.param("a: &x [1]\nb: *x", "aliases", id="alias"),
        pytest.param("name: x\nname: y", "stands twice", id="duplicate key"),
        pytest.param("a: !!python/object/apply:os.system ['touch hacked']", "not a valid YAML", id="python tag"),
        pytest.param("[" * 50_000, "nested too deeply", id="deep nesting"),
        pytest.param("\0", "not a valid YAML", id="binary"),
        pytest.param("? [a]\n: 1", "not a valid YAML|unknown key", id="list as a key"),
        pytest.param("name: x", "data is missing", id="missing section"),
        pytest.param("name: x\ndata: {path: y}\nmodle: {}", "did you mean 'model", id="misspelt section"),
    ],
)
def test_bad_files_get_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=expected) as caught:
        load_recipe(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "hacked").exists()


def test_a_missing_recipe_lists_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such recipe") as caught:
        load_recipe(tmp_path / "nowhere.yaml")
    assert "paper_dfew.yaml" in (caught.value.hint or "")


def test_shipped_recipes_go_by_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_recipe(Path("recipes/demo.yaml")).name == "demo"
    assert load_recipe(Path("demo.yaml")).name == "demo"
    assert load_recipe(Path("recipes/baselines/resnet18_gru.yaml")).name == "baseline_resnet18_gru"
    assert load_recipe(Path("baselines/resnet18_gru.yaml")).model.name == "resnet18_gru"


def test_a_sweep_file_is_no_recipe() -> None:
    with pytest.raises(UsageError, match="a sweep, not a recipe") as caught:
        load_recipe(Path("ablations.yaml"))
    assert caught.value.hint == "dfer sweep ablations.yaml"


def test_overrides_leave_the_values_of_a_file_as_they_are() -> None:
    values: dict[str, Any] = {"name": "x", "data": {"path": "data/x"}}
    recipe, problems = check_recipe(values, ["train.epochs=7", "data.path=data/y"])
    assert recipe is not None
    assert (recipe.train.epochs, recipe.data.path, problems) == (7, "data/y", [])
    assert values == {"name": "x", "data": {"path": "data/x"}}
    assert check_recipe(values, ["lr=3"]) == (None, ["unknown key 'lr' (did you mean 'optim.lr'?)"])


def test_several_stores_are_spelled_out(minimal: Path, tmp_path: Path) -> None:
    stores = "[data/a, {path: data/b, weight: 0.5, labels: {joy: happy, tired: null}, targets: t.csv}]"
    recipe = load_recipe(minimal, [f"data.path={stores}"])
    assert recipe.data.path == [
        StoreSection(path="data/a"),
        StoreSection(path="data/b", weight=0.5, labels={"joy": "happy", "tired": None}, targets="t.csv"),
    ]
    save_recipe(recipe, tmp_path / "saved.yaml")
    assert load_recipe(tmp_path / "saved.yaml") == recipe


@pytest.mark.parametrize(
    ("stores", "expected"),
    [
        pytest.param("[a, {path: b, wieght: 2}]", ["did you mean 'data.path.1.weight'?"], id="key"),
        pytest.param(
            "[{weight: 0}, 7, {path: b, labels: {joy: 3}}]",
            ["data.path.0.path is missing", "data.path.0.weight", "data.path.1", "data.path.2.labels.joy"],
            id="all errors at once",
        ),
        pytest.param("[]", ["data.path: input should be a store folder, or a list of them"], id="empty"),
        pytest.param("3", ["data.path: input should be a store folder, or a list of them"], id="number"),
        pytest.param("{path: a}", ["data.path: input should be a store folder, or a list of them"], id="mapping"),
    ],
)
def test_wrong_stores_name_the_key(minimal: Path, stores: str, expected: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        load_recipe(minimal, [f"data.path={stores}", "optim.lr=-1"])
    for phrase in [*expected, "optim.lr"]:
        assert phrase in str(caught.value)


def test_a_saved_recipe_loads_as_itself(minimal: Path, tmp_path: Path) -> None:
    recipe = load_recipe(minimal, ["train.epochs=7"])
    save_recipe(recipe, tmp_path / "saved.yaml")
    assert load_recipe(tmp_path / "saved.yaml") == recipe


def test_a_saved_recipe_names_no_home_folder_and_loads_as_itself(
    minimal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    for path in ("/home/anna/data/x", "[/home/anna/a, {path: /home/anna/b, targets: /home/anna/b.csv}]"):
        recipe = load_recipe(minimal, [f"data.path={path}", "model.init=/home/anna/w.safetensors"])
        save_recipe(recipe, tmp_path / "saved.yaml")
        assert "/home" not in (tmp_path / "saved.yaml").read_text()
        assert load_recipe(tmp_path / "saved.yaml") == recipe
    assert load_recipe(minimal, ["model.backbone=~/w.pth"]).model.backbone == "/home/anna/w.pth"


@pytest.mark.parametrize("word", ["auto", "on", "off"])
def test_on_and_off_are_words(minimal: Path, tmp_path: Path, word: str) -> None:
    recipe = load_recipe(minimal, [f"train.compile={word}"])
    assert recipe.train.compile == word
    save_recipe(recipe, tmp_path / "saved.yaml")
    assert load_recipe(tmp_path / "saved.yaml") == recipe


def test_the_paper_recipe_is_the_published_one(checkout: Path) -> None:
    recipe = load_recipe(checkout / "recipes" / "paper_dfew.yaml")
    assert (recipe.optim.name, recipe.optim.lr, recipe.optim.momentum, recipe.optim.weight_decay) == (
        "sgd",
        0.01,
        0.9,
        1e-4,
    )
    assert (recipe.optim.schedule, recipe.optim.step_epochs, recipe.optim.step_gamma) == ("step", 40, 0.1)
    assert (recipe.train.epochs, recipe.train.batch_size) == (100, 32)
    assert (recipe.model.dropout, recipe.model.drop_path, recipe.model.image_size) == (0.2, 0.1, 112)
    assert (recipe.model.num_frames, recipe.data.segments) == (16, 8)
    assert recipe.augment.flip == 0.5
    assert recipe.augment.jitter == recipe.augment.erase == recipe.augment.rotation == 0


def test_the_docs_name_every_key(checkout: Path) -> None:
    text = (checkout / "docs" / "recipes.md").read_text()
    missing = [key for key in recipe_keys() if f"`{key}`" not in text]
    assert not missing
