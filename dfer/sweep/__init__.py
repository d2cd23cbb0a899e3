"""Train and test a grid of settings, seeds and folds: resumable, a run folder each, with a summary.

`load_sweep` reads what to vary, `plan_sweep` checks all of it before anything is trained, and `run_sweep` does it.
"""

from dfer.sweep.definition import Cell, Sweep, load_sweep
from dfer.sweep.plan import SweepPlan, plan_sweep
from dfer.sweep.run import run_sweep

__all__ = ["Cell", "Sweep", "SweepPlan", "load_sweep", "plan_sweep", "run_sweep"]
