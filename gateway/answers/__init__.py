"""A label in the shape that the caller asked for: a plain word, JSON by a schema, a function's arguments."""
