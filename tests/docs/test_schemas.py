"""The stored schemas are the code's."""

from pathlib import Path

import pytest

from gateway.config.jsonschema import FILES, schema_text

FOLDER = Path(__file__).parents[2] / "config" / "schema"


@pytest.mark.parametrize("name", FILES)
def test_a_stored_schema_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == schema_text(FILES[name]), "run: make schema"


def test_no_schema_is_left_over() -> None:
    assert {file.name for file in FOLDER.iterdir()} == set(FILES)
