"""A trained model and its files."""
