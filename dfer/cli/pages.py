"""--report of `dfer predict`: a page for each video, as soon as its answer is known."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from dfer.cli.console import note, warn
from dfer.cli.outputs import Output
from dfer.errors import VideoError
from dfer.prediction.inputs import Input
from dfer.records import Prediction
from dfer.records.people import reset_people
from dfer.reports.page_folder import INDEX, Place, plan_pages, read_summary, refuse_foreign, write_page
from dfer.reports.thumbnails import face_thumbnails
from dfer.reports.video_page import Shown, page_key
from dfer.video import FrameSource
from dfer.video.apart import DecodingProcess

OPTION = "--report"
_SHOWN_IMAGES = frozenset({".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".webp"})  # by all browsers
_MOVED = "The video is not where it was when this page was made. Put the page and the video back in their places."


class PageReport:
    """The pages of a run.

    Args:
        folder: of --report.
        inputs: of the command.
        hide: whether faces must not be shown.
        fps: frames per second of sources without times.

    Raises:
        UsageError: a page would overwrite a file that is none.
    """

    def __init__(self, folder: Path, inputs: Sequence[Input], *, hide: bool, fps: float | None = None) -> None:
        self.folder = folder
        self._fps = fps
        self._hide = hide
        self._places: dict[str, Place] = {
            place.source: place for place in plan_pages(folder, [item.name for item in inputs])
        }
        self._paths = {item.name: item.path for item in inputs}
        self._fetched = {item.name for item in inputs if not item.is_local}
        refuse_foreign(folder, list(self._places.values()))

    @property
    def outputs(self) -> list[Output]:
        """The pages, as the outputs that the command claims."""
        return [Output(OPTION, place.page, (".html",)) for place in self._places.values()]

    def add(self, prediction: Prediction, frames: FrameSource | None, decoder: DecodingProcess) -> None:
        """Write the page of an answer, unless it is there already.

        Args:
            prediction: the answer.
            frames: the video, if it is open; an answer that was known has none.
            decoder: opens it otherwise.

        Raises:
            DferError: the page cannot be written.
        """
        place = self._places[prediction.source]
        key = page_key(prediction, self._hide)
        if frames is None and (known := read_summary(place.page)) is not None and known.key == key:
            return
        path = self._paths[prediction.source]
        try:
            shown = self._show(prediction, frames or decoder.open(path, fps=self._fps))
            if prediction.source in self._fetched:
                shown = replace(shown, media="", no_media="The video was not kept: it did not come from a file.")
        except VideoError as error:
            warn(f"{prediction.source}: the page shows no picture: {error}")
            shown = Shown(no_media="The video could not be read when this page was made.")
        write_page(place, prediction, shown, key)

    def finish(self) -> None:
        """Say where the pages are."""
        pages = [place.page for place in self._places.values() if place.page.exists()]
        note(f"report in {pages[0] if len(pages) == 1 else self.folder / INDEX}")

    def _show(self, prediction: Prediction, frames: FrameSource) -> Shown:
        size_wh = frames.size_hw[1], frames.size_hw[0]
        if self._hide:
            return Shown(no_media="The video is left out, so that no face is shown.", size_wh=size_wh)
        thumbnails = face_thumbnails(reset_people(prediction), frames)  # the page can split merged faces up
        if prediction.num_frames == 1 and frames.path.suffix.lower() in _SHOWN_IMAGES:
            return Shown(_address(frames.path, self.folder), _MOVED, size_wh, 0.0, thumbnails)
        if frames.media is not None and frames.media.is_played(frames.path):
            address = _address(frames.path, self.folder)
            return Shown(address, _MOVED, size_wh, frames.media.offset_s, thumbnails)
        return Shown(no_media="Browsers do not play this kind of video.", size_wh=size_wh, thumbnails=thumbnails)


def _address(path: Path, folder: Path) -> str:
    """Return the address of a file relative to a folder; on another drive, its whole one."""
    try:
        relative = os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:
        return path.resolve().as_uri()
    return quote(Path(relative).as_posix().encode(errors="surrogateescape"))
