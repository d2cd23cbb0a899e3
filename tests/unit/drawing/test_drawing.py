"""Figures, tables, annotated frames and report pages, from invented results."""

from __future__ import annotations

import copy
import csv
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from dfer.drawing.annotate import annotate_frame
from dfer.drawing.figures import draw_confusion, draw_curves, draw_timeline, plot_confusion, plot_curves, plot_timeline
from dfer.drawing.style import DPI, emotion_color, ink_on
from dfer.drawing.text import load_font, shorten_text, wrap_text
from dfer.errors import DferError, UsageError
from dfer.labels import DFEW_LABELS, EMOTION_COLORS, MAFW_LABELS
from dfer.prediction.timeline import cut_stretches, emotion_runs
from dfer.records import BEST_ON_TEST_NOTE, FacePrediction, Prediction, Segment
from dfer.reports.benchmarks import bench_table
from dfer.reports.demo import DRAWINGS_ONLY, contact_sheet, write_demo_report
from dfer.reports.evaluation import evaluation_latex, evaluation_markdown, evaluation_table, write_evaluation_report
from dfer.reports.grid import evaluation_grid
from dfer.reports.prediction import prediction_table, write_prediction_csv
from dfer.runtime.formatting import percent

NOTICE = "trained on drawings only: what it says about real faces means nothing"


# ---- invented results


def shares(winner: str, labels: tuple[str, ...] = DFEW_LABELS, top: float = 0.7) -> dict[str, float]:
    rest = (1 - top) / (len(labels) - 1)
    return {label: top if label == winner else rest for label in labels}


def face_with(windows: list[tuple[float, float, str]], number: int = 0) -> FacePrediction:
    segments = [Segment(start, end, label, shares(label), (10.0, 10.0, 60.0, 60.0)) for start, end, label in windows]
    label = windows[0][2]
    return FacePrediction(number, windows[0][0], windows[-1][1], label, shares(label), segments)


