"""Reports on the results of each stage: collects the values, and has them drawn."""
