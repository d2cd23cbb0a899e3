"""Weight files: read without running any code in them, and compared name by name before they are loaded."""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dfer.errors import CheckpointError, os_reason
from dfer.model.video_model import VideoModel
from dfer.runtime.reading import open_regular, require_regular

_TRUSTED_MODULES = ("torch", "collections")  # whose names a pickle of tensors holds

_DRAWS = (Tensor.normal_, Tensor.uniform_)  # all of torch.nn.init comes down to them


class WithoutDraws(TorchFunctionMode):
    """A context in which models are built with zeros for random weights, because others are loaded afterwards.

    On torch's meta device, drawing them would import torch's compiler, which takes longer than all else at the start.
    They must be zeros: `trunc_normal_` draws again until all values lie in its range, which what memory held need not.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],  # torch's signature
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the tensor, filled with zeros in place of random values."""
        return args[0].zero_() if func in _DRAWS else func(*args, **(kwargs or {}))


def read_weights(path: Path) -> dict[str, Any]:
    """Return the content of a weight file: of .safetensors its tensors, of any other what torch's safe loader gives.

    A pickle is read with `weights_only`: one that asks for more than tensors and plain containers is refused before it
    runs.

    Raises:
        CheckpointError: the file is missing, damaged, or would run code.
    """
    try:
        require_regular(path)
        content = load_file(path, device="cpu") if path.suffix == ".safetensors" else load_pickled(path)
    except OSError as error:
        raise CheckpointError(f"cannot read the weights: {os_reason(error)}", where=path) from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "refused to load the weights: the file holds more than tensors, or is damaged",
            where=path,
            hint="if you trust the file, load it with torch and save only its tensors as .safetensors",
        ) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError("the weights are damaged, or in a format that dfer does not read", where=path) from error
    return dict(content)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a network in a weight file, also where they are an entry of a training checkpoint.

    The `module.` that data-parallel training puts before each name is left out.

    Raises:
        CheckpointError: as for `read_weights`, or there is something else than tensors.
    """
    content = read_weights(path)
    entries = (content.get(key) for key in ("state_dict", "model", "module"))
    nested = next((entry for entry in entries if isinstance(entry, dict)), content)
    if not nested:
        raise CheckpointError("the file holds no state dict", where=path)
    other = [str(name) for name, value in nested.items() if not isinstance(value, Tensor)]
    if other:
        raise CheckpointError(f"expected only tensors, but {other[0]!r} is not one", where=path)
    return {str(name).removeprefix("module."): tensor for name, tensor in nested.items()}


def load_pickled(path: Path) -> dict[str, Any]:
    """Return the dict of tensors and plain values in a file that torch wrote, without running any code of the file.

    torch's restricted unpickler builds a few types besides tensors, among them byte arrays of any length, and unpacks
    what is compressed: files that ask for either are refused first.

    Raises:
        OSError: the file cannot be read, or is no regular file.
        pickle.UnpicklingError: it asks for more than tensors and plain containers.
        ValueError: it is damaged or compressed; RuntimeError and others come from torch's reader.
        CheckpointError: it holds something other than a dict.
    """
    with open_regular(path) as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                    raise ValueError("compressed")
                pickles = [name for name in archive.namelist() if name.endswith(".pkl")]
                for name in pickles:
                    _check_pickle(io.BytesIO(archive.read(name)))
        else:  # torch before 1.6: four pickles, of which the last names the storages that follow
            file.seek(0)
            for _ in range(4):
                _check_pickle(file)
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict):
        raise CheckpointError(f"expected a dict of tensors, got {type(content).__name__}", where=path)
    return content


def _check_pickle(file: IO[bytes]) -> None:
    for operation, argument, _ in pickletools.genops(file):
        module = str(argument).split(".", 1)[0].split(" ", 1)[0]
        if operation.name == "STACK_GLOBAL" or (operation.name == "GLOBAL" and module not in _TRUSTED_MODULES):
            raise pickle.UnpicklingError(f"it asks for {argument!s:.60}")


def load_weights(
    model: VideoModel, state_dict: Mapping[str, Tensor], *, where: str | None = None, keep_head: bool = False
) -> None:
    """Load a checkpoint's weights: all of them, or none.

    Args:
        model: may fit them to its sizes, such as position embeddings of another grid; the log says so.
        state_dict: the checkpoint's tensors.
        where: the file, for the error message.
        keep_head: leave the model's own head as it is, to start from a checkpoint with other labels.

    Raises:
        CheckpointError: tensors are missing, unexpected or of another shape.
    """
    own, found = model.state_dict(), model.fit_weights(state_dict)
    if keep_head:
        found |= {name: tensor for name, tensor in own.items() if name.startswith("head.")}
    require_same_tensors(own, found, where=where)
    model.load_state_dict(found, strict=True)


def load_part(
    module: nn.Module,
    found: Mapping[str, Tensor],
    *,
    is_part: Callable[[str], bool],
    is_optional: Callable[[str], bool] = lambda _name: False,
    where: str | Path,
) -> list[str]:
    """Load the tensors of a part of a module, completely or not at all.

    Args:
        module: its other tensors stay.
        found: the part's tensors.
        is_part: whether a tensor of this name belongs to the part.
        is_optional: whether one of the part may be missing; it then stays as it is.
        where: the file, for errors.

    Returns:
        The names that are missing.

    Raises:
        CheckpointError: as for `require_same_tensors`.
    """
    every = module.state_dict()
    part = {name: tensor for name, tensor in every.items() if is_part(name)}
    missing = [name for name in part if is_optional(name) and name not in found]
    require_same_tensors(part, {**found, **{name: part[name] for name in missing}}, where=where)
    module.load_state_dict({**every, **found}, strict=True)
    return missing


def require_same_tensors(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], *, where: str | Path | None
) -> None:
    """Refuse weights whose names or shapes are not exactly the expected ones.

    Raises:
        CheckpointError: names what is missing, unexpected and of another shape.
    """
    if other := [name for name, value in found.items() if not isinstance(value, Tensor)]:
        raise CheckpointError(f"not a tensor: {_shorten(list(map(str, other)))}", where=where)
    differences = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "wrong shape": [
            f"{name} {list(found[name].shape)} instead of {list(tensor.shape)}"
            for name, tensor in expected.items()
            if name in found and found[name].shape != tensor.shape
        ],
        "wrong type": [
            f"{name} {_dtype(found[name])} instead of {_dtype(tensor)}"
            for name, tensor in expected.items()
            if name in found and found[name].is_floating_point() != tensor.is_floating_point()
        ],
    }
    listed = [f"{what}: {_shorten(names)}" for what, names in differences.items() if names]
    if listed:
        raise CheckpointError(
            f"the weights do not fit the model: {'; '.join(listed)}",
            where=where,
            hint="use the model settings that the weights were trained with",
        )


def require_finite(tensors: Mapping[str, Tensor], *, where: str | Path | None) -> None:
    """Refuse weights that are NaN or infinite: every answer would be.

    Raises:
        CheckpointError: names the first such tensor.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"the weights are NaN or infinite: {name:.100}", where=where)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shorten(names: list[str], limit: int = 6) -> str:
    more = len(names) - limit
    return ", ".join(f"{name:.100}" for name in names[:limit]) + (f" and {more:,} more" if more > 0 else "")
