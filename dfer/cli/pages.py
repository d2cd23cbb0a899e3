"""--report of `dfer predict`: a page for each video, as soon as its answer is known."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from dfer.cli.console import note, warn
from dfer.cli.options import PageVideo
from dfer.cli.outputs import Output
from dfer.cli.progress import Progress
from dfer.drawing.hide import HideStyle
from dfer.errors import DferError, VideoError
from dfer.names import name_text
from dfer.prediction.inputs import Input
from dfer.records import BROWSER_IMAGE_SUFFIXES, Prediction
from dfer.reports.browser_copy import write_browser_copy, write_hidden_copy, write_image_copy
from dfer.reports.page_folder import (
    INDEX,
    Place,
    plan_pages,
    read_summary,
    refuse_foreign,
    write_failure,
    write_index,
    write_page,
)
from dfer.reports.thumbnails import face_pictures
from dfer.reports.video_page import Shown, page_key
from dfer.video import FrameSource
from dfer.video.apart import DecodingProcess

if TYPE_CHECKING:
    from typing_extensions import Self

OPTION = "--report"
_INDEX_PAUSE = 20  # between two writings of the index, in times of what the first of them took
_MOVED = "The video is not where it was when this page was made. Put the page and the video back in their places."
_NO_COPY = "The video's copy is missing. It belongs in the folder media, beside this page."


class PageReport:
    """The pages of a run; use it as a context manager, so that the index is up to date where the run breaks off.

    Args:
        folder: of --report.
        inputs: of the command.
        video: how the pages come by their videos.
        hide: makes all faces unrecognisable, and leaves out their thumbnails.
        fps: frames per second of sources without times.

    Raises:
        UsageError: a page would overwrite a file that is none.
    """

    def __init__(
        self,
        folder: Path,
        inputs: Sequence[Input],
        *,
        video: PageVideo = PageVideo.auto,
        hide: HideStyle | None = None,
        fps: float | None = None,
    ) -> None:
        self.folder = folder
        self._video, self._hide, self._fps = video, hide, fps
        places = plan_pages(folder, [item.name for item in inputs])
        self._places: dict[str, Place] = {place.source: place for place in places}
        self._paths = {item.name: item.path for item in inputs}
        self._fetched = {item.name for item in inputs if not item.is_local}
        refuse_foreign(folder, list(self._places.values()))
        self._next_index_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and any(place.page.exists() for place in self._places.values()):
            with suppress(DferError):  # the first failure is the one to report
                write_index(self.folder)

    @property
    def outputs(self) -> list[Output]:
        """The pages, as the outputs that the command claims."""
        return [Output(OPTION, place.page, (".html",)) for place in self._places.values()]

    @property
    def copies(self) -> list[Output]:
        """The files that pages may need beside them, as outputs that must not be inputs."""
        places = self._places.values()
        return [Output(OPTION, path, (path.suffix,)) for place in places for path in (place.copy, place.frame)]

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
        key = page_key(prediction, self._hide, self._video.value)
        if frames is None and (known := read_summary(place.page)) is not None and known.key == key:
            return
        path = self._paths[prediction.source]
        try:
            shown = self._show(prediction, place, frames or decoder.open(path, fps=self._fps))
        except VideoError as error:
            warn(f"{prediction.source}: the page shows no picture: {error}")
            shown = Shown(no_media="The video could not be read when this page was made.")
        write_page(place, prediction, shown, key)
        self._update_index()

    def add_failure(self, item: Input, error: VideoError) -> None:
        """Write the page of an input without an answer, so that the index names it; an earlier answer's page is kept.

        Args:
            item: the input.
            error: why it has no answer.

        Raises:
            DferError: the page cannot be written.
        """
        if not write_failure(self._places[item.name], error):
            warn(f"{item.name}: its page is kept as it was made from an earlier answer")
        self._update_index()

    def finish(self) -> None:
        """Bring the index up to date, and say where the pages are.

        Raises:
            DferError: the index cannot be written.
        """
        write_index(self.folder)
        pages = [place.page for place in self._places.values() if place.page.exists()]
        note(f"report in {pages[0] if len(pages) == 1 else self.folder / INDEX}")

    def _update_index(self) -> None:
        """Write the index, but not so often that it takes much of the time where there are thousands of pages."""
        if (begun := time.monotonic()) >= self._next_index_s:
            write_index(self.folder)
            self._next_index_s = begun + _INDEX_PAUSE * (time.monotonic() - begun)

    def _show(self, prediction: Prediction, place: Place, frames: FrameSource) -> Shown:
        shown = Shown(
            size_wh=(frames.size_hw[1], frames.size_hw[0]),
            faces=None if self._hide else face_pictures(prediction, frames),
        )
        if prediction.source in self._fetched:
            return replace(shown, no_media="The video was not kept: it did not come from a file.")
        if self._video == PageVideo.none:
            return replace(shown, no_media="The video was left out of this page.")
        if self._is_shown_as_it_is(prediction, frames):
            offset_s = 0.0 if frames.media is None else frames.media.offset_s
            return replace(shown, media=_address(frames.path, self.folder), no_media=_MOVED, offset_s=offset_s)
        copy = place.frame if prediction.num_frames == 1 else place.copy
        self._write_copy(prediction, copy, frames)
        # A copy that was encoded begins with the first frame; one that was not has the times of its original.
        kept = not self._hide and frames.media is not None and frames.media.is_played(frames.path)
        offset_s = frames.media.offset_s if kept and frames.media is not None else 0.0
        return replace(shown, media=_address(copy, self.folder), no_media=_NO_COPY, offset_s=offset_s)

    def _is_shown_as_it_is(self, prediction: Prediction, frames: FrameSource) -> bool:
        if self._hide or self._video == PageVideo.copy:
            return False
        if prediction.num_frames == 1:
            return frames.path.is_file() and frames.path.suffix.lower() in BROWSER_IMAGE_SUFFIXES
        return frames.media is not None and frames.media.is_played(frames.path)

    def _write_copy(self, prediction: Prediction, copy: Path, frames: FrameSource) -> None:
        if prediction.num_frames == 1:
            write_image_copy(frames, prediction, copy, self._hide)
            return
        with Progress(name_text(frames.path.name), "%") as progress:

            def on_progress(done: float) -> None:
                progress.set(int(100 * done), 100, "copying")

            if self._hide:
                write_hidden_copy(frames, prediction, copy, self._hide, on_progress)
            else:
                write_browser_copy(frames, copy, on_progress)


def _address(path: Path, folder: Path) -> str:
    """Return the address of a file relative to a folder; on another drive, its whole one."""
    try:
        relative = os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:
        return path.resolve().as_uri()
    return quote(Path(relative).as_posix().encode(errors="surrogateescape"))
