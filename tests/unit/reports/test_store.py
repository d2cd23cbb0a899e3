"""The report of a store: its figures are the manifest's, it needs nothing else, and the same store gives the same."""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import dfer.reports.shown_clips
from dfer.errors import DataError, DferError, VideoError
from dfer.reports.shown_clips import NUM_RANDOM, choose_in_turn, write_store_report
from dfer.store import Store, clip_path, open_store
from dfer.store.manifest import ManifestRow, read_manifest, write_manifest
from tests.stores import LABELS, row_of, small_store

MAX_PAGE_BYTES = 3_000_000


class Parsed(HTMLParser):
    """The content of a page: tables as text, captions, headings, tiles, and every address in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.headings: list[str] = []
        self.captions: list[str] = []
        self.tiles: list[str] = []
        self.addresses: list[str] = []
        self.tags: Counter[str] = Counter()
        self._open: list[str] = []
        self.feed(page)
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in ("meta", "img", "source"):
            self._open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag in ("h1", "h2"):
            self.headings.append("")
        elif tag == "figcaption":
            self.captions.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "figcaption" in self._open:
            self.captions[-1] += data
        elif self._open[-1:] in (["td"], ["th"]):
            self.tables[-1][-1][-1] += data
        elif self._open[-1:] in (["h1"], ["h2"]):
            self.headings[-1] += data
        elif self._open[-2:] == ["div", "b"]:
            self.tiles.append(data)

    def table(self, first_column: str) -> list[dict[str, str]]:
        """The rows of the table whose first heading is this."""
        head, *rows = next(table for table in self.tables if table[0][0] == first_column)
        return [dict(zip(head, row, strict=True)) for row in rows]


def report_of(root: Path, raw: Path | None = None, notices: tuple[str, ...] = ()) -> tuple[str, Parsed]:
    """Write a store's report and read it."""
    path = write_store_report(root, raw, notices)
    assert path == root / "report.html"
    page = path.read_text(encoding="utf-8")
    assert len(page) < MAX_PAGE_BYTES
    return page, Parsed(page)


def change_rows(store: Store, change: Callable[[list[ManifestRow]], list[ManifestRow]]) -> Store:
    """Rewrite a store's manifest."""
    write_manifest(store.root / "manifest.csv", change(store.rows))
    return open_store(store.root)


def files_of(root: Path) -> dict[str, bytes]:
    paths = [root / "report.html", *sorted((root / "contact_sheets").glob("*"))]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """18 clips that are ok, 4 that are not."""
    small = small_store(tmp_path / "faces", failed=3, notice="drawings only")
    return change_rows(
        small,
        lambda rows: [
            *(replace(row, detected=1 - number / 100) for number, row in enumerate(rows[:-3])),
            *(replace(row, detail=f"no face in {number} frames") for number, row in enumerate(rows[-3:])),
            replace(rows[-1], clip_id="gone", label=2, label_name="neutral", status="missing", detail="no file"),
        ],
    )


# ---- what the page says


def test_the_figures_are_the_manifests(store: Store) -> None:
    _, page = report_of(store.root)
    rows = read_manifest(store.root / "manifest.csv")
    ok = [row for row in rows if row.ok]
    assert page.tiles[:5] == ["22", "18", "81.82 %", "4", "180"]
    assert sum(row.num_frames for row in ok) == 180

    emotions = {row["emotion"]: row for row in page.table("emotion")}
    assert list(emotions) == [*LABELS, "all"]
    for name in LABELS:
        of_label = [row for row in rows if row.label_name == name]
        counts = Counter(row.status for row in of_label)
        assert emotions[name]["clips"] == str(len(of_label))
        assert emotions[name]["ok"] == str(counts["ok"])
        assert emotions[name]["no face"] == str(counts["no_face"])
        assert emotions[name]["missing"] == str(counts["missing"])
    assert "unreadable" not in emotions["all"]
    assert emotions["all"]["clips"] == "22"

    folds = {(row["fold"], row["split"]): row for row in page.table("fold")}
    assert list(folds) == [("1", "train"), ("1", "test"), ("2", "train"), ("2", "test")]
    for (fold, split), cells in folds.items():
        listed = [row for row in rows if row.folds[int(fold)] == split]
        assert cells["clips"] == str(len(listed))
        for name in LABELS:
            assert cells[name] == str(sum(row.label_name == name and row.ok for row in listed))


