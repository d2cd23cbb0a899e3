"""Numbers, durations, rates and moments as text."""

from __future__ import annotations

import pytest

from dfer.runtime.formatting import (
    clock,
    format_bytes,
    format_duration,
    format_eta,
    format_rate,
    percent,
    pluralize,
    shorten_home,
    span,
    timestamp,
    unique_lines,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (percent(0.66984), "66.98"),
        (percent(None), "–"),
        (clock(4.25, total=20), "4.2 s"),
        (clock(64.4, total=100), "1:04"),
        (clock(59.9, total=100), "1:00"),
        (clock(3727, total=4000), "1:02:07"),
        (span(0, 4.2, total=20), "0.0–4.2 s"),
        (span(58, 64, total=100), "0:58–1:04"),
        (timestamp(4.2), "0:04.2"),
        (timestamp(59.96), "1:00.0"),
        (timestamp(3727.5), "1:02:07.5"),
        (format_duration(0.84), "0.8 s"),
        (format_duration(59.7), "1 min 00 s"),
        (format_duration(245), "4 min 05 s"),
        (format_duration(7380), "2 h 03 min"),
        (pluralize(1, "fold"), "1 fold"),
        (pluralize(11697, "clip"), "11,697 clips"),
        (pluralize(2, "loss", "losses"), "2 losses"),
        (format_bytes(41_230_000_000), "41.2 GB"),
        (format_bytes(999_700_000), "1.0 GB"),
        (format_bytes(87_400_000), "87 MB"),
        (format_bytes(6_440_000), "6.4 MB"),
        (format_eta(0.2), "1 s"),
        (format_eta(59.4), "59 s"),
        (format_eta(59.6), "1 min"),
        (format_eta(3599), "1 h 00 min"),
        (format_eta(4320), "1 h 12 min"),
        (format_eta(86399), "1 d 0 h"),
        (format_eta(183600), "2 d 3 h"),
        (format_rate(1234.0, "clips"), "1,234 clips/s"),
        (format_rate(9.96, "clips"), "10 clips/s"),
        (format_rate(1.64, "clips"), "1.6 clips/s"),
        (format_rate(0.5, "clips"), "30 clips/min"),
        (format_rate(1 / 900, "clips"), "4 clips/h"),
    ],
)
def test_formatting(text: str, expected: str) -> None:
    assert text == expected


def test_lines_appear_once_in_their_order() -> None:
    assert unique_lines(["b", "a"], ["a", "c", "b"]) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/anna/data/dfew", "~/data/dfew"),
        (
            "dfer train /home/anna/a.yaml data.path=/home/anna/d --out '/home/anna/b c'",
            "dfer train ~/a.yaml data.path=~/d --out '~/b c'",
        ),
        ({"data": {"path": ["/home/anna/a", "b"]}, "seed": 3}, {"data": {"path": ["~/a", "b"]}, "seed": 3}),
        ("/home/annabel/data", "/home/annabel/data"),
        ("/mnt/home/anna/data", "/mnt/home/anna/data"),
        ("/home/anna", "/home/anna"),  # alone in YAML, "~" is null
        (None, None),
    ],
    ids=str,
)
def test_the_home_folder_is_a_tilde(text: object, expected: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    assert shorten_home(text) == expected


def test_a_home_at_the_root_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    assert shorten_home("/data/dfew") == "/data/dfew"
