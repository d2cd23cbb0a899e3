"""Lists in the encodings and with the separators that programs write."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfer.datasets import read_dataset
from dfer.datasets.lists import read_csv
from dfer.errors import DataError
from dfer.records import Span
from tests.unit.datasets.raw_datasets import notice, touch, write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("sep=;\npath;label\na.mp4;happy\nb.mp4;sad\n", id="sep line"),
        pytest.param('"sep=;"\r\npath;label\r\na.mp4;happy\r\nb.mp4;sad\r\n', id="quoted sep line"),
        pytest.param("sep=\t\npath\tlabel\na.mp4\thappy\nb.mp4\tsad\n", id="sep line with a tab"),
        pytest.param("path;label;note, in words\na.mp4;happy;x\nb.mp4;sad;y, z\n", id="comma in a header"),
        pytest.param("label;score, 0-1;path\nhappy;0,5;a.mp4\nsad;1,0;b.mp4\n", id="decimal commas"),
        pytest.param("path|label\na.mp4|happy\nb.mp4|sad\n", id="bars"),
        pytest.param("path\tlabel\tnote; or, text\na.mp4\thappy\t\nb.mp4\tsad\t\n", id="tabs"),
        pytest.param('path,label,note\na.mp4,happy,"two\nlines"\nb.mp4,sad,"three\n\nlines"\n', id="quoted line ends"),
        pytest.param("path,label\ra.mp4,happy\rb.mp4,sad\r", id="old line ends"),
    ],
)
def test_tables_that_say_the_same_read_the_same(text: str, encoding: str, tmp_path: Path) -> None:
    table = write(tmp_path / "labels.csv", text, encoding=encoding)
    clips = read_dataset("folder", table).clips
    assert [(clip.clip_id, clip.label_name) for clip in clips] == [("a.mp4", "happy"), ("b.mp4", "sad")]


@pytest.mark.parametrize("first", ["", "sep=,\n", "\n"])
def test_rows_have_the_line_on_which_they_begin(first: str, tmp_path: Path) -> None:
    table = write(tmp_path / "t.csv", first + 'a,b\n"1\n2",3\n\n4,5\n')
    above = first.count("\n")
    assert [(row.line - above, row.fields[0]) for row in read_csv(table)] == [(1, "a"), (2, "1\n2"), (5, "4")]


@pytest.mark.parametrize("name", ["clips.tsv", "clips.txt", "clips.CSV"])
def test_tables_of_other_suffixes_as_raw(name: str, tmp_path: Path) -> None:
    assert len(read_dataset("folder", write(tmp_path / name, "path\tlabel\na.mp4\thappy\n")).clips) == 1


class TestSegments:
    @pytest.mark.parametrize("columns", ["start,end", "start_s,end_s", "Start Time,End Time", "begin,stop"])
    @pytest.mark.parametrize(("start", "end"), [("1.5", "2.25"), ("0:01.5", "0:02.25"), ('"1,5"', '"00:00:02,25"')])
    def test_times(self, columns: str, start: str, end: str, tmp_path: Path) -> None:
        write(tmp_path / "labels.csv", f"path,label,{columns}\na.mp4,happy,{start},{end}\n")
        (clip,) = read_dataset("folder", tmp_path).clips
        assert clip.span == Span(1.5, 2.25)
        assert clip.clip_id == "a.mp4#1.5-2.25"

    def test_segments_of_one_video_are_clips_that_stay_in_one_fold(self, tmp_path: Path) -> None:
        rows = [f"{video}.mp4,{'happy' if n % 2 else 'sad'},{n},{n + 1}\n" for video in "abcdef" for n in range(4)]
        write(
            tmp_path / "labels.csv",
            "path,label,start,end\n" + "".join(rows) + "g.mp4,sad,,\nh.mp4,sad,3,\ni.mp4,sad,,2\n",
        )
        touch(tmp_path, "a.mp4")
        dataset = read_dataset("folder", tmp_path)
        assert [clip.clip_id for clip in dataset.clips][-4:] == ["f.mp4#3-4", "g.mp4", "h.mp4#3-end", "i.mp4#0-2"]
        assert {clip.source for clip in dataset.clips[:4]} == {tmp_path / "a.mp4"}
        for video in "abcdef":
            folds = {tuple(clip.folds.items()) for clip in dataset.clips if clip.clip_id.startswith(video)}
            assert len(folds) == 1
        assert "6 videos have several segments, such as a.mp4" in notice(dataset, "segments of one video")

    @pytest.mark.parametrize(
        ("row", "what"),
        [
            ("a.mp4,happy,2,1", "the segment ends at 1 s, not after its start at 2 s"),
            ("a.mp4,happy,2,2", "not after its start"),
            ("a.mp4,happy,-1,2", "'-1' is no time"),
            ("a.mp4,happy,nan,2", "'nan' is no time"),
            ("a.mp4,happy,soon,later", "'soon' is no time"),
            ("a.mp4,happy,1,inf", "'inf' is no time"),
        ],
    )
    def test_times_that_make_no_sense_name_file_and_line(self, row: str, what: str, tmp_path: Path) -> None:
        write(tmp_path / "labels.csv", f"path,label,start,end\nb.mp4,sad,0,1\n{row}\n")
        with pytest.raises(DataError, match=what) as caught:
            read_dataset("folder", tmp_path)
        assert "labels.csv, line 3" in str(caught.value)

    def test_one_segment_with_two_labels_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path / "labels.csv", "path,label,start,end\na.mp4,sad,0,1\na.mp4,happy,0,1.0\n")
        with pytest.raises(DataError, match=r"a\.mp4#0-1 is in the table twice"):
            read_dataset("folder", tmp_path)

    def test_frames_are_no_times(self, tmp_path: Path) -> None:
        write(tmp_path / "labels.csv", "path,label,start_frame,end_frame\na.mp4,sad,0,1\n")
        with pytest.raises(DataError, match="the column start_frame counts frames"):
            read_dataset("folder", tmp_path)
