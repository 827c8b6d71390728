"""JSON schemas of the files that people write, for their editors: python -m gateway.config.jsonschema FOLDER."""

import json
import sys
from pathlib import Path

from pydantic import BaseModel

from classifiers.policy import Policy
from gateway.config.prices import PriceFile
from gateway.config.settings import Settings

FILES: dict[str, type[BaseModel]] = {
    "gateway.schema.json": Settings,
    "policy.schema.json": Policy,
    "prices.schema.json": PriceFile,
}


def schema_text(model: type[BaseModel]) -> str:
    """A model's JSON schema as it is stored."""
    return json.dumps(model.model_json_schema(by_alias=True), ensure_ascii=False, indent=2) + "\n"


def main() -> None:
    """Writes the schemas into the folder that is named."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in FILES.items():
        (folder / name).write_text(schema_text(model), "utf-8")


if __name__ == "__main__":
    main()
