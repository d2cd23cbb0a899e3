"""Frames -> faces -> crops: detect, track, align."""
