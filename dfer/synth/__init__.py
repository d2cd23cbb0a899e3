"""The generated data set: drawn faces in DFEW's layout, to try the whole pipeline without a licence."""
