"""Models run by OpenVINO and onnxruntime compute what they do by torch, and are prepared once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from dfer.errors import DferError, UsageError
from dfer.model import VideoModel, graphs, on_onnxruntime, on_openvino
from dfer.model.graphs import GraphModel, keep, kept_graphs
from dfer.model.on_onnxruntime import run_on_onnxruntime
from dfer.model.on_openvino import run_on_openvino
from tests.conftest import CHECKOUT
from tests.unit.model.test_prepared import SIZES, build

RUNTIMES: dict[str, Callable[..., GraphModel]] = {"openvino": run_on_openvino, "onnxruntime": run_on_onnxruntime}
CLIPS = torch.randn(3, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "user_cache_dir", lambda *_args, **_options: str(tmp_path / "cache"))


def distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def files() -> list[Path]:
    return sorted(kept_graphs().iterdir())


@pytest.mark.parametrize(
    ("name", "runtime"),
    # To export for onnxruntime takes long.
    [*((name, "openvino") for name in SIZES), ("logo_former_s", "onnxruntime"), ("r2plus1d_18", "onnxruntime")],
)
@torch.inference_mode()
def test_other_runtimes_compute_what_torch_does(name: str, runtime: str) -> None:
    model = build(name)
    engine = RUNTIMES[runtime](model, threads=2)
    allowed = 0.05 if runtime == "openvino" else 1e-4  # OpenVINO rounds to 16 bits
    for clips in (CLIPS, CLIPS[:1]):
        expected = model.forward_features(clips)
        found = engine.forward_features(clips)
        assert found.dtype == torch.float32
        assert distance(found, expected) < allowed
        if engine.sees_frames_alone:
            maps = engine.frame_maps(clips)
            assert maps.shape == model.frame_maps(clips).shape
            torch.testing.assert_close(engine.encode(maps), found)
    assert engine.sees_frames_alone == (name != "r2plus1d_18")


@torch.inference_mode()
def test_several_threads_may_call_at_a_time() -> None:
    engine = run_on_openvino(build("resnet18_gru"), threads=2)
    expected = [engine.forward_features(clip[None]) for clip in CLIPS]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: engine.forward_features(CLIPS[n : n + 1]), [0, 1, 2] * 8))
    for number, features in enumerate(found):
        torch.testing.assert_close(features, expected[number % 3])


@pytest.mark.parametrize(("runtime", "module"), [("openvino", on_openvino), ("onnxruntime", on_onnxruntime)])
@torch.inference_mode()
def test_what_was_prepared_is_kept_and_a_damaged_file_is_made_again(
    runtime: str, module: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, exported = build("former_dfer"), []
    export = module._export  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "_export", lambda graph, *rest: (exported.append(graph.name), export(graph, *rest))[1])
    first = RUNTIMES[runtime](model, threads=2).forward_features(CLIPS)
    assert exported == ["frames", "windows"]
    assert len(files()) == 2
    torch.testing.assert_close(RUNTIMES[runtime](model, threads=2).forward_features(CLIPS), first)
    assert len(exported) == 2

    files()[0].write_bytes(b"not a graph")
    torch.testing.assert_close(RUNTIMES[runtime](model, threads=2).forward_features(CLIPS), first)
    assert len(exported) == 3
    assert files()[0].stat().st_size > 100


@torch.inference_mode()
def test_other_weights_are_not_answered_with_kept_ones() -> None:
    model = build("resnet18_gru")
    before = run_on_openvino(model, threads=1).forward_features(CLIPS)
    for parameter in model.parameters():
        parameter.data.mul_(1.5)
    after = run_on_openvino(model, threads=1).forward_features(CLIPS)
    assert distance(after, model.forward_features(CLIPS)) < 0.05
    assert distance(after, before) > 0.1
    assert len(files()) == 4


def test_the_longest_unused_files_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST_KEPT", 2)
    for age, name in ((30, "a"), (20, "b")):
        keep(name, name.encode, bytes)
        os.utime(kept_graphs() / name, (1e9 - age, 1e9 - age))
    assert keep("a", lambda: b"made again", bytes) == b"a"
    keep("c", lambda: b"c", bytes)
    assert [path.name for path in files()] == ["a", "c"]


def test_a_folder_that_cannot_be_written_to_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    assert keep("a", lambda: b"a", bytes) == b"a"


@pytest.mark.parametrize(
    ("runtime", "package", "extra"), [("openvino", "openvino", "openvino"), ("onnxruntime", "onnx", "export")]
)
def test_a_missing_package_is_named_with_its_extra(
    runtime: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"package {package}.*--runtime {runtime}") as raised:
        RUNTIMES[runtime](build("resnet18_gru"), threads=1)
    assert raised.value.hint == f"pip install 'dfer[{extra}]'"


def test_openvino_reports_its_use_to_nobody(tmp_path: Path) -> None:
    code = """
import socket, sys
from dfer.model.on_openvino import run_on_openvino
from tests.unit.model.test_prepared import build
asked = []
socket.getaddrinfo = lambda *args, **options: asked.append(args) or []
socket.socket.connect = lambda _self, address: asked.append(address)
run_on_openvino(build("resnet18_gru"), threads=1)
import threading
for thread in threading.enumerate():
    if thread is not threading.current_thread(): thread.join(10)
sys.exit(f"asked for {asked}" if asked or sys.modules["openvino_telemetry"] else 0)
"""
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "CI": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | home, capture_output=True, text=True, cwd=CHECKOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_a_model_that_openvino_cannot_take_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    model: VideoModel = build("resnet18_gru")

    def broken(*_args: object, **_options: object) -> None:
        raise RuntimeError("Check failed\nno such operation")

    monkeypatch.setattr("openvino.convert_model", broken)
    with pytest.raises(DferError, match=r"OpenVINO cannot take the model \(no such operation\)"):
        run_on_openvino(model, threads=1)
    assert not kept_graphs().exists()
