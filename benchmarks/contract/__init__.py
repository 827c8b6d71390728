"""Simulated streams under a contract."""
