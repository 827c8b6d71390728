"""Text before it is encoded: normalised, checked for its script, cut into windows."""
