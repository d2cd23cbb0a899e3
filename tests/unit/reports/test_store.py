"""The report of a store: its figures are the manifest's, it needs nothing else, and the same store gives the same."""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import dfer.reports.shown_clips
from dfer.drawing.contact_sheet import film_strip, text_strip
from dfer.drawing.histogram import Histogram, compact, draw_histogram, length_histogram, share_histogram
from dfer.drawing.style import png_bytes
from dfer.errors import DataError, DferError
from dfer.reports.shown_clips import NUM_RANDOM, choose_in_turn, write_store_report
from dfer.reports.store_tables import class_table, failure_table, fold_table, rate_bars, status_bars
from dfer.store import Store, clip_path, open_store
from dfer.store.manifest import ManifestRow, read_manifest, write_manifest
from tests.stores import LABELS, small_store

MAX_PAGE_BYTES = 3_000_000


class Parsed(HTMLParser):
    """What a page says: tables as text, captions, headings, tiles, and every address in it."""

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


def row_of(clip_id: str, status: str = "ok", label: int = 0, **more: object) -> ManifestRow:
    row = ManifestRow(clip_id, label, LABELS[label], status, {1: "train"}, num_frames=10, fps=25.0, detected=1.0)
    return replace(row, **more)  # type: ignore[arg-type]


# ---- what the page says


def test_the_figures_are_the_manifests(store: Store) -> None:
    _, page = report_of(store.root)
    rows = read_manifest(store.root / "manifest.csv")
    ok = [row for row in rows if row.status == "ok"]
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
            assert cells[name] == str(sum(row.label_name == name and row.status == "ok" for row in listed))


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


def test_the_notice_and_what_was_noted_of_the_lists_are_shown(store: Store) -> None:
    text, _ = report_of(store.root, notices=("not the official split sizes",))
    assert "drawings only" in text[text.index('<p class="warning">') :][:200]
    assert "not the official split sizes" in text
    plain, _ = report_of(small_store(store.root.parent / "plain").root)
    assert '<p class="warning">' not in plain


def test_clips_are_shown_with_their_names(store: Store) -> None:
    _, page = report_of(store.root)
    ok = [row for row in store.rows if row.status == "ok"]
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


def test_the_report_depends_on_the_store_alone(store: Store) -> None:
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
    mended = change_rows(store, lambda rows: [row for row in rows if row.status == "ok"])
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


def test_damaged_crops_are_said_to_be(store: Store) -> None:
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


def test_a_source_that_hangs_its_reader_costs_its_pictures_alone(
    raw: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dfer.reports.shown_clips, "GLIMPSE_TIMEOUT_S", 0.5)
    (raw / "frames" / "8.png").unlink()
    os.mkfifo(raw / "frames" / "8.png")  # reading it never ends
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


def test_reasons_that_differ_in_a_number_are_one_but_signals_are_not() -> None:
    reasons = ["took more than 900 s", "crashed (exit code -11)", "crashed (exit code -9)", "a face in 1 of 9 frames"]
    rows = [row_of("a", "no_face", detail=f"no face in {n} frames") for n in (5, 66)]
    rows += [row_of(f"b{n}", "unreadable", detail=reason) for n, reason in enumerate(reasons)]
    said = {cells[2]: cells[1] for cells in failure_table(rows)[1:]}
    assert said == {"no face in N frames": "2", **dict.fromkeys(reasons, "1")}


def test_there_is_an_end_to_reasons() -> None:
    rows = [row_of(f"c{n}", "unreadable", detail="x" * (n + 1)) for n in range(50)]
    table = failure_table(rows)
    assert len(table) == 22
    assert table[-1][:3] == ["others", "30", "30 other reasons"]


def test_status_bars_are_shares_of_all() -> None:
    bars = status_bars([row_of("a"), row_of("b"), row_of("c"), row_of("d", "too_short")])
    assert [(bar.name, bar.text, bar.share) for bar in bars] == [
        ("ok", "3 · 75.00 %", 0.75),
        ("too short", "1 · 25.00 %", 0.25),
    ]


