"""The models and rules in use: loaded, reloaded, retrained."""
