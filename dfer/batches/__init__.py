"""Crops in a store -> batches of tensors: which frames of which clips, loaded, augmented and normalised."""

from dfer.batches.sampling import sample_frames

__all__ = ["sample_frames"]
