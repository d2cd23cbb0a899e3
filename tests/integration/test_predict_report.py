"""`dfer predict --report`: the pages of real runs, and what becomes of them when a run is interrupted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from dfer.cli import pages
from dfer.errors import DferError
from dfer.prediction.predictor import Predictor
from dfer.video import open_frames
from tests.integration.program import dfer
from tests.pages import ReadPage


def source_of(page: ReadPage, tag: str) -> str:
    (address,) = (attributes["src"] for name, attributes in page.tags if name == tag)
    return unquote(str(address))


@pytest.fixture
def clips(raw: Path, tmp_path: Path) -> list[Path]:
    folder = tmp_path / "my clips #1"
    folder.mkdir()
    found = []
    for number in (1, 4, 5):
        path = folder / f"{number}.mp4"
        path.write_bytes((raw / "Clip" / "original" / f"{number}.mp4").read_bytes())
        found.append(path)
    return found


def test_a_page_for_each_video_and_an_index(checkpoint: Path, clips: list[Path], tmp_path: Path) -> None:
    image = tmp_path / "face.png"
    (frame,) = (frame for _, frame in open_frames(clips[0]).iter_frames([3]))
    cv2.imwrite(str(image), frame[..., ::-1])
    command = ("predict", clips[0], image, "--checkpoint", checkpoint, "--detector", "haar", "--report", "rep")
    outcome = dfer(*command, "--json", "a.jsonl").succeeded()
    assert outcome.lines("report in ") == ["report in rep/index.html"]
    assert sorted(os.listdir("rep")) == ["1.html", "face.html", "index.html"]  # noqa: PTH208
    video, still = (ReadPage.at(Path("rep") / name) for name in ("1.html", "face.html"))
    assert (Path("rep") / source_of(video, "video")).resolve() == clips[0].resolve()
    assert (Path("rep") / source_of(still, "img")).resolve() == image.resolve()
    answers = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    assert [json.loads(page.download(0)[1]) for page in (video, still)] == answers
    assert video.data["size"] == [frame.shape[1], frame.shape[0]]
    assert all(face["thumbnail"] for page in (video, still) for face in page.data["faces"])
    links = [a["href"] for tag, a in ReadPage.at(Path("rep/index.html")).tags if tag == "a"]
    assert links == ["1.html", "face.html"] or links == ["face.html", "1.html"]

    quiet = dfer(*command, "--quiet").succeeded()
    assert quiet.err == ""


def test_an_interrupted_run_keeps_its_pages_and_makes_the_others(
    checkpoint: Path, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("predict", *clips, "--checkpoint", checkpoint, "--detector", "haar", "--report", "rep")
    write = pages.write_page

    def fail_on_second(place: Any, *rest: Any) -> None:
        if place.page.name == "4.html":
            raise DferError("cannot write: no space left", where=place.page)
        write(place, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(pages, "write_page", fail_on_second)
        assert dfer(*command).code == 1
    assert sorted(path.name for path in Path("rep").glob("*.html")) == ["1.html", "index.html"]
    made = Path("rep/1.html").stat().st_mtime_ns
    asked: list[str] = []
    analyse = Predictor.analyse

    def counted(self: Predictor, source: Any, *rest: Any, **options: Any) -> Any:
        asked.append(source.path.name)
        return analyse(self, source, *rest, **options)

    monkeypatch.setattr(Predictor, "analyse", counted)
    dfer(*command).succeeded()
    assert asked == ["5.mp4"], "the answer about 4.mp4 was known, only its page was missing"
    assert sorted(os.listdir("rep")) == ["1.html", "4.html", "5.html", "index.html"]  # noqa: PTH208
    assert Path("rep/1.html").stat().st_mtime_ns == made
    assert ReadPage.at(Path("rep/4.html")).data["faces"][0]["thumbnail"]


def test_faces_are_left_out_of_an_anonymised_report(checkpoint: Path, clips: list[Path]) -> None:
    hidden = ("--report", "rep", "--anonymise")
    dfer("predict", clips[0], "--checkpoint", checkpoint, "--detector", "haar", *hidden).succeeded()
    page = ReadPage.at(Path("rep/1.html"))
    assert "data:image" not in page.text
    assert all(face["thumbnail"] == "" for face in page.data["faces"])
    assert source_of(page, "video") == "media/1.mp4"
    given, shown = open_frames(clips[0]), open_frames(Path("rep/media/1.mp4"))
    assert shown.times_s == pytest.approx(given.times_s, abs=1e-3)
    x1, y1, x2, y2 = page.data["faces"][0]["box"][:4]
    whole, hidden = (next(iter(s.iter_frames([5])))[1][y1:y2, x1:x2].astype(float) for s in (given, shown))
    assert np.abs(np.diff(hidden, axis=1)).mean() < 0.5 * np.abs(np.diff(whole, axis=1)).mean()


def test_the_plot_shows_the_face_unless_it_is_anonymised(checkpoint: Path, clips: list[Path]) -> None:
    command = ("predict", clips[0], "--checkpoint", checkpoint, "--detector", "haar")
    dfer(*command, "--plot", "shown.png", "--json", "a.json").succeeded()
    dfer(*command, "--plot", "hidden.png", "--anonymise").succeeded()
    dfer("relabel", "a.json", "--plot", "again.png").succeeded()
    assert Path("hidden.png").read_bytes() == Path("again.png").read_bytes()
    shown, hidden = (cv2.imread(name)[250:340, 45:200] for name in ("shown.png", "hidden.png"))  # left of the panel
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 500, "a picture"
    assert len(np.unique(hidden.reshape(-1, 3), axis=0)) < 100


@pytest.mark.parametrize(("way", "place"), [("copy", "media/1.mp4"), ("none", None)])
def test_the_video_is_copied_or_left_out(checkpoint: Path, clips: list[Path], way: str, place: str | None) -> None:
    options = ("--report", "rep", "--report-video", way)
    dfer("predict", clips[0], "--checkpoint", checkpoint, "--detector", "haar", *options).succeeded()
    page = ReadPage.at(Path("rep/1.html"))
    if place is None:
        assert "video" not in [tag for tag, _ in page.tags]
        assert not Path("rep/media").exists()
    else:
        assert source_of(page, "video") == place
        assert (Path("rep") / place).read_bytes() == clips[0].read_bytes()


def test_a_copy_never_overwrites_its_own_video(checkpoint: Path, clips: list[Path]) -> None:
    Path("rep/media").mkdir(parents=True)
    clip = clips[0].rename("rep/media/1.mp4")
    refused = dfer("predict", clip, "--checkpoint", checkpoint, "--report", "rep", "--report-video", "copy")
    assert refused.code == 2
    assert "--report would overwrite an input" in refused.err


def test_a_report_never_overwrites_what_is_not_its_own(checkpoint: Path, clips: list[Path], tmp_path: Path) -> None:
    command = ("predict", clips[0], "--checkpoint", checkpoint, "--report")
    Path("rep").mkdir()
    Path("rep/index.html").write_text("mine")
    refused = dfer(*command, "rep")
    assert refused.code == 2
    assert "--report would overwrite a file that dfer has not written (rep/index.html)" in refused.err
    assert Path("rep/index.html").read_text() == "mine"
    frames = tmp_path / "frames"
    frames.mkdir()
    cv2.imwrite(str(frames / "0.png"), next(iter(open_frames(clips[0]).iter_frames([0])))[1])
    inside = dfer("predict", frames, "--checkpoint", checkpoint, "--report", frames / "rep")
    assert inside.code == 2
    assert "--report would write into an input" in inside.err
