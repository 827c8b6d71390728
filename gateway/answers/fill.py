"""Fills a JSON schema with a predicted label and slots: exactly what the schema allows, or the reason why not. Pure.

One field has one source. A field takes the label where its values (`enum`) are labels of the classifier, however
spelled, or aliases; `{type: array, items: {enum: …}}` takes all labels, of a classifier that names one only where the
schema or the rule says that one is all. Where several fields could take it, the rule's `fields` says which does, or
which other classifier's label fills a field. A field with a slot's name takes the slot's value in the field's type; an
array, all its values; null, or left out, where the text has none and that is allowed. A number takes the confidence
where `fields` says so. A field with one value gets it where nothing else is allowed: neither null nor no field at all,
nor another of several objects. For any other field, optional or not, the format is unsupported, unless the rule ignores
the field.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from classifiers.policy import OTHER
from gateway.answers.format import CannotFill, FurtherLabel, Path, Prediction, SlotFilling
from gateway.answers.json_schema import ANNOTATIONS, SchemaReader, TooLarge, allows
from gateway.answers.slot_values import Scalar, fit
from gateway.protocols.wire import Unsupported, UnsupportedReason
from gateway.rules.rule import CONFIDENCE, LABEL
from gateway.spelling import LabelNames, normalized

_SCALAR_KEYWORDS: Final = frozenset({
    "type", "format", "enum", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
})  # fmt: skip
_OBJECT_KEYWORDS: Final = frozenset({"type", "properties", "required", "additionalProperties"})
_ARRAY_KEYWORDS: Final = frozenset({"type", "items", "minItems", "maxItems", "uniqueItems"})
_NUMBER_KEYWORDS: Final = frozenset({"type", "minimum", "maximum"})
_ENUM_KEYWORDS: Final = frozenset({"type", "enum", "const"})
_MAX_DEPTH: Final = 16
_PARTS_PER_VALUE: Final = 8


@dataclass(slots=True)
class Filled:
    """A filled object, or what it has so far.

    values: the object, once it is whole. label: as the caller spells it, None before there is one. words: the caller's
    values for its place that stand for labels. slots: names of slots by their field's place, empty ones included.
    confidence: 0..1, of the least certain slot value or further label. count: of these. label_at: the label's place;
    further: places of other classifiers' labels, with all that these can name. uncompared: places that say nothing
    about the text: ignored ones, and the confidence. unordered: lists in any order.
    """

    values: dict[str, Any] = field(default_factory=dict)
    label: str | None = None
    words: tuple[str, ...] = ()
    slots: dict[Path, str] = field(default_factory=dict)
    confidence: float = 1.0
    count: int = 0
    label_at: Path | None = None
    further: dict[Path, LabelNames] = field(default_factory=dict)
    uncompared: frozenset[Path] = frozenset()
    unordered: frozenset[Path] = frozenset()


def fill(schema: Mapping[str, Any], prediction: Prediction) -> Filled | Unsupported:
    """prediction: with at least one label."""
    filling = _Filling(schema, prediction)
    try:
        values = filling.whole()
    except CannotFill as error:
        return error.unsupported()
    except TooLarge:
        return Unsupported(UnsupportedReason.SCHEMA, "it is too large")
    except (TypeError, ArithmeticError, RecursionError) as error:
        return Unsupported(UnsupportedReason.SCHEMA, str(error))
    if not isinstance(values, dict):
        return Unsupported(UnsupportedReason.SCHEMA, "not an object")
    if filling.state.label is None and not filling.state.count:
        return Unsupported(UnsupportedReason.NO_PLACE)
    return replace(filling.state, values=values)


class _Filling:
    """One schema being filled. Its methods raise CannotFill and TooLarge."""

    def __init__(self, root: Mapping[str, Any], prediction: Prediction) -> None:
        self._reader = SchemaReader(root)
        self._prediction = prediction
        self._slots = {normalized(name): name for name in prediction.slots}
        self._optional: set[Path] = set()
        self.state = Filled()

    def whole(self) -> Any:
        """The value for the whole schema, which allows it."""
        value = self._value(self._reader.root, ())
        if not allows(self._reader.root, value, self._reader):
            raise CannotFill(UnsupportedReason.SCHEMA, (), "it may not allow the answer")
        return value

    def _value(self, schema: object, path: Path, depth: int = 0) -> Any:
        schema = self._resolved(schema, path, depth)
        if "anyOf" in schema or "oneOf" in schema:
            return self._either(schema, path, depth)
        kind = schema.get("type")
        if isinstance(kind, list) and "enum" not in schema and "const" not in schema:
            self._reader.count(len(kind) * len(schema))
            return self._either({"anyOf": [{**schema, "type": each} for each in kind]}, path, depth)
        slot = self._slot_name(schema, path, depth)
        if slot is not None:
            return self._slot(slot, schema, path, depth)
        if "const" in schema or "enum" in schema:
            return self._enum(schema, path)
        return self._typed(kind, schema, path, depth)

    def _typed(self, kind: object, schema: Mapping[str, Any], path: Path, depth: int) -> Any:
        if kind == "object":
            return self._object(schema, path, depth)
        if kind == "array":
            return self._labels(schema, path, depth)
        if kind == "number" and path and self._prediction.fields.get(path[-1]) == CONFIDENCE:
            return self._confidence(schema, path)
        if kind != "null":
            raise CannotFill(UnsupportedReason.OTHER_FIELD, path)
        return None

    def _resolved(self, schema: object, path: Path, depth: int) -> Mapping[str, Any]:
        self._reader.count_place(schema)
        if depth > _MAX_DEPTH or not isinstance(schema, Mapping):
            raise CannotFill(UnsupportedReason.SCHEMA, path)
        reference = schema.get("$ref")
        if reference is None:
            return schema
        target = self._reader.target(reference)
        if target is None:
            raise CannotFill(UnsupportedReason.SCHEMA, path, [reference])
        return self._resolved(target, path, depth + 1)

    def _either(self, schema: Mapping[str, Any], path: Path, depth: int) -> Any:
        _allow_only(schema, frozenset({"anyOf", "oneOf"}), path)
        choices = schema.get("anyOf") or schema.get("oneOf")
        if not isinstance(choices, list) or not choices:
            raise CannotFill(UnsupportedReason.SCHEMA, path)
        others = [choice for choice in choices if not (isinstance(choice, Mapping) and choice.get("type") == "null")]
        nullable = len(others) < len(choices)
        if len(others) > 1:
            resolved = [self._resolved(choice, path, depth + 1) for choice in others]
            if all("enum" in choice or "const" in choice for choice in resolved):
                # a union of constants is one list of values
                return self._enum({"enum": [value for choice in others for value in self._reader.listed(choice)]}, path)
        if len(choices) > 1:
            self._optional.add(path)
        errors: list[CannotFill] = []
        for choice in others:
            before = self._snapshot()
            try:
                return self._value(choice, path, depth + 1)
            except CannotFill as error:
                if error.reason is UnsupportedReason.FIELD_ABSTAINED:
                    # what a classifier does not know, no other choice leaves out
                    raise
                self.state = before
                errors.append(error)
        # only a slot may be empty: it was looked for
        if nullable and all(error.reason is UnsupportedReason.NO_VALUE for error in errors):
            self._note_empty(path)
            return None
        raise errors[0] if errors else CannotFill(UnsupportedReason.SCHEMA, path)

    def _enum(self, schema: Mapping[str, Any], path: Path) -> Any:
        _allow_only(schema, _ENUM_KEYWORDS, path)
        values = [schema["const"]] if "const" in schema else schema["enum"]
        if not isinstance(values, list) or not values:
            raise CannotFill(UnsupportedReason.SCHEMA, path)
        source = self._labels_for(values, path)
        if source is None:
            places = {path[:length] for length in range(len(path) + 1)}
            nullable = "null" in [*(schema.get("type") or ())]
            if len(values) == 1 and not nullable and places.isdisjoint(self._optional):
                return values[0]
            raise CannotFill(UnsupportedReason.OTHER_FIELD, path)
        if len(source.labels) > 1:
            raise CannotFill(UnsupportedReason.AMBIGUOUS, path, source.labels)
        return self._words(source, values, path)[0]

    def _words(self, source: Prediction | FurtherLabel, values: list[Any], path: Path) -> list[str]:
        """The source's labels as the caller spells them. Raises CannotFill where the caller's values hold one that is
        no label, or another field has the label."""
        self._reader.count(len(values))
        names, fold = source.names, self._reader.fold
        known = tuple(word for word in values if isinstance(word, str) and names.resolve(word, fold) is not None)
        unknown = [value for value in values if value is not None and value not in known]
        if unknown:
            of = f"{source.classifier} does not know " if isinstance(source, FurtherLabel) else ""
            raise CannotFill(UnsupportedReason.UNKNOWN_VALUE, path, f"{of}{', '.join(map(str, unknown))}")
        words: list[str] = []
        for label in source.labels:
            word = names.spell(label, known, fold)
            if word is None:
                raise CannotFill(UnsupportedReason.LABEL_NOT_ASKED, path, label)
            words.append(word)
        self._note_label(source, path)
        if source is self._prediction and self.state.label is None:
            self.state.label, self.state.words = words[0], known
        return words

    def _note_label(self, source: Prediction | FurtherLabel, path: Path) -> None:
        """Notes where a source's label is. Raises CannotFill where it has another place already."""
        state = self.state
        if isinstance(source, FurtherLabel):
            earlier = next((place for place, names in state.further.items() if names is source.names), None)
        else:
            earlier = state.label_at
        if earlier not in (None, path):
            both = [".".join(place) for place in (earlier or (), path)]
            raise CannotFill(UnsupportedReason.AMBIGUOUS, path, f"{' and '.join(both)} could take the label")
        if not isinstance(source, FurtherLabel):
            state.label_at = path
            return
        if path not in state.further:
            state.count += 1
        state.further[path] = source.names
        state.confidence = min(state.confidence, source.confidence)

    def _labels_for(self, values: object, path: Path) -> Prediction | FurtherLabel | None:
        """Whose labels a field takes: those that `fields` names; without that, the rule's where the values are such.
        Raises CannotFill where another classifier is named, and abstains."""
        fields, name = self._prediction.fields, path[-1] if path else ""
        if path and name in self._prediction.further:
            further = self._prediction.further[name]
            if not further.labels:
                raise CannotFill(
                    UnsupportedReason.FIELD_ABSTAINED, path, f"{further.classifier} abstains: {further.why}"
                )
            return further
        if path and name in fields:
            return self._prediction if fields[name] == LABEL else None
        return self._prediction if LABEL not in fields.values() and self._holds_labels(values) else None

    def _holds_labels(self, values: object) -> bool:
        """Whether one of the values is a label; `other` among words that are none does not count."""
        meant, fold = self._prediction.names.resolve, self._reader.fold
        words = values if isinstance(values, list) else []
        labels = {meant(word, fold) if isinstance(word, str) else None for word in words}
        return bool(labels - {None, OTHER}) or labels == {OTHER}

    def _object(self, schema: Mapping[str, Any], path: Path, depth: int) -> dict[str, Any]:
        _allow_only(schema, _OBJECT_KEYWORDS, path)
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, Mapping) or not isinstance(required, list) or set(required) - set(properties):
            raise CannotFill(UnsupportedReason.SCHEMA, path)
        needed = frozenset(required)
        values: dict[str, Any] = {}
        for name, part in properties.items():
            place = (*path, name)
            if name in self._prediction.ignores:
                self.state.uncompared |= {place}
                if name in needed:
                    values[name] = self._constant(part, name)
                continue
            if name not in needed:
                self._optional.add(place)
            before = self._snapshot()
            try:
                values[name] = self._value(part, place, depth + 1)
            except CannotFill as error:
                self.state = before
                if name in needed or error.reason is not UnsupportedReason.NO_VALUE:
                    raise
                self._note_empty(place)
        return values

    def _constant(self, schema: object, name: str) -> Any:
        """The rule's value for a field that it ignores: null, a text, or JSON where the field takes no text."""
        text = self._prediction.ignores[name]
        if text == "null" and isinstance(schema, Mapping) and allows(schema, None, self._reader):
            return None
        if isinstance(schema, Mapping) and allows(schema, text, self._reader):
            return text
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text

    def _labels(self, schema: Mapping[str, Any], path: Path, depth: int) -> list[Any]:
        _allow_only(schema, _ARRAY_KEYWORDS, path)
        items = self._resolved(schema.get("items"), path, depth)
        values = items.get("enum")
        source = self._labels_for(values, path)
        if source is None or not isinstance(values, list):
            raise CannotFill(UnsupportedReason.OTHER_FIELD, path)
        several = source is self._prediction and self._prediction.several
        if not several and not self._prediction.with_lists and schema.get("maxItems") != 1:
            raise CannotFill(
                UnsupportedReason.AMBIGUOUS, path, "it may hold several labels, and the classifier names one"
            )
        _allow_only(items, _ENUM_KEYWORDS, path)
        self._note_order(schema, path)
        return _counted(self._words(source, values, path), schema, path)

    def _confidence(self, schema: Mapping[str, Any], path: Path) -> float:
        _allow_only(schema, _NUMBER_KEYWORDS, path)
        if schema.get("minimum", 0) != 0 or schema.get("maximum", 1) != 1:
            raise CannotFill(UnsupportedReason.OTHER_FIELD, path)
        self.state.uncompared |= {path}
        return round(self._prediction.confidence, 4)

    def _slot_name(self, schema: Mapping[str, Any], path: Path, depth: int) -> str | None:
        """The slot with the field's name, unless the field is for labels or an object."""
        name = self._named(path)
        if name is None or schema.get("type") == "object" or "const" in schema:
            return None
        inner = self._resolved(schema.get("items"), path, depth) if schema.get("type") == "array" else schema
        return None if self._labels_for(inner.get("enum"), path) else name

    def _slot(self, name: str, schema: Mapping[str, Any], path: Path, depth: int) -> Any:
        filling = self._prediction.slots[name]
        if schema.get("type") == "array":
            _allow_only(schema, _ARRAY_KEYWORDS, path)
            items = self._resolved(schema.get("items"), path, depth)
            values = self._values(name, filling, items, path)
            self.state.slots[path] = name
            self._note_order(schema, path)
            return _counted(list(dict.fromkeys(values)) if schema.get("uniqueItems") else values, schema, path)
        values = list(dict.fromkeys(self._values(name, filling, schema, path)))
        if len(values) > 1:
            raise CannotFill(UnsupportedReason.AMBIGUOUS, path, values)
        self.state.slots[path] = name
        if not values and None in schema.get("enum", ()):
            return None
        if not values:
            raise CannotFill(UnsupportedReason.NO_VALUE, path)
        return values[0]

    def _values(self, name: str, filling: SlotFilling, schema: Mapping[str, Any], path: Path) -> list[Scalar]:
        if schema.get("type") == "null":
            raise CannotFill(UnsupportedReason.OTHER_FIELD, path)
        _allow_only(schema, _SCALAR_KEYWORDS, path)
        values: list[Scalar] = []
        for value in filling.values:
            self._reader.count(_PARTS_PER_VALUE)
            self._reader.count_words(schema.get("enum"), 1 + len(filling.slot.values.get(str(value.value), ())))
            fitting = fit(filling.slot, value, schema, self._reader.fold)
            if fitting is None:
                raise CannotFill(UnsupportedReason.UNFIT_VALUE, path, f"{name} is {value.raw!r}")
            values.append(fitting)
            self.state.count += 1
            self.state.confidence = min(self.state.confidence, value.confidence)
        return values

    def _note_empty(self, path: Path) -> None:
        name = self._named(path)
        if name is not None:
            self.state.slots[path] = name

    def _note_order(self, schema: Mapping[str, Any], path: Path) -> None:
        if self._prediction.free_order or schema.get("uniqueItems") is True:
            self.state.unordered |= {path}

    def _named(self, path: Path) -> str | None:
        """The slot that fills a place: the one that `fields` names, else the one with the field's name."""
        if not path:
            return None
        source = self._prediction.fields.get(path[-1])
        if source is not None:
            return source[1:] if source.startswith(" ") else None
        return self._slots.get(self._reader.fold(path[-1]))

    def _snapshot(self) -> Filled:
        self._reader.count(len(self.state.slots))
        return replace(self.state, slots=dict(self.state.slots), further=dict(self.state.further))


def _counted(values: list[Any], schema: Mapping[str, Any], path: Path) -> list[Any]:
    if not schema.get("minItems", 0) <= len(values) <= schema.get("maxItems", len(values)):
        reason = UnsupportedReason.SCHEMA if values else UnsupportedReason.NO_VALUE
        raise CannotFill(reason, path, f"{len(values)} of them")
    return values


def _allow_only(schema: Mapping[str, Any], allowed: frozenset[str], path: Path) -> None:
    """Refuses a schema with other keywords: they could forbid the value."""
    unknown = set(schema) - allowed - ANNOTATIONS
    if unknown:
        raise CannotFill(UnsupportedReason.SCHEMA, path, sorted(unknown))
