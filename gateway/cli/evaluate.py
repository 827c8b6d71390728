"""`offramp evaluate`."""


def evaluate() -> None:
    """x"""
