"""The shared text encoder: where it comes from, how it is prepared, how it is run."""
