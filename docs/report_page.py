"""Show the page of `dfer predict --report` in a browser: a picture of it for these pages, and how fast it opens.

    pip install -e '.[browser]'
    python docs/report_page.py picture
    python docs/report_page.py speed

`picture` draws a call of three generated people, lets `dfer predict` with the default weights write its page, and keeps
what Chromium shows of it as docs/images/report.png. `speed` writes the page of an hour with three faces, whose answers
are invented, beside a video of an hour, and prints how long it takes in Chromium until the page is loaded, and until it
has answered a click. Both need an installed Chromium; $DFER_CHROMIUM names one that is not found.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dfer.cli.app import run
from dfer.drawing.tables import markdown_table
from dfer.errors import DferError
from dfer.labels import DFEW_LABELS
from dfer.records import FacePrediction, Prediction, Quality, Segment
from dfer.reports.page_folder import plan_pages, write_page
from dfer.reports.thumbnails import SIDE
from dfer.reports.video_page import Shown
from dfer.runtime.device import describe_machine
from dfer.runtime.files import write_bytes
from dfer.synth.dataset import make_recording
from dfer.video import VideoWriter, open_frames

CHROMIUM = "DFER_CHROMIUM"  # names the program
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PICTURE = Path(__file__).parent / "images" / "report.png"

FPS, TILE_WH = 25, (288, 324)
SEED, NUM_CLIPS = 1, 49  # of the generated data set that the people are from
# What the people of the folds 1, 2 and 3 show, 1.6 s each.
CAST = {
    1: ["neutral", "happy", "happy", "surprise", "neutral", "sad", "sad", "neutral"],
    2: ["happy", "happy", "neutral", "neutral", "surprise", "happy", "happy", "happy"],
    3: ["neutral", "surprise", "happy", "neutral", "angry", "angry", "neutral", "happy"],
}
NAMES = "0=Ada,1=Ben,2=Cleo"
AWAY = range(95, 150)  # frames in which the third one has left
DARK = range(215, 275)  # frames in which the first one sits in the dark
MOMENT_S = 6.3  # at which the page is shown

RUNS = 5
SEGMENT_S = 0.64  # as the default weights answer about videos of 25 frames a second
SIZE_WH = (640, 360)
Frame = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    picture = parts.add_parser("picture", help="write docs/images/report.png")
    picture.add_argument("--out", type=Path, default=PICTURE)
    speed = parts.add_parser("speed", help="print how long a long video's page takes to open")
    speed.add_argument("--minutes", type=float, default=60.0)
    speed.add_argument("--faces", type=int, default=3)
    given = parser.parse_args()
    with TemporaryDirectory() as folder, open_browser() as browser:
        if given.part == "picture":
            take_picture(browser, Path(folder), given.out)
        else:
            print(measure(browser, Path(folder), 60 * given.minutes, given.faces))


@contextmanager
def open_browser() -> Iterator[Any]:
    """Yield a Chromium of playwright.

    Raises:
        DferError: there is none, or no playwright.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise DferError("playwright is not installed", hint="pip install -e '.[browser]'") from None
    program = os.environ.get(CHROMIUM) or next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        raise DferError("no Chromium is installed", hint=f"install one, or name it in ${CHROMIUM}")
    with sync_playwright() as playwright:
        options = [] if os.geteuid() else ["--no-sandbox"]  # root, as in a container, has no sandbox
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


# ---- the picture


def take_picture(browser: Any, folder: Path, out: Path) -> None:
    """Write the picture of a page, in a folder for what it is made from."""
    clip = folder / "call.mp4"
    draw_call(clip)
    command = ["predict", str(clip), "--faces", "all", "--names", NAMES, "--report", str(folder / "report"), "--quiet"]
    if run(command):
        raise DferError("dfer predict failed", where=clip)
    page = browser.new_page(viewport={"width": 1440, "height": 724}, device_scale_factor=1, color_scheme="light")
    page.goto((folder / "report" / "call.html").as_uri())
    wait_for(page, "media.readyState >= 3")
    page.evaluate(f"seek({MOMENT_S})")
    wait_for(page, "!media.seeking && media.readyState >= 4")
    page.wait_for_timeout(2000)  # until the player's own sign of loading has gone
    shown = page.screenshot()
    page.close()
    write_bytes(out, optimise(shown))
    print(f"{out} ({out.stat().st_size / 1000:.0f} kB)")


