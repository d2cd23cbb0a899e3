"""150 hostile checkpoints: settings out of bounds, weights that contradict them, files that are something else."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dfer.model.checkpoint import CheckpointInfo
from tests.checkpoints import read_parts, write_parts
from tests.hostile.cases import Case
from tests.hostile.material import Material

DIGITS = "9" * 5000
ESCAPES = "\x1b[31mred\x1b[0m\x9b2J\u202etxt\x07"

# Key of the settings (dots lead inside), and values that no checkpoint may have.
REFUSED: dict[str, list[Any]] = {
    "labels": [
        ["happy", "happy", "neutral"],
        "happy, sad, neutral",
        [],
        ["happy"],
        [0, 1, 2],
        ["a", "b"],
        ["a", "b", "c", "d"],
        [["happy"], ["sad"], ["neutral"]],
        None,
        {"happy": 0},
        ["happy", "sad", ""],
        ["happy", "sad", "n" * 1_000_000],
        [str(n) for n in range(100_000)],
        ["happy", "sad", None],
        ["happy", "sad", " "],
    ],
    "model_config.depth": [10**9, -1, 10**18, "1", None, True, 0.5, [1]],
    "model_config.dim": [2**40, 0, -16, 10**9, "16"],
    "model_config.heads": [10**9, 0, 3],
    "model_config.window": [[10**9] * 3, [0, 1, 1], [2], "2,1,1", [2, 1, 1, 1]],
    "model_config.num_frames": [0, -5, 10**9, 5, 10**12],
    "model_config.image_size": [10**6, 0, 31],
    "model_config.mlp_ratio": [1e12, -1, 0, 1e300],
    "model_config.stem_width": [10**9, 0, 2**31],
    "model_config.num_classes": [10**9, 0, -1, 2, 4],
    "model_config.dropout": [1.0, -0.5, 2],
    "model_config.another": [1],
    "model_config": [[], None, "logo", {}, 7],
    "model_name": ["other", None, 7, "n" * 100_000, ESCAPES],
    "crop_size": [0, -1, 10**9, "48", 1.5, None],
    "segments": [0, 10**9, 3, -1],
    "clip_s": [-1, 0, 1e18, "long"],
    "data": [[], "dfew", {"fold": "../../x"}, {"fold": 10**30}, {"name": "n" * 1_000_000}, {"fold": -1}],
    "notice": ["n" * 1_000_000, [], None, "line\n" * 5000],
    "selection": ["any", ESCAPES, None],
    "epoch": [-1, 10**18, "1"],
    "metrics": [[], {"a": "b"}, {str(n): 1.0 for n in range(100_000)}, {"a": [1]}],
    "pixel_mean": [[0, 0, 0], [1, 2], "grey"],
    "pixel_std": [[0, 0, 0], [-1, -1, -1]],
    "temperature": [0, -1, "hot", 1e300],
    "format": [[], 1, None, "dfer.checkpoint/2"],
    "licence": ["n" * 1_000_000],
    "alignment": ["none", {"size": 7}, {"template": "t" * 1_000_000}, [[]]],
    "surprise": [1],
}
ALLOWED: dict[str, list[Any]] = {
    "labels": [[ESCAPES, "[red]", "=1+1"], ["\u202eevil", "@x", "-y"], ["😀", "笑", "ü" * 60]],
    "notice": [ESCAPES, "[bold red]not markup[/]", "a notice\nof two lines"],
    "data": [{"name": ESCAPES}],
    "epoch": [0],
}
REQUIRED = [field.name for field in fields(CheckpointInfo) if MISSING is field.default is field.default_factory]
NO_NUMBERS = ("NaN", "Infinity", "-Infinity", DIGITS, "1e999", "[" * 100_000)
NUMERIC_KEYS = ("temperature", "clip_s", "crop_size", "epoch")


def hostile_checkpoints(material: Material, folder: Path) -> Iterator[Case]:
    """Yield the cases."""
    tensors, settings = read_parts(material.checkpoint)
    number = 0

    def case(name: str, make: Callable[[Path], object], refuse: bool = True) -> Case:
        nonlocal number
        number += 1
        return Case(
            "checkpoints",
            name,
            _command(number, material),
            folder / f"checkpoint{number:03}",
            lambda place: make(place / "a.safetensors"),
            refuse,
            {"out.json": b'{"earlier": 1}\n'},
        )

    for name, make, refuse in _settings(tensors, settings):
        yield case(name, make, refuse)
    for name, changed, refuse in _weights(tensors):
        yield case(name, lambda path, changed=changed: write_parts(path, changed, settings), refuse)
    good = material.checkpoint.read_bytes()
    for name, make in _files(good):
        yield case(name, make)


def _command(number: int, material: Material) -> list[str]:
    """Return one of the commands that read a checkpoint, in turn."""
    evaluate = ["eval", "--checkpoint", "a.safetensors", "--data", str(material.store), "--fold", "1"]
    predict = ["predict", str(material.picture), "--checkpoint", "a.safetensors", "--detector", "haar"]
    return [*(evaluate if number % 3 == 0 else predict), "--json", "out.json"]


def _settings(tensors: dict[str, Any], settings: dict[str, Any]) -> Iterator[tuple[str, Callable[[Path], None], bool]]:
    for table, refuse in ((REFUSED, True), (ALLOWED, False)):
        for key, values in table.items():
            for value in values:
                changed = _with(settings, key, value)
                yield f"{key} = {value!r:.40}", lambda path, s=changed: write_parts(path, tensors, s), refuse
    for key in settings:
        without = {name: value for name, value in settings.items() if name != key}
        yield f"without {key}", lambda path, s=without: write_parts(path, tensors, s), key in REQUIRED
    for key in NUMERIC_KEYS:
        for word in NO_NUMBERS:
            text = json.dumps(settings | {key: "@@"}).replace('"@@"', word)
            yield f"{key} = {word[:20]}", lambda path, t=text: write_parts(path, tensors, t), True
    texts = {
        "nested": "[" * 200_000 + "]" * 200_000,
        "a list": "[]",
        "a number": "7",
        "a word": "null",
        "no JSON": "{",
        "60,000 keys": json.dumps(settings | {f"key{n}": n for n in range(60_000)}),
        "a key twice": json.dumps(settings)[:-1] + ', "labels": ["x", "y", "z"]}',
    }
    for name, text in texts.items():
        yield name, lambda path, t=text: write_parts(path, tensors, t), True


def _with(settings: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    return settings | {first: _with(settings[first], rest, value) if rest else value}


def _weights(tensors: dict[str, torch.Tensor]) -> Iterator[tuple[str, dict[str, torch.Tensor], bool]]:
    floats = [name for name, tensor in tensors.items() if tensor.is_floating_point()]
    for name in ("head.weight", floats[0], next(name for name in floats if "running_var" in name)):
        for value in (float("nan"), float("inf")):
            spoilt = tensors[name].clone()
            spoilt.view(-1)[-1] = value
            yield f"{name} with {value}", tensors | {name: spoilt}, True
        yield f"{name} of int64", tensors | {name: tensors[name].long()}, True
        yield f"{name} of bool", tensors | {name: tensors[name] > 0}, True
        yield f"{name} of float64", tensors | {name: tensors[name].double()}, False
        yield f"{name} without a dimension", tensors | {name: tensors[name].flatten()[0].clone()}, True
        yield f"{name} empty", tensors | {name: tensors[name].flatten()[:0].clone()}, True
        yield f"{name} with one more dimension", tensors | {name: tensors[name][None].contiguous()}, True
        yield f"{name} is missing", {key: tensor for key, tensor in tensors.items() if key != name}, True
    for factor in (1e30, 1e38):
        huge = {name: tensor * factor if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
        yield f"all weights times {factor}", huge, True
    variance = next(name for name in floats if "running_var" in name)
    yield "a negative variance", tensors | {variance: -tensors[variance] - 1}, True
    yield "10,000 tensors", tensors | {f"t{n}": torch.zeros(1) for n in range(10_000)}, True
    yield "a large tensor more", tensors | {"more": torch.zeros(5_000_000)}, True
    yield "no tensors", {}, True


def _files(good: bytes) -> Iterator[tuple[str, Callable[[Path], object]]]:
    rng = np.random.default_rng(0)
    length = struct.unpack("<Q", good[:8])[0]
    for size in (0, 1, 2**31, 2**40, 2**63, 2**64 - 1, 99_000_000, len(good), length - 1, length + 1):
        yield f"header of {size} bytes", lambda path, n=size: path.write_bytes(struct.pack("<Q", n) + good[8:])
    headers = {
        "nested": b"[" * 1_000_000,
        "a shape too large": b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}}',
        "a negative shape": b'{"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}}',
        "an unknown type": b'{"a":{"dtype":"F1","shape":[4],"data_offsets":[0,16]}}',
        "overlaps": b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},'
        b'"b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}',
        "beyond the end": b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,99999999999999]}}',
        "no text": b'{"__metadata__":{"dfer":7},"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}',
        "noise": rng.bytes(5000),
    }
    for name, header in headers.items():
        data = struct.pack("<Q", len(header)) + header + bytes(16)
        yield f"header: {name}", lambda path, d=data: path.write_bytes(d)
    for share in (0.0, 0.001, 0.05, 0.3, 0.9, 0.999):
        yield f"cut off at {share:.1%}", lambda path, s=share: path.write_bytes(good[: int(len(good) * s)])
    for number in range(8):
        spoilt = bytearray(good)
        for place in rng.integers(0, 8 + length, 4**number % 4001 + 1):
            spoilt[place] ^= 1 << int(rng.integers(8))
        yield f"flipped bits {number}", lambda path, s=bytes(spoilt): path.write_bytes(s)
    yield "a pickle", lambda path: path.write_bytes(pickle.dumps({"a": 1}))
    yield "a torch file", lambda path: torch.save({"a": torch.zeros(2)}, path)
    yield "text", lambda path: path.write_text("weights\n" * 1000)
    yield "noise", lambda path: path.write_bytes(rng.bytes(100_000))
    yield "a folder", lambda path: path.mkdir()
    yield "a pipe", os.mkfifo
    yield "a device", lambda path: path.symlink_to("/dev/zero")
    yield "nothing", lambda path: path.symlink_to("/dev/null")
    yield "a link to itself", lambda path: path.symlink_to(path)
    yield "a sparse file of 1 TB", lambda path: (path.touch(), os.truncate(path, 10**12))
