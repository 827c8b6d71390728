"""Texts to verdicts."""
