"""A chat request as rules read it."""
