"""nginx: what its files say, and routes that do the same."""
