"""The outputs of a command: checked before any work begins, then written atomically.

An output is a file, or "-" for stdout; pipes and devices are written to. Its suffix decides the format. It may not be
one of the command's inputs, nor lie inside a folder that is one.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

from dfer.cli.console import stdout
from dfer.errors import DferError, UsageError
from dfer.names import name_text
from dfer.runtime.filenames import require_possible
from dfer.runtime.files import companion_path, is_inside, is_same_file, reported, write_error, write_json, write_text
from dfer.runtime.locks import LockedError, lock_file
from dfer.runtime.streams import STDOUT, is_stdout, is_stream, open_stream

if TYPE_CHECKING:
    from rich.console import RenderableType
    from typing_extensions import Self

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
CSV_SUFFIXES = (".csv",)
_ONE_LINE_EACH = (".jsonl", ".ndjson")

Item = TypeVar("Item")


@dataclass(frozen=True)
class Output:
    """A file to write, as an option named it.

    Attributes:
        option: such as "--csv".
        path: the file; `STDOUT` for "-".
        suffixes: the accepted ones, in lower case, the usual one first.
        optional_suffix: whether a name without a suffix is accepted too.
    """

    option: str
    path: Path
    suffixes: Sequence[str]
    optional_suffix: bool = False

    @property
    def is_stdout(self) -> bool:
        """True if it goes to stdout, so that nothing else may be printed there."""
        return is_stdout(self.path)


def output(
    option: str, target: str | Path | None, suffixes: Sequence[str], *, optional_suffix: bool = False
) -> Output | None:
    """Return the output that an option names, or None if it was not given."""
    if target is None:
        return None
    return Output(option, STDOUT if str(target) == "-" else Path(target), suffixes, optional_suffix)


def json_output(target: str | Path | None) -> Output | None:
    """Return the output of --json; without a suffix it is JSON too."""
    return output("--json", target, JSON_SUFFIXES, optional_suffix=True)


def csv_output(target: str | Path | None) -> Output | None:
    """Return the output of --csv; without a suffix it is CSV too."""
    return output("--csv", target, CSV_SUFFIXES, optional_suffix=True)


def check_outputs(*outputs: Output | None, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse outputs that could not be written as they are named, or would destroy something.

    Args:
        outputs: of the command; None where an option was not given.
        inputs: files and folders that the command reads; None where an option was not given.

    Raises:
        UsageError: a suffix names no format, an output is an input or inside one, or two outputs are the same.
        DferError: a name is a folder's, is too long or no file can have it, or its folder may not be entered.
    """
    given = [item for item in outputs if item is not None]
    sources = [path for path in inputs if path is not None]
    for number, item in enumerate(given):
        _check_suffix(item)
        _check_name(item.path)
        require_apart(item.path, sources, option=item.option)
        for other in given[:number]:
            if is_same_file(item.path, other.path) or (item.is_stdout and other.is_stdout):
                where = "stdout" if item.is_stdout else item.path
                raise UsageError(f"{other.option} and {item.option} would write to the same place", where=where)
        if item.is_stdout and sys.stdout is None:
            raise UsageError("stdout is closed", where=item.option, hint="name a file instead of -")


def require_apart(path: Path, inputs: Iterable[Path], *, option: str) -> None:
    """Refuse an output that is one of the inputs, by whatever name, or lies inside a folder that is one.

    Args:
        path: the file or folder to write.
        inputs: files and folders that are read.
        option: that named the output.

    Raises:
        UsageError: it is, or does.
    """
    if is_stream(path):
        return
    for source in inputs:
        if is_same_file(path, source):
            raise UsageError(
                f"{option} would overwrite an input: it is the same as {name_text(source)}",
                where=path,
                hint="give the output another name",
            )
        if source.is_dir() and is_inside(path, source):
            raise UsageError(
                f"{option} would write into an input: it is inside {name_text(source)}",
                where=path,
                hint="write to another folder",
            )


@contextmanager
def claim_outputs(*outputs: Output | None) -> Iterator[None]:
    """Keep other processes from writing to the same files in the block; folders that are missing are created.

    Args:
        outputs: of the command; None where an option was not given. Pipes and devices are not claimed.

    Raises:
        DferError: another process is writing to one, or its folder cannot be written.
    """
    with ExitStack() as stack:
        for item in outputs:
            if item is not None and not is_stream(item.path):
                stack.callback(_remove_empty, [folder for folder in item.path.parents if not folder.exists()])
                _claim(stack, item.path)
        yield


def _claim(stack: ExitStack, path: Path) -> None:
    try:
        stack.enter_context(lock_file(companion_path(path, ".lock", hidden=True)))
    except LockedError as error:
        raise error.as_error("is writing this file", path) from None
    except DferError as error:  # names the lock
        raise DferError(error.what, where=path, hint=error.hint) from error


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, the innermost first, as far as they are empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


