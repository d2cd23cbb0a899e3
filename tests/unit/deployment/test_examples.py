"""The examples beside an exported model answer as the model does: Python, Node and a browser, each with its runtime."""

from __future__ import annotations

import functools
import html
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dfer.deployment.companions import WEB_VERSION
from dfer.deployment.export import Exported
from dfer.faces.align import align_face
from dfer.model.export import open_session
from dfer.store import Store, read_clip
from tests.stores import LABELS, SIZE

PATIENCE_S = 100
# Runs a script as if these were not installed.
WITHOUT = """
import runpy, sys
sys.modules.update(dict.fromkeys(("torch", "dfer", "cv2", "PIL", "onnx", "scipy")))
script, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = script
runpy.run_path(script, run_name="__main__")
"""


@pytest.fixture(scope="module")
def folder(exported: tuple[Path, Exported], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the exported model's folder."""
    return shutil.copytree(exported[0].parent, tmp_path_factory.mktemp("elsewhere") / "models")


@pytest.fixture(scope="module")
def crops(folder: Path, stripes: Store) -> NDArray[np.uint8]:
    """Crops of a clip, which also lie in the folder."""
    read = read_clip(stripes.clip_path("c1"))[:5]
    np.save(folder / "crops.npy", read)
    return read


def expected(folder: Path, crops: NDArray[np.uint8]) -> dict[str, float]:
    (probabilities,) = open_session(folder / "tiny.onnx").run(["probabilities"], {"crops": crops[None]})
    return dict(zip(LABELS, probabilities[0].tolist(), strict=True))


def run(*command: object, **environment: str) -> str:
    ended = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=os.environ | environment,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def python(folder: Path, *arguments: object) -> dict[str, float]:
    answer: dict[str, float] = json.loads(run(sys.executable, "-c", WITHOUT, folder / "tiny.example.py", *arguments))
    return answer


# ---- Python


def test_python_with_onnxruntime_and_numpy_alone(folder: Path, crops: NDArray[np.uint8]) -> None:
    assert python(folder, folder / "crops.npy") == pytest.approx(expected(folder, crops), abs=1e-6)
    np.save(folder / "crop.npy", crops[0])
    assert python(folder, folder / "crop.npy") == pytest.approx(expected(folder, crops[:1]), abs=1e-6)


# A face as large as its crop, larger, much larger, smaller, turned, and at the edge of the frame.
@pytest.mark.parametrize(
    ("scale", "degrees", "centre"),
    [(1, 0, (90, 80)), (2, 20, (90, 80)), (4.3, -35, (90, 100)), (0.5, 5, (90, 80)), (1.5, 0, (6, 4))],
)
def test_python_aligns_a_frame_by_its_landmarks(
    folder: Path, tmp_path: Path, scale: float, degrees: float, centre: tuple[float, float]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (160, 180, 3)).astype(np.uint8)
    frame = cv2.GaussianBlur(noise, (0, 0), 5)
    frame = cv2.normalize(frame, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    turn = scale * np.exp(1j * np.radians(degrees))
    face = np.array([-6.6 - 7.6j, 6.6 - 8j, 0.5, -5 + 7j, 5.5 + 7.5j]) * turn + complex(*centre)
    landmarks = np.stack([face.real, face.imag], 1)
    np.save(tmp_path / "frame.npy", frame)
    np.save(tmp_path / "landmarks.npy", landmarks)
    script = f"""
import runpy, numpy as np
align = runpy.run_path({str(folder / "tiny.example.py")!r})["align"]
np.save("crop.npy", align(np.load("frame.npy"), np.load("landmarks.npy")))
"""
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=PATIENCE_S)
    crop, ours = np.load(tmp_path / "crop.npy"), align_face(frame, landmarks, SIZE)
    assert crop.shape == ours.shape
    assert np.abs(crop.astype(int) - ours).mean() < 1.5, "of 255: the same picture, sampled in another way"
    answer = python(folder, tmp_path / "frame.npy", *landmarks.ravel())
    assert answer == pytest.approx(expected(folder, crop[None]), abs=1e-6)


# ---- JavaScript


@pytest.fixture(scope="module")
def web_folder(folder: Path, checkout: Path) -> Path:
    """The folder with onnxruntime-web beside the model."""
    package = checkout / "node_modules" / "onnxruntime-web"
    if not package.is_dir():
        pytest.skip(f"onnxruntime-web is not installed: npm install --no-save onnxruntime-web@{WEB_VERSION}")
    link = folder / "node_modules"
    if not link.exists():
        link.symlink_to(checkout / "node_modules")
    return folder


def program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"{names[0]} is not installed")
    return found


def test_node_with_onnxruntime_web(web_folder: Path, crops: NDArray[np.uint8]) -> None:
    answer = json.loads(run(program("node"), web_folder / "tiny.example.mjs", web_folder / "crops.npy"))
    assert answer == pytest.approx(expected(web_folder, crops), abs=1e-5)


# Shows the page, and sends what it has become to the server once it has answered.
WATCHER = """<iframe src="tiny.example.html?crop=0.png&crop=1.png"></iframe><script>
setInterval(() => {
  const page = frames[0].document, state = page.getElementById("state")?.textContent ?? "";
  if (/^(Answered|Error)/.test(state)) fetch("/", { method: "POST", body: page.documentElement.outerHTML });
}, 100);
</script>"""


class _Server(ThreadingHTTPServer):
    """Serves a folder, and keeps the first page that is sent to it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
        self.sent: queue.Queue[str] = queue.Queue()


class _Handler(SimpleHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        self.server.sent.put(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(web_folder: Path) -> Iterator[_Server]:
    with _Server(web_folder) as opened:
        thread = threading.Thread(target=opened.serve_forever)
        thread.start()
        yield opened
        opened.shutdown()
        thread.join()


def test_the_page_in_a_browser(web_folder: Path, server: _Server, crops: NDArray[np.uint8], tmp_path: Path) -> None:
    browser = program("chromium", "chromium-browser", "google-chrome")
    for number in (0, 1):
        cv2.imwrite(str(web_folder / f"{number}.png"), cv2.cvtColor(crops[number], cv2.COLOR_RGB2BGR))
    (web_folder / "watcher.html").write_text(WATCHER)
    address = f"http://127.0.0.1:{server.server_address[1]}/watcher.html"
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}",
        "--remote-debugging-port=0",
    ]
    with subprocess.Popen(
        [browser, *options, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            shown = server.sent.get(timeout=PATIENCE_S)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    meters = re.findall(r'<meter value="([^"]*)" aria-label="([^"]*)"', shown)
    answer = {html.unescape(label): float(value) for value, label in meters}
    assert answer == pytest.approx(expected(web_folder, crops[:2]), abs=1e-5), shown
    assert list(answer.values()) == sorted(answer.values(), reverse=True)
    assert "only stripes" in shown
