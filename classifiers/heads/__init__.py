"""What stands on the encoder: weights that turn an embedding into scores."""
