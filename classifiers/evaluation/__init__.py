"""How good a classifier is: metrics, evaluation, the safety suite."""