def draw_call(path: Path) -> None:
    """Write the video of a call: three generated people side by side."""
    tiles = []
    for fold, emotions in CAST.items():
        recording = path.with_name(f"{fold}.mp4")
        make_recording(recording, emotions, fold=fold, num_clips=NUM_CLIPS, seed=SEED)
        tiles.append([fit_tile(frame) for _, frame in open_frames(recording).iter_frames()])
    empty = np.full_like(tiles[0][0], 32)
    size_hw = (TILE_WH[1], TILE_WH[0] * len(tiles))
    with VideoWriter(path, fps=FPS, size_hw=size_hw) as writer:
        for number, (first, second, third) in enumerate(zip(*tiles, strict=True)):
            seen = first // 6 if number in DARK else first, second, empty if number in AWAY else third
            writer.write(np.concatenate(seen, axis=1), number / FPS)


def fit_tile(frame: Frame) -> Frame:
    """Return the middle of a frame, scaled to a tile of the call."""
    width, height = TILE_WH
    scale = max(width / frame.shape[1], height / frame.shape[0])
    scaled = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    top, left = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    return np.asarray(scaled[top : top + height, left : left + width], np.uint8)


def optimise(png: bytes) -> bytes:
    """Return a PNG of 256 colours."""
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    image.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def wait_for(page: Any, condition: str, patience_s: float = 30.0) -> None:
    """Wait for a condition; playwright's own way needs `eval`, which the page forbids.

    Raises:
        DferError: it does not come about.
    """
    end = time.monotonic() + patience_s
    while not page.evaluate(condition):
        if time.monotonic() > end:
            raise DferError("the page does not get ready", where=condition)
        page.wait_for_timeout(20)


# ---- the speed


def measure(browser: Any, folder: Path, duration: float, count: int) -> str:
    """Return the table of the page of a long video, whose files are made in a folder."""
    clip = folder / "interview.mp4"
    write_long_video(clip, duration)
    prediction = invent_prediction(clip, duration, count)
    (place,) = plan_pages(folder, [prediction.source])
    pictures = {number: face_picture(number) for number in range(count)}
    begun = time.perf_counter()
    write_page(place, prediction, Shown(clip.name, "", SIZE_WH, 0.0, pictures), "key")
    written = time.perf_counter() - begun
    open_once(browser, place.page)  # Chromium's own start
    runs = [open_once(browser, place.page) for _ in range(RUNS)]
    names = list(runs[0])
    rows = [[name, *(f"{pick(run[name] for run in runs):.2f} s" for pick in (median, max))] for name in names]
    segments = sum(len(face.segments) for face in prediction.faces)
    megabytes = {path: path.stat().st_size / 1e6 for path in (place.page, clip)}
    about = (
        f"{duration / 60:g} minutes, {count} faces, {segments:,} segments; page of {megabytes[place.page]:.1f} MB, "
        f"written in {written:.1f} s; video of {megabytes[clip]:.0f} MB; {RUNS} times in new contexts of Chromium "
        f"{browser.version}; {describe_machine()}"
    )
    return "\n".join([about, "", *markdown_table(["since the page was asked for", "median", "longest"], rows)])


