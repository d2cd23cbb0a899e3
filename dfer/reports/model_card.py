"""The measured figures of a model card, as Markdown between two marks in its text."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

from dfer.drawing.confidence import draw_reliability, draw_risk_coverage
from dfer.drawing.style import save_figure
from dfer.drawing.tables import escape_markdown, markdown_table
from dfer.errors import DataError
from dfer.runtime.files import write_text
from dfer.runtime.formatting import MISSING, percent, pluralize, span

BEGIN = "<!-- figures: written by dfer.release.model_card, not by hand -->"
END = "<!-- end of the figures -->"
MAX_RUNS = 12  # of a video


def update_model_card(path: Path, measured: dict[str, Any]) -> None:
    """Replace the text between the marks of a model card by the figures.

    Args:
        path: the card, whose text is written by hand.
        measured: the object `dfer.model_card/1`.

    Raises:
        DataError: the file is missing, or has not both marks once and in order.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError("no model card to write the figures into", where=path) from error
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in after or END in after:
        hint = f"mark their place once, by a line `{BEGIN}` and a line `{END}`"
        raise DataError("the place of the figures is not marked once", where=path, hint=hint)
    write_text(path, f"{before}{BEGIN}\n\n{model_card_markdown(measured)}\n{END}{after}")


def model_card_markdown(measured: dict[str, Any]) -> str:
    """Return the figures as Markdown: accuracy, calibration, confusion, stability, real videos.

    Args:
        measured: the object `dfer.model_card/1`; "training" may be added, see `dfer.release.publish.training_history`.
    """
    sections = [
        _weights(measured),
        _sets(measured),
        _accuracy(measured),
        _confusion(measured),
        _stability(measured["stability"]),
    ]
    if "training" in measured:
        sections.insert(1, _training(measured["training"]))
    if measured["videos"]:
        sections += [_shares(measured), _agreement(measured["videos"])]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _weights(measured: dict[str, Any]) -> list[str]:
    rows = [
        ("model", f"{measured['model']}, {measured['parameters'] / 1e6:.2f} M parameters"),
        ("file", f"{measured['checkpoint']}, {measured['bytes'] / 1e6:.1f} MB, SHA-256 {measured['sha256'][:16]}…"),
        ("training", measured["trained_on"]),
        ("licence", measured["licence"] or MISSING),
        ("measured on", measured["machine"]),
    ]
    return ["| | |", "|---|---|", *(f"| {name} | {escape_markdown(text)} |" for name, text in rows)]


def _training(runs: Sequence[dict[str, Any]]) -> list[str]:
    rows = []
    for run in runs:
        model, epochs = run["recipe"]["model"], run["recipe"]["train"]["epochs"] * run["recipe"]["train"]["epoch_share"]
        seconds = sum(line["epoch_s"] for line in run["metrics"])
        rows.append(
            [
                run["recipe"]["name"],
                str(model["num_frames"]),
                str(model["image_size"]),
                f"{epochs:g}",
                f"{seconds / 60:.0f}",
                percent(run["best"]["val_war"]),
                percent(run["best"]["val_uar"]),
            ]
        )
    columns = ["recipe", "frames", "pixels", "epochs", "minutes", "validation WAR, %", "validation UAR, %"]
    return ["### Training", "", f"On {runs[-1]['machine']}.", "", *markdown_table(columns, rows)]


def _sets(measured: dict[str, Any]) -> list[str]:
    without = f"UAR without {' and '.join(measured['without'])}" if measured["without"] else None
    columns = ["set", "detector", "prior", "clips", "unreadable", "WAR", "WAR of the rest", "UAR", without]
    columns += ["ECE", "accuracy at 80 %"]
    rows = []
    for found in measured["sets"]:
        cells = [f"{found['dataset']}, {found['split']}", found["detector"], found["prior"], f"{found['num_clips']:,}"]
        readable = 1 - found["num_unreadable"] / found["num_clips"]
        cells += [f"{found['num_unreadable']:,}", percent(found["war"])]
        cells += [percent(found["war"] / readable if readable else None), percent(found["uar"])]
        cells += [percent(found["uar_without"])] if without else []
        ece = MISSING if found["ece"] is None else f"{found['ece']:.3f}"
        rows.append([*cells, ece, percent(found["accuracy_80"])])
    lines = [
        "### Figures per set and detector",
        "",
        "WAR, UAR and the accuracy on the 80 % of the clips with the most confident answers in percent, each under the "
        "prior named.",
        "A clip without a face is unreadable, and counts as wrong in WAR and UAR.",
        "",
        *markdown_table([column for column in columns if column], rows),
    ]
    for key, text in (("reliability", "Accuracy over confidence"), ("risk_coverage", "Risk over coverage")):
        if image := measured.get("images", {}).get(key):
            lines += ["", f"![{text}]({image})"]
    return lines


