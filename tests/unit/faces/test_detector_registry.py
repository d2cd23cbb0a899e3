"""The registry of detectors, and the search for SCRFD's weights."""

from __future__ import annotations

import hashlib
import http.server
import io
import logging
import os
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
    detectors._say_choice.cache_clear()
    yield
    detectors._say_choice.cache_clear()


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
        assert "auto, scrfd, centerface, haar, none, blind" in str(caught.value.hint)

    def test_the_command_line_takes_the_names_and_help_of_the_registry(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("COLUMNS", "800")
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

    @pytest.mark.parametrize(
        ("name", "resolved"), [("auto", "centerface"), ("centerface", "centerface"), ("haar", "haar"), ("none", "none")]
    )
    def test_detectors_without_weights_resolve_to_themselves(self, name: str, resolved: str) -> None:
        assert resolve_detector(name) == (resolved, None)

    def test_unusable_weights_fail_when_the_name_is_resolved(self, tmp_path: Path) -> None:
        (tmp_path / "det_x.onnx").write_bytes(b"onnx")
        with pytest.raises(DferError, match="cannot load the detector"):
            resolve_detector("auto", tmp_path)


class TestChecksums:
    def altered(self, original: Path, target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        data = bytearray(original.read_bytes())
        data[-100] ^= 1
        target.write_bytes(data)
        return target

    def test_a_published_detector_is_known_by_its_content(
        self, scrfd_weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        original = find_detector_weights(scrfd_weights)
        assert original is not None
        shutil.copy(original, tmp_path / "renamed.onnx")
        with caplog.at_level("INFO", "dfer"):
            weights.verify_detector_weights(tmp_path / "renamed.onnx")
        assert caplog.text == ""

    def test_an_altered_one_is_refused_under_its_name_and_in_the_cache(
        self, scrfd_weights: Path, tmp_path: Path
    ) -> None:
        original = find_detector_weights(scrfd_weights)
        assert original is not None
        in_cache = weights.own_models() / "buffalo_sc" / "mine.onnx"
        for target in (tmp_path / "det_500m.onnx", in_cache):
            with pytest.raises(DferError, match="damaged or altered") as caught:
                build_detector("scrfd", self.altered(original, target))
            assert "another file name" in str(caught.value.hint)

    def test_a_detector_of_ones_own_is_loaded_and_the_log_says_so(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        own = tmp_path / "mine.onnx"
        own.write_bytes(b"onnx")
        with caplog.at_level("INFO", "dfer"):
            weights.verify_detector_weights(own)
        assert "unverified detector weights" in caplog.text

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "det_500m.onnx")
        with pytest.raises(DferError, match="not a regular file"):
            weights.verify_detector_weights(tmp_path / "det_500m.onnx")


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
        assert "dfer doctor --get scrfd" in str(caught.value.hint)

    @pytest.mark.parametrize("name", ["centerface", "scrfd"])
    def test_auto_says_once_which_detector_it_takes(
        self, name: str, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
    ) -> None:
        given = request.getfixturevalue("scrfd_weights") if name == "scrfd" else None
        with caplog.at_level(logging.INFO, logger="dfer"):
            assert [build_detector("auto", given).name for _ in range(3)] == [name] * 3
        (record,) = caplog.records
        assert record.levelno == logging.INFO
        assert f"face detector: {name} (" in record.getMessage()

    def test_default_never_uses_the_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("a connection was attempted")

        monkeypatch.setattr("socket.socket.connect", refuse)
        monkeypatch.setattr("socket.getaddrinfo", refuse)
        assert build_detector("auto").name == "centerface"
        with pytest.raises(DferError, match="no weights"):
            build_detector("scrfd")

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
    def serve(self, server: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, pack: bytes) -> None:
        server["pack"] = pack
        monkeypatch.setattr(weights, "PACK_SHA256", hashlib.sha256(pack).hexdigest())

    def test_command_keeps_the_detector_and_auto_then_takes_it(
        self,
        server: dict[str, bytes],
        scrfd_weights: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        original = find_detector_weights(scrfd_weights)
        assert original is not None
        self.serve(server, monkeypatch, zipped("det_500m.onnx", original.read_bytes()))

        assert run(["doctor", "--get", "scrfd"]) == 0
        kept = weights.own_models() / "buffalo_sc" / "det_500m.onnx"
        shown = capsys.readouterr()
        assert shown.out.strip() == str(kept)
        assert "non-commercial" in shown.err
        assert kept.read_bytes() == original.read_bytes()
        assert [file.name for file in kept.parent.iterdir()] == [kept.name]
        assert build_detector("auto").name == "scrfd"

    def test_wrong_checksum_is_an_error_and_leaves_nothing(
        self, server: dict[str, bytes], capsys: pytest.CaptureFixture[str]
    ) -> None:
        server["pack"] = zipped("det_500m.onnx", b"not the one")
        assert run(["doctor", "--get", "scrfd"]) == 1
        (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert "SHA-256" in error
        assert list(weights.own_models().rglob("*.*")) == []

    @pytest.mark.parametrize("trouble", ["cut off", "server hangs", "no server"])
    def test_failure_names_the_way_out_and_leaves_nothing(
        self, trouble: str, server: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(weights, "TIMEOUT_S", 0.3)
        self.serve(server, monkeypatch, zipped("det_500m.onnx", b"x" * 999))
        if trouble == "cut off":
            server["length"] = "99999"  # type: ignore[assignment]
        elif trouble == "server hangs":
            server["pack"] = b"hang"
        else:
            monkeypatch.setattr(weights, "PACK_URL", "http://127.0.0.1:9/none.zip")
        with pytest.raises(DferError, match="the download failed") as caught:
            weights.download_detector_weights()
        assert "--detector-weights" in str(caught.value.hint)
        assert list(weights.own_models().rglob("*.*")) == []
        assert build_detector("auto").name == "centerface"

    def test_unwritable_cache(self, server: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.serve(server, monkeypatch, zipped("det_500m.onnx", b"x"))
        shutil.rmtree(tmp_path / "home", ignore_errors=True)
        (tmp_path / "home").write_text("a file where the folder should be")
        with pytest.raises(DferError, match="home"):
            weights.download_detector_weights()

    @pytest.mark.parametrize("name", ["haar", "centerface", "retina"])
    def test_detector_without_a_download_is_bad_usage(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["doctor", "--get", name]) == 2
        assert "scrfd" in capsys.readouterr().err.splitlines()[-1]
