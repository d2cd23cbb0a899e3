"""50 hostile recipes: text that is not a recipe, values out of bounds, bombs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.cases import Case
from tests.hostile.checkpoints import DIGITS, ESCAPES
from tests.hostile.material import Material
from tests.places import NO_FILES

_BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
TEXTS: dict[str, str | bytes] = {
    "empty": "",
    "a list": "- 1\n- 2\n",
    "a number": "7",
    "nested lists": "[" * 100_000,
    "nested mappings": "{a: " * 20_000,
    "nested indents": "".join(f"{' ' * n}a:\n" for n in range(500)),
    "aliases": _BOMB,
    "an alias of itself": "a: &a [*a]\n",
    "a merge": "a: &a {b: 1}\nc:\n  <<: *a\n",
    "60,000 keys": "".join(f"key{n}: {n}\n" for n in range(60_000)),
    "5,000 keys": "".join(f"key{n}: {n}\n" for n in range(5_000)),
    "5,000 keys in a section": "model:\n" + "".join(f"  key{n}: {n}\n" for n in range(5_000)),
    "a key of 100,000 letters": f"? {'k' * 100_000}\n: 1\n",
    "a key that is a list": "? [a, b]\n: 1\n",
    "a key that is a mapping": "? {a: b}\n: 1\n",
    "a key twice": "name: a\nname: b\n",
    "a Python tag": "name: !!python/object/apply:os.system [id]\n",
    "another tag": "name: !!binary aGk=\n",
    "a date": "name: 2001-99-99\n",
    "escapes": f"name: '{ESCAPES}'\n",
    "NUL": b"name: a\x00b\n",
    "UTF-16": "name: a\n".encode("utf-16"),
    "Latin-1": "name: \xe9\n".encode("latin-1"),
    "noise": bytes(range(256)) * 20,
    "a quote without an end": "name: 'a\n",
    "tabs": "name:\t\ta\n\tdata: b\n",
    "a page of another kind": "<html>\n<body>404</body></html>\n",
    "documents": "---\nname: a\n---\nname: b\n",
}
OVERRIDES = [
    f"train.epochs={DIGITS}",
    f"train.epochs=0x{'f' * 6000}",
    "train.epochs=1e18",
    "train.epochs=-1",
    "train.epochs=.nan",
    "train.batch_size=1000000000000",
    "model.depth=1000000000",
    "model.dim=1099511627776",
    "model.num_frames=1000000000",
    "model.window=[9999999999,1,1]",
    "model.image_size=1000000",
    "data.segments=3",
    "data.segments=0",
    "optim.lr=.inf",
    "optim.lr=1e300",
    "train.seed=-1",
    "train.workers=99999",
    "train.memory_gb=-1",
    "name=../../x",
    f"name={'n' * 5000}",
    "name=a/b",
    f"model.name={ESCAPES}",
    'data.path="a\\0b"',
    f"data.path={'p' * 50_000}",
    "data.path=[]",
    "data.path=[[]]",
    "data.path=[{path: x, weight: -1}]",
    "augment.crop_ratio=[0,0]",
    "augment.mixup=1e300",
    "loss.focal_gamma=1e300",
    "x",
    "=",
    "model.init=/dev/zero",
    "model.backbone=/dev/zero",
    "model.init=pipe",
    "model.backbone=pipe",
    "a=[" + "[" * 50_000,
]


def hostile_recipes(material: Material, folder: Path) -> Iterator[Case]:
    """Yield the cases."""
    number = 0

    def case(name: str, arguments: list[str], make: Callable[[Path], object] = lambda _place: None) -> Case:
        nonlocal number
        number += 1
        return Case(
            "recipes", name, ["train", *arguments, "--device", "cpu"], folder / f"recipe{number:03}", make, True
        )

    for name, text in TEXTS.items():
        data = text if isinstance(text, bytes) else text.encode()
        yield case(name, ["a.yaml"], lambda place, d=data: (place / "a.yaml").write_bytes(d))
    for override in OVERRIDES:
        recipe = str(material.recipe)
        yield case(override, [recipe, override], lambda place: os.mkfifo(place / "pipe"))
    kinds: dict[str, Callable[[Path], object]] = {
        **NO_FILES,
        "file of 1 TB": lambda path: (path.touch(), os.truncate(path, 10**12)),
    }
    for name, put in kinds.items():
        yield case(f"a {name}", ["a.yaml"], lambda place, p=put: p(place / "a.yaml"))
