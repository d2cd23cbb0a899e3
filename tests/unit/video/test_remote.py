"""URLs: what is fetched, what is refused, and that nothing secret is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dfer.errors import UsageError, VideoError
from dfer.video import VideoWriter, open_frames
from dfer.video.remote import check_url, fetch, public_url, url_name, url_scheme
from tests.rtsp import playing
from tests.servers import SECRET, serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str], Path]]:
    folder = tmp_path_factory.mktemp("served")
    with VideoWriter(folder / "clip.mp4", fps=25, size_hw=(48, 64)) as writer:
        for number in range(40):
            writer.write(np.full((48, 64, 3), number, np.uint8))
    (folder / "page.html").write_text("<html>no video</html>")
    with serving(folder) as (address, log):
        yield address, log, folder


@pytest.mark.parametrize("place", ["clip.mp4", "chunked/clip.mp4", "clip.mp4?token=abc#t=3", "to//clip.mp4"])
def test_a_video_is_downloaded_as_it_is(served: tuple[str, list[str], Path], tmp_path: Path, place: str) -> None:
    address, _, folder = served
    seen: list[tuple[int, int | None]] = []
    fetch(f"{address}/{place}", tmp_path / "here", on_progress=lambda done, total: seen.append((done, total)))
    content = (folder / "clip.mp4").read_bytes()
    assert (tmp_path / "here").read_bytes() == content
    assert seen[-1] == (len(content), None if "chunked" in place else len(content))


def test_a_password_goes_to_its_host_and_nowhere_else(served: tuple[str, list[str], Path], tmp_path: Path) -> None:
    address, log, _ = served
    signed_in = address.replace("http://", "http://anna:pass%20word@")
    fetch(f"{signed_in}/secret/clip.mp4", tmp_path / "here")
    assert log[-1] == f"/secret/clip.mp4 Basic {SECRET}"
    fetch(f"{signed_in}/to/{address}/clip.mp4", tmp_path / "here")
    assert log[-1] == "/clip.mp4"


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("nosuch.mp4", "cannot download: 404"),
        ("secret/clip.mp4", "cannot download: 401"),
        ("half/clip.mp4", r"ended early: \d\d % came"),
        ("to/file:///etc/passwd", "Redirection to url 'file:///etc/passwd' is not allowed"),
        ("to/ftp://127.0.0.1/a.mp4", "redirects to"),
        ("to/to/to/to/to/to/to/to/to/to/to/to/nosuch", "cannot download"),
    ],
)
def test_what_cannot_be_downloaded(served: tuple[str, list[str], Path], tmp_path: Path, place: str, words: str) -> None:
    with pytest.raises(VideoError, match=words):
        fetch(f"{served[0]}/{place}", tmp_path / "here")


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="cannot download: connection refused"):
        fetch("http://127.0.0.1:9/a.mp4", tmp_path / "here")


@pytest.mark.parametrize("place", ["clip.mp4", "chunked/clip.mp4"])
def test_no_more_is_kept_than_the_limit(
    served: tuple[str, list[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr("dfer.video.spool.max_spool", lambda: 1000)
    with pytest.raises(VideoError, match=r"more than 0\.0 MB"):
        fetch(f"{served[0]}/{place}", tmp_path / "here")
    assert not (tmp_path / "here").exists() or (tmp_path / "here").stat().st_size <= 1000


class TestPlaylists:
    """A playlist that comes from the network plays what lies on the network, and no file of this machine."""

    def write(self, folder: Path, media: str) -> None:
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXTINF:1.6,", media, "#EXT-X-ENDLIST"]
        (folder / "list.m3u8").write_text("\n".join(lines))

    def test_of_the_network(self, served: tuple[str, list[str], Path], tmp_path: Path) -> None:
        import av

        address, _, folder = served
        with av.open(str(folder / "clip.mp4")) as source, av.open(str(folder / "clip.ts"), "w") as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
        self.write(folder, "clip.ts")
        fetch(f"{address}/list.m3u8", tmp_path / "here")
        assert open_frames(tmp_path / "here").num_frames == 40

    @pytest.mark.parametrize("form", ["{path}", "file://{path}", "concat:{path}", "subfile,,start,0,end,0,,:{path}"])
    def test_of_this_machine(self, served: tuple[str, list[str], Path], tmp_path: Path, form: str) -> None:
        address, log, folder = served
        (tmp_path / "private.ts").write_bytes((folder / "clip.mp4").read_bytes())
        self.write(folder, form.format(path=tmp_path / "private.ts"))
        with pytest.raises(VideoError, match=r"cannot read the stream|has no frame|no video stream"):
            fetch(f"{address}/list.m3u8", tmp_path / "here")
        assert not any("Authorization" in line for line in log)


def test_a_stream_is_recorded_until_it_ends_or_its_time_is_over(
    served: tuple[str, list[str], Path], tmp_path: Path
) -> None:
    with playing(served[2] / "clip.mp4") as url:
        fetch(url, tmp_path / "whole", seconds=60)
        fetch(url, tmp_path / "part", seconds=0.8)
    whole, part = open_frames(tmp_path / "whole"), open_frames(tmp_path / "part")
    assert (whole.num_frames, whole.warnings) == (40, [])
    assert whole.times_s == pytest.approx(np.arange(40) / 25, abs=2e-3)
    shades = [int(frame.mean()) for _, frame in whole.iter_frames()]
    assert np.abs(np.array(shades) - np.arange(40)).max() <= 3
    assert 15 <= part.num_frames <= 22


def test_a_stream_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="cannot read the stream: Connection refused") as caught:
        fetch("rtsp://anna:secret@127.0.0.1:9/a", tmp_path / "here", seconds=1)
    assert "secret" not in str(caught.value)


def test_a_page_is_no_video(served: tuple[str, list[str], Path], tmp_path: Path) -> None:
    fetch(f"{served[0]}/page.html", tmp_path / "here")
    with pytest.raises(VideoError, match="cannot read the video"):
        open_frames(tmp_path / "here")


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("http://a/b.mp4", "http"),
        ("RTSP://a", "rtsp"),
        ("rtsps://u:p@a:554/s", "rtsps"),
        ("C://b.mp4", None),
        ("a/b.mp4", None),
        ("http:/a", None),
        ("odd name://x", None),
    ],
)
def test_what_counts_as_a_url(text: str, scheme: str | None) -> None:
    assert url_scheme(text) == scheme


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a/b.mp4", "concat://a", "pipe://0", "http://", "http://[x/a", "http://a:b/c"]
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        check_url(url)


def test_a_public_url_holds_no_secret() -> None:
    url = "https://anna:secret@example.org:8443/a/b%20c.mp4?token=secret#secret"
    assert public_url(url) == "https://example.org:8443/a/b%20c.mp4"
    assert url_name(url) == "b c.mp4"
    assert url_name("rtsp://camera.local") == "camera.local"
