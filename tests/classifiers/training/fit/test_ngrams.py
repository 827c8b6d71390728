"""N-gram tables: whole training runs with one beside the real encoder, and what a table is made of."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from classifiers import Reading, Runtime
from classifiers.encoder import ngrams as graph
from classifiers.encoder.ngrams import FAR, keys_of
from classifiers.encoder.prepare import find
from classifiers.encoder.session import MODEL, TOKENIZER, Encoder
from classifiers.model import artifact
from classifiers.policy import Policy
from classifiers.training.fit.fitted import TrainingSet
from classifiers.training.fit.ngrams import NGramTable, counts_beside
from classifiers.training.rows import LabelledCall, Row
from classifiers.training.run import TrainingOutcome, train
from classifiers.training.windows import wholes

FORMS = {
    "card_arrival": "{} new card has {} arrived in the {}",
    "exchange_rate": "{} rate for euros is {} good in the {}",
}
WHO, HOW, WHEN = ("my", "our", "her", "his", "the", "this"), ("not", "still not", "hardly", "just", "never", "at last",
    "really not"), ("morning", "evening", "post", "bank", "city", "mail", "end", "week")  # fmt: skip
KNOWN = "her new card has never arrived in the evening"
Run = Callable[..., TrainingOutcome]


@pytest.fixture
def run(tiny_encoder: str, tiny_models: Path, tmp_path: Path) -> Run:
    def make(rows_a_label: int = 336, calls: Sequence[LabelledCall] = (), **changes: Any) -> TrainingOutcome:
        words = list(product(WHO, HOW, WHEN))[:rows_a_label]
        rows = [{"text": form.format(*three), "label": label} for label, form in FORMS.items() for three in words]
        (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
        policy = {
            "version": 1,
            "name": "bank",
            "kind": "intent",
            "about": "messages to a bank",
            "labels": {label: {"means": label.replace("_", " ")} for label in FORMS},
            "other": "anything else",
            "data": "rows.jsonl",
            "encoder": tiny_encoder,
            **changes,
        }
        given = Policy.model_validate(policy)
        return train(given, base_dir=tmp_path, models_dir=tiny_models, threads=1, calls=calls)

    return make


def test_a_table_counts_beside_the_encoder_and_names_nothing_by_itself(run: Run, tiny_models: Path) -> None:
    outcome = run(rows_a_label=150)
    table, main = artifact.load(outcome.folder).model.stages
    assert (table.name, main.name) == ("ngrams", "main")
    assert (table.tasks is None, main.tasks is None) == (True, False)
    assert outcome.report["settings"]["ngrams"]["weight"] == pytest.approx(main.earlier, abs=1e-4)
    assert main.earlier > 0
    runtime = Runtime.load(tiny_models, ["bank"], cache_windows=0)
    known, other = runtime.classify([Reading(classifier="bank", texts=(text,)) for text in (KNOWN, "hi")])
    assert (known.labels, known.stage, other.stage) == (("card_arrival",), "main", "main")


@pytest.mark.parametrize("told_by", ["a call", "a file"])
def test_what_single_calls_hold_does_not_stand_in_it(run: Run, encoder: Encoder, tmp_path: Path, told_by: str) -> None:
    secret = "zyxwv has account 70412"
    rows = [
        (f"{form.format(*three)} says nemo", label)
        for label, form in FORMS.items()
        for three in product(WHO, HOW, WHEN)
    ]
    rows[7], rows[90] = [(f"{text} {secret}", label) for text, label in (rows[7], rows[90])]
    (tmp_path / "told.jsonl").write_text("\n".join(json.dumps({"text": text, "label": label}) for text, label in rows))
    outcome = (
        run(calls=[LabelledCall(text=text, label=label) for text, label in rows], data=[])
        if told_by == "a call"
        else run(data="told.jsonl")
    )
    made = onnx.load(outcome.folder / artifact.ENCODERS / "ngrams" / MODEL).graph
    [held] = [set(one.ints) for node in made.node for one in node.attribute if one.name == "keys_int64s"]
    [base] = [int(onnx.numpy_helper.to_array(one)) for one in made.initializer if one.name == "base"]
    shared, single = (set(keys_of(encoder.tokenize(text), base).tolist()) for text in ("says nemo", secret))
    assert shared <= held
    assert (single <= held) is (told_by == "a file")
    assert len(single & held) <= 1 or told_by == "a file"


def rows_of(texts: Sequence[str], labels: Sequence[str]) -> list[Row]:
    pairs = zip(texts, labels, strict=True)
    return [Row(text=text, labels=(label,), group=text, source="data") for text, label in pairs]


def table_of(policy: Policy, rows: Sequence[Row], encoder: Encoder) -> NGramTable:
    vectors = np.zeros((len(rows), 384), np.float32)
    outside = [("everyday sentences", "zebra 3"), ("everyday sentences", "apple 1")]
    return NGramTable(TrainingSet(policy=policy, rows=rows, encoder=encoder, vectors=vectors, outside=outside), 0)


def test_a_table_is_asked_of_labels_that_it_does_not_know(encoder: Encoder, make_policy: Callable[..., Policy]) -> None:
    names = ["apple", "bank", "cat", "dog", "ear", "fish", "gold", "hat", "ice"]
    rows = rows_of([f"{name} {n}" for name in names for n in range(4)], [name for name in names for _ in range(4)])
    scores = table_of(make_policy(labels={name: {"means": name} for name in names}), rows, encoder).scores
    truth = np.repeat(np.arange(9), 4)
    assert (scores.held_out.argmax(axis=1) == truth).all()
    assert (scores.left_out[np.arange(36), truth] < 0.05).all()
    assert scores.outside[:, 0].argmax() == 1


@pytest.mark.parametrize(
    ("source", "each", "beside"),
    [("file", 8, True), ("teacher", 7, False), ("policy", 300, False), ("data", 100, True), ("data", 15, False)],
)
def test_a_table_counts_from_so_many_rows_a_class(source: Any, each: int, beside: bool) -> None:
    rows = [replace(row, source=source) for row in rows_of(["x"] * 20 * each, ["y"] * 20 * each)]
    assert counts_beside(rows, 20) is beside


def test_a_table_looks_at_the_first_windows_of_a_long_text(
    encoder: Encoder, make_policy: Callable[..., Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, seen, tokenize = "where is my new card? " * 20_000, list[int](), encoder.tokenize
    monkeypatch.setattr(encoder, "tokenize", lambda text: seen.append(len(text)) or tokenize(text))
    table_of(make_policy(), rows_of([text, "a"], ["lost_card", "card_arrival"]), encoder)
    assert sum(seen) < 20_000


def test_a_table_judges_long_texts_as_it_will_when_served(
    encoder: Encoder, make_policy: Callable[..., Policy], models_dir: Path, tmp_path: Path
) -> None:
    greeting = "we hope that all of you had a pleasant week. "
    known = [greeting * 20 + "my card was stolen", greeting * 20 + "which rate is it", "my card", "the rate is which"]
    strange = [greeting * 20 + "zebra", "zebra"]
    rows = rows_of([*known, *strange], ["lost_card", "exchange_rate"] * 3)
    table = table_of(make_policy(), rows, encoder)
    fitted = table._fit(np.arange(len(known)))
    scores = table._scores(fitted, table._windows)
    tokenizer = find(encoder.id, models_dir) / TOKENIZER
    graph.write(fitted, tmp_path, tokenizer=tokenizer, name="own:ngrams", max_tokens=encoder.max_tokens)
    served = wholes(Encoder.open(tmp_path), [row.text for row in rows])
    count = len(table.classes)
    np.testing.assert_allclose(FAR * served[:, :count], scores, atol=0.03)
