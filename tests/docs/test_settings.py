"""Every setting of the schemas stands in docs/configuration.md with its default, and the reverse."""

from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from classifiers.policy import Policy
from gateway.config.prices import PriceFile
from gateway.config.settings import Settings

from .conftest import code, rows, section

KEYS = dict.fromkeys(("labels", "aliases", "then"), "label")
KEYS |= {"taxonomy": "system", "above": "tokens", "tiers": "tier"}
"""What the keys of a mapping are called in the docs; `name` elsewhere."""

GOALS = ("labels.<label>.goal", "cascade.goal", "models.<name>.above", "models.<name>.tiers")
"""What they may set is documented once, at `goal`, and at the model."""

FILES: Mapping[str, Sequence[type[BaseModel]]] = {
    "gateway.yaml": [Settings],
    "Policy files": [Policy],
    "prices.yaml": [PriceFile],
}


def records_in(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """(how it is reached, record) for each record that a field's type holds."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from records_in(parts[0])
    elif origin in (Union, UnionType):
        for part in parts:
            yield from records_in(part)
    elif origin is dict:
        for suffix, record in records_in(parts[1]):
            yield f".<>{suffix}", record
    elif origin is tuple:
        for suffix, record in records_in(parts[0]):
            yield f"[]{suffix}", record
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "", annotation


def settings_of(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its path; a record's own settings stand for it."""
    for name, info in model.model_fields.items():
        own = path + (info.alias or name)
        inner = [] if own in GOALS else list(records_in(info.annotation))
        for suffix, record in inner:
            yield from settings_of(record, own + suffix.replace("<>", f"<{KEYS.get(name, 'name')}>") + ".")
        if not inner:
            mapping = get_origin(info.annotation) is dict
            yield own + (f".<{KEYS.get(name, 'name')}>" if mapping else ""), info


def documented(heading: str) -> list[tuple[str, str]]:
    return [(code(cells[0])[0], cells[2]) for cells in rows(section("docs/configuration.md", heading), "setting")]


def is_default(info: FieldInfo, cell: str) -> bool:
    """Whether the docs' cell says the field's default."""
    if info.is_required():
        return cell == "required"
    default = info.get_default(call_default_factory=True)
    if cell == "none":
        return default is None or default in ((), "", {})
    annotation = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    word = {"true": True, "false": False}.get(code(cell)[0], code(cell)[0]) if code(cell) else cell
    if isinstance(default, int) and not isinstance(default, bool) and str(word).isdecimal():
        word = int(str(word))
    return bool(TypeAdapter(annotation).validate_python(word) == default)


THEN = "rules[].then.<label>"
CONTAINERS = {
    "upstreams.<name>",
    "models.<name>",
    "rules[]",
    "rules[].when.system",
    "rules[].fields.<name>",
    "rules[].when_unsure",
    "rules[].when_language",
    "rules[].contract",
    THEN,
    f"{THEN}.block",
}
"""Mappings and lists that the docs describe as a whole too."""


@pytest.mark.parametrize("heading", FILES)
def test_every_setting_is_documented_and_every_documented_one_exists(heading: str) -> None:
    known = {path for model in FILES[heading] for path, _ in settings_of(model)}
    shown = {path for path, _ in documented(heading)}
    assert shown - CONTAINERS == known


@pytest.mark.parametrize("heading", FILES)
def test_documented_defaults_are_the_codes(heading: str) -> None:
    fields: dict[str, list[FieldInfo]] = {}
    for model in FILES[heading]:
        for path, info in settings_of(model):
            fields.setdefault(path, []).append(info)
    wrong = [
        (path, cell)
        for path, cell in documented(heading)
        if path not in CONTAINERS and not any(is_default(info, cell) for info in fields.get(path, ()))
    ]
    assert wrong == []
