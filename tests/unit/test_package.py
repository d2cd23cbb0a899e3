"""The package as a whole: what is installed, public names, light imports. Import rules are in pyproject.toml."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import tomllib


def test_setup_lists_every_package(checkout: Path) -> None:
    """A package that `pyproject.toml` does not name is missing from the wheel."""
    named = set(tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    packages = {".".join(path.parent.relative_to(checkout).parts) for path in (checkout / "dfer").rglob("__init__.py")}
    assert named == packages | {"dfer.recipes"}


def test_setup_lists_every_data_file(checkout: Path) -> None:
    """A file that no pattern of `pyproject.toml` matches is missing from the wheel."""
    patterns = tomllib.loads((checkout / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    matched = {
        path for package, names in patterns.items() for name in names
        for path in checkout.joinpath(*package.split(".")).glob(name)
    }  # fmt: skip
    files = {path for path in (checkout / "dfer").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert files <= matched


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dfer.metrics", "dfer.evaluation.metrics"),
        ("dfer.calibration", "dfer.model.calibration"),
        ("dfer.model", "dfer.model.logo_former"),
        ("dfer.losses", "dfer.losses.compact"),
        ("dfer.batches", "dfer.batches.sampling"),
    ],
)
def test_old_public_paths_give_the_same_objects(old: str, new: str) -> None:
    public, own = import_module(old), import_module(new)
    shared = [name for name in public.__all__ if hasattr(own, name)]
    assert shared
    assert all(getattr(public, name) is getattr(own, name) for name in shared)


@pytest.mark.parametrize("command", ["import dfer", "from dfer.cli.app import run; run(['--help'])"])
def test_light_commands_load_nothing_heavy(command: str) -> None:
    heavy = ["torch", "cv2", "pandas", "numpy", "matplotlib", "insightface", "onnxruntime", "scipy", "pydantic"]
    assert loaded_after(command, heavy) == []


def test_the_default_model_is_ready_without_slow_imports() -> None:
    """Random weights on torch's meta device would import its compiler, the slowest import of all."""
    slow = ["torch._dynamo", "sympy", "scipy", "pandas", "matplotlib"]
    assert loaded_after("from dfer import Predictor; Predictor(detector='centerface')", slow) == []


def test_predict_imports_no_drawing_before_it_draws() -> None:
    slow = ["torch._dynamo", "sympy", "scipy", "pandas", "matplotlib"]
    command = "import dfer.cli.answers, dfer.cli.asking, dfer.cli.pages, dfer.cli.saving, dfer.prediction.engines"
    assert loaded_after(command, slow) == []


def loaded_after(command: str, names: list[str]) -> list[str]:
    """Return which modules a command leaves loaded in a new process."""
    program = f"{command}; import sys; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded: list[str] = ast.literal_eval(done.stdout.splitlines()[-1])
    return loaded


def test_no_grab_bags(checkout: Path) -> None:
    names = {path.stem for path in (checkout / "dfer").rglob("*.py")}
    assert not names & {"utils", "util", "helpers", "helper", "misc", "common"}


def test_the_public_names_are_there() -> None:
    import dfer

    assert dfer.__version__
    assert dfer.Predictor.__module__ == "dfer.prediction.predictor"
    assert issubclass(dfer.DferError, Exception)
    assert set(dfer.__all__) <= set(dir(dfer))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = dfer.nonsense


def test_every_module_names_its_logger_alike(checkout: Path) -> None:
    found = [
        line
        for path in sorted((checkout / "dfer").rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if "getLogger(__name__)" in line
    ]
    assert len(found) > 5
    assert set(found) == {"logger = logging.getLogger(__name__)"}


def test_docstrings_begin_with_what_a_thing_is_or_does(checkout: Path) -> None:
    """A docstring that begins with a question word is a fragment; "Return ..." and "The ..." are not."""
    questions = {"What", "Where", "How", "Which", "Whether", "When", "Why"}
    found = []
    for path in (checkout / "dfer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                words = (ast.get_docstring(node) or "").split()
                found += [f"{path.name}: {' '.join(words[:8])}"] if words and words[0] in questions else []
    assert not found
