"""The benchmark of reading clips: what it reports; never how fast."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from dfer.batches import crops
from dfer.bench import feed
from dfer.bench.feed import bench_feed
from dfer.reports.benchmarks import feed_table
from dfer.store import reading


def test_reading_is_measured_with_and_without_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "usable_cores", lambda: 2)
    index_clip = crops.index_clip
    said: list[str] = []
    result = bench_feed(seconds=0.05, image_size=32, scale=0.0005, on_step=said.append)
    assert json.loads(json.dumps(result)) == result
    assert [case["workers"] for case in result["cases"]] == [1, 2]
    assert all(case["clips_per_s"] > 0 and case["core_ms"] > 0 for case in result["cases"])
    assert result["locked_ms"] > 0
    assert said[0] == "generating 6 clips"
    assert crops.index_clip is index_clip is reading.index_clip, "stand-ins are gone"
    console = Console(width=80, no_color=True)
    with console.capture() as capture:
        console.print(feed_table(result))
    assert "Python alone" in capture.get()
