"""Figures, tables, pages and annotated frames, drawn from plain values."""
