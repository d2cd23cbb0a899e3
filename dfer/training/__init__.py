"""Train by a recipe: the folds of a store, one after another, each resumable."""

from dfer.training.loop import train
from dfer.training.observer import StepProgress, TrainingObserver

__all__ = ["StepProgress", "TrainingObserver", "train"]
