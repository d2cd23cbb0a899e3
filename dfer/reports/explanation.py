"""An explanation for people and programs: video, contact sheet, timeline, arrays, table and JSON."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from rich.table import Table
from rich.text import Text

from dfer.drawing.contact_sheet import contact_sheet
from dfer.drawing.heat import ImportanceLane, ImportanceStrip, draw_heat, draw_heat_on_face, draw_importance
from dfer.drawing.style import emotion_color
from dfer.drawing.tables import new_table, with_notes
from dfer.explanation.explain import Explanation, FaceExplanation
from dfer.explanation.sanity import MAX_CORRELATION
from dfer.faces.align import estimate_similarity, template_points
from dfer.records import FaceTrack
from dfer.runtime.files import write_bytes
from dfer.runtime.formatting import MISSING, clock, percent, pluralize, span
from dfer.video import VideoWriter

MAX_LANES = 4  # below the video
MAX_FACES = 20  # in a figure; an image of more could not be opened
_CROP_SHOWN = 160  # pixels
_LANE_SHARE = 0.2  # of the frame's height


def draw_explanation(explanation: Explanation) -> Figure:
    """Draw each face's importance over time; those that are seen longest, where there are many."""
    prediction = explanation.analysis.prediction
    shown = [face for face, _ in explanation.faces[:MAX_FACES]]
    return draw_importance(
        [_lane(face) for face in shown],
        total=prediction.duration,
        title=Path(prediction.source).name,
        subtitle="importance: percentage points of the class's probability that are lost without the piece of time",
        footer=_notes(explanation, MAX_FACES),
    )


def _lane(face: FaceExplanation) -> ImportanceLane:
    return ImportanceLane(
        f"face {face.id}: importance for {face.label}",
        face.label,
        face.times_s,
        face.importance,
        face.probability,
    )


def _notes(explanation: Explanation, shown: int) -> list[str]:
    left_out = len(explanation.faces) - shown
    more = [f"{pluralize(left_out, 'face')} seen more briefly not shown"] if left_out > 0 else []
    return [*explanation.analysis.prediction.notes, *more]


def draw_moments(explanation: Explanation) -> NDArray[np.uint8]:
    """Draw the contact sheet, uint8 [H, W, 3]: for each face a row of crops, and one of the same with their heat."""
    total = explanation.analysis.prediction.duration
    images: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    columns = max(len(face.moments) for face, _ in explanation.faces[:MAX_FACES])
    blank = np.full((_CROP_SHOWN, _CROP_SHOWN, 3), 22, np.uint8)
    for face, _ in explanation.faces[:MAX_FACES]:
        heat, padding = face.heat, [blank] * (columns - len(face.moments))
        crops = [
            np.asarray(Image.fromarray(m.crop).resize((_CROP_SHOWN,) * 2, Image.Resampling.BICUBIC))
            for m in face.moments
        ]
        images += [*crops, *padding]
        captions += [""] * columns
        images += [draw_heat(crop, heat[m.place]) for crop, m in zip(crops, face.moments, strict=True)] + padding
        for moment in face.moments:
            chance = percent(float(face.probability[moment.place]), 0)
            when = clock(float(face.times_s[moment.place]), total=total, decimals=1)
            captions.append(f"{when}  {face.label} {chance} %")
        captions += [""] * len(padding)
    return contact_sheet(images, captions, columns, caption_px=13)


