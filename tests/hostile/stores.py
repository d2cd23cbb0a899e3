"""100 hostile stores: dataset.json, the manifest, clips' ZIPs, journals, and what stands in place of files."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.hostile.cases import Case
from tests.hostile.checkpoints import ESCAPES
from tests.hostile.material import Material
from tests.places import NO_FILES

Change = Callable[[Path], object]
INFO: dict[str, list[Any]] = {
    "labels": [
        ["happy", "happy", "neutral"],
        "happy",
        [],
        ["happy", "sad"],
        [1, 2, 3],
        None,
        ["n" * 900_000],
        [str(n) for n in range(50_000)],
    ],
    "num_folds": [-1, 10**18, "2", 1, None],
    "crop_size": [0, 10**9, -3, "48", 64, 1.5],
    "alignment": [[], "x", None],
    "notice": ["n" * 900_000, 7],
    "format": ["dfer.store/2", None, []],
    "name": ["", None, "n" * 100_000],
    "detector": [7],
    "surprise": [1],
}
FIELDS = {
    "clip_id": "c0", "label": "0", "label_name": "happy", "num_frames": "10", "source_frames": "0", "fps": "25",
    "status": "ok", "detail": "",
}  # fmt: skip
ROWS: dict[str, dict[str, str]] = {
    "label -1": {"label": "-1"},
    "label 1e18": {"label": str(10**18)},
    "label of 5,000 digits": {"label": "9" * 5000},
    "label 3 of 3": {"label": "3"},
    "label that is no number": {"label": "happy"},
    "another name": {"label_name": "sad"},
    "fps nan": {"fps": "nan"},
    "fps inf": {"fps": "inf"},
    "fps -1": {"fps": "-1"},
    "a million million frames": {"num_frames": str(10**12)},
    "-1 frames": {"num_frames": "-1"},
    "more frames than crops": {"num_frames": "11"},
    "a source of -1 frames": {"source_frames": "-1"},
    "another status": {"status": "fine"},
    "a clip twice": {"clip_id": "c1"},
    "no name": {"clip_id": ""},
    "a name that leads outside": {"clip_id": "../../c0"},
    "an absolute name": {"clip_id": "/etc/passwd"},
    "a long name": {"clip_id": "n" * 20_000},
    "escapes in a name": {"clip_id": ESCAPES},
    "NUL in a name": {"clip_id": "c\0"},
    "a quote without an end": {"clip_id": '"c0'},
    "a long reason": {"status": "no_face", "detail": "r" * 100_000},
}


def hostile_stores(material: Material, folder: Path) -> Iterator[Case]:
    """Yield the cases; each has a copy of the store."""
    changes = [*_infos(material.store), *_manifests(material.store), *_clips(), *_files(), *_journals()]
    for number, (name, change) in enumerate(changes, start=1):
        yield Case(
            "stores",
            name,
            _command(number, material),
            folder / f"store{number:03}",
            lambda place, change=change: change(
                Path(shutil.copytree(material.store, place / "store", copy_function=_link))
            ),
            name in _REFUSED,
            {"out.json": b"{}\n"},
        )


# Reading any of these as if it were whole would be silently wrong.
_REFUSED = {"labels ['happy', 'happy', 'neutral']", "label -1", "label 3 of 3", "another name", "a clip twice"}


def _command(number: int, material: Material) -> list[str]:
    evaluate = [
        "eval",
        "--checkpoint",
        str(material.checkpoint),
        "--data",
        "store",
        "--fold",
        "1",
        "--json",
        "out.json",
    ]
    train = ["train", str(material.recipe), "data.path=store", "train.epochs=1", "--device", "cpu"]
    check = ["preprocess", "dfew", "--out", "store", "--check"]
    again = ["preprocess", "dfew", str(material.raw), "--out", "store", "--detector", "haar", "--engine", "inline"]
    return (evaluate, train, evaluate, check, evaluate, again)[number % 6]


def _link(source: str, target: str) -> None:
    os.link(source, target)


def _rewrite(path: Path, data: bytes | str) -> None:
    path.unlink()  # its content is shared with the sound store
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape"))


def _infos(store: Path) -> Iterator[tuple[str, Change]]:
    info = json.loads((store / "dataset.json").read_text())
    for key, values in INFO.items():
        for value in values:
            text = json.dumps(info | {key: value})
            yield f"{key} {value!r:.40}", lambda root, t=text: _rewrite(root / "dataset.json", t)
    for key in ("labels", "crop_size", "alignment"):
        text = json.dumps({name: value for name, value in info.items() if name != key})
        yield f"without {key}", lambda root, t=text: _rewrite(root / "dataset.json", t)
    texts = {
        "nested": "[" * 100_000,
        "a list": "[]",
        "empty": "",
        "NaN": '{"crop_size": NaN}',
        "bytes": b"\xff\xfe\x00",
    }
    for name, text in texts.items():
        yield f"dataset.json: {name}", lambda root, t=text: _rewrite(root / "dataset.json", t)


def _manifests(store: Path) -> Iterator[tuple[str, Change]]:
    text = (store / "manifest.csv").read_text()
    row = ",".join(FIELDS.values())
    assert row in text
    changed = {name: text.replace(row, ",".join((FIELDS | change).values()), 1) for name, change in ROWS.items()}
    changed |= {
        "a split of no kind": text.replace("train", "tarin", 1),
        "a fold that is no number": text.replace("fold_1", "fold_one"),
        "a fold of 30 digits": text.replace("fold_1", f"fold_{'9' * 30}"),
        "a column twice": text.replace("num_frames", "label", 1),
        "no rows": text.splitlines()[0] + "\n",
        "empty": "",
        "no columns": "a,b\n1,2\n",
        "cut off": text[: len(text) // 2],
        "an HTML page": "<html><body>404</body></html>",
        "100,000 columns": ",".join(f"fold_{n}" for n in range(1, 100_000)) + "\n",
    }
    for name, content in changed.items():
        yield name, lambda root, t=content: _rewrite(root / "manifest.csv", t)
    for name, data in {"UTF-16": text.encode("utf-16"), "noise": np.random.default_rng(0).bytes(5000)}.items():
        yield f"manifest: {name}", lambda root, d=data: _rewrite(root / "manifest.csv", d)


def _clips() -> Iterator[tuple[str, Change]]:
    jpeg = cv2.imencode(".jpg", np.zeros((48, 48, 3), np.uint8))[1].tobytes()
    at = jpeg.index(b"\xff\xc0")
    huge = jpeg[: at + 5] + b"\xff\xdc\xff\xdc" + jpeg[at + 9 :]
    names = [f"{n:06d}.jpg" for n in range(10)]
    deflated = zipfile.ZIP_DEFLATED
    members: dict[str, tuple[dict[str, bytes], int]] = {
        "huge crops": (dict.fromkeys(names, huge), zipfile.ZIP_STORED),
        "zeros unpacked to 300 MB": ({names[0]: bytes(300_000_000)}, deflated),
        "small crops": (dict.fromkeys(names, cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()), 0),
        "crops that are PNG": (
            dict.fromkeys(names, cv2.imencode(".png", np.zeros((48, 48, 3), np.uint8))[1].tobytes()),
            0,
        ),
        "crops that are text": (dict.fromkeys(names, b"crop"), 0),
        "crops cut off": (dict.fromkeys(names, jpeg[:200]), 0),
        "no crops": ({}, 0),
        "names that lead outside": (dict.fromkeys(["../../a.jpg", "/a.jpg"], jpeg), 0),
    }
    for name, (content, kind) in members.items():
        yield f"clip: {name}", lambda root, c=content, k=kind: _rewrite_clips(root, _packed(c, k))
    for name, raw in {
        "empty": b"",
        "text": b"zip",
        "noise": np.random.default_rng(1).bytes(9000),
        "cut": b"PK\3\4",
    }.items():
        yield f"clip: {name}", lambda root, d=raw: _rewrite_clips(root, d)


def _packed(content: dict[str, bytes], kind: int) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", kind) as archive:
        for member, text in content.items():
            archive.writestr(zipfile.ZipInfo(member), text, kind)
    return data.getvalue()


def _rewrite_clips(root: Path, data: bytes) -> None:
    for path in (root / "crops").iterdir():
        _rewrite(path, data)


def _files() -> Iterator[tuple[str, Change]]:
    for file in ("dataset.json", "manifest.csv", "crops/c0.zip", "progress.jsonl"):
        for kind, put in NO_FILES.items():
            yield f"{file} is a {kind}", lambda root, f=file, p=put: ((root / f).unlink(missing_ok=True), p(root / f))
    yield "crops is a file", lambda root: (shutil.rmtree(root / "crops"), (root / "crops").write_text("x"))


def _journals() -> Iterator[tuple[str, Change]]:
    row = {"clip_id": "1", "label": 0, "label_name": "happy", "status": "ok", "folds": {"1": "train"}, "votes": []}
    lines = {
        "label 1e18": json.dumps(row | {"label": 10**18}),
        "folds a list": json.dumps(row | {"folds": []}),
        "nested": "[" * 100_000,
        "a number": "7",
        "digits": "9" * 5000,
        "a name outside": json.dumps(row | {"clip_id": "../x"}),
    }
    for name, line in lines.items():
        yield f"journal: {name}", lambda root, t=line: (root / "progress.jsonl").write_text(t + "\n")
