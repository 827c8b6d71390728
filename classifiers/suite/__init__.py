"""The safety suite: what gets around a classifier, family by family, and what it flags without need."""
