"""Describe the program and machine that a result was computed with."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from dfer.plugins import describe_plugins
from dfer.runtime.device import describe_machine
from dfer.version import __version__

_PACKAGES = ("torch", "numpy", "opencv-python", "insightface", "onnxruntime", "decord", "av", "safetensors")


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Return the versions, plugins, git commit, machine and command of this process, ready for JSON.

    Args:
        device: the device that the process computes on.
    """
    return {
        "dfer": __version__,
        "git": git_commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "plugins": describe_plugins(),
        "platform": platform.platform(),
        "device": str(device),
        "machine": describe_machine(device),
        "threads": torch.get_num_threads(),
        "command": " ".join(sys.argv),
    }


def utc_now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def git_commit() -> str | None:
    """Return the commit of the checkout that dfer runs from, with "+" if files changed; None outside a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