def open_once(browser: Any, path: Path) -> dict[str, float]:
    """Return the seconds until a page has got so far, in a new context, without anything in its cache."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(path.as_uri(), wait_until="load")
    found: dict[str, float] = page.evaluate(_MEASURE)
    context.close()
    return {name: milliseconds / 1000 for name, milliseconds in found.items()}


# A click on the plot, and the frame after the one in which it was answered. Times are since the navigation began.
_MEASURE = """async () => {
  const painted = () =>
    new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()), 0)));
  const event = (name, share) => {
    const plot = document.querySelector("canvas.plot");
    const place = plot.getBoundingClientRect();
    const at = { clientX: place.left + share * place.width, clientY: place.top + 20, bubbles: true };
    plot.dispatchEvent(new MouseEvent(name, at));
  };
  const timing = performance.getEntriesByType("navigation")[0];
  const first = performance.getEntriesByName("first-contentful-paint")[0];
  event("click", 0.5);
  const answered = await painted();
  if (Math.abs(position / total - 0.5) > 0.01) throw new Error("the click was not answered");
  const before = performance.now();
  event("pointermove", 0.3);
  const pointed = await painted();
  if (document.getElementById("tip").hidden) throw new Error("pointing was not answered");
  zoom(0.5);
  const zoomed = await painted();
  return {
    "first paint": first ? first.startTime : NaN,
    "load event": timing.loadEventEnd,
    "a click on the plot is answered and painted": answered,
    "then, pointing at the plot takes": pointed - before,
    "zooming in takes": zoomed - pointed,
  };
}"""


def write_long_video(path: Path, duration: float) -> None:
    """Write a video of a length: ten seconds of moving grey, over and over."""
    part = path.with_name("part.mp4")
    with VideoWriter(part, fps=FPS, size_hw=(SIZE_WH[1], SIZE_WH[0])) as writer:
        noise = np.random.default_rng(0).integers(60, 200, (SIZE_WH[1] // 8, SIZE_WH[0] // 8, 3)).astype(np.uint8)
        scene = cv2.resize(noise, SIZE_WH, interpolation=cv2.INTER_CUBIC)
        for number in range(10 * FPS):
            writer.write(np.roll(scene, number, axis=1))
    with av.open(str(path), "w", options={"movflags": "faststart"}) as target, av.open(str(part)) as given:
        stream = given.streams.video[0]
        copy = target.add_stream_from_template(stream)
        ticks = round(10 / float(stream.time_base or 1))
        for turn in range(-(-int(duration) // 10)):
            given.seek(0)
            for packet in given.demux(stream):
                if packet.dts is None or packet.pts is None:
                    continue
                packet.pts, packet.dts = packet.pts + turn * ticks, packet.dts + turn * ticks
                packet.stream = copy
                target.mux(packet)


def invent_prediction(clip: Path, duration: float, count: int) -> Prediction:
    """Return a prediction as long videos have them: emotions that last, unsure time, and gaps."""
    rng = np.random.default_rng(0)
    faces = [invent_face(number, duration, rng) for number in range(count)]
    model = {"name": "logo_former_s", "checkpoint": "default", "labels": list(DFEW_LABELS)}
    return Prediction(clip.name, duration, float(FPS), int(duration * FPS), model, faces, [], notice="invented answers")


def invent_face(number: int, duration: float, rng: np.random.Generator) -> FacePrediction:
    segments: list[Segment] = []
    label = "neutral"
    for step in range(int(duration / SEGMENT_S)):
        if rng.random() < 0.02:
            continue  # not seen
        if rng.random() < 0.15:
            label = str(rng.choice(DFEW_LABELS))
        shares = rng.dirichlet(np.where(np.array(DFEW_LABELS) == label, 6.0, 0.4))
        probabilities = dict(zip(DFEW_LABELS, shares.round(4).tolist(), strict=True))
        best = max(probabilities, key=lambda name: probabilities[name])
        x, y = 60.0 + 180 * (number % 3) + 10 * rng.random(), 90.0 + 10 * rng.random()
        yaw, pitch, roll = rng.normal(0, 12, 3).round(1).tolist()
        quality = Quality(110.0, 0.1, 0.5, yaw, pitch, roll, score=0.9, detected=1.0)
        segments.append(
            Segment(
                start=round(SEGMENT_S * step, 3),
                end=round(SEGMENT_S * (step + 1), 3),
                label=best,
                probabilities=probabilities,
                box=(x, y, x + 110, y + 130),
                quality=quality,
                confidence=round(float(probabilities[best]), 4),
                reasons=("too dark",) if rng.random() < 0.05 else (),
            )
        )
    return FacePrediction(
        number, segments[0].start, segments[-1].end, segments[0].label, segments[0].probabilities, segments
    )


def face_picture(number: int) -> Frame:
    """Return something in the place of a face's picture."""
    noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


if __name__ == "__main__":
    try:
        main()
    except DferError as error:
        sys.exit(f"error: {error}" + (f"\nhint: {error.hint}" if error.hint else ""))
