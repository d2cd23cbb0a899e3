"""Atomic writes: permissions, what failures leave behind, and races between processes."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dfer.errors import DferError
from dfer.runtime.files import atomic_path, create_json, is_unfinished, remove_unfinished, write_json, write_text


@pytest.fixture
def umask() -> Iterator[int]:
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_have_the_permissions_of_the_umask(tmp_path: Path, umask: int) -> None:
    write_text(tmp_path / "a.txt", "a")
    with atomic_path(tmp_path / "a.safetensors") as temporary:
        save_file({"a": torch.zeros(1)}, temporary)  # gives its files a mode of its own
    assert mode(tmp_path / "a.txt") == mode(tmp_path / "a.safetensors") == 0o666 & ~umask


def test_writing_never_changes_the_umask(tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The umask belongs to the whole process: a change, however short, would open other threads' files to everyone."""
    changes: list[int] = []
    monkeypatch.setattr(os, "umask", lambda mask: changes.append(mask) or umask)
    write_text(tmp_path / "a.txt", "a")
    assert changes == []


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "a.txt", tmp_path):
        with pytest.raises(DferError, match="cannot write") as error:
            write_text(path, "a")
        assert error.value.where == str(path)
    assert [path.name for path in tmp_path.parent.iterdir() if is_unfinished(path)] == []


def test_temporary_files_are_known_by_their_names(tmp_path: Path) -> None:
    write_text(tmp_path / "sub" / "a.txt", "a")
    with atomic_path(tmp_path / "sub" / "b.json") as temporary:
        assert temporary.suffix == ".json"
        assert is_unfinished(temporary)
        assert not is_unfinished(tmp_path / "sub" / "a.txt")
        (left := temporary.with_name(".c.0123456789ab.tmp.json")).touch()
    remove_unfinished(tmp_path)
    assert not left.exists()
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == ["a.txt", "b.json"]


def test_one_of_many_creates_a_file(tmp_path: Path) -> None:
    path = tmp_path / "claim.json"
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(partial(create_json, path), range(32))) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_nan_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("x" * 251 + ".csv", id="255 bytes"),
        pytest.param("字" * 83 + ".json", id="83 Chinese characters"),
        pytest.param(os.fsdecode(b"\xff\xfe" * 120 + b".png"), id="not UTF-8"),
        pytest.param("a\nb\r\\.json", id="line breaks and a backslash"),
        pytest.param("a." + "s" * 200, id="a long suffix"),
        pytest.param("no suffix", id="no suffix"),
    ],
)
def test_any_name_can_be_written(tmp_path: Path, name: str) -> None:
    with atomic_path(tmp_path / name) as temporary:
        assert len(os.fsencode(temporary.name)) <= 143  # what an encrypted file system allows
        assert is_unfinished(temporary)
        temporary.write_text("text")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "text")]


@pytest.mark.parametrize("name", [".hidden.tmp.mp4", "a.0123456789ab.tmp.json", ".x.tmp", "clip.tmp"])
def test_other_peoples_files_are_not_taken_for_temporary(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    remove_unfinished(tmp_path)
    assert (tmp_path / name).exists()


def test_text_with_bytes_that_are_not_utf8_is_written_and_comes_back(tmp_path: Path) -> None:
    value = {"path": os.fsdecode(b"a\xff/\xe5\xad\x97")}
    write_json(tmp_path / "a.json", value)
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == value
