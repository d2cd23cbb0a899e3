"""The public name of `dfer.model.calibration`."""

from dfer.model.calibration import class_probabilities, fit_temperature

__all__ = ["class_probabilities", "fit_temperature"]
