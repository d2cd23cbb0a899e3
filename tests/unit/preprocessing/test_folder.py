"""The store's folder, opened for writing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dfer.errors import UsageError
from dfer.preprocessing.folder import open_for_writing
from dfer.runtime.files import create_json
from dfer.store import Store, read_info
from tests.stores import small_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return small_store(tmp_path / "store", clips_per_class=1)


def test_only_one_of_several_creates_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "dataset.json"
    assert [create_json(path, number) for number in range(3)] == [True, False, False]
    assert path.read_text() == "0\n"
    assert list(path.parent.iterdir()) == [path]


def test_opening_a_folder(tmp_path: Path, store: Store) -> None:
    before = (store.root / "dataset.json").read_bytes()
    open_for_writing(store.root, store.info, (1, 2), overwrite=False)
    assert (store.root / "dataset.json").read_bytes() == before
    with pytest.raises(UsageError, match="crop_size 48 -> 64"):
        open_for_writing(store.root, replace(store.info, crop_size=64), (1, 2), overwrite=False)
    half_opened = tmp_path / "new"
    half_opened.mkdir()
    (half_opened / ".dataset.abc.tmp.json").touch()  # another shard is just doing it
    open_for_writing(half_opened, store.info, (1, 2), overwrite=False)
    assert read_info(half_opened) == store.info
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").touch()
    with pytest.raises(UsageError, match="not a store"):
        open_for_writing(tmp_path / "photos", store.info, (1, 1), overwrite=True)
    assert (tmp_path / "photos" / "me.jpg").exists()


def test_the_rate_of_frames_without_times_is_a_setting_and_older_stores_have_none(tmp_path: Path, store: Store) -> None:
    assert "fps" not in (store.root / "dataset.json").read_text()
    with pytest.raises(UsageError, match=r"other settings: fps None -> 12\.5"):
        open_for_writing(store.root, replace(store.info, fps=12.5), (1, 1), overwrite=False)
    given = replace(store.info, fps=12.5)
    for _ in range(2):
        open_for_writing(tmp_path / "new", given, (1, 1), overwrite=False)
    assert read_info(tmp_path / "new") == given
    for fps in (None, 25.0):
        with pytest.raises(UsageError, match=r"other settings: fps 12\.5 -> "):
            open_for_writing(tmp_path / "new", replace(given, fps=fps), (1, 1), overwrite=False)