class Growing(ABC, Generic[Item]):
    """An output about many inputs: a stream gets each item when it is known, a file all at the end.

    Use it as a context manager.

    Args:
        target: None if it was not asked for.
    """

    def __init__(self, target: Output | None) -> None:
        self._target = target
        self._items: list[Item] = []

    @abstractmethod
    def part(self, item: Item) -> str:
        """Return the text of an item in a stream; the items before it are in `_items`."""

    @abstractmethod
    def write_file(self, target: Output, items: Sequence[Item]) -> None:
        """Write the file."""

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._stream: IO[bytes] | None = None
        if self._target is not None and is_stream(self._target.path):
            with reported(self._target.path):
                self._stream = self._stack.enter_context(open_stream(self._target.path))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._stack.close()
        else:
            with suppress(OSError):  # the first failure is the one to report
                self._stack.close()

    def add(self, item: Item) -> None:
        """Write an item to the stream, or keep it for the file.

        Raises:
            DferError: it cannot be written.
            BrokenPipeError: the reader of a pipe has gone.
        """
        if self._target is None:
            return
        if self._stream is not None:
            with reported(self._target.path):
                self._stream.write(self.part(item).encode(errors="backslashreplace"))
                self._stream.flush()
        self._items.append(item)

    def finish(self) -> None:
        """Write the file, if the output is one."""
        if self._target is not None and self._stream is None:
            self.write_file(self._target, self._items)


class JsonResults(Growing[dict[str, Any]]):
    """Results as JSON, see `write_json_result`; the target is that of `json_output`."""

    def part(self, item: dict[str, Any]) -> str:
        """Return a line."""
        return _line(item)

    def write_file(self, target: Output, items: Sequence[dict[str, Any]]) -> None:
        """Write all results."""
        write_json_result(target, items)


def _line(result: dict[str, Any]) -> str:
    return json.dumps(result, ensure_ascii=False, allow_nan=False) + "\n"


def write_json_result(target: Output, results: Sequence[dict[str, Any]]) -> None:
    """Write one object as JSON, several as JSON Lines; so is one that goes to stdout or a file of JSON Lines.

    Args:
        target: of `json_output`.
        results: the objects.
    """
    if len(results) == 1 and not (target.is_stdout or target.path.suffix.lower() in _ONE_LINE_EACH):
        write_json(target.path, results[0], to_stream=True)
        return
    write_text(target.path, "".join(map(_line, results)), to_stream=True)


def give_result(target: Output | None, result: dict[str, Any], make_table: Callable[[], RenderableType]) -> None:
    """Write a result as JSON if that was asked for, and print its table unless the JSON has taken stdout.

    Args:
        target: of `json_output`.
        result: the object.
        make_table: returns the table.
    """
    if target:
        write_json_result(target, [result])
    if not (target and target.is_stdout):
        stdout.print(make_table())


class TextOutputs:
    """The outputs of a command that gives tables: --json, --markdown and --latex, else the terminal's form on stdout.

    Args:
        json: as named, or None.
        markdown: likewise.
        latex: likewise.
        others: further outputs of the command.
        inputs: files and folders that the command reads.

    Raises:
        UsageError: as for `check_outputs`.
    """

    def __init__(
        self,
        *,
        json: str | None,
        markdown: str | None,
        latex: str | None,
        others: Sequence[Output | None] = (),
        inputs: Iterable[Path] = (),
    ) -> None:
        self._json = json_output(json)
        self._markdown = output("--markdown", markdown, (".md",), optional_suffix=True)
        self._latex = output("--latex", latex, (".tex",), optional_suffix=True)
        check_outputs(self._json, self._markdown, self._latex, *others, inputs=inputs)

    def write(
        self,
        *,
        result: dict[str, Any],
        markdown: Callable[[], str],
        latex: Callable[[], str],
        view: Callable[[], RenderableType],
    ) -> None:
        """Write what was asked for, and print the terminal's form unless stdout is taken.

        Args:
            result: the JSON object.
            markdown: returns the tables in Markdown.
            latex: returns them in LaTeX.
            view: returns them for the terminal.
        """
        if self._json:
            write_json_result(self._json, [result])
        for target, text in ((self._markdown, markdown), (self._latex, latex)):
            if target:
                write_text(target.path, text(), to_stream=True)
        if not any(target and target.is_stdout for target in (self._json, self._markdown, self._latex)):
            stdout.print(view())


def _check_suffix(item: Output) -> None:
    suffix = item.path.suffix.lower()
    if is_stream(item.path) or suffix in item.suffixes or (not suffix and item.optional_suffix):
        return
    what = f"cannot write {suffix!r}" if suffix else "the name has no suffix to tell the format"
    raise UsageError(f"{item.option}: {name_text(what)}", where=item.path, hint=f"accepted: {', '.join(item.suffixes)}")


def _check_name(path: Path) -> None:
    try:
        require_possible(path)
        if path.is_dir():  # also one without a name, such as "" and "/"
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise write_error(path, error) from error
