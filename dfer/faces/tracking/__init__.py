"""Faces along a video: one track per person."""
