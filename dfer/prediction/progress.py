"""Answers that are kept as soon as they are known, so that a run over many videos goes on after whatever ends it.

They lie beside the output, in FILE.progress: a line with the settings, then a line for each video that is answered. An
answer counts as long as its video has the same path, size and time of change. A shard writes to a file of its own,
FILE.progress-I-of-N; a run over all inputs reads these too.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from dfer.errors import DataError, UsageError, os_reason
from dfer.names import name_text
from dfer.prediction.inputs import Input
from dfer.prediction.saved import is_possible
from dfer.records import IMAGE_SUFFIXES, Prediction
from dfer.runtime.files import companion_path, write_error, write_text
from dfer.runtime.formatting import shorten_home
from dfer.runtime.journal import Journal, read_journal, require_idle
from dfer.runtime.reading import open_regular, parse_json
from dfer.settings import STRICT, read_record, show_value

SCHEMA: Literal["dfer.progress/1"] = "dfer.progress/1"
_MAX_BYTES = 20_000_000_000
_MAX_HEADER_BYTES = 1_000_000
_SHARD = re.compile(r"\.progress-([1-9][0-9]*)-of-([1-9][0-9]*)$")
_SCRATCH_HINT = "--no-resume starts from scratch"


@dataclass(frozen=True)
class Video:
    """A file or folder as it was when it was read.

    Attributes:
        path: absolute, as `name_text` has it, with the home folder as ~.
        size: bytes; of a folder, its images' sum.
        modified_ns: when it was changed; of a folder, the latest time of its own and its images'.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    path: Annotated[str, Field(max_length=10_000)]
    size: Annotated[int, Field(ge=0)]
    modified_ns: int

    @classmethod
    def at(cls, source: Path) -> Video | None:
        """Return the video that is there now, or None if it cannot be reached."""
        try:
            found = source.stat()
            size, modified_ns = found.st_size, found.st_mtime_ns
            if source.is_dir():
                with os.scandir(source) as entries:
                    images = [entry for entry in entries if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES]
                    stats = [entry.stat(follow_symlinks=False) for entry in images]
                size = sum(image.st_size for image in stats)
                modified_ns = max([modified_ns, *(image.st_mtime_ns for image in stats)])
        except OSError:
            return None
        return cls(shorten_home(name_text(source.absolute())), size, modified_ns)

    @classmethod
    def of(cls, source: Input) -> Video | None:
        """Return the video of an input; None if it cannot be reached, or comes from elsewhere than a file."""
        return cls.at(source.path) if source.is_local else None


@dataclass(frozen=True)
class _Header:
    """The first line."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    schema: Literal["dfer.progress/1"]
    settings: dict[str, Any]


@dataclass(frozen=True)
class _Answer:
    """Each further line."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    video: Video
    prediction: Prediction


class ProgressFile:
    """The answers of a run and of those before it with the same settings.

    Use it as a context manager; the file stays until `remove` is called. One run at a time may write to it.

    Args:
        output: the file whose answers these will be.
        settings: `Predictor.settings`.
        resume: use the answers that an earlier run left; otherwise drop them.
        part: the shard, (i, n) with i from 1 to n; (1, 1) for a run over all inputs.

    Raises:
        UsageError: (on entering) the answers that are there were made with other settings.
        DataError: (on entering) what is there is no such file, or cannot be read.
        DferError: (on entering) it cannot be written, or another run is writing to it.
    """

    def __init__(self, output: Path, settings: dict[str, Any], *, resume: bool, part: tuple[int, int] = (1, 1)) -> None:
        self.path = _place(output, part)
        self._output, self._whole = output, part == (1, 1)
        self._settings, self._resume = settings, resume
        self._known: dict[Video, Prediction] = {}

    def __enter__(self) -> ProgressFile:
        if self._resume:
            for path in [self.path, *self._others()]:
                if path.exists():
                    self._read(path)
        if not (self._resume and self.path.exists()):
            write_text(self.path, json.dumps({"schema": SCHEMA, "settings": self._settings}) + "\n")
        self._journal = Journal(self.path, what="file", durable=True).__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.__exit__()

    def find(self, source: Path) -> Prediction | None:
        """Return the answer about a video, if it is known and the video is unchanged."""
        video = Video.at(source) if self._known else None
        found = None if video is None else self._known.get(video)
        return None if found is None else replace(found, source=name_text(source))

    def add(self, video: Video, prediction: Prediction) -> None:
        """Keep the answer about a video; it is on the disk afterwards.

        Raises:
            DferError: the disk is full, or is gone.
        """
        self._journal.append(_Answer(video, prediction))
        self._known[video] = prediction

    def remove(self) -> None:
        """Delete the file and those of shards, once the outputs are written."""
        for path in [self.path, *self._others()]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise write_error(path, error) from error

    def _others(self) -> list[Path]:
        """Return the files of the shards, or of the other shards and of a run over all inputs."""
        parts = [(1, 1)]
        with suppress(OSError):
            found = map(_SHARD.search, os.listdir(_place(self._output, (1, 1)).parent))  # noqa: PTH208 - names alone
            parts += sorted({(int(match[1]), int(match[2])) for match in found if match})
        return [path for part in parts if (path := _place(self._output, part)) != self.path and path.exists()]

    def _read(self, path: Path) -> None:
        """Read the answers that a run left.

        Raises:
            DferError: as for entering; or a shard is still running whose answers this run over all inputs needs.
        """
        if self._whole and path != self.path:
            require_idle(path, "file")
        self._require_same_settings(path, _read_settings(path))
        self._known.update((answer.video, answer.prediction) for answer in self._read_answers(path))

    def _require_same_settings(self, path: Path, theirs: dict[str, Any]) -> None:
        ours = self._settings
        different = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
        if different:
            changes = ", ".join(
                f"{key} {show_value(theirs.get(key))} -> {show_value(ours.get(key))}" for key in different
            )
            raise UsageError(
                f"the answers that an earlier run left were made with other settings: {changes}",
                where=path,
                hint=f"use the same settings, or another file for the output; {_SCRATCH_HINT}",
            )

    def _read_answers(self, path: Path) -> Iterator[_Answer]:
        labels = self._settings["labels"]
        try:
            for answer in read_journal(path, _Answer, max_bytes=_MAX_BYTES):
                if is_possible(answer.prediction, labels):
                    yield answer
        except OSError as error:
            raise DataError(
                f"cannot read the answers of an earlier run: {os_reason(error)}", where=path, hint=_SCRATCH_HINT
            ) from error


def _place(output: Path, part: tuple[int, int]) -> Path:
    return companion_path(output, ".progress" if part == (1, 1) else f".progress-{part[0]}-of-{part[1]}")


def _read_settings(path: Path) -> dict[str, Any]:
    """Read the first line.

    Raises:
        DataError: it is not that of such a file.
    """
    what = "these are not the answers of an earlier run"
    try:
        with open_regular(path) as file:
            values = parse_json(file.readline(_MAX_HEADER_BYTES))
    except OSError as error:
        raise DataError(f"{what}: {os_reason(error)}", where=path, hint=_SCRATCH_HINT) from error
    except ValueError as error:
        hint = f"{_SCRATCH_HINT}, and replaces the file"
        raise DataError(f"{what}: {error!s:.100}", where=path, hint=hint) from error
    return read_record(_Header, values, what=what, where=path, error=DataError, hint=_SCRATCH_HINT).settings
