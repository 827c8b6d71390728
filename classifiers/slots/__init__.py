"""Slots: the parts of a text that fill in what a task needs to know, found, placed and read as values."""
