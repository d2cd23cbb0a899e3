"""The weights that are shipped with dfer, by name: NAME.safetensors in this folder, and SHA256SUMS, which lists them.

`sha256sum -c SHA256SUMS` checks them, too. `dfer.release.publish` writes both.
"""

from __future__ import annotations

from pathlib import Path

from dfer.errors import CheckpointError
from dfer.runtime.files import sha256_of, write_text

DEFAULT = "default"  # what `dfer predict` takes where there is no other checkpoint
FOLDER = Path(__file__).parent
CHECKSUMS = "SHA256SUMS"


def pretrained_names() -> list[str]:
    """The names of the weights in this installation, sorted."""
    return sorted(file.removesuffix(".safetensors") for file in _checksums(FOLDER))


def find_pretrained(name: str) -> Path:
    """The file of shipped weights, after verifying its SHA-256.

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
            "the shipped weights are damaged: another SHA-256 than they were published with",
            where=path,
            hint="install dfer again (`pip install --force-reinstall`, or `git checkout` the file)",
        )
    return path


def pretrained_name(path: Path) -> str | None:
    """The name of the shipped weights that a file is, or None for any other file."""
    inside = path.parent == FOLDER and path.suffix == ".safetensors"
    return path.stem if inside else None


def write_checksum(path: Path) -> str:
    """Note a file's SHA-256 in the SHA256SUMS beside it, in place of what was noted of it.

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
    """File name -> SHA-256; empty where nothing has been published."""
    path = folder / CHECKSUMS
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