def test_failures_come_by_reason_with_examples(store: Store) -> None:
    _, page = report_of(store.root)
    assert page.table("status") == [
        {"status": "no face", "clips": "3", "reason": "no face in N frames", "such as": "failed0, failed1, failed2"},
        {"status": "missing", "clips": "1", "reason": "no file", "such as": "gone"},
    ]


def test_the_page_needs_nothing_else(store: Store) -> None:
    text, page = report_of(store.root)
    assert "http:" not in text
    assert "https:" not in text
    assert page.tags["script"] == page.tags["link"] == page.tags["iframe"] == 0
    assert {address for address in page.addresses if not address.startswith("data:image/")} == {"manifest.csv"}
    assert (store.root / "manifest.csv").is_file()


def test_the_notice_and_the_remarks_on_the_lists_are_shown(store: Store) -> None:
    text, _ = report_of(store.root, notices=("not the official split sizes",))
    assert "drawings only" in text[text.index('<p class="warning">') :][:200]
    assert "not the official split sizes" in text
    plain, _ = report_of(small_store(store.root.parent / "plain").root)
    assert '<p class="warning">' not in plain


def test_clips_are_shown_with_their_names(store: Store) -> None:
    _, page = report_of(store.root)
    ok = [row for row in store.rows if row.ok]
    random, worst, failed = page.captions[:18], page.captions[18:30], page.captions[30:]
    assert sorted(caption.split()[0] for caption in random) == sorted(row.clip_id for row in ok)
    assert [caption.split()[1] for caption in random] == [name for name in LABELS for _ in range(6)]
    assert [caption.split()[0] for caption in worst] == [f"c{number}" for number in range(17, 5, -1)]
    assert worst[0] == "c17 neutral · 10 crops · detected in 83 %"
    assert sorted(failed) == [f"failed{number} happy · no face" for number in range(3)]


def test_names_and_reasons_are_text_not_markup(store: Store) -> None:
    name = "<b>&amp;"
    changed = change_rows(
        store, lambda rows: [*rows[:-1], replace(rows[-1], clip_id=name, detail="<script>alert(1)</script>")]
    )
    text, page = report_of(changed.root)
    assert "<script" not in text
    assert page.table("status")[1]["such as"] == name
    assert page.table("status")[1]["reason"] == "<script>alert(1)</script>"


# ---- the same store gives the same report


def test_the_report_depends_only_on_the_store(store: Store) -> None:
    report_of(store.root)
    first = files_of(store.root)
    assert sorted(first) == [
        "contact_sheets/failed.png", "contact_sheets/random.png", "contact_sheets/worst.png", "report.html"
    ]  # fmt: skip
    elsewhere = store.root.parent / "else" / "where" / "faces"
    shutil.copytree(store.root, elsewhere)
    report_of(elsewhere)
    assert files_of(elsewhere) == first
    for content in first.values():
        assert str(store.root.parent).encode() not in content


def test_a_notice_loses_the_place_of_the_raw_data(store: Store, tmp_path: Path) -> None:
    text, _ = report_of(store.root, tmp_path / "raw", (f"{tmp_path}/raw/Clip may not be read",))
    assert ">Clip may not be read<" in text


def test_contact_sheets_that_would_be_empty_are_removed(store: Store) -> None:
    report_of(store.root)
    mended = change_rows(store, lambda rows: [row for row in rows if row.ok])
    text, page = report_of(mended.root)
    assert sorted(path.name for path in (mended.root / "contact_sheets").iterdir()) == ["random.png", "worst.png"]
    assert "Failed clips" not in page.headings
    assert "every clip of the lists has its crops" in text


# ---- stores of every kind


def test_lists_without_a_single_clip(tmp_path: Path) -> None:
    small = small_store(tmp_path / "faces")
    shutil.rmtree(small.root / "crops")
    lists = change_rows(
        small, lambda rows: [replace(row, status="missing", detail="no file", num_frames=0, fps=0.0) for row in rows]
    )
    _, page = report_of(lists.root)
    assert page.tiles == ["18", "0", "0.00 %", "18"]
    assert page.tags["img"] == 0
    assert not (lists.root / "contact_sheets").exists()
    assert page.table("fold")[0] == {"fold": "1", "split": "train", "clips": "9", **dict.fromkeys(LABELS, "3")}


def test_an_empty_manifest(tmp_path: Path) -> None:
    small = small_store(tmp_path / "faces")
    _, page = report_of(change_rows(small, lambda _rows: []).root)
    assert page.tiles == ["0", "0", "– %", "0"]


