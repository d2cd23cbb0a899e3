"""What every stage stands on: files, worker processes, the machine and its devices."""
