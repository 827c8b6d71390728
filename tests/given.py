"""What tests begin with and is no code: configurations, policies and tables of cases in tests/tables."""

from pathlib import Path
from typing import Any

import yaml


def table_text(name: str) -> str:
    """A file of tests/tables as it is written."""
    return (Path(__file__).parent / "tables" / name).read_text("utf-8")


def table(name: str) -> Any:
    """What a YAML file of tests/tables holds."""
    return yaml.safe_load(table_text(name))
