"""Training by a recipe: the folds of a store, one after another, each resumable."""

from dfer.training.fold import FoldTrainer
from dfer.training.observer import StepProgress, TrainingObserver
from dfer.training.run import train

__all__ = ["FoldTrainer", "StepProgress", "TrainingObserver", "train"]