def png(image: NDArray[np.uint8]) -> bytes:
    """Return an image, uint8 [H, W, 3], as the content of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def explanation_arrays(explanation: Explanation) -> dict[str, NDArray[Any]]:
    """Return the arrays of each face K, as `faceK_frames` and so on; docs/explain.md lists them."""
    arrays: dict[str, NDArray[Any]] = {
        "faces": np.array([face.id for face, _ in explanation.faces], np.int64),
        "labels": np.array([face.label for face, _ in explanation.faces]),
        "method": np.array(explanation.method),
    }
    for face, track in explanation.faces:
        for name in ("frames", "times_s", "probability", "importance", "maps"):
            arrays[f"face{face.id}_{name}"] = getattr(face, name)
        arrays[f"face{face.id}_boxes_xyxy"] = track.boxes_xyxy
        arrays[f"face{face.id}_landmarks"] = track.landmarks
    return arrays


def write_arrays(explanation: Explanation, path: Path) -> None:
    """Write the arrays as a compressed .npz file, atomically.

    Raises:
        DferError: it cannot be written.
    """
    buffer = io.BytesIO()
    arrays: dict[str, Any] = explanation_arrays(explanation)
    np.savez_compressed(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def write_explained_video(
    explanation: Explanation, path: Path, crop_size: int, on_progress: Callable[[float], None] | None = None
) -> None:
    """Write the video with the heat over each face, and the faces' importance over time below.

    Args:
        explanation: of a video.
        path: the video to write; sound is not copied.
        crop_size: side of the crops that the maps lie over, pixels.
        on_progress: called with the progress, 0..1.

    Raises:
        DferError: it cannot be written.
    """
    source = explanation.analysis.source
    height, width = source.size_hw
    lanes = [_lane(face) for face, _ in explanation.faces[:MAX_LANES]]
    lane_height = max(56, round(_LANE_SHARE * height / max(1, len(lanes) - 1)))
    strip = ImportanceStrip(lanes, total=source.duration, width=width, lane_height=lane_height)
    heats = [
        (face.heat, track, {int(frame): place for place, frame in enumerate(track.frames)})
        for face, track in explanation.faces
    ]
    frames = source.watch_frames(on_progress or (lambda _done: None))
    with VideoWriter(path, fps=source.fps, size_hw=(height + strip.height, width)) as writer:
        for index, frame in frames:
            for heat, track, places in heats:
                if index in places:
                    place = places[index]
                    matrix = _crop_from_frame(track, place, source.size_hw, crop_size)
                    frame = draw_heat_on_face(frame, heat[place], matrix, crop_size)
            time_s = float(source.times_s[index])
            writer.write(np.concatenate([frame, strip.at(time_s)]), time_s)


def _crop_from_frame(track: FaceTrack, place: int, size_hw: tuple[int, int], size: int) -> NDArray[np.float64]:
    landmarks = track.landmarks[place]
    if not landmarks.any():  # the frames are crops already
        scale, (height, width) = size / max(size_hw), size_hw
        return np.array(
            [[scale, 0, scale * (max(size_hw) - width) / 2], [0, scale, scale * (max(size_hw) - height) / 2]]
        )
    return estimate_similarity(landmarks, template_points(size, len(landmarks)))


def peak(face: FaceExplanation) -> tuple[float, float, float] | None:
    """Return from when to when the importance is highest, within a tenth, and how high, 0..1; None if unknown."""
    if np.isnan(face.importance).all():
        return None
    top = int(np.nanargmax(face.importance))
    same = face.importance >= face.importance[top] - 0.1 * abs(face.importance[top])
    first = last = top
    while first > 0 and same[first - 1]:
        first -= 1
    while last + 1 < len(same) and same[last + 1]:
        last += 1
    end = float(face.times_s[last + 1]) if last + 1 < len(same) else float(face.times_s[last])
    return float(face.times_s[first]), end, float(face.importance[top])


def explanation_dict(explanation: Explanation) -> dict[str, Any]:
    """Return the JSON object of the schema `dfer.explanation/1`."""
    prediction = explanation.analysis.prediction
    faces = []
    for face, _ in explanation.faces:
        found = peak(face)
        faces.append({
            "id": face.id,
            "class": face.label,
            "probability": next(p.probabilities[face.label] for p in prediction.faces if p.id == face.id),
            "frames": len(face.frames),
            "peak": None if found is None else {"start": found[0], "end": found[1], "importance": found[2]},
        })  # fmt: skip
    check = explanation.sanity
    return {
        "schema": "dfer.explanation/1",
        "source": prediction.source,
        "model": prediction.model,
        "method": explanation.method,
        "faces": faces,
        "sanity": check
        and {
            "passed": check.passed,
            "limit": MAX_CORRELATION,
            "steps": [{"part": step.part, "rank_correlation": step.mean} for step in check.steps],
        },
        "warnings": prediction.warnings,
    }


def explanation_table(explanation: Explanation) -> Table:
    """Return a row per face: its class and probability, and when this rests on the most."""
    prediction = explanation.analysis.prediction
    table = new_table(None)
    table.add_column("face", justify="right")
    table.add_column("class", no_wrap=True)
    table.add_column("%", justify="right")
    table.add_column("rests most on", no_wrap=True)
    table.add_column("points lost without", justify="right")
    for face, found in zip(explanation_dict(explanation)["faces"], explanation.faces, strict=True):
        top = peak(found[0]) if prediction.num_frames > 1 else None
        when = span(top[0], top[1], total=prediction.duration) if top else MISSING
        lost = f"{100 * top[2]:.1f}" if top else MISSING
        name = Text(face["class"], f"bold {emotion_color(face['class'])}")
        table.add_row(str(face["id"]), name, percent(face["probability"]), when, lost)
    check = explanation.sanity
    remarks = [sanity_line(explanation)] if check else []
    return with_notes(table, remarks, prediction.notes)


def sanity_line(explanation: Explanation) -> str:
    """Return the result of the sanity check in one line."""
    check = explanation.sanity
    if check is None:
        return ""
    last, head = check.steps[-1], check.steps[0]
    verdict = "passed" if check.passed else "NOT passed: the maps show the pictures more than the model"
    return (
        f"sanity check {verdict}: with all weights random, the maps' rank correlation with the model's is "
        f"{last.mean:.2f} (limit {MAX_CORRELATION}); with only the {head.part} random {head.mean:.2f}"
    )
