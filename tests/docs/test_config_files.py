"""Every YAML file that is shipped loads through its own loader, with nothing set in the environment."""

from pathlib import Path

import pytest

from classifiers.policy import OTHER
from classifiers.training.data import read_rows
from gateway.config.jsonschema import FILES, schema_text
from gateway.config.load import load_gateway, load_policy
from gateway.config.prices import load_prices
from gateway.serving.snapshot import rule_problems

CONFIG = Path(__file__).parents[2] / "config"
ALL = sorted(CONFIG.rglob("*.yaml"))
GATEWAYS = [CONFIG / "gateway.yaml", *sorted((CONFIG / "templates").glob("*.yaml"))]
POLICIES = sorted((CONFIG / "policies").glob("*.yaml"))


def shown(file: Path) -> str:
    return str(file.relative_to(CONFIG))


def test_every_file_has_a_loader_here() -> None:
    assert sorted([*GATEWAYS, *POLICIES]) == ALL


@pytest.mark.parametrize("file", GATEWAYS, ids=shown)
def test_a_gateway_file_loads_and_names_labels_that_are_there(file: Path) -> None:
    loaded = load_gateway(file, {})
    policies = {policy.name: policy for policy in (load_policy(one, {}) for one in POLICIES)}
    assert {rule.classifier for rule in loaded.settings.rules} <= set(policies)
    assert rule_problems(loaded, policies) == []


@pytest.mark.parametrize("file", POLICIES, ids=shown)
def test_a_policys_sentences_are_of_its_labels_and_fill_in_its_slots(file: Path) -> None:
    policy = load_policy(file, {})
    assert policy.name == file.stem
    rows = [
        row
        for teacher in policy.teachers
        for row in read_rows(policy, [file.parent / path for path in teacher.file], source="file", names=teacher.labels)
    ]
    marked = {mark.name for row in rows for mark in row.marks or ()}
    assert {label for row in rows for label in row.labels if label != OTHER} <= set(policy.labels)
    assert marked == (set(policy.slots) if rows else set())


@pytest.mark.parametrize("file", ALL, ids=shown)
def test_a_file_names_its_schema(file: Path) -> None:
    first = file.read_text("utf-8").partition("\n")[0]
    assert first.startswith("# yaml-language-server: $schema=")
    schema = first.partition("$schema=")[2]
    # templates are copied to config/gateway.yaml, from where their schema is found
    folder = CONFIG if file.parent.name == "templates" else file.parent
    assert (folder / schema).is_file()


def test_prices_are_dated_and_price_the_starters_models() -> None:
    prices = load_prices()
    for name in load_gateway(CONFIG / "gateway.yaml", {}).settings.models:
        assert name == "other" or prices.find(name) is not None


def test_the_stored_schemas_are_what_the_code_says() -> None:
    stored = {file.name: file.read_text("utf-8") for file in (CONFIG / "schema").iterdir()}
    assert stored == {name: schema_text(kind) for name, kind in FILES.items()}, "run: make schema"