def write_diagrams(measured: dict[str, Any], folder: Path) -> None:
    """Draw reliability.png and risk_coverage.png, and note them under "images" for the card beside the folder.

    Args:
        measured: the object `dfer.model_card/1`.
        folder: of the images, in the card's folder.
    """
    names = [f"{found['dataset']}, {found['split']}, {found['detector']}" for found in measured["sets"]]
    bins = [found["reliability"] for found in measured["sets"]]
    reliability = draw_reliability(
        [(name, *_columns(of, "confidence", "accuracy"), of["clips"]) for name, of in zip(names, bins, strict=True)],
        title="Accuracy over confidence",
        subtitle="in 15 bins of confidence, large dots for many clips; on the dashed line, confidence is accuracy",
    )
    curves = [found["risk_coverage"] for found in measured["sets"]]
    risk = draw_risk_coverage(
        {name: _columns(of, "coverage", "risk") for name, of in zip(names, curves, strict=True)},
        title="Risk over coverage",
        subtitle="the share of wrong answers if only the most confident ones are given",
    )
    measured["images"] = {}
    for key, figure in (("reliability", reliability), ("risk_coverage", risk)):
        save_figure(figure, folder / f"{key}.png")
        measured["images"][key] = f"{folder.name}/{key}.png"


def _columns(values: dict[str, Any], *keys: str) -> tuple[list[float], list[float]]:
    first, second = ([nan if value is None else value for value in values[key]] for key in keys)
    return first, second


def _accuracy(measured: dict[str, Any]) -> list[str]:
    test = measured["test"]
    rows = [
        ("accuracy (WAR), %", percent(test["war"])),
        ("mean recall (UAR), %", percent(test["uar"])),
        ("clips", f"{test['num_clips']:,}"),
        ("of them unreadable, counted as wrong", f"{test['num_unreadable']:,}"),
        ("calibration error (ECE) without temperature", f"{test['ece_before']:.3f}"),
        ("temperature", f"{test['temperature']:.3f}"),
        ("prior", escape_markdown(test["prior"])),
        ("calibration error (ECE) as shipped", f"{test['ece']:.3f}"),
    ]
    heading = f"### Accuracy and calibration: {escape_markdown(test['dataset'])}, {test['split']}"
    return [heading, "", *_table("figure", rows)]


def _confusion(measured: dict[str, Any]) -> list[str]:
    test, labels = measured["test"], measured["labels"]
    rows = [
        [label, *(f"{count:,}" for count in counts), percent(test["per_class_recall"][label])]
        for label, counts in zip(labels, test["confusion"], strict=True)
    ]
    return [
        "### Recalls and confusion",
        "",
        "A row per emotion of the majority, a column per answer; readable clips.",
        "",
        *markdown_table(["", *labels, "recall, %"], rows),
    ]


def _stability(stability: dict[str, Any]) -> list[str]:
    rows = [(name, percent(share)) for name, share in stability["changed"].items()]
    clips = pluralize(stability["num_clips"], "test clip")
    return ["### Stability", "", f"Of {clips}, the share that gets another answer.", "", *_table("crops", rows, "%")]


def _shares(measured: dict[str, Any]) -> list[str]:
    lines = ["### Real videos", "", "The share of the time in which each emotion wins, in percent.", ""]
    rows = []
    for video in measured["videos"]:
        shares = [video["shares"].get(label, 0.0) if video["shares"] else None for label in measured["labels"]]
        rows.append([video["name"], f"{video['duration']:.1f}", *(percent(share, 0) for share in shares)])
    lines += [*markdown_table(["video", "seconds", *measured["labels"]], rows), ""]
    return [*lines, *(f"- {escape_markdown(video['name'])}: {_course(video)}" for video in measured["videos"])]


def _course(video: dict[str, Any]) -> str:
    if not video["runs"]:
        return "no face"
    runs = [
        f"{span(run['start'], run['end'], total=video['duration'])} {run['label']} ({run['probability']:.2f})"
        for run in video["runs"][:MAX_RUNS]
    ]
    more = len(video["runs"]) - MAX_RUNS
    return "; ".join(runs) + (f"; and {more} more" if more > 0 else "")


def _agreement(videos: Sequence[dict[str, Any]]) -> list[str]:
    seen = [video for video in videos if video["agreement"]]
    if not seen:
        return []
    changes = list(seen[0]["agreement"])
    rows = [[video["name"], *(percent(video["agreement"][change], 0) for change in changes)] for video in seen]
    return ["The share of the time with the same answer, in percent.", "", *markdown_table(["video", *changes], rows)]


def _table(heading: str, rows: Sequence[tuple[str, str]], unit: str = "") -> list[str]:
    return markdown_table([heading, unit], [list(row) for row in rows])
