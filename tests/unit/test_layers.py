"""The house rules: imports point downward, help is light, nothing grows without bounds."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

# A module may import from its own layer's package and from lower layers only.
LAYERS = [
    {"errors", "version", "machine"},
    {"labels", "files", "manifest", "pretrained", "records", "runs", "workers"},
    {"recipe"},
    # stages
    {
        "backbone", "batches", "calibration", "checkpoint", "clip_effects", "complexity", "datasets", "decoders",
        "device", "faces", "losses", "metrics", "model", "pixels", "report", "store", "synth", "timeline",
        "video", "video_writer", "weights",
    },
    {"inference"},
    # orchestrators
    {"doctor", "evaluate", "export", "predict", "preprocessing", "stability", "store_report", "training"},
    {"bench", "demo", "model_card", "publish"},
    {"cli"},
    {"__main__", "__init__"},
]  # fmt: skip
# Stages that another stage is made of; all others do not know each other.
SIDEWAYS = {
    "backbone": {"model", "weights"},
    "batches": {"store"},
    "checkpoint": {"model", "pixels"},
    "pixels": {"clip_effects"},
    "complexity": {"model"},
    "model": {"weights"},
    "video": {"decoders", "video_writer"},
}


def _modules(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def _part(path: Path, package: Path) -> str:
    """The part of the program a file belongs to: its top-level module or package."""
    return path.relative_to(package).parts[0].removesuffix(".py")


def _level(part: str) -> int:
    found = [number for number, layer in enumerate(LAYERS) if part in layer]
    assert found, f"dfer.{part} stands in no layer: add it to LAYERS"
    return found[0]


def _imported_parts(path: Path) -> set[str]:
    parts = set()
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        parts |= {name.split(".")[1] for name in names if name.startswith("dfer.")}
    return parts


def test_imports_point_downward(checkout: Path) -> None:
    package = checkout / "dfer"
    wrong = []
    for path in _modules(package):
        own = _part(path, package)
        if own in ("__init__", "__main__"):
            continue
        for other in _imported_parts(path) - {own}:
            upward = _level(other) > _level(own)
            sideways = (
                _level(other) == _level(own)
                and "device" not in (own, other)
                and other not in SIDEWAYS.get(own, set())
                and _level(own) >= 3
                and own != "cli"
            )
            if upward or sideways:
                wrong.append(f"{path.relative_to(checkout)} imports dfer.{other}")
    assert not wrong


def test_every_module_stands_in_one_layer(checkout: Path) -> None:
    parts = {_part(path, checkout / "dfer") for path in _modules(checkout / "dfer")}
    named = [part for layer in LAYERS for part in layer]
    assert len(named) == len(set(named))
    assert parts <= set(named)


@pytest.mark.parametrize("command", ["import dfer", "from dfer.cli.app import run; run(['--help'])"])
def test_light_commands_load_nothing_heavy(command: str) -> None:
    heavy = ["torch", "cv2", "pandas", "numpy", "matplotlib", "insightface", "onnxruntime", "scipy", "pydantic"]
    program = f"{command}; import sys; print('LOADED', [name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_no_grab_bags(checkout: Path) -> None:
    names = {path.stem for path in _modules(checkout / "dfer")}
    assert not names & {"utils", "util", "helpers", "helper", "misc", "common"}


def test_the_public_names_are_there() -> None:
    import dfer

    assert dfer.__version__
    assert dfer.Predictor.__module__ == "dfer.predict"
    assert issubclass(dfer.DferError, Exception)
    assert set(dfer.__all__) <= set(dir(dfer))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = dfer.nonsense
