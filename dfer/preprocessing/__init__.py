"""Raw data set -> store: decode, detect, track, align and pack every clip of the official lists."""

from dfer.preprocessing.clip import Settings, has_frame_folders
from dfer.preprocessing.engines import run_in_process
from dfer.preprocessing.on_ray import ray_engine
from dfer.preprocessing.run import Summary, merge, preprocess

__all__ = ["Settings", "Summary", "has_frame_folders", "merge", "preprocess", "ray_engine", "run_in_process"]