def test_frame_rates_are_told_where_they_differ() -> None:
    assert rate_bars([row_of("a"), row_of("b")]) == []
    rows = [row_of(f"c{n}", fps=10.0 + n) for n in range(12)] + [row_of("d", fps=29.97), row_of("e", fps=29.97)]
    bars = rate_bars(rows)
    assert [bars[0].name, bars[0].text] == ["29.97 frames/s", "2 · 14.29 %"]
    assert [bars[-1].name, bars[-1].text] == ["5 other rates", "5 · 35.71 %"]


def test_a_class_without_clips_and_a_fold_with_val() -> None:
    rows = [row_of("a", folds={1: "val"}), row_of("b", "no_face", label=1, folds={1: "train"})]
    assert class_table(rows, LABELS)[3] == ["neutral", "0", "0", "0", "–", "0", "–", "–"]
    assert [cells[1] for cells in fold_table(rows, LABELS)[1:]] == ["train", "val"]


def test_shares_are_counted_by_tenths_and_the_whole_apart() -> None:
    histogram = share_histogram([0.0, 0.3, 0.2999, 0.9999, 1.0, 1.0])
    assert histogram.counts == [1, 0, 1, 1, 0, 0, 0, 0, 0, 1]
    assert histogram.extra == ("all", 2)


@pytest.mark.parametrize("lengths", [[1], [16] * 50, list(range(1, 500)), [*range(10, 60), 5000] * 4, [3] * 200 + [99]])
def test_lengths_fall_into_few_round_bins_and_none_is_lost(lengths: list[int]) -> None:
    histogram = length_histogram(lengths)
    edges = [int(edge) for edge in histogram.edges]
    steps = {later - earlier for earlier, later in pairwise(edges)}
    assert len(steps) == 1
    assert 1 <= len(histogram.counts) <= 10
    assert sum(histogram.counts) + (histogram.extra[1] if histogram.extra else 0) == len(lengths)
    assert edges[0] <= min(lengths) < edges[0] + steps.pop()
    for place, count in enumerate(histogram.counts):
        assert count == sum(edges[place] <= length < edges[place + 1] for length in lengths)


@pytest.mark.parametrize(("count", "said"), [(7, "7"), (999, "999"), (1234, "1.2k"), (9949, "9.9k"), (11697, "12k")])
def test_counts_above_bars_are_short(count: int, said: str) -> None:
    assert compact(count) == said


def test_a_histogram_says_every_count() -> None:
    figure = draw_histogram(Histogram(["0", "5", "10"], [3, 0], ("more", 1)), title="Length", subtitle="crops")
    assert [text.get_text() for text in figure.axes[0].texts] == ["3", "1"]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["0", "5", "10", "more"]
    assert b"Software" not in png_bytes(figure)


def test_a_film_strip_keeps_order_shape_and_marks() -> None:
    frames = [np.full((50, 50, 3), tone, np.uint8) for tone in (100, 200)]
    strip = film_strip(frames, 4, (48, 198), marked=[False, True])
    assert strip.shape == (48, 198, 3)
    assert (strip[24, [24, 74]] == [[100] * 3, [200] * 3]).all()
    assert (strip[24, [125, 175]] == strip[24, 49]).all(), "the places left are as dark as the gaps"
    assert tuple(strip[1, 74]) == tuple(strip[24, 51]) != (200, 200, 200)
    assert tuple(strip[1, 24]) == (100, 100, 100)


def test_a_text_strip_holds_long_reasons() -> None:
    plain, long = text_strip("", (96, 586)), text_strip("cannot read " * 200, (96, 586))
    assert plain.shape == long.shape == (96, 586, 3)
    assert (plain[2:-2, 2:-2] == plain[2, 2]).all()
    assert (long[2:-2, 20:-20] != plain[2, 2]).any()
    assert (long[2:-2, 2:10] == plain[2, 2]).all()
