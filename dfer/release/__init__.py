"""Make the shipped weights: publish them from a run, measure them, and describe them in the model card."""
