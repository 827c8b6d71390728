import json
import sys
from pathlib import Path

import jsonschema
import pytest

from gateway.config import jsonschema as written
from gateway.config.settings import Settings


def test_every_schema_is_a_valid_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["jsonschema", str(tmp_path / "made")])
    written.main()
    files = sorted((tmp_path / "made").iterdir())
    assert [file.name for file in files] == sorted(written.FILES)
    for file in files:
        jsonschema.Draft202012Validator.check_schema(json.loads(file.read_text("utf-8")))


def test_editors_accept_what_the_gateway_accepts() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(written.schema_text(Settings)))
    good = {
        "version": 1,
        "upstreams": {"one": {"kind": "echo"}},
        "models": {"a": "one", "b": {"upstream": "one", "fallbacks": "one/x"}},
        "limits": {"body": "2MiB", "classify_time": "250ms"},
        "rules": [
            {"name": "r", "classifier": "c", "then": {"a": "block", "b": {"block": "not here"}, "c": {"flag": True}}}
        ],
    }
    assert list(validator.iter_errors(good)) == []
    assert Settings.model_validate(good)
    assert list(validator.iter_errors({**good, "lissten": "x"}))
