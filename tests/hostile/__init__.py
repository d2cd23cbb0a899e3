"""Hostile inputs and interruptions, given to the real commands in forked processes.

`make test` runs a small fixed sample. All of them, with a table at the end:

    pytest -m hostile tests/hostile

$DFER_HOSTILE_JOBS is the number of processes, $DFER_HOSTILE_LOG a file that gets a line as soon as a case is judged.
A command hangs if it computes for 30 s, or takes four times as long without computing; its memory is that of the
program and its workers together. A disk is full where a file has reached its limit (RLIMIT_FSIZE).
"""
