"""The same for slots: whatever is marked and whatever is asked, there is a model and a verdict."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from classifiers import Reading, Runtime
from classifiers.policy import Policy
from classifiers.training.run import train
from classifiers.verdict import Abstention
from tests.given import table

BUDGET = 4
MARKED = (
    "word " * 20_000 + "at [7 pm](time)",
    "[" + "x" * 20_000 + "](people)",
    "[😀](time)",
    "في [٧ مساء](time)",
    "[7 pm](time)",
    "[7 pm](people)",
)
POLICY = table("given/classifiers-robustness-slots-policy.yaml")


def test_odd_rows_and_odd_texts(
    tiny_encoder: str, tiny_models: Path, tmp_path: Path, odd_texts: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from classifiers.training.slots import tune

    monkeypatch.setattr(tune, "plan_for", lambda _: tune.TaggerPlan(epochs=1, batch=16, tokens=32))
    plain = [f"table for [{number}](people) at [{time}](time)" for number in (2, "four") for time in ("noon", "8:30")]
    # as in test_train, texts of a megabyte are only read and not trained on
    rows = [*plain, *MARKED, *(text[:1_000] for text in odd_texts.values() if text.strip())]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in rows))
    policy = Policy.model_validate({**POLICY, "encoder": tiny_encoder})
    outcome = train(policy, base_dir=tmp_path, models_dir=tiny_models, threads=1)
    assert outcome.accepted, outcome.missed
    assert outcome.report["settings"]["note"].startswith("no text means other")
    runtime = Runtime.load(tiny_models, ["odd"])
    for name, text in odd_texts.items():
        verdict = runtime.classify([Reading(classifier="odd", texts=(text,), max_windows=BUDGET)])[0]
        assert (verdict.abstention is Abstention.BROKEN) == (verdict.windows_unread > 0), name
        assert verdict.windows_read <= BUDGET
        assert all(text[one.start : one.end] == one.raw for one in verdict.slots)