def even_windows(count: int, step: float = 0.64) -> list[tuple[float, float, str]]:
    return [(n * step, (n + 1) * step, DFEW_LABELS[n // 3 % 7]) for n in range(count)]


def predicted(
    faces: list[FacePrediction], duration: float = 20.0, source: str = "clips/a.mp4", num_frames: int = 500
) -> Prediction:
    warnings = [NOTICE] if faces else [NOTICE, f"no face found in {num_frames} frames"]
    model = {"name": "logo_former_s", "checkpoint": "runs/demo/fold1/best.safetensors", "labels": list(DFEW_LABELS)}
    return Prediction(source, duration, 25.0, num_frames, model, faces, warnings)


def evaluated(
    labels: tuple[str, ...] = DFEW_LABELS, folds: int = 5, unreadable: int = 0, selection: str = "best on validation"
) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    results: dict[str, Any] = {}
    for fold in range(1, folds + 1):
        confusion = rng.integers(0, 9, (len(labels), len(labels))) + 40 * np.eye(len(labels), dtype=int)
        recalls = confusion.diagonal() / confusion.sum(1)
        clips = int(confusion.sum()) + unreadable
        results[str(fold)] = {
            "war": float(confusion.trace() / clips),
            "uar": float(recalls.mean()),
            "war_readable": float(confusion.trace() / confusion.sum()),
            "uar_readable": float(recalls.mean()),
            "per_class_recall": dict(zip(labels, map(float, recalls), strict=True)),
            "confusion": confusion.tolist(),
            "num_clips": clips,
            "num_unreadable": unreadable,
            "checkpoint": f"runs/dfew/fold{fold}/best.safetensors",
            "selection": selection,
            "intra_inter_ratio": 0.4 + fold / 100,
        }
    means = {key: float(np.mean([result[key] for result in results.values()])) for key in ("war", "uar")}
    return {
        "schema": "dfer.evaluation/1",
        "dataset": "dfew",
        "labels": list(labels),
        "folds": results,
        "mean": means,
        "pooled": means,
        "notes": [NOTICE],
    }


def history(epochs: int, validated: bool = True) -> list[dict[str, Any]]:
    records = []
    for epoch in range(1, epochs + 1):
        record: dict[str, Any] = {"epoch": epoch, "train_loss": 2 / epoch, "lr": 1e-3 / epoch, "clips_per_s": 40.0}
        if validated:
            record |= {"val_loss": 2.2 / epoch, "val_war": 0.5 + 0.4 * (epoch == 3), "val_uar": 0.45}
        records.append(record)
    return records


BENCH = {
    "machine": "two cores, torch 2.13.0",
    "batch_size": 4,
    "models": [
        {
            "name": "logo_former_s",
            "attention": "local_global",
            "parameters": 9_187_000,
            "gmacs": 10.2,
            "gmacs_64_frames": 41.6,
            "forward_float32": 6.1,
            "forward_bf16": 10.9,
            "training": 2.5,
            "relative": 1.0,
        }
    ],
}


def open_png(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.array(image.convert("RGB"))


def has_color(pixels: NDArray[np.uint8], color: str) -> bool:
    return bool((pixels == tuple(bytes.fromhex(color[1:]))).all(-1).any())


def printed(table: Table, width: int = 160) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(table)
    return text.getvalue()


def texts_of(figure: Any) -> str:
    return " ".join(found.get_text() for found in figure.findobj(Text))


# ---- figures


@pytest.mark.parametrize("labels", [DFEW_LABELS, MAFW_LABELS], ids=["7 classes", "11 classes"])
def test_confusion_is_drawn_with_room_for_every_class(tmp_path: Path, labels: tuple[str, ...]) -> None:
    confusion = np.eye(len(labels), dtype=int) * 1234
    plot_confusion(confusion, labels, tmp_path / "confusion.png", title="a title", footer=[NOTICE])
    height, width, _ = open_png(tmp_path / "confusion.png").shape
    assert width > 0.6 * DPI * len(labels)
    assert height > 0.45 * DPI * len(labels)


def test_confusion_says_counts_percent_and_recalls() -> None:
    figure = draw_confusion([[30, 10], [0, 0]], ["happy", "sad"], title="t", footer=[NOTICE])
    said = texts_of(figure)
    assert all(text in said for text in ("30", "75.0 %", "10", "25.0 %", "75.00", "40 clips", "0 clips", NOTICE))


def test_confusion_of_the_wrong_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[3, 3\], got \[2, 2\]"):
        plot_confusion(np.eye(2), ["a", "b", "c"], tmp_path / "x.png", title="")


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        (history(12), "best WAR 90.00, UAR 45.00 in epoch 3"),
        (history(1), "1 epoch"),
        (history(4, validated=False), "no validation clips"),
        ([], "no epoch finished yet"),
    ],
    ids=["a run", "one epoch", "without validation", "nothing yet"],
)
def test_curves(tmp_path: Path, metrics: list[dict[str, Any]], said: str) -> None:
    plot_curves(metrics, tmp_path / "curves.png", title="demo")
    assert open_png(tmp_path / "curves.png").std() > 1
    assert said in texts_of(draw_curves(metrics, title="demo"))


def test_curves_mark_the_best_epoch() -> None:
    axes = draw_curves(history(12), title="demo").axes[1]
    markers = [line for line in axes.lines if line.get_marker() == "o"]
    assert [tuple(map(float, line.get_xydata()[0])) for line in markers] == [(3.0, 90.0)]


@pytest.mark.parametrize(
    "prediction",
    [
        predicted([face_with(even_windows(31))]),
        predicted([face_with([(1.2, 1.84, "fear")])], duration=4.0),
        predicted([face_with(even_windows(1000))], duration=640.0),
        predicted([face_with(even_windows(20), number) for number in range(6)]),
        predicted([face_with([(0.0, 0.0, "sad")])], duration=0.0, source="face.jpg", num_frames=1),
        predicted([face_with(even_windows(31))], source="odd $name$ 表情" + "_long" * 60 + ".mp4"),
    ],
    ids=["one face", "one window", "1000 windows", "six faces", "an image", "an odd name"],
)
def test_timeline_shows_the_emotions(tmp_path: Path, prediction: Prediction) -> None:
    plot_timeline(prediction, tmp_path / "timeline.png")
    pixels = open_png(tmp_path / "timeline.png")
    assert pixels.shape[1] == 10 * DPI
    for segment in prediction.faces[0].segments[:20]:
        assert has_color(pixels, EMOTION_COLORS[segment.label])
    assert NOTICE in texts_of(draw_timeline(prediction))


def test_timeline_without_a_face_says_so(tmp_path: Path) -> None:
    prediction = predicted([])
    plot_timeline(prediction, tmp_path / "timeline.png")
    pixels = open_png(tmp_path / "timeline.png")
    assert not any(has_color(pixels, EMOTION_COLORS[label]) for label in DFEW_LABELS)
    said = texts_of(draw_timeline(prediction))
    assert "no face was found" in said
    assert NOTICE in said


def test_timeline_of_very_many_faces_stays_an_image() -> None:
    figure = draw_timeline(predicted([face_with(even_windows(2), number) for number in range(200)]))
    assert figure.get_figheight() * DPI < 32_768
    assert "180 faces seen more briefly" in texts_of(figure)


def test_timeline_of_a_long_video_counts_minutes() -> None:
    figure = draw_timeline(predicted([face_with(even_windows(100))], duration=64.0))
    figure.canvas.draw()
    said = texts_of(figure)
    assert "1:00" in said
    assert "60 s" not in said


@pytest.mark.parametrize(("suffix", "begin"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_suffix_chooses_the_format_and_the_file_is_reproducible(tmp_path: Path, suffix: str, begin: bytes) -> None:
    paths = [tmp_path / f"{name}{suffix}" for name in ("a", "b")]
    for path in paths:
        plot_timeline(predicted([face_with(even_windows(3))]), path)
    assert paths[0].read_bytes().startswith(begin)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_unknown_suffix_is_a_usage_error(tmp_path: Path) -> None:
    for plot in (
        lambda path: plot_confusion([[1]], ["happy"], path, title=""),
        lambda path: plot_curves([], path, title=""),
        lambda path: plot_timeline(predicted([]), path),
    ):
        with pytest.raises(UsageError, match=r"unknown figure format '\.gif'"):
            plot(tmp_path / "figure.gif")
    assert list(tmp_path.iterdir()) == []


def test_failed_write_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DferError, match="cannot write"):
        plot_timeline(predicted([]), tmp_path / "file" / "figure.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_failed_drawing_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")

    def full_disk(_figure: Any, target: Path, **_: Any) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full_disk)
    with pytest.raises(DferError, match="no space left"):
        plot_curves(history(3), path, title="")
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["figure.png"]


def test_figures_leave_pyplot_alone(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums(), dict(plt.rcParams)
    plot_timeline(predicted([face_with(even_windows(3))]), tmp_path / "a.svg")
    assert (plt.get_fignums(), dict(plt.rcParams)) == before


# ---- the timeline as data


def test_windows_that_overlap_meet_halfway() -> None:
    (stretch,) = cut_stretches(face_with([(0.0, 2.0, "sad"), (1.0, 3.0, "sad"), (2.0, 4.0, "happy")]))
    assert stretch.edges.tolist() == [0.0, 1.5, 2.5, 4.0]


def test_long_gap_parts_the_timeline_and_a_short_one_does_not() -> None:
    windows = [(0.0, 1.0, "sad"), (1.0, 2.0, "sad"), (2.4, 3.4, "sad"), (9.0, 10.0, "sad")]
    assert [stretch.edges.tolist() for stretch in cut_stretches(face_with(windows))] == [
        [0.0, 1.0, 2.2, 3.4],
        [9.0, 10.0],
    ]


def test_runs_join_equal_neighbours() -> None:
    runs = emotion_runs(face_with([(0.0, 1.0, "sad"), (1.0, 2.0, "sad"), (2.0, 3.0, "happy"), (8.0, 9.0, "happy")]))
    assert [(run.start, run.end, run.label) for run in runs] == [(0, 2, "sad"), (2, 3, "happy"), (8, 9, "happy")]
    assert runs[0].probability == pytest.approx(0.7)


def test_csv_has_a_row_per_face_and_window(tmp_path: Path) -> None:
    faces = [face_with(even_windows(4)), face_with(even_windows(3), 1)]
    write_prediction_csv([predicted(faces), predicted([], source="b.mp4")], tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert len(rows) == 7
    assert (rows[1]["source"], rows[1]["face"], rows[1]["start"], rows[1]["label"]) == (
        "clips/a.mp4",
        "0",
        "0.640",
        "happy",
    )
    assert sum(float(rows[0][f"p_{label}"]) for label in DFEW_LABELS) == pytest.approx(1, abs=1e-5)


# ---- tables


def test_evaluation_table_has_all_figures() -> None:
    evaluation = evaluated()
    lines = printed(evaluation_table(evaluation, width=160)).splitlines()
    result = evaluation["folds"]["3"]
    row = next(line for line in lines if line.startswith("3")).split()
    recalls = [percent(value) for value in result["per_class_recall"].values()]
    expected = [percent(result["war"]), percent(result["uar"]), *recalls, "0.430", f"{result['num_clips']:,}", "0"]
    assert row == ["3", *expected]
    mean = next(line for line in lines if line.startswith("mean")).split()
    assert mean[1:3] == [percent(evaluation["mean"]["war"]), percent(evaluation["mean"]["uar"])]
    pooled = next(line for line in lines if line.startswith("pooled")).split()
    confusion = np.sum([fold["confusion"] for fold in evaluation["folds"].values()], axis=0)
    assert pooled[3] == percent(confusion[0, 0] / confusion[0].sum())


@pytest.mark.parametrize("labels", [DFEW_LABELS, MAFW_LABELS], ids=["7 classes", "11 classes"])
@pytest.mark.parametrize("width", [80, 120, 200])
def test_evaluation_table_fits_the_terminal_uncut(labels: tuple[str, ...], width: int) -> None:
    evaluation = evaluated(labels, unreadable=3)
    text = printed(evaluation_table(evaluation, width=width), width)
    assert "…" not in text
    for fold in evaluation["folds"].values():
        assert all(percent(value) in text for value in fold["per_class_recall"].values())


def test_one_fold_has_no_summaries() -> None:
    grid = evaluation_grid(evaluated(folds=1))
    assert [row.name for row in grid.rows] == ["1"]
    assert grid.title == "dfew, fold 1"


def test_folds_are_in_order_of_their_number() -> None:
    evaluation = evaluated(folds=10)
    evaluation["folds"] = dict(sorted(evaluation["folds"].items()))
    assert [row.name for row in evaluation_grid(evaluation).folds] == [str(fold) for fold in range(1, 11)]


@pytest.mark.parametrize("render", [lambda e: printed(evaluation_table(e)), evaluation_markdown, evaluation_latex])
def test_selection_on_the_test_fold_is_marked_once(render: Any) -> None:
    evaluation = evaluated(folds=2)
    evaluation["folds"]["2"]["selection"] = "best on test"
    evaluation["notes"].append(BEST_ON_TEST_NOTE)
    text = render(evaluation)
    dagger = r"$^\dagger$" if "tabular" in text else "†"
    assert f"2{dagger}" in text
    assert f"1{dagger}" not in text
    assert f"mean{dagger}" in text
    assert text.count(BEST_ON_TEST_NOTE) == 1
    assert dagger not in render(evaluated(folds=2))


@pytest.mark.parametrize("render", [lambda e: printed(evaluation_table(e)), evaluation_markdown, evaluation_latex])
def test_every_table_says_drawings_only(render: Any) -> None:
    assert NOTICE.lower() in render(evaluated()).lower()


def test_unreadable_clips_are_told() -> None:
    evaluation = evaluated(folds=2, unreadable=3)
    grid = evaluation_grid(evaluation)
    readable = np.mean([fold["war_readable"] for fold in evaluation["folds"].values()])
    assert any("6 clips" in remark and f"WAR {percent(readable)}" in remark for remark in grid.remarks)
    assert [row.cells[-1] for row in grid.rows] == ["3", "3", "6", "6"]
    # Which classes the unreadable clips have is not in the file, so pooled recalls are not claimed.
    assert set(grid.summaries[1].cells[2:-2]) == {"–"}


def test_class_without_clips_has_a_dash() -> None:
    evaluation = evaluated(folds=1)
    evaluation["folds"]["1"]["per_class_recall"]["fear"] = None
    assert evaluation_grid(evaluation).rows[0].cells[8] == "–"


def test_evaluation_as_the_contract_has_it_is_enough() -> None:
    evaluation = copy.deepcopy(evaluated(folds=2))
    for key in ("labels", "notes"):
        del evaluation[key]
    for fold in evaluation["folds"].values():
        for key in ("war_readable", "uar_readable", "num_unreadable", "selection"):
            del fold[key]
    assert evaluation_grid(evaluation).columns[2:9] == list(DFEW_LABELS)
    assert "WAR" in printed(evaluation_table(evaluation))


def test_markdown_table_is_well_formed() -> None:
    rows = [line for line in evaluation_markdown(evaluated()).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 5 + 2
    assert {row.count("|") for row in rows} == {14}


def test_latex_is_booktabs_and_escaped() -> None:
    evaluation = evaluated()
    evaluation["dataset"] = "my_set & 100%"
    text = evaluation_latex(evaluation)
    assert r"my\_set \& 100\%" in text
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\label{tab:my-set---100-}"))
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {12}


def test_prediction_table() -> None:
    several = [predicted([face_with(even_windows(6))]), predicted([], source="empty.mp4")]
    text = printed(prediction_table(several))
    for said in ("a.mp4", "happy", "70.00", "0.0–1.9 s  happy", "1.9–3.8 s  sad", "empty.mp4", "no face"):
        assert said in text
    assert text.count(NOTICE) == 1
    assert "empty.mp4: no face found in 500 frames" in text


def test_prediction_table_sums_up_many_changes() -> None:
    text = printed(prediction_table([predicted([face_with(even_windows(1000))], duration=640.0)]), 80)
    assert "333 changes" in text
    assert "14 %  happy" in text


def test_prediction_table_does_not_read_file_names_as_markup() -> None:
    several = [predicted([], source="a[red].mp4"), predicted([], source="b.mp4")]
    assert "a[red].mp4" in printed(prediction_table(several))


def test_empty_list_of_predictions_gives_an_empty_table() -> None:
    assert "emotion" in printed(prediction_table([]))


@pytest.mark.parametrize("width", [80, 120])
def test_bench_table_fits(width: int) -> None:
    text = printed(bench_table(BENCH), width)
    assert "…" not in text
    assert all(figure in text for figure in ("9.19", "10.20", "41.6", "6.10", "10.90", "2.50", "1.00"))


# ---- annotated frames


def grey_frame(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 128, np.uint8)


def changed(frame: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (frame != drawn).any(-1)


@pytest.mark.parametrize(
    ("height", "width"), [(360, 640), (1080, 1920), (640, 360), (112, 112), (24, 32), (1, 1)], ids=lambda n: str(n)
)
def test_annotating_keeps_shape_and_input(height: int, width: int) -> None:
    frame = grey_frame(height, width)
    box = np.array([0.3 * width, 0.2 * height, 0.6 * width, 0.7 * height], np.float32)
    drawn = annotate_frame(frame, [(box, "happy", shares("happy"), 0)], time_s=3.2, footer=NOTICE)
    assert (drawn.shape, drawn.dtype) == (frame.shape, np.uint8)
    assert (frame == 128).all()
    assert changed(frame, drawn).any()


def test_annotation_stays_where_it_belongs() -> None:
    frame = grey_frame(360, 640)
    drawn = annotate_frame(frame, [((200, 100, 300, 220), "fear", shares("fear"), 0)], time_s=3.2)
    where = changed(frame, drawn)
    assert not where[105:218, 205:295].any()  # the face itself
    assert not where[:75].any()  # above the tag
    assert not where[:, 450:].any()  # right of the panel
    assert not where[240:335].any()  # between box and time
    assert not where[335:, 80:].any()  # beside the time
    color = tuple(bytes.fromhex(EMOTION_COLORS["fear"][1:]))
    assert (drawn[100, 200:300] == color).all()
    assert (drawn[100:220, 200] == color).all()
    assert where[105:215, 305:440].any()  # the panel, right of the box
    assert where[340:, :60].any()  # the time


def test_without_faces_only_the_time_is_drawn() -> None:
    frame = grey_frame(360, 640)
    where = changed(frame, annotate_frame(frame, [], time_s=0.0))
    assert where[335:, :60].any()
    assert not where[:335].any()
    assert not where[:, 60:].any()


def test_footer_runs_along_the_lower_edge() -> None:
    frame = grey_frame(360, 640)
    where = changed(frame, annotate_frame(frame, [], time_s=0.0, footer=NOTICE))
    assert where[345:].all(axis=1).all()
    assert not where[:330].any()


@pytest.mark.parametrize(
    "box",
    [(500, 10, 639, 200), (0, 0, 639, 359), (-50, -50, 80, 80), (600, 300, 700, 420)],
    ids=["at the right edge", "whole frame", "beyond the upper left", "beyond the lower right"],
)
def test_boxes_at_the_edges_are_drawn(box: tuple[int, int, int, int]) -> None:
    frame = grey_frame(360, 640)
    drawn = annotate_frame(frame, [(box, "sad", shares("sad"), 0)], time_s=0.0)
    assert has_color(drawn, EMOTION_COLORS["sad"])
    assert all(has_color(drawn, EMOTION_COLORS[label]) for label in DFEW_LABELS)  # the panel's bars, inside


def test_box_outside_the_frame_is_left_out() -> None:
    frame = grey_frame(360, 640)
    outside = annotate_frame(frame, [((700, 10, 800, 100), "sad", shares("sad"), 0)], time_s=0.0)
    assert (outside == annotate_frame(frame, [], time_s=0.0)).all()


def test_crowded_frame_keeps_every_tag() -> None:
    boxes = [(30, 60, 110, 140), (150, 60, 230, 140), (280, 60, 360, 140), (420, 60, 500, 140), (540, 60, 620, 140)]
    emotions = ["happy", "sad", "angry", "disgust", "fear"]
    faces = [(box, label, shares(label), n) for n, (box, label) in enumerate(zip(boxes, emotions, strict=True))]
    drawn = annotate_frame(grey_frame(360, 640), faces, time_s=0.0)
    for box, label in zip(boxes, emotions, strict=True):
        color = tuple(bytes.fromhex(EMOTION_COLORS[label][1:]))
        assert (drawn[45:60, box[0] : box[0] + 60] == color).all(-1).mean() > 0.4


# ---- report pages


def write_demo(out: Path, **changes: Any) -> Path:
    arguments: dict[str, Any] = {
        "evaluation": evaluated(folds=1),
        "prediction": predicted([face_with(even_windows(31))]),
        "contact_sheet": contact_sheet([grey_frame(64, 64)] * 4, ["happy", "", "sad", ""], 2),
        "metrics": history(5),
        "machine": "two <fast> cores",
        "timings": {"synth": 61.0, "train": 300.0},
        "notes": ["a note & more", NOTICE],
    }
    return write_demo_report(out, **(arguments | changes))


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("demo") / "report").parent


def test_demo_page_needs_nothing_else(demo_folder: Path) -> None:
    page = (demo_folder / "index.html").read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert len(sources) == 7
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "http:" not in page
    assert "https:" not in page
    assert "url(" not in page
    assert "prefers-color-scheme: dark" in page


def test_demo_page_says_what_matters(demo_folder: Path) -> None:
    war = evaluated(folds=1)["mean"]["war"]
    page = (demo_folder / "index.html").read_text(encoding="utf-8")
    readme = (demo_folder / "README.md").read_text(encoding="utf-8")
    for text in (page, readme):
        assert DRAWINGS_ONLY in text
        assert text.count(NOTICE) == 1
        assert f"{percent(war)} %" in text
        assert "5 min 00 s" in text
    assert "two &lt;fast&gt; cores" in page
    assert "a note &amp; more" in page


def test_demo_readme_shows_figures_that_are_there(demo_folder: Path) -> None:
    shown = re.findall(r"!\[[^]]*\]\(([^)]*)\)", (demo_folder / "README.md").read_text(encoding="utf-8"))
    assert shown == ["faces.png", "confusion.png", "training.png", "timeline.png"]
    for name in shown:
        assert open_png(demo_folder / name).std() > 1


def test_demo_page_without_faces_sheet_or_metrics(tmp_path: Path) -> None:
    page = write_demo(tmp_path, prediction=predicted([]), contact_sheet=None, metrics=[], timings={})
    assert "no face was found" in page.read_text(encoding="utf-8")
    assert not (tmp_path / "faces.png").exists()


def test_demo_page_links_the_video_beside_it(tmp_path: Path) -> None:
    (tmp_path / "prediction.mp4").write_bytes(b"video")
    assert 'href="prediction.mp4"' in write_demo(tmp_path).read_text(encoding="utf-8")


def test_demo_page_into_a_file_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("in the way")
    with pytest.raises(DferError, match="cannot write"):
        write_demo(tmp_path / "report")


def test_contact_sheet_places_images_and_captions() -> None:
    colors = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    images = [np.full((40, 60, 3), color, np.uint8) for color in colors]
    sheet = contact_sheet(images, ["first", "second", ""], 2)
    assert sheet.shape[1] == 3 * 6 + 2 * 60
    assert (sheet[6:46, 6:66] == colors[0]).all()
    assert (sheet[6:46, 72:132] == colors[1]).all()
    assert (sheet[-46:-6, 6:66] == colors[2]).all()  # a row without captions takes no room for them
    assert sheet[46 : sheet.shape[0] - 46, 6:66].max() > 200  # the caption below the first
    assert (sheet[-46:, 72:] == sheet[0, 0]).all()


def test_contact_sheet_fits_images_of_other_sizes() -> None:
    sheet = contact_sheet([grey_frame(50, 50), np.full((200, 100, 3), 250, np.uint8)], ["", ""], 2)
    assert sheet.shape == (62, 118, 3)
    assert (sheet[10:50, 80:94] == 250).all()
    assert (sheet[10:50, 63:72] == sheet[0, 0]).all()


@pytest.mark.parametrize(
    ("images", "captions", "columns"),
    [([], [], 2), ([grey_frame(8, 8)], [], 2), ([grey_frame(8, 8)], [""], 0)],
    ids=["no image", "no caption", "no column"],
)
def test_contact_sheet_of_nothing_is_refused(images: list[Any], captions: list[str], columns: int) -> None:
    with pytest.raises(ValueError, match="expected images"):
        contact_sheet(images, captions, columns)


def test_evaluation_report_folder(tmp_path: Path) -> None:
    write_evaluation_report(evaluated(folds=2), tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").iterdir()}
    stems = {"confusion_all_folds", "confusion_fold_1", "confusion_fold_2"}
    assert names == {"README.md", "table.tex", *(f"{stem}{suffix}" for stem in stems for suffix in (".png", ".pdf"))}
    readme = (tmp_path / "report" / "README.md").read_text(encoding="utf-8")
    assert all(f"({stem}.png)" in readme for stem in stems)
    assert NOTICE in readme


# ---- words and letters


def test_wrapped_text_loses_nothing_and_fits() -> None:
    font = load_font(12)
    text = "trained on drawings only " + "x" * 80 + " the end"
    lines = wrap_text(text, font, 120)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(font.getlength(line) <= 120 for line in lines)
    cut = wrap_text(text, font, 120, max_lines=2)
    assert len(cut) == 2
    assert cut[1].endswith("…")
    assert font.getlength(shorten_text("x" * 80, font, 50)) <= 50


def test_text_on_every_emotion_color_can_be_read() -> None:
    def luminance(color: str) -> float:
        linear = [
            (c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in bytes.fromhex(color[1:])
        ]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    for label in EMOTION_COLORS:
        bright, dark = sorted([luminance(emotion_color(label)), luminance(ink_on(emotion_color(label)))])[::-1]
        assert (bright + 0.05) / (dark + 0.05) >= 3, label  # WCAG's limit for bold text
