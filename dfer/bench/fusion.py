"""The bytes that a compiler's kernels would move, estimated from the operators of a step.

Operators that compute each value by itself, and reductions, are taken for one kernel where they follow each other
without a product, convolution or attention between. A kernel reads what comes from outside, and writes what is used
outside.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

# Operators that are kernels of their own, by the beginnings of their names.
_APART = (
    "mm", "addmm", "bmm", "baddbmm", "convolution", "_scaled_dot_product", "max_pool2d", "_fused_adam", "_foreach",
)  # fmt: skip
# Their statistics are of all clips: a second pass over the input applies them.
_TWO_PASSES = ("native_batch_norm",)


@dataclass
class Operator:
    """An operator that ran.

    Attributes:
        name: torch's, without its overload.
        part: of the step.
        backward: whether it belongs to the backward pass.
        inputs: bytes by the number of the memory block.
        outputs: likewise.
    """

    name: str
    part: str
    backward: bool
    inputs: dict[int, int]
    outputs: dict[int, int]
    level: int = field(default=0, init=False)

    @property
    def apart(self) -> bool:
        """True if it is a kernel of its own."""
        return self.name.startswith(_APART)


def fused_bytes(operators: list[Operator]) -> dict[str, int]:
    """Return the bytes that each part reads and writes, by its name."""
    kernels = _kernels(operators)
    users = defaultdict(set)
    for operator, kernel in zip(operators, kernels, strict=True):
        for block in operator.inputs:
            users[block].add(kernel)
    totals: dict[str, int] = defaultdict(int)
    seen: set[tuple[int, int]] = set()  # which kernel has which block
    for operator, kernel in zip(operators, kernels, strict=True):
        for block, size in operator.inputs.items():
            passes = 2 if operator.name.startswith(_TWO_PASSES) else 1
            if (kernel, block) not in seen:
                totals[operator.part] += passes * size
        for block, size in operator.outputs.items():
            if (kernel, -block) not in seen and users[block] != {kernel}:
                totals[operator.part] += size
        seen.update((kernel, block) for block in [*operator.inputs, *operator.outputs])
        seen.update((kernel, -block) for block in operator.outputs)
    return totals


def _kernels(operators: list[Operator]) -> list[int]:
    """Return the number of the kernel that each operator is in."""
    makers: dict[int, int] = {}
    kernels = list(range(len(operators)))

    def root(number: int) -> int:
        while kernels[number] != number:
            number = kernels[number]
        return number

    for number, operator in enumerate(operators):
        before = [makers[block] for block in operator.inputs if block in makers]
        operator.level = max((operators[maker].level + operators[maker].apart for maker in before), default=0)
        for other in () if operator.apart else before:
            same = (operators[other].level, operators[other].backward) == (operator.level, operator.backward)
            if same and not operators[other].apart:
                kernels[root(other)] = root(number)
        for block in operator.outputs:
            makers[block] = number
    return [root(number) for number in range(len(operators))]
