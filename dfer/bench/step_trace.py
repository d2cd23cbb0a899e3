"""Count what a training step does on a GPU, without one: copies, synchronisations, bytes and FLOPs of each part.

The step is the real one, traced with fake CUDA tensors. Bytes are counted as if no operator were fused with another,
and as if a compiler fused all that it can. A trace says nothing of time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from dfer.batches.sampling import split_batch
from dfer.bench.fake_gpu import DEVICE, fake_gpu, move_to_fake
from dfer.bench.fusion import Operator, fused_bytes
from dfer.faces.align import alignment_settings
from dfer.labels import DFEW_LABELS
from dfer.recipe import Recipe
from dfer.runtime.transfer import Readback
from dfer.store import DatasetInfo, Store
from dfer.store.manifest import ManifestRow
from dfer.training.average import MovingAverage
from dfer.training.optimizer import build_optimizer
from dfer.training.setup import Learner, build_learner
from dfer.training.step import Stepper
from dfer.version import __version__

SCHEMA = "dfer.bench.step/1"
OTHER = "other"
# Operators for which Python waits, as their result or its shape depends on values.
SYNCHRONISING = frozenset(
    {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "nonzero_static", "masked_select", "equal", "unique_dim"}
)


@dataclass
class Part:
    """The traffic of one part of a step: bytes read and written, operator by operator, and its FLOPs."""

    bytes: int = 0
    flops: int = 0


@dataclass
class Counts:
    """The copies, waits and traffic of a step."""

    copies_in: list[int] = field(default_factory=list)  # bytes of each
    copies_out: list[int] = field(default_factory=list)
    synchronisations: list[str] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=lambda: defaultdict(Part))
    operators: list[Operator] = field(default_factory=list)


def trace_step(recipe: Recipe, *, crop_size: int = 128) -> dict[str, Any]:
    """Trace the second step of a training run: the first one also allocates what the optimizer keeps.

    Args:
        recipe: training settings; its stores are not opened. Clips are those of DFEW's classes.
        crop_size: side of the stored crops, pixels.

    Returns:
        `dfer.bench.step/1`: "copies_in" and "copies_out", the bytes of each copy between main memory and the GPU
        (frames that are not on the GPU already come besides, a copy for each part of a batch); "synchronisations",
        operators for which Python waits; "parts" with "name", "bytes", "fused_bytes" (see `dfer.bench.fusion`) and
        "flops" per clip.

    Raises:
        DferError: this build of torch cannot trace a GPU.
    """
    batch = recipe.train.batch_size
    labels = list(DFEW_LABELS)
    rows = [ManifestRow(f"{n}", n % len(labels), labels[n % len(labels)], "ok", {1: "train"}) for n in range(batch)]
    info = DatasetInfo("traced", labels, 1, crop_size, alignment_settings(crop_size), "none", "", __version__)
    learner = build_learner(recipe, Store(Path(), info, rows), rows, device=torch.device("cpu"))
    counter = _Counter()
    with fake_gpu(counter.enter_node):
        stepper = _fake_stepper(recipe, learner)
        split = split_batch(batch, recipe.optim.accumulate, stepper.augment.unit, rank=0, world_size=1)
        shape = (recipe.model.num_frames, crop_size, crop_size, 3)
        for step in range(2):
            counter.counts = Counts()
            frames = [torch.empty((part.stop - part.start, *shape), dtype=torch.uint8, device=DEVICE) for part in split]
            with counter, _labelled(stepper, counter):
                totals = stepper.run(rows, zip(split, frames, strict=True), epoch=0, step=step, steps=100)
                Readback(totals)
    counts = counter.counts
    fused = fused_bytes(counts.operators)
    return {
        "schema": SCHEMA,
        "recipe": recipe.name,
        "batch_size": batch,
        "precision": str(stepper.dtype).removeprefix("torch."),
        "copies_in": counts.copies_in,
        "copies_out": counts.copies_out,
        "synchronisations": counts.synchronisations,
        "parts": [
            {
                "name": name,
                "bytes": part.bytes / batch,
                "fused_bytes": fused.get(name, 0) / batch,
                "flops": part.flops / batch,
            }
            for name, part in counts.parts.items()
        ],
    }


def _fake_stepper(recipe: Recipe, learner: Learner) -> Stepper:
    """Return steps of a learner whose tensors are moved to the fake GPU."""
    model, loss, average = learner.model, learner.loss, learner.average
    for module in (model, loss, *([] if average is None else [average.module])):
        move_to_fake(module)
    learner = Learner(model, loss, build_optimizer(model, recipe.optim), average)
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update={"compile": "off"})})
    dtype = torch.float32 if recipe.train.precision == "float32" else torch.bfloat16
    stepper = Stepper(recipe, learner, device=DEVICE, dtype=dtype, fold=1)
    move_to_fake(stepper.augment)
    draw = stepper._draw

    def draw_in_main_memory(*arguments: Any) -> Any:
        with unset_fake_temporarily():
            return draw(*arguments)

    stepper._draw = draw_in_main_memory  # type: ignore[method-assign, assignment]
    return stepper


class _Counter(TorchDispatchMode):
    """Counts the operators of the part that is entered; those of a backward pass count for the part that began them."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()
        self._open = [OTHER]
        self._begun: list[tuple[int, str]] = [(0, OTHER)]
        self._in_backward = False
        self._blocks: dict[int, tuple[int, Any]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count operators in the block as those of a part."""
        self.enter(name)
        try:
            yield
        finally:
            self.leave()

    def enter(self, name: str) -> None:
        """Begin a part, within the one that is open."""
        self._open.append(name)
        self._begun.append((_sequence_number(), name))

    def leave(self) -> None:
        """End a part."""
        self._open.pop()
        self._begun.append((_sequence_number(), self._open[-1]))

    def enter_node(self, node: Any) -> None:
        """Go on in the part that made a node of autograd's graph; None ends the backward pass."""
        self._in_backward = node is not None
        if node is None:
            self._open[-1] = OTHER
        elif not hasattr(node, "variable"):
            place = bisect_right(self._begun, node._sequence_nr(), key=lambda begun: begun[0]) - 1
            self._open[-1] = self._begun[place][1]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        made = [value for value in tree_leaves(output) if isinstance(value, Tensor)]
        self._count_copy(func, given, made)
        if not any(value.device == DEVICE for value in [*given, *made]) or _is_view(func):
            return output
        part = self.counts.parts[self._open[-1]]
        inputs, outputs = (
            {self._block(value): _bytes_of(value) for value in values if value.device == DEVICE}
            for values in (given, made or given)
        )
        part.bytes += sum(inputs.values()) + sum(outputs.values())
        self.counts.operators.append(
            Operator(func.overloadpacket.__name__, self._open[-1], self._in_backward, inputs, outputs)
        )
        if func.overloadpacket in flop_registry:
            part.flops += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=output)
        return output

    def _block(self, tensor: Tensor) -> int:
        """Return the number of a tensor's memory, which is kept so that no other one has its address."""
        storage = tensor.untyped_storage()
        number, _ = self._blocks.setdefault(storage._cdata, (len(self._blocks) + 1, storage))
        return number

    def _count_copy(self, func: Any, given: list[Tensor], made: list[Tensor]) -> None:
        name = func.overloadpacket.__name__
        if name in SYNCHRONISING and any(value.device == DEVICE for value in given):
            self.counts.synchronisations.append(name)
        if name in ("_to_copy", "copy_"):
            source, target = given[-1], made[0]
            if source.device != target.device:
                copies = self.counts.copies_in if target.device == DEVICE else self.counts.copies_out
                copies.append(_bytes_of(source))
        elif any(value.device == DEVICE for value in made):
            # An index in main memory is copied by the operator; a single number goes with the kernel's arguments.
            self.counts.copies_in += [_bytes_of(value) for value in given if value.device != DEVICE and value.ndim]


