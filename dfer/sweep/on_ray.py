"""The engine on a running Ray cluster. Its nodes need this version of dfer, and the working folder under its path.

If a node is lost, Ray runs its tasks again on another, where they continue from the state that was saved last.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from dfer.errors import DferError
from dfer.plugins import load_plugins, loaded_sources
from dfer.runtime.ray_tasks import NODES_LOST, NodeLostError, connected, import_ray, in_flight, result_of
from dfer.sweep.engines import SAVING_S, Engine, Outcomes, share_machine
from dfer.sweep.plan import SweepRun
from dfer.sweep.work import failure_of, train_and_test
from dfer.version import __version__

_NODES_HINT = (
    "each node needs `pip install 'dfer[ray]'` of the same versions, and the working folder, the data and --out under "
    "the same paths"
)


def ray_engine(
    *, workers: int = 0, device: str = "auto", gpus_per_run: float | None = None, cores_per_run: int = 0
) -> Engine:
    """Return the engine of a Ray cluster.

    Args:
        workers: runs at a time, at most; 0: as many as the cluster has room for.
        device: "auto", "cpu" or "cuda".
        gpus_per_run: share of a GPU that each run gets; None: a whole one, or none where the cluster has no GPUs.
        cores_per_run: that Ray reserves for each run; 0: one.

    Raises:
        DferError: Ray is not installed.
    """
    return partial(
        run_on_ray,
        ray=import_ray(),
        workers=workers,
        device=device,
        gpus_per_run=gpus_per_run,
        cores_per_run=cores_per_run or 1,
    )


def run_on_ray(
    runs: Sequence[SweepRun], *, ray: Any, workers: int, device: str, gpus_per_run: float | None, cores_per_run: int
) -> Outcomes:
    """Do runs on the cluster; see `ray_engine`.

    Raises:
        DferError: there is no cluster, it is lost, or its nodes have another version of dfer.
    """
    with connected(ray):
        share = _gpu_share(ray, device, gpus_per_run)
        # Their decoded crops must not take all of a machine's memory.
        prepared = [share_machine(run, max(2, workers), cores_per_run, shares_gpu=0 < share < 1) for run in runs]
        remote = ray.remote(num_cpus=cores_per_run, num_gpus=share, max_retries=NODES_LOST)(run_on_node)

        def submit(run: SweepRun) -> Any:
            return remote.remote(run, device, str(Path.cwd()), __version__, loaded_sources())

        def room() -> int:
            there = ray.cluster_resources()
            places = int(there.get("CPU", 1)) // cores_per_run
            if share:
                places = min(places, int(there.get("GPU", 0) / share + 1e-6))
            return min(workers or places, max(1, places))

        for run, reference in in_flight(ray, submit, prepared, room, grace_s=SAVING_S):
            yield run, _failure(ray, reference, run)


def _gpu_share(ray: Any, device: str, asked: float | None) -> float:
    """Return the share of a GPU for each run, 0 for none."""
    has_gpus = ray.cluster_resources().get("GPU", 0) > 0
    if device == "cpu":
        return 0.0
    if not has_gpus and (device == "cuda" or asked):
        raise DferError("this Ray cluster has no GPUs", hint="--device cpu, or add nodes with GPUs")
    return (asked or 1.0) if has_gpus else 0.0


def _failure(ray: Any, reference: Any, run: SweepRun) -> DferError | None:
    try:
        result = result_of(ray, reference, hint=_NODES_HINT)
    except NodeLostError as error:
        return DferError(error.reason, where=run.folder, hint="if memory ran out, run fewer at a time")
    if isinstance(result, _WrongNodeError):
        raise DferError(result.what, where=result.where, hint=_NODES_HINT)
    return result  # type: ignore[no-any-return]


class _WrongNodeError(DferError):
    """A node cannot do any run."""


# ---- on the nodes


def run_on_node(run: SweepRun, device: str, folder: str, version: str, plugins: Sequence[str] = ()) -> DferError | None:
    """Do one run, and return why it failed."""
    if version != __version__:
        return _WrongNodeError(f"a node has dfer {__version__}, the others {version}")
    try:
        os.chdir(folder)  # the paths of recipes are relative to it
    except OSError as error:
        return _WrongNodeError(f"a node has no {folder}: {error.strerror}")
    try:
        load_plugins(plugins)
    except DferError as error:
        return _WrongNodeError(error.what, where=error.where)
    try:
        train_and_test(run, device=device)
    except Exception as error:
        return failure_of(run, error)
    return None
