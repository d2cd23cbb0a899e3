"""The packed store: readable without dfer, atomic, the same bytes for the same crops."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dfer.errors import DataError
from dfer.store import CropRecord, open_store, read_clip, read_clip_record, write_clip
from dfer.store.reading import index_clip
from tests.stores import SIZE, small_store


def _crops(count: int = 5) -> list[np.ndarray]:
    x, y = np.meshgrid(np.arange(64), np.arange(64))
    return [np.stack([x * 4, y * 4, np.full_like(x, 40 * n)], -1).astype(np.uint8) for n in range(count)]


RECORD = CropRecord([0, 1, 2, 3, 5], [0.0, 0.04, 0.08, 0.12, 0.2], [[1.0, 2.0, 30.0, 40.0]] * 5, [True] * 4 + [False])


def test_crops_come_back_nearly_as_they_were(tmp_path: Path) -> None:
    crops = _crops()
    write_clip(tmp_path / "c.zip", crops, RECORD)
    back = read_clip(tmp_path / "c.zip")
    assert back.shape == (5, 64, 64, 3)
    assert np.abs(back.astype(int) - np.stack(crops).astype(int)).mean() < 2.0
    assert read_clip_record(tmp_path / "c.zip") == RECORD


def test_chosen_crops_come_in_the_order_asked(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.zip", _crops(), RECORD)
    everything = read_clip(tmp_path / "c.zip")
    assert (read_clip(tmp_path / "c.zip", [4, 0, 0, 2]) == everything[[4, 0, 0, 2]]).all()


def test_a_clip_is_read_without_dfer(tmp_path: Path) -> None:
    write_clip(tmp_path / "c.zip", _crops(), RECORD)
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [*(f"{n:06d}.jpg" for n in range(5)), "clip.json"]
        image = Image.open(io.BytesIO(archive.read("000003.jpg")))
        assert (image.size, image.mode) == ((64, 64), "RGB")
        assert abs(np.asarray(image)[..., 2].mean() - 120) < 3  # blue is blue, not red
        assert json.loads(archive.read("clip.json"))["times_s"] == RECORD.times_s


def test_the_bytes_depend_only_on_the_crops(tmp_path: Path) -> None:
    first = write_clip(tmp_path / "a" / "c.zip", _crops(), RECORD)
    second = write_clip(tmp_path / "b" / "other.zip", _crops(), RECORD)
    assert first == second == hashlib.sha256((tmp_path / "a" / "c.zip").read_bytes()).hexdigest()
    assert write_clip(tmp_path / "c.zip", _crops()[::-1], RECORD) != first


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _data: b"", id="empty"),
        pytest.param(lambda data: data[: len(data) // 2], id="truncated"),
        pytest.param(lambda _data: b"not a zip at all", id="other"),
        pytest.param(lambda data: data.replace(b"000001.jpg", b"000009.jpg"), id="missing crop"),
    ],
)
def test_a_damaged_clip_is_named(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "c.zip"
    write_clip(path, _crops(), RECORD)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(DataError, match="damaged or missing crops") as caught:
        read_clip(path)
    assert str(path) in str(caught.value)


def test_folds_and_splits(tmp_path: Path) -> None:
    store = small_store(tmp_path / "s", failed=1)
    test = {row.clip_id for row in store.select(1, "test")}
    train = {row.clip_id for row in store.select(1, "train")}
    assert test
    assert train
    assert not test & train
    assert "failed0" in test  # a clip that could not be read stays in its list
    with pytest.raises(DataError, match="no fold 99"):
        store.select(99, "test")


def test_the_fingerprint_follows_labels_lists_and_crops(tmp_path: Path) -> None:
    store = small_store(tmp_path / "s")
    same = open_store(tmp_path / "s").fingerprint()
    assert store.fingerprint() == same
    changed = [
        replace(store, rows=[replace(store.rows[0], label=2), *store.rows[1:]]),
        replace(store, rows=[replace(store.rows[0], sha256="0"), *store.rows[1:]]),
        replace(store, rows=[replace(store.rows[0], folds={1: "test"}), *store.rows[1:]]),
        replace(store, rows=[replace(store.rows[0], votes=(1, 2, 3)), *store.rows[1:]]),
        replace(store, info=replace(store.info, labels=["sad", "happy", "neutral"])),
    ]
    assert len({other.fingerprint() for other in changed} | {same}) == 6


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        pytest.param("dataset.json", "{", "damaged dataset.json", id="broken JSON"),
        pytest.param("dataset.json", '{"format": "dfer.store/9"}', "dfer.store/9", id="newer format"),
        pytest.param("manifest.csv", "clip_id\nx\n", "cannot read the manifest", id="missing columns"),
    ],
)
def test_a_damaged_store_says_which_file(tmp_path: Path, name: str, text: str, expected: str) -> None:
    small_store(tmp_path / "s")
    (tmp_path / "s" / name).write_text(text)
    with pytest.raises(DataError, match=expected) as caught:
        open_store(tmp_path / "s")
    assert name in str(caught.value)


def test_no_store_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no store here") as caught:
        open_store(tmp_path)
    assert "dfer preprocess" in (caught.value.hint or "")


def test_crop_size_is_recorded(tmp_path: Path) -> None:
    store = small_store(tmp_path / "s")
    assert store.info.crop_size == SIZE
    assert read_clip(store.clip_path("c0")).shape[1:] == (SIZE, SIZE, 3)


def test_crops_are_read_from_remembered_places_into_what_is_given(tmp_path: Path) -> None:
    path = tmp_path / "c.zip"
    write_clip(path, _crops(), RECORD)
    everything, index = read_clip(path), index_clip(path)
    out = np.zeros_like(everything[:4])
    assert read_clip(path, [4, 0, 0, 3], index=index, out=out) is out
    assert np.array_equal(out, everything[[4, 0, 0, 3]])
    with pytest.raises(DataError, match="pixels"):
        read_clip(path, [0], index=index, out=np.zeros((1, 5, 5, 3), np.uint8))


@pytest.mark.parametrize("damage", ["a byte of a crop", "cut off", "another file"])
def test_a_file_that_changed_since_its_places_were_remembered(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "c.zip"
    write_clip(path, _crops(), RECORD)
    index, data = index_clip(path), bytearray(path.read_bytes())
    data[index.starts[4] + 60] ^= 255
    changed = {"a byte of a crop": bytes(data), "cut off": bytes(data[:500]), "another file": b"x" * 9000}
    path.write_bytes(changed[damage])
    with pytest.raises(DataError, match="damaged or missing crops"):
        read_clip(path, [4], index=index)


def test_crops_that_another_program_packed(tmp_path: Path) -> None:
    """With extra fields after the names, in another order, and with something else between them."""
    path, other = tmp_path / "c.zip", tmp_path / "other.zip"
    write_clip(path, _crops(), RECORD)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for number in (4, 2, 0, 1, 3):
            info = zipfile.ZipInfo(f"{number:06d}.jpg")
            info.extra = b"\x99\x99\x10\x00" + bytes(16)
            target.writestr(info, source.read(f"{number:06d}.jpg"))
            target.writestr(f"note{number}.txt", bytes(40_000 * number))
    assert np.array_equal(read_clip(other), read_clip(path))
    assert np.array_equal(read_clip(other, [3, 0]), read_clip(path, [3, 0]))
