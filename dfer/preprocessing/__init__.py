"""Raw data set -> store: decode, detect, track, align and pack every clip of the official lists."""

from dfer.preprocessing.clip import Settings, settle_detector
from dfer.preprocessing.run import Summary, preprocess

__all__ = ["Settings", "Summary", "preprocess", "settle_detector"]
