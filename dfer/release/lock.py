"""Write requirements.hashed.lock: what production installs need, each package with the SHA-256 of its files.

    python -m dfer.release.lock          # or: make lock

pip resolves pyproject.toml within the versions of requirements.lock and reports which file it would install of each
package; nothing is installed. The hashes of a version that the file has already stay beside the new ones. The shipped
lock was made with PyTorch's CPU build of torch. PyPI's build for Linux is another file and needs NVIDIA's packages;
`make lock` adds both on a machine whose pip finds that build.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dfer.errors import DferError
from dfer.release.script import run_script
from dfer.runtime.files import write_text

VERSIONS, HASHED = Path("requirements.lock"), Path("requirements.hashed.lock")
INSTALLED = (".[export]", "setuptools")  # the second one builds the first
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
HEADER = f"""\
# What production installs need, with the SHA-256 of every file: Linux on x86-64, Python 3.11. `make lock` writes it
# from pyproject.toml and {VERSIONS}; run on another kind of machine, it adds the hashes of that machine's files.
#     pip install --require-hashes --extra-index-url {TORCH_INDEX} -r {HASHED}
#     pip install --no-deps --no-build-isolation .
# Of torch it has the CPU build, which is at that index; PyPI's build for Linux is another file.
"""
_REQUIREMENT = re.compile(r"^(\S+)==(\S+)((?:\s*\\\n\s+--hash=sha256:[0-9a-f]{64})+)", re.MULTILINE)

Hashes = dict[tuple[str, str], set[str]]  # of the files of a package, by its name and version


def write_lock(root: Path) -> int:
    """Write the lock.

    Args:
        root: of the checkout.

    Returns:
        The number of packages.

    Raises:
        DferError: pip cannot resolve the packages, or gives none of their hashes.
    """
    path = root / HASHED
    known = parse_lock(path.read_text(encoding="utf-8")) if path.exists() else {}
    hashes = {package: found | known.get(package, set()) for package, found in report_hashes(_resolve(root)).items()}
    write_text(path, format_lock(hashes))
    return len(hashes)


def parse_lock(text: str) -> Hashes:
    """Return the packages in the text of a hashed lock."""
    return {
        (name, version): set(re.findall("[0-9a-f]{64}", lines)) for name, version, lines in _REQUIREMENT.findall(text)
    }


def format_lock(hashes: Hashes) -> str:
    """Return the text of a hashed lock, in the order of the packages' names."""

    def lines(name: str, version: str) -> Iterator[str]:
        yield f"{name}=={version}"
        yield from (f"    --hash=sha256:{digest}" for digest in sorted(hashes[name, version]))

    return HEADER + "".join(" \\\n".join(lines(*package)) + "\n" for package in sorted(hashes))


def report_hashes(report: dict[str, Any]) -> Hashes:
    """Return the packages of pip's installation report; without dfer itself, which has no file of its own.

    Raises:
        DferError: pip does not say the hash of a package.
    """
    found: Hashes = {}
    for item in report["install"]:
        name, version = item["metadata"]["name"].lower().replace("_", "-"), item["metadata"]["version"]
        if name == "dfer":
            continue
        digest = item["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if digest is None:
            raise DferError("pip gives no SHA-256", where=f"{name} {version}")
        # torch's builds are told apart by a suffix such as +cpu, which one requirement must match all of.
        found[name, version.partition("+")[0]] = {digest}
    return found


def _resolve(root: Path) -> dict[str, Any]:
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    command = [*pip, "--no-build-isolation", "--constraint", str(VERSIONS), *INSTALLED]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DferError(f"pip cannot resolve the packages: {done.stderr.strip()[-300:]}", where=root / "pyproject.toml")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def main() -> None:
    """Write the hashed lock of the checkout in this folder, from the command line."""
    print(f"{HASHED}: {write_lock(Path.cwd())} packages")


if __name__ == "__main__":
    run_script(main)
