"""Logs of several makers as calls."""
