"""Raw data set -> store: decode, detect, track, align and pack every clip of the official lists."""

from dfer.preprocessing.clip import Settings
from dfer.preprocessing.engines import run_in_process
from dfer.preprocessing.on_ray import ray_engine
from dfer.preprocessing.run import Summary, merge, preprocess

__all__ = ["Settings", "Summary", "merge", "preprocess", "ray_engine", "run_in_process"]
