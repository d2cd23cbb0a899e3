"""Face crops of a test list -> predictions -> metrics."""
