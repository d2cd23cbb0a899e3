"""Limits on a container or a batch job, from Linux control groups, versions 1 and 2.

Every group from this process's own up to the root may set a limit, and the tightest one counts. Version 1 keeps a tree
of groups per resource, version 2 one for all; inside a container, groups of the host that it cannot see are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")  # of the file system; tests put another one in its place


def memory_headroom_bytes() -> int | None:
    """Return the memory left below the tightest limit, page cache counting as free; None where there is no limit."""
    return min((room for folder in _groups("memory") if (room := _headroom(folder)) is not None), default=None)


def cpu_quota() -> float | None:
    """Return the CPU time allowed per second, in cores; None where there is no limit."""
    return min((quota for folder in _groups("cpu") if (quota := _quota(folder)) is not None), default=None)


def _groups(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's group and of those above it."""
    for line in _read(ROOT / "proc/self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        mount = ROOT / "sys/fs/cgroup"
        if number != "0":
            if controller not in controllers.split(","):
                continue
            mount /= controller
        group = PurePosixPath(path)
        yield from (mount / folder.relative_to("/") for folder in (group, *group.parents))


def _headroom(folder: Path) -> int | None:
    limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
    used = _number(folder / "memory.current", folder / "memory.usage_in_bytes")
    if limit is None or used is None:
        return None
    stat = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
    total = "total_" if "total_inactive_file" in stat else ""  # version 1 counts groups below under this name
    cached = sum(int(stat.get(f"{total}{name}", 0)) for name in ("active_file", "inactive_file"))
    return max(0, limit - used + cached)


def _quota(folder: Path) -> float | None:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    if not quota:
        quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    # Version 2 writes "max" and version 1 writes -1 for no limit.
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else None


def _number(*paths: Path) -> int | None:
    """Return the number in the first file that holds one."""
    return next((int(text) for path in paths if (text := _read(path)).isdecimal()), None)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
