"""`offramp train`."""


def train() -> None:
    """x"""
