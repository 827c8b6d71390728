"""Whole training runs on the real encoder, with a first stage in front of it where that pays."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
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
from classifiers.policy import OTHER, Policy
from classifiers.training.fit.ngrams import UNKNOWN, NGramTable
from classifiers.training.rows import Row
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
    def make(rows_a_label: int = 336, calls: Sequence[tuple[str, str]] = (), **changes: Any) -> TrainingOutcome:
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


def test_a_first_stage_settles_what_it_knows_and_hands_on_the_rest(run: Run, tiny_models: Path, tmp_path: Path) -> None:
    rare = "please close the account of my late uncle"
    (tmp_path / "one.jsonl").write_text(json.dumps({"text": rare, "label": "close_account"}))
    labels = {name: {"means": name.replace("_", " ")} for name in (*FORMS, "close_account")}
    outcome = run(labels=labels, data=["rows.jsonl", "one.jsonl"])
    first_stage = outcome.report["settings"]["early_exit"]
    assert first_stage["used"]
    assert first_stage["settled"] > 0.9
    assert first_stage["most_lost"] <= 0.005
    stages = artifact.load(outcome.folder).model.stages
    assert [stage.name for stage in stages] == ["first", "main"]
    # a class that hardly any held-out row shows is left to the encoder
    assert stages[0].thresholds["close_account"].act > 1 >= stages[0].thresholds["card_arrival"].act
    runtime = Runtime.load(tiny_models, ["bank"], cache_windows=0)
    texts = [KNOWN, "the plastic that you posted did not get here", rare, "hi"]
    verdicts = runtime.classify([Reading(classifier="bank", texts=(text,)) for text in texts])
    assert [verdict.stage for verdict in verdicts[:3]] == ["first", "main", "main"]
    assert verdicts[0].labels == ("card_arrival",) != verdicts[3].labels
    [last] = runtime.classify([Reading(classifier="bank", texts=(KNOWN,), last_stage=True)])
    assert (last.labels, last.stage) == (("card_arrival",), "main")


def test_it_is_as_certain_of_short_texts_as_these_must_be(run: Run, tiny_models: Path, tmp_path: Path) -> None:
    chance, fresh, rows = Random(0), [], []
    for label, form in (("card_arrival", "{} card {} {}"), ("exchange_rate", "{} rate {} {}")):
        for place, words in enumerate(chance.sample(list(product(WHO, HOW, WHEN)), 200)):
            text = form.format(*words)
            told = label if chance.random() > 0.25 else next(one for one in FORMS if one != label)
            rows.append({"text": text, "label": told}) if place < 120 else fresh.append(text)
    (tmp_path / "short.jsonl").write_text("\n".join(map(json.dumps, rows)))
    outcome = run(data=["rows.jsonl", "short.jsonl"])
    assert outcome.report["settings"]["early_exit"]["settled"] > 0.3
    [band] = [one for one in outcome.report["bands"] if one["own"]]
    assert band["up_to"] == 40
    runtime = Runtime.load(tiny_models, ["bank"], cache_windows=0)
    verdicts = runtime.classify([Reading(classifier="bank", texts=(text,)) for text in fresh])
    sure = [verdict.confidence for verdict in verdicts if verdict.labels and verdict.labels != (OTHER,)]
    assert min(sure) >= band["act"] - 1e-4
    [known] = runtime.classify([Reading(classifier="bank", texts=(KNOWN,))])
    assert (known.labels, known.stage) == (("card_arrival",), "first")


def test_real_rows_that_are_too_few_to_settle_any_let_it_count_beside_the_encoder_or_not_at_all(run: Run) -> None:
    outcome = run(rows_a_label=150)
    first_stage = outcome.report["settings"]["early_exit"]
    assert (first_stage["used"], first_stage["settled"]) == (True, 0)
    first, main = artifact.load(outcome.folder).model.stages
    assert all(limit.act > 1 for limit in first.thresholds.values())
    assert main.earlier > 0
    few = run(rows_a_label=20)
    because = "fewer than 598 real rows cannot show that few texts are lost"
    assert few.report["settings"]["early_exit"] == {"used": False, "because": because}
    assert len(artifact.load(few.folder).model.stages) == 1


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
    outcome = run(calls=rows, data=[]) if told_by == "a call" else run(data="told.jsonl")
    assert outcome.report["settings"]["early_exit"]["used"]
    made = onnx.load(outcome.folder / artifact.ENCODERS / "first" / MODEL).graph
    [held] = [set(one.ints) for node in made.node for one in node.attribute if one.name == "keys_int64s"]
    [base] = [int(onnx.numpy_helper.to_array(one)) for one in made.initializer if one.name == "base"]
    shared, single = (set(keys_of(encoder.tokenize(text), base).tolist()) for text in ("says nemo", secret))
    assert shared <= held
    assert (single <= held) is (told_by == "a file")
    assert len(single & held) <= 1 or told_by == "a file"


def rows_of(texts: Sequence[str], labels: Sequence[str]) -> list[Row]:
    pairs = zip(texts, labels, strict=True)
    return [Row(text=text, labels=(label,), group=text, source="data") for text, label in pairs]


def test_a_table_looks_at_the_first_windows_of_a_long_text(
    encoder: Encoder, make_policy: Callable[..., Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, seen, tokenize = "where is my new card? " * 20_000, list[int](), encoder.tokenize
    monkeypatch.setattr(encoder, "tokenize", lambda text: seen.append(len(text)) or tokenize(text))
    NGramTable(make_policy(), rows_of([text, "a"], ["lost_card", "card_arrival"]), encoder, 0)
    assert sum(seen) < 20_000


def test_a_table_judges_long_texts_as_it_will_when_served(
    encoder: Encoder, make_policy: Callable[..., Policy], models_dir: Path, tmp_path: Path
) -> None:
    greeting = "we hope that all of you had a pleasant week. "
    known = [greeting * 20 + "my card was stolen", greeting * 20 + "which rate is it", "my card", "the rate is which"]
    strange = [greeting * 20 + "zebra", "zebra", greeting * 3 + "zebra " + greeting * 40]
    rows = rows_of([*known, *strange], ["lost_card", "exchange_rate"] * 2 + ["lost_card"] * 3)
    # the strange rows are of one group, which the fit that is asked has not seen
    rows = [replace(row, group="strange" if row.text in strange else "known") for row in rows]
    table = NGramTable(make_policy(), rows, encoder, 0)
    fitted = table._fit(np.arange(len(known)))
    scores, sure = table._scores(fitted, np.arange(len(rows)))
    assert sure.tolist() == [True, True, True, True, False, False, True]
    assert table.known.tolist()[4:6] == [False, False]
    tokenizer = find(encoder.id, models_dir) / TOKENIZER
    graph.write(fitted, tmp_path, tokenizer=tokenizer, name="own:first", max_tokens=encoder.max_tokens)
    served = wholes(Encoder.open(tmp_path), [row.text for row in rows])
    count = len(table.classes)
    np.testing.assert_allclose(FAR * served[:, :count], scores, atol=0.03)
    assert (1 - served[:, count] <= UNKNOWN).tolist() == sure.tolist()
