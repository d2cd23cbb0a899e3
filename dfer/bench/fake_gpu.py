"""Stand-ins for a GPU: torch's fake CUDA tensors, which have shapes but no values, through forward and backward.

Operators are dispatched as they would be for a GPU, and each can be looked at, but nothing is computed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from dfer.errors import DferError
from dfer.runtime import transfer

DEVICE = torch.device("cuda", 0)
# Places of device types in torch's table of device guards: c10::DeviceType.
_CUDA, _META = 1, 14
_GUARDS = "_ZN3c104impl26device_guard_impl_registryE"


@contextmanager
def fake_gpu(on_node: Callable[[Any], None] = lambda _node: None) -> Iterator[None]:
    """Make tensors on `DEVICE` fake ones in the block; a value that Python asks for raises an error.

    Args:
        on_node: called with each node of autograd's graph before its backward function, and with None after the last.

    Raises:
        DferError: torch is built in a way that does not allow it.
    """

    def host_empty(shape: Any, dtype: torch.dtype, *, device: torch.device) -> Tensor:  # noqa: ARG001
        return torch.empty(*shape, dtype=dtype)  # pinning asks for a driver

    def backward(loss: Tensor) -> None:
        _run_backward(loss, on_node)
        on_node(None)

    patches = {
        "torch.cuda.amp.common.amp_definitely_not_available": lambda: False,
        "torch.cuda.is_bf16_supported": lambda *_, **__: True,
        "torch.cuda.Event": mock.MagicMock,
        "torch.cuda.current_stream": mock.MagicMock(),
        "torch.nn.functional.scaled_dot_product_attention": _fused_attention,
        "torch.Tensor.backward": backward,
    }
    with ExitStack() as stack:
        stack.enter_context(_lent_guard())
        stack.enter_context(mock.patch.object(transfer, "host_empty", host_empty))
        for name, stand_in in patches.items():
            stack.enter_context(mock.patch(name, stand_in))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield


def move_to_fake(module: torch.nn.Module) -> None:
    """Put the parameters and buffers of a module on `DEVICE`; in a block of `fake_gpu`."""
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        module.to(DEVICE)
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrites)


@contextmanager
def _lent_guard() -> Iterator[None]:
    """Autograd asks for CUDA's device guard, which torch's builds for CPUs lack: lend them that of `meta`, a no-op."""
    if torch.version.cuda is not None:
        yield
        return
    library = Path(torch.__file__).parent / "lib" / "libc10.so"
    try:
        guards = (ctypes.c_void_p * (_META + 1)).in_dll(ctypes.CDLL(str(library)), _GUARDS)
    except (OSError, ValueError) as error:
        raise DferError("this build of torch cannot trace a GPU", where=f"torch {torch.__version__}") from error
    before, guards[_CUDA] = guards[_CUDA], guards[_META]
    try:
        yield
    finally:
        guards[_CUDA] = before


def _fused_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """Choose the kernel as torch does for a GPU: with a mask, flash attention is not to be had."""
    aten = torch.ops.aten
    if attn_mask is None:
        flash: Tensor = aten._scaled_dot_product_flash_attention(query, key, value)[0]
        return flash
    bias = torch.zeros(attn_mask.shape, dtype=query.dtype, device=query.device).masked_fill(~attn_mask, -torch.inf)
    bias = bias.expand(*query.shape[:3], key.shape[2])
    efficient: Tensor = aten._scaled_dot_product_efficient_attention(query, key, value, bias, True)[0]
    return efficient


@torch.no_grad()
def _run_backward(loss: Tensor, on_node: Callable[[Any], None]) -> None:
    """Do what autograd's engine does, which cannot begin without a driver: call the nodes, latest first."""
    assert loss.grad_fn is not None
    waiting: dict[Any, dict[int, Tensor]] = {loss.grad_fn: {0: torch.ones_like(loss)}}
    for node in reversed(_children_first(loss.grad_fn)):
        gradients = waiting.pop(node, {})
        on_node(node)
        if hasattr(node, "variable"):  # a parameter
            parameter, gradient = node.variable, gradients[0]
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
            continue
        outputs = node(*(gradients.get(number) for number in range(max(gradients, default=0) + 1)))
        for output, (following, number) in zip(_as_tuple(outputs), node.next_functions, strict=False):
            if following is not None and output is not None:
                slots, fitted = waiting.setdefault(following, {}), _fitted(output, following._input_metadata[number])
                slots[number] = slots[number] + fitted if number in slots else fitted


def _children_first(root: Any) -> list[Any]:
    ordered: list[Any] = []
    seen, stack = set(), [(root, False)]
    while stack:
        node, finished = stack.pop()
        if finished:
            ordered.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(child, False) for child, _ in node.next_functions if child is not None]
    return ordered


def _fitted(gradient: Tensor, metadata: Any) -> Tensor:
    """Return a gradient in the shape and number format of what it belongs to: broadcasting is summed up again."""
    shape = tuple(metadata.shape)
    gradient = gradient if tuple(gradient.shape) == shape else gradient.sum_to_size(shape)
    return gradient.to(metadata.dtype)


def _as_tuple(values: Any) -> tuple[Any, ...]:
    return values if isinstance(values, tuple) else (values,)
