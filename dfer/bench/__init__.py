"""Measurements of this machine: the models, and preprocessing."""
