"""A video -> the emotions of the faces in it, over time."""