@contextmanager
def _labelled(stepper: Stepper, counter: _Counter) -> Iterator[None]:
    """Tell the counter which part of a step is at work."""
    handles = []
    for name, module in [*_named_parts(stepper.model), ("loss", stepper.learner.loss)]:
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: counter.enter(name)))
        handles.append(module.register_forward_hook(lambda *_: counter.leave()))
    wrapped: list[tuple[Any, str, str]] = [
        (stepper.augment, "augment", "augmentation"),
        (stepper, "_features", "tokens"),
        (stepper.learner.optimizer, "step", "optimizer"),
    ]
    if isinstance(stepper.learner.average, MovingAverage):
        wrapped.append((stepper.learner.average, "update", "moving average"))
    originals = [(owner, method, getattr(owner, method)) for owner, method, _ in wrapped]
    for (owner, method, name), (_, _, original) in zip(wrapped, originals, strict=True):
        setattr(owner, method, _in_part(original, counter, name))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for owner, method, original in originals:
            setattr(owner, method, original)


def _in_part(work: Callable[..., Any], counter: _Counter, name: str) -> Callable[..., Any]:
    def counted(*arguments: Any, **options: Any) -> Any:
        with counter.part(name):
            return work(*arguments, **options)

    return counted


def _named_parts(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the children of a model, and in place of its list of blocks the layers that each block holds."""
    for name, child in model.named_children():
        blocks = list(child.children()) if isinstance(child, nn.Sequential) else []
        if not blocks:
            yield name, child
        for block in blocks:
            yield from block.named_children()


def _sequence_number() -> int:
    """Return the number that autograd gives to the next node."""
    return torch._C._autograd._get_sequence_nr()


def _is_view(func: Any) -> bool:
    """True if an operator only looks at its argument in another way."""
    return any(value.alias_info is not None and not value.alias_info.is_write for value in func._schema.returns)


def _bytes_of(tensor: Tensor) -> int:
    return min(tensor.numel() * tensor.itemsize, tensor.untyped_storage().nbytes())
