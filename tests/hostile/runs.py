"""A hundred hostile runs: run.json, metrics.jsonl, recipe and state out of bounds, and what stands in their place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from dfer.runs import FOLD_FILES
from tests.hostile.cases import Case
from tests.hostile.checkpoints import DIGITS, ESCAPES
from tests.hostile.material import Material
from tests.places import NO_FILES

Change = Callable[[Path], object]  # of the fold's folder

RECORD: dict[str, list[Any]] = {
    "fold": [-1, 10**18, "1"],
    "labels": [["happy", "happy"], "happy", [str(n) for n in range(50_000)], [ESCAPES, "sad"]],
    "epochs": [-1, 1e300, None],
    "data": [[], {"stores": [7]}, {"notice": "n" * 900_000}, {"path": ["x"]}],
    "best": [[], {"epoch": 0}, {"epoch": 1, "val_war": 2.0}],
    "selection": ["any", 7],
}
STATE: dict[str, list[Any]] = {
    "format": ["dfer.state/2", 7, None],
    "epoch": [-1, 10**30, "1", 7],
    "step": [-1, 10**30],
    "history": [[], "x", [{"epoch": 7}], [{"epoch": 1, "train_loss": "low"}] * 2],
    "sums": [[], {"clips": "many"}],
    "recipe": [[], None, {"name": "n" * 900_000}, {f"key{n}": n for n in range(60_000)}, {"k" * 900_000: 1}],
    "fingerprint": [7, "0" * 64],
    "model": [{}, {"head.weight": torch.full((3, 16), float("nan"))}, 7],
    "optimizer": [{}, [], {"state": {}, "param_groups": []}],
}
TEXTS: dict[str, str | bytes] = {
    "nested": "[" * 100_000, "a list": "[]", "empty": "", "NaN": '{"epoch": NaN}', "bytes": b"\xff\xfe\x00",
    "digits": f'{{"epoch": {DIGITS}}}', "YAML": "a: &a [*a]",
}  # fmt: skip


def hostile_runs(material: Material, folder: Path) -> Iterator[Case]:
    """Yield the cases; each has a copy of a trained run."""
    changes = [*_records(material.run / "fold1"), *_states(material.run / "fold1"), *_texts(), *_files()]
    for number, (name, change) in enumerate(changes, start=1):
        place = folder / f"run{number:03}"
        yield Case("runs", name, _command(name, number, material), place, _copy(material.run, change))


def _copy(run: Path, change: Change) -> Change:
    return lambda place: change(Path(shutil.copytree(run, place / "run")) / "fold1")


def _command(name: str, number: int, material: Material) -> list[str]:
    """Return a command that reads the file: training goes on for the state, else one after another."""
    train = ["train", str(material.recipe), "train.epochs=3", "--device", "cpu", "--out", "run"]
    evaluate = ["eval", "--run", "run", "--fold", "1", "--json", "out.json"]
    again = ["train", str(material.recipe), "--device", "cpu", "--out", "run"]
    predict = ["predict", str(material.picture), "--checkpoint", "run", "--detector", "haar"]
    return train if name.startswith("state") else (train, evaluate, again, predict)[number % 4]


def _records(fold: Path) -> Iterator[tuple[str, Change]]:
    record = json.loads((fold / "run.json").read_text())
    for key, values in RECORD.items():
        for value in values:
            text = json.dumps(record | {key: value})
            yield f"run.json {key} {value!r:.40}", lambda path, t=text: (path / "run.json").write_text(t)


def _states(fold: Path) -> Iterator[tuple[str, Change]]:
    state = torch.load(fold / "state.pt", weights_only=True)
    for key, values in STATE.items():
        for value in values:
            changed = state | {key: value}
            yield f"state {key} {value!r:.40}", lambda path, s=changed: torch.save(s, path / "state.pt")
    good = (fold / "state.pt").read_bytes()
    for share in (0.0, 0.1, 0.5, 0.99):
        yield (
            f"state cut at {share:.0%}",
            lambda path, s=share: (path / "state.pt").write_bytes(good[: int(len(good) * s)]),
        )


def _texts() -> Iterator[tuple[str, Change]]:
    for file in ("run.json", "metrics.jsonl", "recipe.yaml"):
        for name, text in TEXTS.items():
            data = text if isinstance(text, bytes) else text.encode()
            yield f"{file}: {name}", lambda path, f=file, d=data: (path / f).write_bytes(d)


def _files() -> Iterator[tuple[str, Change]]:
    for file in FOLD_FILES:
        for kind, put in NO_FILES.items():

            def change(path: Path, file: str = file, put: Change = put) -> None:
                (path / file).unlink(missing_ok=True)
                put(path / file)

            yield f"{file} is a {kind}", change