def test_forty_thousand_clips_read_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = small_store(tmp_path / "faces", clips_per_class=1)
    crops = clip_path(small.root, "c0")
    read: list[Path] = []

    def read_clip(path: Path, indices: list[int]) -> np.ndarray:
        read.append(path)
        return np.zeros((len(indices), 48, 48, 3), np.uint8)

    monkeypatch.setattr(dfer.reports.shown_clips, "read_clip", read_clip)
    monkeypatch.setattr(
        dfer.reports.shown_clips,
        "read_clip_record",
        lambda _path, real=dfer.reports.shown_clips.read_clip_record: real(crops),
    )
    many = [row_of(f"{number}", label=number % 3, num_frames=8 + number % 400) for number in range(40_000)]
    _, page = report_of(change_rows(small, lambda _rows: [replace(row, num_frames=10) for row in many]).root)
    assert page.tiles[0] == "40,000"
    assert len(read) == NUM_RANDOM + 12


def test_damaged_crops_are_reported(store: Store) -> None:
    clip_path(store.root, "c17").write_bytes(b"no zip")
    text, page = report_of(store.root)
    assert "damaged or missing crops" in text
    assert len(page.captions) == 33


# ---- sources of failed clips


@pytest.fixture
def raw(tmp_path: Path, store: Store) -> Path:
    """A raw data set in which the first failed clip has frames, and the others nothing."""
    folder = tmp_path / "raw" / "frames"
    folder.mkdir(parents=True)
    for number in range(9):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((480, 640, 3), 20 * number, np.uint8))
    change_rows(
        store,
        lambda rows: [
            replace(row, source={"failed0": "frames", "failed1": "lost.mp4"}.get(row.clip_id, "")) for row in rows
        ],
    )
    return tmp_path / "raw"


def test_failed_clips_are_shown_where_they_can_be_read(raw: Path, store: Store) -> None:
    text, page = report_of(store.root, raw)
    captions = sorted(page.captions[30:])
    assert captions == ["failed0 happy · no face in 0 frames", "failed1 happy · no face", "failed2 happy · no face"]
    assert text.count('<div class="instead">') == 2
    sheet = np.array(Image.open(store.root / "contact_sheets" / "failed.png"))
    tones = {tuple(pixel) for pixel in sheet[:, ::8].reshape(-1, 3)}
    # Four frames over time, the first and the last among them.
    assert {(tone,) * 3 for tone in (0, 60, 100, 160)} <= tones


def hang(_base: Path, row: ManifestRow) -> list[Any]:
    """Read a preview from a disk that never answers; a worker process imports this."""
    time.sleep(60 if row.source == "frames" else 0)
    raise VideoError("no such file or folder")


def test_a_source_that_hangs_its_reader_loses_only_its_pictures(
    raw: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dfer.reports.shown_clips, "PREVIEW_TIMEOUT_S", 0.5)
    monkeypatch.setattr(dfer.reports.shown_clips, "_read_preview", hang)
    text, page = report_of(store.root, raw)
    assert text.count('<div class="instead">') == 3
    assert len(page.captions) == 33


# ---- trouble


def test_a_report_that_cannot_be_drawn_is_a_warning(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no font")

    monkeypatch.setattr(dfer.reports.shown_clips, "draw_store_report", fail)
    with caplog.at_level(logging.WARNING, "dfer"):
        assert write_store_report(store.root) is None
    assert "no report of the store: RuntimeError: no font" in caplog.text
    assert not (store.root / "report.html").exists()


def test_a_report_that_cannot_be_written_is_an_error(store: Store) -> None:
    (store.root / "contact_sheets").write_text("in the way")
    with pytest.raises(DferError, match="cannot write"):
        write_store_report(store.root)


def test_no_store_no_report(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no store here"):
        write_store_report(tmp_path)


# ---- parts


def test_the_random_choice_takes_every_kind_in_turn_and_is_always_the_same() -> None:
    rows = [row_of(f"a{n}") for n in range(100)] + [row_of(f"b{n}", label=1) for n in range(2)]
    chosen = choose_in_turn(rows, lambda row: row.label, 10)
    assert [row.label for row in chosen] == [0] * 8 + [1] * 2
    assert choose_in_turn(rows[::-1], lambda row: row.label, 10) == chosen
    assert [row.clip_id for row in chosen[:3]] != ["a0", "a1", "a2"]
    assert choose_in_turn([], lambda row: row.label, 10) == []
