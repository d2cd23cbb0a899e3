"""Locks hold between processes, end with them, and name their owner."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dfer.errors import DferError
from dfer.runtime import locks
from dfer.runtime.locks import LockedError, Owner, lock_file

HOLDER = """
import sys, time
from pathlib import Path
from dfer.runtime.locks import lock_file
with lock_file(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_TRIES", 1)


def test_another_process_is_refused_and_told_who_has_it_until_that_one_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "run" / ".lock"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(LockedError) as error, lock_file(path):
            pass
        holder.kill()
    assert error.value.owner is not None
    assert (error.value.owner.pid, error.value.owner.host) == (holder.pid, socket.gethostname())
    assert path.exists()
    with lock_file(path):  # what a kill left does not count
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()


def test_a_lock_is_released_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock_file(tmp_path / "lock"):
        raise ZeroDivisionError
    with lock_file(tmp_path / "lock"):
        pass


@pytest.mark.parametrize(
    ("owner", "refused"),
    [
        pytest.param(None, False, id="nobody"),
        pytest.param(Owner(os.getpid(), socket.gethostname(), psutil.Process().create_time()), True, id="running"),
        pytest.param(Owner(os.getpid(), socket.gethostname(), 1.0), False, id="its number is used again"),
        pytest.param(Owner(2**22 + 1, socket.gethostname(), 1.0), False, id="ended"),
        pytest.param(Owner(1, "elsewhere", 1.0), False, id="another machine"),
    ],
)
def test_where_there_are_no_locks_the_owner_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Owner | None, refused: bool
) -> None:
    monkeypatch.setattr(locks, "try_lock", lambda _handle, **_how: None)
    path = tmp_path / "lock"
    if owner is not None:
        path.write_text(json.dumps(vars(owner)))
    if refused:
        with pytest.raises(LockedError), lock_file(path):
            pass
        assert path.exists()
        return
    with lock_file(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("content", ["", "{", '{"pid": 1}', "[]"])
def test_a_damaged_lock_does_not_count(tmp_path: Path, content: str) -> None:
    (tmp_path / "lock").write_text(content)
    with lock_file(tmp_path / "lock"):
        pass


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DferError, match="cannot write"), lock_file(tmp_path / "file" / "lock"):
        pass
