"""Cores and memory of this machine, and the limits that a container or a job sets on them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dfer.runtime import cgroup, machine

GB = 10**9
UNLIMITED_V1 = 9223372036854771712


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a file system without control groups; tests add some."""
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)
    return tmp_path


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text + "\n")


def version_2(root: Path, group: str, files: dict[str, str]) -> None:
    write(root / "proc/self", {"cgroup": "0::/pod/job"})
    write(root / "sys/fs/cgroup" / group, files)


def version_1(root: Path, group: str, files: dict[str, str]) -> None:
    groups = "9:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc"
    write(root / "proc/self", {"cgroup": groups})
    write(root / "sys/fs/cgroup" / group, files)


def test_no_groups_set_no_limit(root: Path) -> None:
    assert cgroup.memory_headroom_bytes() is None
    assert cgroup.cpu_quota() is None


def test_memory_below_a_limit_of_version_2(root: Path) -> None:
    version_2(
        root,
        "pod/job",
        {
            "memory.max": f"{4 * GB}",
            "memory.current": f"{3 * GB}",
            "memory.stat": f"anon {GB}\ninactive_file {GB // 2}\nactive_file {GB}",
        },
    )
    assert cgroup.memory_headroom_bytes() == 2.5 * GB


def test_the_tightest_group_above_counts(root: Path) -> None:
    version_2(root, "pod/job", {"memory.max": "max", "memory.current": f"{GB}", "cpu.max": "300000 100000"})
    version_2(root, "pod", {"memory.max": f"{2 * GB}", "memory.current": f"{GB}", "cpu.max": "150000 100000"})
    assert cgroup.memory_headroom_bytes() == GB
    assert cgroup.cpu_quota() == 1.5


def test_more_than_the_limit_leaves_nothing(root: Path) -> None:
    version_2(root, "pod/job", {"memory.max": f"{GB}", "memory.current": f"{2 * GB}"})
    assert cgroup.memory_headroom_bytes() == 0


def test_a_container_of_version_1_sees_its_limits_at_the_root(root: Path) -> None:
    version_1(
        root,
        "memory",
        {
            "memory.limit_in_bytes": f"{2 * GB}",
            "memory.usage_in_bytes": f"{GB}",
            "memory.stat": f"inactive_file 7\ntotal_inactive_file {GB // 4}\ntotal_active_file {GB // 4}",
        },
    )
    version_1(root, "cpu", {"cpu.cfs_quota_us": "50000", "cpu.cfs_period_us": "100000"})
    assert cgroup.memory_headroom_bytes() == 1.5 * GB
    assert cgroup.cpu_quota() == 0.5


def test_unlimited_groups(root: Path) -> None:
    version_1(root, "memory/docker/abc", {"memory.limit_in_bytes": f"{UNLIMITED_V1}", "memory.usage_in_bytes": f"{GB}"})
    version_1(root, "cpu/docker/abc", {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"})
    assert machine.free_memory_bytes() <= psutil.virtual_memory().total
    assert cgroup.cpu_quota() is None
    version_2(root, "pod/job", {"memory.max": "max", "memory.current": f"{GB}", "cpu.max": "max 100000"})
    assert cgroup.memory_headroom_bytes() is None
    assert cgroup.cpu_quota() is None


def test_free_memory_is_within_the_limit(root: Path) -> None:
    version_2(root, "pod/job", {"memory.max": "300000000", "memory.current": "100000000"})
    assert machine.free_memory_bytes() == 200_000_000


@pytest.mark.parametrize(("quota", "cores"), [("20000 100000", 1), ("100000 100000", 1), ("99000000 100000", None)])
def test_cores_are_within_the_quota(root: Path, quota: str, cores: int | None) -> None:
    everything = machine.usable_cores()
    version_2(root, "pod/job", {"cpu.max": quota})
    assert machine.usable_cores() == (cores or everything)


@pytest.mark.skipif(sys.platform == "darwin", reason="no affinity")
def test_cores_are_within_the_affinity(root: Path) -> None:
    with machine.limit_cores(1):
        assert machine.usable_cores() == 1
        child = subprocess.run(
            [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"], capture_output=True, check=True
        )
        assert child.stdout.strip() == b"1"
    assert machine.usable_cores() == len(os.sched_getaffinity(0))


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_peak_memory_remembers_what_was_freed() -> None:
    """In a process of its own: one that has trained takes the block from memory that it has kept."""
    code = """
from dfer.runtime import machine
machine.reset_peak_memory()
before = machine.used_memory_bytes()
block = b"x" * 200_000_000
held = machine.used_memory_bytes()
del block
print(held - before, machine.peak_memory_bytes() - before)
"""
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    held, peak = map(int, output.split())
    assert held >= 190_000_000
    assert peak >= 190_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_freed_memory_is_kept() -> None:
    """In a process of its own, as it holds until the end: the second time, hardly a page is new."""
    code = """
import ctypes, resource
from dfer.runtime.machine import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.argtypes, libc.malloc.restype, libc.free.argtypes = [ctypes.c_size_t], ctypes.c_void_p, [ctypes.c_void_p]
def faults(size=256_000_000):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
given_back = faults()
assert keep_freed_memory()
faults()
print(given_back, faults())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    given_back, kept = map(int, done.stdout.split())
    assert kept < given_back / 4
