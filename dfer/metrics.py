"""The public name of `dfer.evaluation.metrics`."""

from dfer.evaluation.metrics import (
    confusion_matrix,
    expected_calibration_error,
    intra_inter_ratio,
    per_class_recall,
    uar,
    war,
)

__all__ = ["confusion_matrix", "expected_calibration_error", "intra_inter_ratio", "per_class_recall", "uar", "war"]
