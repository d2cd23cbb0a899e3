"""Targets that are no regular files are written to, and never replaced by one."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dfer.errors import DferError
from dfer.runtime.files import atomic_path, write_bytes, write_text
from dfer.runtime.streams import STDOUT, is_stdout, is_stream


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, which must be empty afterwards."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("dfer.runtime.files.gettempdir", lambda: str(folder))
    return folder


def write_both_ways(path: Path) -> None:
    write_text(path, "one", to_stream=True)
    with atomic_path(path, to_stream=True) as temporary:
        temporary.write_text("two")


def test_a_pipe_gets_the_content_and_stays_a_pipe(tmp_path: Path, scratch: Path) -> None:
    pipe = tmp_path / "out.csv"
    os.mkfifo(pipe)
    received: list[str] = []

    def read() -> None:
        received.extend(pipe.read_text() for _ in range(2))

    reader = threading.Thread(target=read)
    reader.start()
    write_text(pipe, "one", to_stream=True)
    while len(received) < 1:  # the two writers would be one to the reader
        pass
    with atomic_path(pipe, to_stream=True) as temporary:
        temporary.write_text("two")
    reader.join()
    assert received == ["one", "two"]
    assert pipe.is_fifo()
    assert list(scratch.iterdir()) == []


def test_a_device_stays_a_device(scratch: Path) -> None:
    device = Path(os.devnull)
    write_both_ways(device)
    assert is_stream(device)
    assert device.is_char_device()
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("links", [["a"], ["b", "a"]], ids=["link", "link to a link"])
@pytest.mark.parametrize("exists", [True, False], ids=["file", "nothing yet"])
def test_a_link_is_followed_and_stays(tmp_path: Path, links: list[str], exists: bool) -> None:
    file = tmp_path / "elsewhere" / "file.txt"
    file.parent.mkdir()
    if exists:
        file.write_text("old")
    target = file
    for name in links:
        (tmp_path / name).symlink_to(os.path.relpath(target, tmp_path))
        target = tmp_path / name
    write_both_ways(target)
    assert target.is_symlink()
    assert file.read_text() == "two"
    assert list(file.parent.iterdir()) == [file]


def test_a_loop_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(DferError, match="cannot write: too many levels of symbolic links"):
        write_text(tmp_path / "a", "text")
    assert (tmp_path / "a").is_symlink()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link", "link to the link"])
def test_stdout_has_many_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "link to the link").symlink_to("link")
    path = tmp_path / name  # joined to an absolute name, it is that name
    text = io.StringIO()
    monkeypatch.setattr(sys, "stdout", text)
    write_both_ways(path)
    assert is_stdout(path)
    assert text.getvalue() == "onetwo"


def test_stdout_gets_utf8_in_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    binary = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(binary, "ascii"))
    write_text(STDOUT, "é字", to_stream=True)
    assert binary.getvalue().decode() == "é字"


def test_an_open_descriptor_is_written_to_where_it_stands(tmp_path: Path) -> None:
    with (tmp_path / "log.txt").open("w+") as file:
        file.write("before ")
        file.flush()
        write_both_ways(Path(f"/dev/fd/{file.fileno()}"))
        assert (tmp_path / "log.txt").read_text() == "before onetwo"


def test_a_reader_that_has_gone_is_a_broken_pipe(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        write_bytes(Path(f"/dev/fd/{writer}"), b"text", to_stream=True)
    os.close(writer)


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(DferError, match="cannot write"):
            write_text(Path("s"), "text", to_stream=True)
    assert Path("s").is_socket()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(os.devnull)], ids=["pipe", "device"])
def test_a_pipe_or_device_among_our_own_files_is_refused(
    tmp_path: Path, scratch: Path, make: Callable[[Path], object]
) -> None:
    path = tmp_path / "run.json"
    make(path)
    with pytest.raises(DferError, match="cannot write: not a regular file"):
        write_text(path, "text")
    with pytest.raises(DferError, match="cannot write: not a regular file"), atomic_path(path):
        pass
    assert is_stream(path)
    assert list(scratch.iterdir()) == []
