"""The tables of `dfer bench` on what prediction is made of."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from dfer.drawing.tables import new_table, with_notes
from dfer.runtime.formatting import pluralize


def prediction_bench_table(result: dict[str, Any]) -> Table:
    """Return the speed of each runtime and how far its answers are from those of float32.

    Args:
        result: `dfer.bench.predict/1`.
    """
    counts = list(result["runtimes"][0]["real_time"])
    table = new_table(result["machine"])
    table.add_column("runtime", no_wrap=True)
    table.add_column("clips\n/s", justify="right")
    table.add_column("x Former-\nDFER", justify="right", style="bold")
    for count in counts:
        table.add_column(f"x real time\n{pluralize(int(count), 'face')}", justify="right")
    for heading in ("core s\na s", "same\nlabel", "max.\ndiff."):
        table.add_column(heading, justify="right")
    plain = result["plain"]
    blank = [""] * (len(counts) + 3)
    table.add_row("Former-DFER, plain", f"{plain['clips_per_s']:.1f}", "1.00", *blank, end_section=True)
    for row in result["runtimes"]:
        table.add_row(
            f"{row['name']} (auto)" if row["name"] == result["auto"] else row["name"],
            f"{row['clips_per_s']:.1f}",
            f"{row['relative']:.2f}",
            *(f"{row['real_time'][count]:.1f}" for count in counts),
            f"{row['core_s'][counts[0]]:.2f}",
            f"{min(row['same_labels'].values()):.1%}",
            f"{max(row['largest_difference'].values()):.4f}",
        )
    return with_notes(table, _prediction_notes(result))


def _prediction_notes(result: dict[str, Any]) -> list[str]:
    height, width = result["size_hw"]
    start, memory = result["start"], result["memory"]
    mirrored = ", each window and its mirror image" if result["mirror"] else ""
    notes = [
        f"{pluralize(result['cores'], 'core')}; before, {result['load']:.1f} processes wanted one",
        "clips/s: the model by itself; Former-DFER: in float32, as PyTorch runs it",
        f"x real time: {result['duration']:.1f} s of {width}x{height} a face, after loading; faces by "
        f"{result['detector']}{mirrored}; core s a s: processor time for a second of one copy",
        "same label, max. diff.: segments beside float32",
        f"a new process: {start['process_s']:.1f} s to the first frame, of which imports {start['import_s']:.1f}, "
        f"loading {start['load_s']:.1f}, opening the video {start['open_s']:.1f}",
    ]
    if memory is not None:
        passes = "; ".join(f"{stage} {_megabytes(sizes)}" for stage, sizes in memory["quarters"].items())
        peak, start = _megabytes([memory["peak_bytes"]]), _megabytes([memory["start_bytes"]])
        notes += [
            f"memory over {memory['minutes']:.0f} min of 1080p, MB: at most {peak}; with the model loaded {start}; "
            f"by quarter: {passes}"
        ]
        if (error := memory["time_left_error"]) is not None:
            notes.append(f"time left, from 10 to 90% of {memory['seconds']:.0f} s: wrong by {error:.0%} at most")
    return notes


def _megabytes(sizes: list[int]) -> str:
    return ", ".join(f"{size / 1e6:,.0f}" for size in sizes)


def identity_bench_table(result: dict[str, Any]) -> Table:
    """Return the errors of identities in each clip.

    Args:
        result: `dfer.bench.identity/1`.
    """
    table = new_table(result["machine"])
    table.add_column("clip", no_wrap=True)
    for heading in ("people", "tracks", "switches", "splits", "merges", "found", "IDF1"):
        table.add_column(heading, justify="right")
    rows = [(str(number), clip) for number, clip in enumerate(result["clips"], 1)]
    for name, row in [*rows, ("all", result["all"])]:
        counts = (str(row[key]) for key in ("people", "tracks", "switches", "splits", "merges"))
        table.add_row(name, *counts, f"{row['found']:.1%}", f"{row['idf1']:.1%}", end_section=name == str(len(rows)))
    shots = f"{pluralize(result['shots'], 'shot')} a clip, cut from {pluralize(result['inputs'], 'input')}"
    return with_notes(
        table,
        [
            f"{shots}; faces by {result['detector']}, the same people by {result['recognition']}",
            "splits: numbers beyond one a person; merges: people beyond one a number",
        ],
    )


def detectors_bench_table(result: dict[str, Any]) -> Table:
    """Return what each detector finds, how exactly, and how fast.

    Args:
        result: `dfer.bench.detectors/1`.
    """
    table = new_table(result["machine"])
    table.add_column("", no_wrap=True)
    headings = (
        "faces\nfound",
        "extra /\n100 fr.",
        "eyes",
        "all\npoints",
        "less\noffset",
        "frames\n/s",
        "close-ups\n/s",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in result["detectors"]:
        table.add_row(
            row["name"],
            "" if row["recall"] is None else f"{row['recall']:.1%}",
            f"{row['extra_per_100_frames']:.1f}",
            *("" if row[key] is None else f"{row[key]:.1%}" for key in ("eyes", "landmarks", "without_offset")),
            f"{row['frames_per_s']:.0f}",
            "" if row["close_ups_per_s"] is None else f"{row['close_ups_per_s']:.0f}",
        )
    return with_notes(
        table,
        [
            f"{pluralize(result['frames'], 'frame')}, {pluralize(result['faces'], 'face')} by SCRFD at 640 pixels",
            "extra: faces that SCRFD does not find, real or not",
            "eyes, all points (haar: the eyes): mean distance from SCRFD's in inter-ocular distances; "
            "less offset: without the constant part",
            "one thread, without decoding",
        ],
    )


def export_bench_table(result: dict[str, Any]) -> Table:
    """Return sizes, speeds and agreement of exported models.

    Args:
        result: `dfer.bench.export/1`.
    """
    table = new_table(result["machine"])
    table.add_column("", no_wrap=True)
    for heading in ("MB", "load\ns", "ms a\nwindow", "x\ntorch", "same\nlabel", "max.\ndiff.", "mean\ndiff."):
        table.add_column(heading, justify="right")
    for row in result["cases"]:
        table.add_row(
            row["name"],
            *("" if row[key] is None else f"{row[key]:.1f}" for key in ("megabytes", "load_s", "window_ms")),
            f"{row['relative']:.2f}",
            "" if row["same_label"] is None else f"{row['same_label']:.1%}",
            *("" if row[key] is None else f"{row[key]:.3f}" for key in ("largest_difference", "mean_difference")),
        )
    mirrored = ", each with its mirror image" if result["mirror"] else ""
    notes = [f"a window: {pluralize(result['frames'], 'frame')}{mirrored}; {pluralize(result['threads'], 'thread')}"]
    if result["clips"]:
        notes.append(f"labels and probabilities beside float32, over {pluralize(result['clips'], 'clip')}")
    return with_notes(table, notes)
