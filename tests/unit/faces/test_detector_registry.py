"""The registry of detectors, and the search for SCRFD's weights."""

from __future__ import annotations

import http.server
import io
import logging
import shutil
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.cli.app import run
from dfer.errors import DferError, UsageError
from dfer.faces import detectors
from dfer.faces.detectors import (
    AUTO,
    DETECTORS,
    FALLBACK,
    PREFERRED,
    Detector,
    DetectorEntry,
    build_detector,
    find_detector_weights,
    resolve_detector,
    weights,
)
from dfer.records import Face


@pytest.fixture(autouse=True)
def no_weights_about(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty home, no network, nothing remembered of earlier tests."""
    monkeypatch.delenv(weights.WEIGHTS_ENV, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(weights, "PACK_URL", "http://127.0.0.1:9/none.zip")
    for remembered in (weights.download_detector_weights, detectors._warn_of_fallback):
        remembered.cache_clear()
    yield
    for remembered in (weights.download_detector_weights, detectors._warn_of_fallback):
        remembered.cache_clear()


class TestRegistry:
    @pytest.mark.parametrize("name", DETECTORS)
    def test_detector_has_the_name_of_its_key_and_a_help_sentence(self, name: str, scrfd_weights: Path) -> None:
        assert build_detector(name, scrfd_weights).name == name
        assert len(DETECTORS[name].help) > 10
        assert not DETECTORS[name].help.endswith(".")

    def test_fallback_needs_no_weights(self) -> None:
        assert AUTO not in DETECTORS
        assert DETECTORS[PREFERRED].find_weights
        assert not DETECTORS[FALLBACK].find_weights

    def test_one_line_adds_a_detector(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Blind(Detector):
            name = "blind"

            def detect(self, frame_rgb: NDArray[np.uint8], around: NDArray[np.float64] | None = None) -> list[Face]:  # noqa: ARG002
                return []

        monkeypatch.setitem(DETECTORS, "blind", DetectorEntry(lambda _weights: Blind(), "finds nothing"))
        assert isinstance(build_detector("blind"), Blind)
        with pytest.raises(UsageError) as caught:
            build_detector("blond")
        assert "auto, scrfd, haar, none, blind" in str(caught.value.hint)

    def test_the_command_line_takes_the_names_and_help_of_the_registry(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("COLUMNS", "400")
        assert run(["predict", "--help"]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert all(entry.help in shown for entry in DETECTORS.values())
        assert run(["predict", "clip.mp4", "--detector", "retina"]) == 2
        assert capsys.readouterr().err.splitlines() == [
            "error: unknown detector 'retina'",
            f"hint: known detectors: {', '.join((AUTO, *DETECTORS))}",
        ]

    def test_resolved_name_and_weights_build_the_same_detector(self, scrfd_weights: Path) -> None:
        name, file = resolve_detector("auto", scrfd_weights)
        assert (name, file) == ("scrfd", find_detector_weights(scrfd_weights))
        assert build_detector(name, file).name == "scrfd"

    @pytest.mark.parametrize(("name", "resolved"), [("auto", "haar"), ("haar", "haar"), ("none", "none")])
    def test_detectors_without_weights_resolve_to_themselves(self, name: str, resolved: str) -> None:
        assert resolve_detector(name) == (resolved, None)

    def test_unusable_weights_fail_when_the_name_is_resolved(self, tmp_path: Path) -> None:
        (tmp_path / "det_x.onnx").write_bytes(b"onnx")
        with pytest.raises(DferError, match="cannot load the detector"):
            resolve_detector("auto", tmp_path)


class TestWeights:
    def put(self, file: Path) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"onnx")
        return file

    @pytest.mark.parametrize("name", ["det_500m.onnx", "other.onnx", "buffalo_s/det_500m.onnx"])
    def test_folder_or_file(self, name: str, tmp_path: Path) -> None:
        file = self.put(tmp_path / "given" / name)

        assert find_detector_weights(file) == file
        assert find_detector_weights(tmp_path / "given") == file

    def test_detector_among_other_weights(self, tmp_path: Path) -> None:
        self.put(tmp_path / "1k3d68.onnx")
        file = self.put(tmp_path / "det_10g.onnx")
        self.put(tmp_path / "w600k_r50.onnx")
        assert find_detector_weights(tmp_path) == file

    def test_order(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert find_detector_weights() is None
        small = self.put(weights.insightface_models() / "buffalo_sc" / "det_500m.onnx")
        assert find_detector_weights() == small
        large = self.put(weights.insightface_models() / "buffalo_l" / "det_10g.onnx")
        assert find_detector_weights() == large
        larger_pack = self.put(weights.own_models() / "buffalo_l" / "det_10g.onnx")
        large.unlink()
        assert find_detector_weights() == larger_pack
        named = self.put(tmp_path / "env" / "det_500m.onnx")
        monkeypatch.setenv(weights.WEIGHTS_ENV, str(named.parent))
        assert find_detector_weights() == named
        given = self.put(tmp_path / "given.onnx")
        assert find_detector_weights(given) == given

    @pytest.mark.parametrize("by", ["argument", "environment"])
    @pytest.mark.parametrize("kind", ["auto", "scrfd"])
    def test_named_but_missing(self, by: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        gone = tmp_path / "gone"
        monkeypatch.setenv(weights.WEIGHTS_ENV, str(gone) if by == "environment" else "")
        with pytest.raises(DferError, match="gone") as caught:
            build_detector(kind, gone if by == "argument" else None)
        assert caught.value.hint

    def test_folder_without_weights(self, tmp_path: Path) -> None:
        with pytest.raises(DferError, match=r"without \.onnx"):
            find_detector_weights(tmp_path)

    def test_broken_file(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(DferError, match=r"cannot load the detector.*det_x\.onnx") as caught:
            build_detector("auto", self.put(tmp_path / "det_x.onnx"))
        assert "\n" not in str(caught.value)
        assert capfd.readouterr().out == ""

    def test_scrfd_without_weights(self) -> None:
        with pytest.raises(DferError, match="no weights") as caught:
            build_detector("scrfd")
        assert weights.WEIGHTS_ENV in str(caught.value.hint)

    def test_auto_falls_back_aloud_once(self, caplog: pytest.LogCaptureFixture) -> None:
        assert [build_detector("auto").name for _ in range(3)] == ["haar"] * 3
        (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert "Haar" in record.getMessage()

    def test_haar_asks_for_no_weights(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv(weights.WEIGHTS_ENV, str(tmp_path / "gone"))
        assert build_detector("haar").name == "haar"

    def test_unknown_kind(self) -> None:
        with pytest.raises(UsageError, match="retina"):
            build_detector("retina")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """Serves the bytes under "pack" where the detector's pack is downloaded from."""
    content: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if content["pack"] == b"hang":
                threading.Event().wait(2)
                return
            self.send_response(200)
            self.send_header("Content-Length", content.get("length", str(len(content["pack"]))))
            self.end_headers()
            self.wfile.write(content["pack"])

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setattr(weights, "PACK_URL", f"http://127.0.0.1:{running.server_port}/buffalo_sc.zip")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield content
        running.shutdown()


def zipped(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as pack:
        pack.writestr(name, data)
        pack.writestr("w600k_mbf.onnx", b"not wanted")
    return stream.getvalue()


class TestDownload:
    def test_pack_is_kept(self, server: dict[str, bytes], scrfd_weights: Path) -> None:
        original = find_detector_weights(scrfd_weights)
        assert original is not None
        server["pack"] = zipped("det_500m.onnx", original.read_bytes())

        assert build_detector("auto").name == "scrfd"
        kept = weights.own_models() / "buffalo_sc" / "det_500m.onnx"
        assert kept.read_bytes() == original.read_bytes()
        assert find_detector_weights() == kept
        assert [file.name for file in kept.parent.iterdir()] == [kept.name]

    @pytest.mark.parametrize(
        "pack",
        [b"no zip", zipped("other.txt", b"x"), zipped("det_500m.onnx", b"x" * 999)[:600], b"hang"],
        ids=["no zip", "no detector in it", "cut off", "server hangs"],
    )
    def test_failure_leaves_nothing(
        self, pack: bytes, server: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(weights, "TIMEOUT_S", 0.3)
        server["pack"] = pack

        file, reason = weights.download_detector_weights()

        assert file is None
        assert reason
        assert list(weights.own_models().rglob("*.*")) == []
        assert build_detector("auto").name == "haar"

    def test_unwritable_cache(self, server: dict[str, bytes], tmp_path: Path) -> None:
        server["pack"] = zipped("det_500m.onnx", b"x")
        shutil.rmtree(tmp_path / "home", ignore_errors=True)
        (tmp_path / "home").write_text("a file where the folder should be")

        assert weights.download_detector_weights()[0] is None
