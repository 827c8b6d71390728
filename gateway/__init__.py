"""Offramp's gateway: the request path and the command line."""

__version__ = "0.1.0"
