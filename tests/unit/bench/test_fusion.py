"""The bytes of fused kernels, on chains of operators small enough to count by hand."""

from __future__ import annotations

import pytest

from dfer.bench.fusion import Operator, fused_bytes


def operator(name: str, inputs: list[int], outputs: list[int], *, backward: bool = False) -> Operator:
    """An operator on blocks of 10 bytes."""
    return Operator(name, "part", backward, dict.fromkeys(inputs, 10), dict.fromkeys(outputs, 10))


CHAIN = [operator("mul", [1], [2]), operator("add", [2], [3]), operator("relu", [3], [4])]


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        pytest.param(CHAIN, 20, id="a chain reads its beginning and writes its end"),
        pytest.param([*CHAIN, operator("mul", [2, 4], [5])], 20, id="what is used inside stays inside"),
        pytest.param([CHAIN[0], operator("mm", [2], [3]), operator("relu", [3], [4])], 60, id="a product is apart"),
        pytest.param([CHAIN[0], operator("mm", [2], [3]), operator("add", [2, 3], [4])], 70, id="around a product"),
        pytest.param([*CHAIN, operator("mul", [3, 4], [5], backward=True)], 60, id="kept for the backward pass"),
        pytest.param([operator("native_batch_norm", [1], [2])], 30, id="statistics need a pass of their own"),
    ],
)
def test_bytes_of_a_chain(operators: list[Operator], expected: int) -> None:
    assert fused_bytes(operators) == {"part": expected}
