"""`dfer predict --live` and `--camera`: answers while a stream runs, shown, and written as they come."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from dfer.cli.console import note
from dfer.cli.live_screen import NoScreen, Screen, choose_screen
from dfer.cli.options import ViewKind
from dfer.cli.outputs import Output, check_outputs, claim_outputs
from dfer.drawing.annotate import annotate_frame
from dfer.errors import UsageError, VideoError
from dfer.faces.tracking.follow import Followed
from dfer.model.checkpoint import describe_checkpoint
from dfer.prediction.live import LiveAnswer, LiveRecogniser
from dfer.prediction.predictor import Predictor
from dfer.records import FacePrediction, Prediction
from dfer.records.prediction_json import prediction_dict
from dfer.reports.prediction_rows import csv_header, csv_text
from dfer.runtime.files import reported
from dfer.runtime.formatting import format_duration, percent
from dfer.runtime.streams import is_stream, open_stream
from dfer.video.live import LiveFrame, LiveSource, drop_share
from dfer.video.remote import check_url, url_scheme

SCHEMA = "dfer.live/1"
_LATEST = 20  # answers


def watch_source(
    inputs: Sequence[str],
    camera: str | None,
    *,
    checkpoint: Path | None,
    options: dict[str, Any],
    outputs: tuple[Output | None, Output | None],
    view: ViewKind | None,
    seconds: float | None,
    refused: Sequence[str],
) -> None:
    """Answer about a camera, stream or file while it runs.

    Args:
        inputs: of the command.
        camera: of --camera.
        checkpoint: as `Predictor` takes it.
        options: of the `Predictor`, by name.
        outputs: of --csv and --json.
        view: where to show it; None for nowhere.
        seconds: how long; None for until it ends.
        refused: names of options that were given, and have no meaning here.

    Raises:
        UsageError: there is not one source, or an option does not belong here.
        DferError: as for `watch`, or the model or detector cannot be used.
    """
    if refused:
        hint = "leave them out; a recording of the stream can have them"
        raise UsageError("cannot be used with --live or --camera", where=", ".join(refused), hint=hint)
    if len(inputs) + (camera is not None) != 1:
        raise UsageError(
            "--live shows one source", where="INPUT", hint="give one INPUT, or --camera 0 without an INPUT"
        )
    name = inputs[0] if camera is None else camera
    if camera is None and url_scheme(name):
        check_url(name)
    elif camera is None and not Path(name).is_file():
        raise VideoError("no such file", where=name, hint="give a video, a URL, or --camera 0")
    check_outputs(*outputs, inputs=[Path(name)])
    screen = NoScreen() if view is None else choose_screen(view)
    source = LiveSource(name, is_camera=camera is not None)
    with claim_outputs(*outputs):
        # The mirror image would double the delay.
        predictor = Predictor(checkpoint, **{**options, "mirror": bool(options["mirror"])})
        note(describe_checkpoint(predictor.checkpoint, predictor.info))
        watch(predictor, source, screen, csv_to=outputs[0], json_to=outputs[1], seconds=seconds)


@dataclass
class Delays:
    """The delays of the answers, from the coming of the newest frame that each knows of, seconds."""

    seconds: list[float] = field(default_factory=list)

    def latest(self) -> str:
        """Return the delay of the latest answers, for the screen."""
        return (
            f"answers {1000 * np.median(self.seconds[-_LATEST:]):.0f} ms after the frame"
            if self.seconds
            else "starting"
        )

    def summary(self, source: LiveSource) -> str:
        """Return the figures of a run in a line."""
        dropped = f"{percent(drop_share(source.came, source.taken), 0)} % of {source.came:,} frames dropped"
        if not self.seconds:
            return f"no answer, {dropped}"
        half, most = np.percentile(self.seconds, (50, 95))
        delays = f"delay p50 {1000 * half:.0f} ms, p95 {1000 * most:.0f} ms"
        return f"{len(self.seconds):,} answers, {delays}, {dropped}"


def watch(
    predictor: Predictor,
    source: LiveSource,
    screen: Screen,
    *,
    csv_to: Output | None,
    json_to: Output | None,
    seconds: float | None,
) -> None:
    """Answer about a stream until it ends, the user ends it, or its time is over.

    Args:
        predictor: its model, detector and settings.
        source: the stream.
        screen: shows it.
        csv_to: gets the rows of each answer at once.
        json_to: gets a line for each answer at once.
        seconds: how long; None for until it ends.

    Raises:
        VideoError: the stream cannot be opened, or breaks off; what was written is complete.
        DferError: a file cannot be written.
    """
    delays, begun = Delays(), time.monotonic()
    with ExitStack() as stack:
        files = stack.enter_context(_Files.open(predictor, source.name, csv_to, json_to))
        stack.enter_context(source)
        recogniser = stack.enter_context(LiveRecogniser(predictor))
        stack.enter_context(screen)
        try:
            _run(recogniser, source, screen, files, delays, seconds)
        except KeyboardInterrupt:  # the usual end
            pass
        finally:
            if (answer := recogniser.answer(wait=True)) is not None:
                files.write(answer)
    note(f"{source.name}: {format_duration(time.monotonic() - begun)}, {delays.summary(source)}")


def _run(
    recogniser: LiveRecogniser,
    source: LiveSource,
    screen: Screen,
    files: _Files,
    delays: Delays,
    seconds: float | None,
) -> None:
    faces: dict[int, FacePrediction] = {}
    for frame in source.frames():
        if seconds is not None and frame.time_s >= seconds:
            return
        followed = recogniser.look(frame)
        if (answer := recogniser.answer()) is not None:
            delays.seconds.append(time.monotonic() - answer.came_s)
            faces = {face.id: face for face in answer.faces}
            files.write(answer)
        if screen.is_ready() and screen.show(_drawn(frame, followed, faces), delays.latest()):
            return


def _drawn(frame: LiveFrame, followed: Sequence[Followed], faces: dict[int, FacePrediction]) -> Any:
    shown = []
    for number, face in followed:
        if (known := faces.get(number)) is not None:
            doubt = known.reasons[0] if known.unsure else ""
            shown.append((face.box_xyxy, known.label, known.probabilities, number, doubt))
    return annotate_frame(frame.rgb, shown, time_s=frame.time_s)


class _Files:
    """The outputs, to which each answer is appended when it is known, a whole line at a time."""

    def __init__(self, predictor: Predictor, name: str, csv: IO[bytes] | None, json: IO[bytes] | None) -> None:
        self._predictor, self._name, self._csv, self._json = predictor, name, csv, json
        if csv is not None:
            _append(csv, csv_header(predictor.info.labels))

    @classmethod
    @contextmanager
    def open(cls, predictor: Predictor, name: str, csv_to: Output | None, json_to: Output | None) -> Iterator[_Files]:
        """Open the outputs for the block.

        Raises:
            DferError: one cannot be written.
        """
        with ExitStack() as stack:
            yield cls(predictor, name, _opened(stack, csv_to), _opened(stack, json_to))

    def write(self, answer: LiveAnswer) -> None:
        """Append an answer.

        Raises:
            DferError: it cannot be written.
        """
        prediction = Prediction(
            source=self._name,
            duration=answer.end,
            fps=0.0,
            num_frames=0,
            model=self._predictor.description,
            faces=answer.faces,
            notice=self._predictor.info.notice,
        )
        if self._csv is not None and answer.faces:
            _append(self._csv, csv_text([prediction], header=False))
        if self._json is not None:
            _append(self._json, json.dumps(_line(prediction, answer), ensure_ascii=False, allow_nan=False) + "\n")


def _line(prediction: Prediction, answer: LiveAnswer) -> dict[str, Any]:
    """Return the object of an answer: the faces that were seen since the last one, each with its one segment."""
    faces = []
    for face in prediction_dict(prediction)["faces"]:
        (segment,) = face["segments"]
        faces.append({"id": face["id"], **segment})
    return {
        "schema": SCHEMA,
        "source": prediction.source,
        "start": round(answer.start, 3),
        "end": round(answer.end, 3),
        "faces": faces,
    }


def _append(file: IO[bytes], text: str) -> None:
    file.write(text.encode(errors="backslashreplace"))
    file.flush()


def _opened(stack: ExitStack, target: Output | None) -> IO[bytes] | None:
    if target is None:
        return None
    stack.enter_context(reported(target.path))
    if is_stream(target.path):
        return stack.enter_context(open_stream(target.path))
    target.path.parent.mkdir(parents=True, exist_ok=True)
    return stack.enter_context(target.path.open("wb"))
