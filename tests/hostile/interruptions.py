"""Commands that are killed, asked to end, or out of room at 20 moments each; and what is left of their files.

Afterwards, each output of an earlier run is as it was or the whole new one, and the same command comes to the result
of one that nothing disturbed.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dfer.deployment.companions import COMPANIONS, MARK
from tests.hostile.cases import Case, Ending
from tests.hostile.material import Material
from tests.hostile.pool import Pool

MOMENTS = 20
KINDS = ("kill -9", "SIGTERM", "full disk")
COLUMNS = ("moments", "came too late", "old or new", "resumed to the same", "unexpected", "damaged", "hangs")
_CLOCK = ("epoch_s", "clips_per_s", "data_wait", "step_ms")


@dataclass(frozen=True)
class Job:
    """A command whose interruption is tested.

    Attributes:
        arguments: of the program.
        result: the state of the outputs in a folder, equal for equal results.
        whole: files that are as they were or new at any time.
        earlier: the beginning of their content before.
    """

    arguments: list[str]
    result: Callable[[Path], object]
    whole: Sequence[str]
    earlier: str = "earlier"


def jobs(material: Material) -> dict[str, Job]:
    """Return the commands, by name."""
    exported = ["out.onnx", *(f"out{ending}" for ending in COMPANIONS)]
    detect = ["--checkpoint", str(material.checkpoint), "--detector", "haar"]
    store = ["preprocess", "dfew", str(material.raw), "--out", "store", "--detector", "haar", "--engine", "inline"]
    train = ["train", str(material.recipe), "train.save_minutes=0.0005", "--device", "cpu", "--out", "run"]
    return {
        "preprocess": Job(store, lambda folder: _files(folder / "store", "*.html"), ["store/dataset.json"]),
        "train": Job(train, lambda folder: _training(folder / "run" / "fold1"), []),
        "predict": Job(
            ["predict", str(material.video), *detect, "--json", "out.json", "--csv", "out.csv", "--plot", "out.png"],
            lambda folder: [(folder / name).read_bytes() for name in ("out.json", "out.csv")],
            ["out.json", "out.csv", "out.png"],
        ),
        "export": Job(
            ["export", str(material.checkpoint), "--out", "out.onnx"],
            lambda folder: [(folder / name).stat().st_size for name in exported],
            exported,
            MARK.decode(),
        ),
    }


def interrupt(job: Job, kind: str, folder: Path, pool: Pool) -> dict[str, list[str]]:
    """Interrupt a command at all moments.

    Returns:
        Column of the table -> a line for each moment that counts there.
    """
    undisturbed = folder / "undisturbed"
    undisturbed.mkdir(parents=True)
    ending = pool.run(Case("", "", job.arguments, undisturbed))
    assert ending.code == 0, ending.err
    expected = job.result(undisturbed)
    largest = max(path.stat().st_size for path in undisturbed.rglob("*") if path.is_file())
    found: dict[str, list[str]] = {column: [] for column in COLUMNS}

    def once(number: int) -> None:
        place, share = folder / f"moment{number:02}", (number + 0.5) / MOMENTS
        place.mkdir()
        earlier = {name: f"{job.earlier} {name}".encode() for name in job.whole if not name.startswith("store/")}
        disturbance: dict[str, float] = {"file_limit": int(largest * share**3)}
        if kind != "full disk":
            by = signal.SIGKILL if kind == "kill -9" else signal.SIGTERM
            disturbance = {"signal": int(by), "after_s": ending.seconds * share}
        case = Case("", f"moment {number}", job.arguments, place, earlier=earlier, disturbance=disturbance)
        for name, content in earlier.items():
            (place / name).write_bytes(content)
        _note(found, case, job, pool.run(case), undisturbed)
        again = pool.run(Case("", "", job.arguments, place))
        same = again.code == 0 and job.result(place) == expected
        column = "resumed to the same" if same else "damaged"
        found[column].append(f"{case.name}: then exit code {again.code}: {again.err[-300:]}")

    pool.each(once, range(MOMENTS))
    return found


def _note(found: dict[str, list[str]], case: Case, job: Job, ending: Ending, undisturbed: Path) -> None:
    said = f"{case.name}: exit code {ending.code}: {ending.err[-300:]}"
    found["moments"].append(said)
    if ending.code == 0:
        found["came too late"].append(said)
    if ending.hung:
        found["hangs"].append(said)
    if "Traceback" in ending.err or "error: unexpected" in ending.err:
        found["unexpected"].append(said)
    for name, before in case.earlier.items():
        path = case.folder / name
        after = path.read_bytes() if path.exists() else b""
        whole = len(after) == (undisturbed / name).stat().st_size
        if after != before and not whole:
            found["damaged"].append(f"{said}: {name} is neither old nor new")
            return
    found["old or new"].append(said)


def _files(folder: Path, without: str) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.match(without)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.suffix in (".zip", ".csv")}


def _training(folder: Path) -> object:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    figures = [{name: value for name, value in line.items() if name not in _CLOCK} for line in lines]
    weights = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    assert weights
    return figures, weights, sorted(path.name for path in folder.iterdir() if path.is_file())
