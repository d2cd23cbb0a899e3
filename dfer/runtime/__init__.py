"""The base of every stage: files, worker processes, the machine and its devices, text for numbers."""
