"""Lines on stderr: one each, whatever a name in them holds."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from dfer.cli import console


@pytest.mark.parametrize("name", ["a\nerror: b", "a\r\x1b[2Jb", "a\u2028b\x85c"])
def test_a_name_cannot_begin_a_line_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.configure_logging(debug=False)
    console.note(f"report: {name}")
    console.print_error(f"cannot read ({name})", hint=f"see {name}")
    logging.getLogger("dfer").warning("%s: damaged", name)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["report", "error", "hint", "warning"]
    assert not any(letter in line for line in lines for letter in "\r\x1b\x85\u2028")


@pytest.mark.parametrize("code", [130, 143])
def test_a_signal_while_python_executes_a_string_gives_the_usual_exit_code(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkout: Path
) -> None:
    """As dataclasses do on import: Python would remember the exception, and end itself by SIGINT."""
    program = f"""
import atexit, dfer.cli.app, dfer.__main__
def run(arguments):
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        return {code}
atexit.register(print, "at the end")
dfer.cli.app.run = run
dfer.__main__.main()
"""
    (tmp_path / "interrupted.py").write_text(program)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    done = subprocess.run([sys.executable, "-m", "interrupted"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "at the end\n", "")
