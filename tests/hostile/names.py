"""50 hostile names of inputs, and outputs that are no place for one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.hostile.cases import Case
from tests.hostile.checkpoints import ESCAPES
from tests.hostile.material import Material

INPUTS = [
    "\udcff\udcfe.png",
    "a\r.png",
    "a\nb.png",
    "a\tb.png",
    "a\\b.png",
    "n" * 250 + ".png",
    "脸" * 80 + ".png",
    "-a.png",
    "--json.png",
    "[red].png",
    "[bold].png",
    ESCAPES.replace("/", "") + ".png",
    "\u202egnp.png",
    "=1+1.png",
    "@sum.png",
    "a b  c.png",
    " a.png",
    "😀.png",
    "e\u0301.png",
    "a:b.png",
    "http:a.png",
    "file:a.png",
    "pipe:0.png",
    "concat:a|b.png",
    "%d.png",
    "%s%n.png",
    "a?.png",
    "*.png",
    "$HOME.png",
    "'; rm x.png",
    ".png.png",
    "a.png.",
    "CON.png",
    "\x7f\x85.png",
]
_LONG = "o" * 300
OUTPUTS: list[tuple[list[str], bool]] = [
    (["--json", "in.png"], True),
    (["--csv", "in.png"], True),
    (["--plot", "in.png"], True),
    (["--json", "link.png"], True),
    (["--plot", "link.png"], True),
    (["--plot", "hard.png"], True),
    (["--json", "folder"], True),
    (["--json", "folder/"], True),
    (["--json", "/dev/full"], True),
    (["--csv", "/dev/full"], True),
    (["--json", "-"], False),
    (["--csv", "-"], False),
    (["--json", "/dev/null"], False),
    (["--csv", "x.xlsx"], True),
    (["--json", "x.exe"], True),
    (["--plot", "x.txt"], True),
    (["--video", "x.gif"], True),
    (["--video", "in.png"], True),
    (["--json", f"{_LONG}.json"], True),
    (["--json", "/proc/a.json"], True),
    (["--json", "loop.json"], True),
    (["--json", "in.png/a.json"], True),
    (["--json", "\x1b[2J.json"], False),
    (["--csv", "\udcff.csv"], False),
    (["--json", ""], True),
    (["--json", "."], True),
    (["--json", ".."], True),
    (["--json", "a\0.json"], True),
    (["--plot", "new/folder/a.png"], False),
    (["--json", "good.safetensors"], True),
]


def hostile_names(material: Material, folder: Path) -> Iterator[Case]:
    """Yield the cases."""
    picture = material.picture.read_bytes()
    for number, name in enumerate(INPUTS):
        source = name if number % 2 else f"./{name}"
        arguments = ["predict", source, *_WITH, "--json", "out.json", "--csv", "out.csv"]
        earlier = {"out.json": b"{}\n", name: picture}
        place = folder / f"input{number:03}"
        yield Case("names and outputs", repr(name), arguments, place, partial(_put, material, name), earlier=earlier)
    for number, (output, refuse) in enumerate(OUTPUTS):
        arguments = ["predict", "in.png", *_WITH, *output]
        place, make = folder / f"output{number:03}", partial(_put, material, "in.png")
        yield Case("names and outputs", " ".join(output), arguments, place, make, refuse, {"in.png": picture})


_WITH = ["--checkpoint", "good.safetensors", "--detector", "haar"]
_PLACES: dict[str, Callable[[Path], object]] = {
    "link.png": lambda path: path.symlink_to("in.png"),
    "hard.png": lambda path: os.link(path.with_name("in.png"), path),
    "folder": Path.mkdir,
    "loop.json": lambda path: path.symlink_to(path),
}


def _put(material: Material, name: str, place: Path) -> None:
    shutil.copy(material.checkpoint, place / "good.safetensors")
    shutil.copy(material.picture, place / name)
    if name == "in.png":
        for kind, put in _PLACES.items():
            put(place / kind)
