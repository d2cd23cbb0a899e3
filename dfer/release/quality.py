"""Measure from when on an answer should not be trusted, on test stills that are made worse step by step.

    python -m dfer.release.quality default ferplus=./raw folder=./faces160

A threshold lies where the accuracy falls below `KEPT` of that on the pictures as they are, between two steps in
proportion. Heads are not turned by this program: stills are sorted by the yaw of their landmarks. A confidence is
fitted to all answers on every second still, and tested on the others. The result is a set of Markdown tables and the
constants of `dfer.prediction.trust`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from dfer.drawing.tables import markdown_table
from dfer.evaluation.metrics import calibration_error
from dfer.faces.detectors import build_detector
from dfer.model.checkpoint import load_checkpoint
from dfer.model.priors import choose_answering
from dfer.prediction.trust import confidence_features
from dfer.release.degraded import STEPS, Answers, answer_stills, load_stills, turned_stills
from dfer.release.script import run_script
from dfer.runs import find_checkpoint
from dfer.runtime.device import choose_device
from dfer.runtime.files import write_json
from dfer.runtime.formatting import percent

KEPT = 0.8  # of the accuracy on the pictures as they are
YAWS = (0, 10, 20, 30, 40, 50, 90)  # edges of the groups, degrees
AS_THEY_ARE = "as they are"

Floats = NDArray[np.float64]


def threshold(values: Sequence[float], accuracies: Sequence[float], level: float) -> float | None:
    """Return the value at which the accuracy falls below a level; None if it never does.

    Args:
        values: of a quality in each step, from good to bad.
        accuracies: in each step.
        level: an accuracy.
    """
    pairs = list(zip(values, accuracies, strict=True))
    last = max((n for n, (_, accuracy) in enumerate(pairs) if accuracy >= level), default=None)
    if last is None or last == len(pairs) - 1:
        return None
    (good, above), (bad, below) = pairs[last], pairs[last + 1]
    share = (above - level) / (above - below)
    if good > 0 and bad > 0:  # steps are ratios
        return float(good * (bad / good) ** share)
    return float(good + share * (bad - good))


def fit_confidence(features: Floats, right: NDArray[np.bool_]) -> Floats:
    """Fit a logistic regression in which no loss may raise the chance of a right answer.

    Args:
        features: float64 [N, F], see `confidence_features`.
        right: bool [N].

    Returns:
        float64 [F + 1]: the constant, then the weights.
    """
    given = np.concatenate([np.ones((len(features), 1)), features], axis=1)
    signs = np.where(right, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        margins = signs * (given @ weights)
        slopes = -signs / (1 + np.exp(margins))
        return float(np.logaddexp(0, -margins).mean()), np.asarray(given.T @ slopes / len(given))

    bounds = [(None, None), (0.0, None), *[(None, 0.0)] * (features.shape[1] - 1)]
    return np.asarray(minimize(loss, np.zeros(given.shape[1]), jac=True, bounds=bounds).x)


def step_table(name: str, base: Answers, steps: Mapping[float, tuple[Answers, Answers]]) -> tuple[str, float | None]:
    """Return a Markdown table of the steps of one quality, and its threshold.

    Args:
        name: of the quality.
        base: the answers on the pictures as they are.
        steps: by step the answers on the same pictures as they are, as far as the step could be taken, and in it.
    """
    rows = [[AS_THEY_ARE, _middle(name, base), str(len(base.truth)), percent(base.right.mean(), 1), "100.0"]]
    values, kept = [], []
    for step, (before, after) in steps.items():
        values.append(float(np.median([getattr(quality, name) for quality in after.qualities])))
        kept.append(float(after.right.mean() / before.right.mean()))
        count, accuracy = str(len(after.truth)), percent(float(after.right.mean()), 1)
        rows.append([f"{step:g}", _middle(name, after), count, accuracy, percent(kept[-1], 1)])
    heading = ["step", f"{name}, median", "stills", "accuracy, %", "of that as they are, %"]
    return "\n".join(markdown_table(heading, rows)), threshold(values, kept, KEPT)


def yaw_table(answers: Answers) -> tuple[str, float | None]:
    """Return a Markdown table of the accuracy by the yaw of the head, and its threshold."""
    yaws = np.array([abs(quality.yaw or 0.0) for quality in answers.qualities])
    rows, middles, accuracies = [], [], []
    for low, high in pairwise(YAWS):
        inside = (yaws >= low) & (yaws < high)
        if not inside.any():
            continue
        middles.append(float(np.median(yaws[inside])))
        accuracies.append(float(answers.right[inside].mean()))
        rows.append([f"{low} to {high}", str(int(inside.sum())), percent(accuracies[-1], 1)])
    return "\n".join(markdown_table(["yaw, degrees", "stills", "accuracy, %"], rows)), threshold(
        middles, accuracies, KEPT * accuracies[0]
    )


def confidence_table(answers: Sequence[Answers]) -> str:
    """Fit the confidence on every second still, and return a Markdown table of how it and the probability hold."""
    parts = [_halves(one) for one in answers]
    (fit_x, fit_y), (test_x, test_y) = (
        (np.concatenate([half[n][0] for half in parts]), np.concatenate([half[n][1] for half in parts])) for n in (0, 1)
    )
    weights = fit_confidence(fit_x, fit_y)
    rows = []
    for name, logits in (("probability of the label", test_x[:, 0]), ("confidence", weights[0] + test_x @ weights[1:])):
        confidences = 1 / (1 + np.exp(-logits))
        sure = confidences >= 0.5
        error = f"{calibration_error(confidences, test_y):.3f}"
        rows.append([name, error, *(_share(values) for values in (sure, test_y[sure], test_y[~sure]))])
    heading = ["", "ECE", "0.5 or more, %", "of these right, %", "of the others right, %"]
    constants = ", ".join(f"{weight:.3f}" for weight in weights)
    return "\n".join([*markdown_table(heading, rows), "", f"CONFIDENCE = ({constants})"])


def _share(values: NDArray[np.bool_]) -> str:
    return percent(float(values.mean()) if len(values) else None, 1)


def _halves(answers: Answers) -> list[tuple[Floats, NDArray[np.bool_]]]:
    """Return features and whether the answer is right, of every second still and of the others."""
    pairs = zip(answers.probabilities, answers.qualities, strict=True)
    features = np.array([confidence_features(float(row.max()), quality) for row, quality in pairs])
    return [(features[first::2], answers.right[first::2]) for first in (0, 1)]


def _middle(name: str, answers: Answers) -> str:
    return f"{np.median([getattr(quality, name) for quality in answers.qualities]):.3g}"


def _rows(answers: Answers) -> list[dict[str, Any]]:
    return [
        {"truth": int(truth), "probabilities": row.round(5).tolist(), **asdict(quality)}
        for truth, row, quality in zip(answers.truth, answers.probabilities, answers.qualities, strict=True)
    ]


def main() -> None:
    """Print the tables, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="a .safetensors, or the name of shipped weights")
    parser.add_argument("data", nargs="+", metavar="DATASET=FOLDER", help="raw data sets of stills with a test list")
    parser.add_argument("--stills", type=int, default=125, help="of each data set, made worse step by step")
    parser.add_argument("--turned", type=int, default=1400, help="of each data set, sorted by yaw")
    parser.add_argument("--json", type=Path, help="also write every answer")
    parser.add_argument("--seed", type=int, default=0, help="decides which stills")
    options = parser.parse_args()
    path = find_checkpoint(options.checkpoint)
    model, info = load_checkpoint(path, choose_device("auto"))
    answering, detector = choose_answering(info, where=path), build_detector("centerface", None)
    pairs = [text.partition("=")[::2] for text in options.data]
    every = [
        load_stills(name, Path(raw), info.labels, detector, count=options.turned, seed=options.seed)
        for name, raw in pairs
    ]
    stills = [still for found in every for still in found[: options.stills]]
    base = answer_stills(model, info, answering, stills)
    kept: dict[str, Any] = {AS_THEY_ARE: _rows(base)}
    found = [base]
    for name, (steps, change) in STEPS.items():
        taken = {}
        for step in steps:
            changed = [(n, worse) for n, still in enumerate(stills) if (worse := change(still, step)) is not None]
            places = np.array([n for n, _ in changed])
            after = answer_stills(model, info, answering, [worse for _, worse in changed])
            taken[step] = base.select(places), after
            kept[f"{name} {step:g}"] = _rows(after)
            found.append(after)
        table, limit = step_table(name, base, taken)
        print(f"{table}\n\n{name}: {limit}\n", flush=True)
        if options.json:
            write_json(options.json, kept)
    turned = answer_stills(model, info, answering, turned_stills(every))
    kept["yaw"] = _rows(turned)
    table, limit = yaw_table(turned)
    print(f"{table}\n\nyaw: {limit}\n\n{confidence_table([*found, turned])}")
    if options.json:
        write_json(options.json, kept)


if __name__ == "__main__":
    run_script(main)
