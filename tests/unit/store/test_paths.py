"""Names of clips' files: unchanged for ordinary ids, and for all others names that fit, stay inside and stay apart."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from dfer.store import clip_path

ORDINARY = ("1", "00001", "Action/Happy/0267", "happy/clip 1.mp4", "Zoë/喜/a-b_c (2).avi", "-dash", "x~1", "100%", "q'")
# What systems refuse, hide or take for something else, and ids that would lead outside.
AWKWARD = [
    "", ".", "..", "../x", "a//b", "a/../b", "/etc/passwd", "a/", "a\\b", "a\0b", "a\rb", "a\nb", "a:b", "what?", 'q"q',
    "<a>", "a|b", "a*", ".hidden", ".x.0123.tmp.mp4", "trailing.", "trailing ", "CON", "con.mp4", "x/NUL/y", "LPT1.a",
    "a.zip/b", "a.ZIP/b", "x" * 231, "x" * 255, "字" * 80, os.fsdecode(b"\xff\xfe"), "\ud800", "a~0123456789abcdef",
    "/".join(["x" * 200] * 30), "x" * 100_000,
]  # fmt: skip


def parts(clip_id: str) -> tuple[str, ...]:
    return clip_path(Path("store"), clip_id).relative_to("store/crops").parts


@pytest.mark.parametrize("clip_id", ORDINARY)
def test_an_ordinary_id_is_its_own_path(clip_id: str) -> None:
    assert "/".join(parts(clip_id)) == f"{clip_id}.zip"


@pytest.mark.parametrize("clip_id", ["x" * 230, "字" * 76])
def test_names_of_up_to_230_bytes_are_kept(clip_id: str) -> None:
    assert parts(clip_id) == (f"{clip_id}.zip",)


@pytest.mark.parametrize("clip_id", AWKWARD, ids=lambda text: ascii(text)[:30])
def test_any_id_has_a_name_that_fits_on_every_disk(clip_id: str) -> None:
    for part in parts(clip_id):
        assert len(part.encode()) <= 234
        assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', part)
        assert part[0] != "."
        assert part[-1] not in ". "
        assert part.split(".")[0].strip().upper() not in ("CON", "NUL", "LPT1")
    assert len("/".join(parts(clip_id))) <= 1100
    assert all(not part.lower().endswith(".zip") for part in parts(clip_id)[:-1])


def test_different_ids_have_different_files_also_where_case_is_ignored() -> None:
    derived = [parts(clip_id)[-1].removesuffix(".zip") for clip_id in AWKWARD]
    ids = [*ORDINARY, *AWKWARD, *derived, "A\\b", "WHAT?", "X" * 255]
    assert len({"/".join(parts(clip_id)).casefold() for clip_id in ids}) == len(set(ids))


@pytest.mark.parametrize("clip_id", [clip_id for clip_id in AWKWARD if clip_id])
def test_the_beginning_stays_readable(clip_id: str) -> None:
    if clip_id.startswith("x" * 200):
        assert parts(clip_id)[0].startswith("x" * 60)
    assert clip_path(Path("a"), clip_id) == clip_path(Path("a"), clip_id)


def test_files_can_be_made(tmp_path: Path) -> None:
    for clip_id in AWKWARD:
        path = clip_path(tmp_path, clip_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(clip_id.encode("unicode_escape").decode())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == len(AWKWARD)
    assert all(path.is_relative_to(tmp_path / "crops") for path in files)
