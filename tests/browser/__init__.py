"""The pages of `dfer predict --report` in a real browser."""
