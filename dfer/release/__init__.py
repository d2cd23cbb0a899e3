"""How the shipped weights are made: published from a run, measured, and described in the model card."""
