"""Faces in frames: detect, track, align."""
