"""The weights shipped with dfer, by name: NAME.safetensors in this folder, listed in SHA256SUMS.

`sha256sum -c SHA256SUMS` checks them, too. `python -m dfer.release.publish` writes both.
"""

from __future__ import annotations

from pathlib import Path

from dfer.errors import CheckpointError
from dfer.runtime.files import sha256_of, write_text

DEFAULT = "default"  # used where no other checkpoint is named
FOLDER = Path(__file__).parent
CHECKSUMS = "SHA256SUMS"


def pretrained_names() -> list[str]:
    """Return the names of the weights in this installation, sorted."""
    return sorted(file.removesuffix(".safetensors") for file in _checksums(FOLDER))


def find_pretrained(name: str) -> Path:
    """Return the file of shipped weights, after verifying its SHA-256.

    Args:
        name: such as "default".

    Raises:
        CheckpointError: this installation has no such weights, or they are damaged.
    """
    path = FOLDER / f"{name}.safetensors"
    expected = _checksums(FOLDER).get(path.name)
    if expected is None or not path.is_file():
        raise CheckpointError(
            f"this installation of dfer has no {name} weights",
            where=path,
            hint="name a checkpoint that `dfer train` wrote, or install a dfer that ships weights",
        )
    if sha256_of(path) != expected:
        raise CheckpointError(
            "the shipped weights are damaged: their SHA-256 is not the published one",
            where=path,
            hint="install dfer again (`pip install --force-reinstall`, or `git checkout` the file)",
        )
    return path


def pretrained_name(path: Path) -> str | None:
    """Return the name of the shipped weights in a file, or None for any other file."""
    inside = path.parent == FOLDER and path.suffix == ".safetensors"
    return path.stem if inside else None


def write_checksum(path: Path) -> str:
    """Write a file's SHA-256 into the SHA256SUMS beside it, replacing an earlier one.

    Returns:
        The SHA-256.

    Raises:
        DferError: it cannot be written.
    """
    digest = sha256_of(path)
    sums = _checksums(path.parent) | {path.name: digest}
    write_text(path.parent / CHECKSUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))
    return digest


def _checksums(folder: Path) -> dict[str, str]:
    """Return file name -> SHA-256; empty if nothing has been published."""
    path = folder / CHECKSUMS
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
