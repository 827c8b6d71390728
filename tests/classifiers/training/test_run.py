"""Whole training runs, those that show how good a model is on the real encoder."""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from classifiers import Reading, Runtime, data
from classifiers.errors import PolicyError, TrainingError
from classifiers.model import artifact
from classifiers.model.registry import Registry, unpack
from classifiers.policy import OTHER, Policy
from classifiers.report import figures
from classifiers.training.rows import LabelledCall
from classifiers.training.run import TrainingOutcome, train
from classifiers.verdict import Abstention
from tests.given import table

POLICIES = Path(__file__).parents[3] / "config" / "policies"

BANK: dict[str, Any] = table("given/classifiers-training-run-bank.yaml")

Train = Callable[..., TrainingOutcome]


def trainer(base_dir: Path, models_dir: Path, **given: Any) -> Train:
    def make(**changes: Any) -> TrainingOutcome:
        options = {
            key: changes.pop(key)
            for key in ("seed", "progress", "teacher_factory", "approve", "calls")
            if key in changes
        }
        policy = Policy.model_validate(BANK | given | changes)
        return train(policy, base_dir=base_dir, models_dir=models_dir, threads=1, **options)

    return make


@pytest.fixture
def run(tiny_encoder: str, tiny_models: Path, tmp_path: Path) -> Train:
    """On the tiny encoder, which passes no tests of the policy's."""
    return trainer(tmp_path, tiny_models, encoder=tiny_encoder, tests=[])


@pytest.fixture
def run_real(models_dir: Path, tmp_path: Path) -> Train:
    """On the real encoder."""
    return trainer(tmp_path, models_dir)


def test_a_policy_becomes_a_classifier_that_answers_until_a_test_fails(
    run_real: Train, models_dir: Path, tmp_path: Path
) -> None:
    written = {
        "lost_card": ["I lost my card", "my card is gone", "someone stole my card in town", "can't find the card"],
        "card_arrival": ["when will my new card arrive", "is my card in the post", "card still not delivered"],
        "exchange_rate": ["rate of the euro", "what do I get for a pound", "tell me the exchange rate of the yen"],
    }
    rows = [{"text": text, "label": label} for label, texts in written.items() for text in texts]
    rows += [{"text": "I have lost my bank card somewhere", "label": "exchange_rate"}]
    (tmp_path / "written.jsonl").write_text("\n".join(map(json.dumps, rows)))
    outcome = run_real(teacher={"file": "written.jsonl"})
    assert (outcome.accepted, outcome.missed) == (True, ())
    assert Registry(models_dir).current("bank") == outcome.version
    assert {"report.json", "report.html", "MODEL_CARD.md"} <= {path.name for path in outcome.folder.iterdir()}
    runtime = Runtime.load(models_dir, ["bank"])
    texts = ("has my debit card been posted?", "what's the going rate for pounds", "recommend a film about whales")
    verdicts = runtime.classify([Reading(classifier="bank", texts=(text,)) for text in texts])
    assert [verdict.labels for verdict in verdicts[:2]] == [("card_arrival",), ("exchange_rate",)]
    assert verdicts[2].labels == (OTHER,) or verdicts[2].abstention is Abstention.UNSURE

    stored = json.loads((outcome.folder / "report.json").read_text())
    assert stored == json.loads(json.dumps(outcome.report))
    assert stored["measured_on"] == "written text"
    assert stored["text"]["sources"].keys() == {"policy", "builtin", "file"}
    assert stored["tests"] == {"count": 3, "failed": [], "left_out": 0}
    assert stored["held_out"]["rows"] == 6 + len(rows)
    assert stored["everyday"]["rows"] > 100
    assert (stored["out_of_scope"]["share"], stored["out_of_scope"]["measured_on"]) == (0.1, "written text")
    assert stored["out_of_scope"]["kinds"].keys() == {"everyday sentences", "messages to other services"}
    [line, _] = figures.out_of_scope(stored)
    assert line.startswith("with 10.0 % of the traffic out of scope (written text): ")
    assert f"{line[0].upper()}{line[1:]}." in (outcome.folder / "MODEL_CARD.md").read_text()
    assert stored["everyday"]["answered"] < 10
    assert next(iter(stored["seconds"])) == "load"

    # of written text all that was held out shows how sure the model is of what is right
    sure = runtime.classifiers["bank"].model.held_out
    assert len(sure) == stored["held_out"]["rows"] + stored["everyday"]["rows"]
    assert sorted(sure) == list(sure)
    wrong = [[wrong for confidence, _, wrong in sure if (confidence > 0.9) is high] for high in (True, False)]
    assert len(wrong[0]) > 5
    assert 3 * sum(wrong[0]) / len(wrong[0]) < sum(wrong[1]) / len(wrong[1])

    # a sentence that reads like another label is relabelled and listed
    doubts = stored["text"]["doubts"]
    assert (doubts["rows"], doubts["done"], doubts["shown"][0]["instead"]) == (1, {"relabelled": 1}, "lost_card")
    kept = models_dir / "bank" / "training" / f"{outcome.version}.doubts.jsonl"
    assert [json.loads(line)["text"] for line in kept.read_text().splitlines()] == [rows[-1]["text"]]
    assert rows[-1]["text"] in (outcome.folder / "report.html").read_text()

    refused = run_real(tests=[{"text": "what is the rate for dollars", "expect": "lost_card"}])
    assert (refused.accepted, refused.version) == (False, None)
    assert refused.missed[0].startswith("tests: 'what is the rate for dollars' should be lost_card, but is")
    assert (refused.folder / "report.html").is_file()
    assert json.loads((refused.folder / "report.json").read_text("utf-8")) == json.loads(json.dumps(refused.report))
    assert Registry(models_dir).versions("bank") == [outcome.version]


def test_the_same_input_and_seed_give_the_same_bytes_of_weights(run: Train) -> None:
    first, second, other = run(), run(), run(seed=7)
    weights = [(outcome.folder / artifact.HEAD).read_bytes() for outcome in (first, second, other)]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


@pytest.mark.parametrize(
    "labels",
    [
        {"first": {"means": "asks about trains"}, "second": {"means": "asks about planes"}},
        {
            "common": {"means": "asks about parcels", "examples": [f"where is parcel number {n}" for n in range(300)]},
            "rare": {"means": "complains about the courier", "examples": ["your driver was rude"]},
        },
        {"no": {"means": "says no"}, "yes": {"means": "says yes"}, "123": {"means": "says a number"}},
    ],
    ids=["descriptions alone", "one to three hundred", "labels like other things"],
)
def test_little_or_lopsided_text_still_makes_a_model(run: Train, labels: dict[str, Any]) -> None:
    outcome = run(labels=labels, other=None, tests=[])
    assert outcome.accepted
    assert artifact.load(outcome.folder).model.last.head.classes == tuple(labels)


@pytest.mark.parametrize("kind", ["intent", "safety"])
def test_an_artifact_holds_what_it_says_of_held_out_calls(run_real: Train, kind: str) -> None:
    """Of these alone where there are any. Of intents text that no label holds of is wrong whatever it names, of safety
    what a label holds of."""
    changes: dict[str, Any] = {"other": None, "everyday": False} if kind == "safety" else {}
    apart = "none" if kind == "safety" else OTHER
    calls = [LabelledCall(text=f"my card number {n} was lost", label="lost_card") for n in range(40)]
    calls += [LabelledCall(text=f"{n} is it", label=apart, weight=20.0) for n in range(9)]
    outcome = run_real(kind=kind, calls=calls, tests=[], **changes)
    sure = artifact.load(outcome.folder).model.held_out
    wrong = {"intent": 9, "safety": 40}[kind]
    assert (len(sure), sum(wrong for _, _, wrong in sure)) == (49, wrong)
    assert [sum(weight == given for _, weight, _ in sure) for given in (1, 20)] == [40, 9]
    assert all(0 <= confidence <= 1 for confidence, _, _ in sure)
    surest = [wrong for confidence, _, wrong in sure if confidence > 0.8]
    assert len(surest) > 9
    assert set(surest) == {kind == "safety"}


def test_what_a_guard_picked_teaches_and_is_not_measured_on(run: Train, tmp_path: Path) -> None:
    """Even where there are only descriptions besides."""
    rows = [{"text": f"card {n} gone", "label": "lost_card", "picked": n % 2 == 0} for n in range(40)]
    described = {name: {"means": label["means"]} for name, label in BANK["labels"].items()}
    for given, labels, real in ((rows, BANK["labels"], 20), (rows[::2], described, 0)):
        (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, given)))
        report = run(data=["rows.jsonl"], labels=labels).report
        assert (report["text"]["sources"]["picked"], report["measured_real"]) == (20, real)


def test_reviewed_rows_are_read_unnamed_and_are_a_part_of_the_version(run_real: Train, tmp_path: Path) -> None:
    reviewed = tmp_path / f"{BANK['name']}.reviewed.jsonl"
    reviewed.write_text(json.dumps({"text": "card 1 gone", "label": "lost_card", "picked": True}) + "\n")
    outcome = run_real(tests=[])
    assert outcome.report["text"]["sources"]["picked"] == 1
    assert outcome.folder is not None
    kept = json.loads((outcome.folder / "report.json").read_text())["text"]
    assert kept["reviewed_sha256"] == sha256(reviewed.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("changes", "error", "what"),
    [
        ({"kind": "safety", "other": None, "everyday": "false"}, TrainingError, "there is no harmless text to tell"),
        ({"languages": "de"}, TrainingError, "all of its text is lost_card; add rows of what is none of its labels"),
        ({"other": None}, PolicyError, "one label alone decides nothing"),
        ({"data": ["gone.csv"]}, TrainingError, r"gone\.csv: cannot be read"),
    ],
)
def test_text_of_one_kind_alone_teaches_nothing(
    run: Train, tiny_models: Path, changes: dict[str, Any], error: type[Exception], what: str
) -> None:
    with pytest.raises(error, match=what):
        run(labels={"lost_card": BANK["labels"]["lost_card"]}, **changes)
    assert not (tiny_models / "bank").exists()


def test_a_starter_policy_passes_its_own_tests(models_dir: Path) -> None:
    """The end-to-end tests train the others."""
    path = POLICIES / "off-topic.yaml"
    policy = Policy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    outcome = train(policy, base_dir=path.parent, models_dir=models_dir, threads=2)
    assert outcome.missed == ()
    Runtime.load(models_dir, ["off-topic"], self_test=True)


GUARD: dict[str, Any] = table("given/classifiers-training-run-guard.yaml")


def test_a_guard_of_few_lines_builds_on_the_shipped_network(models_dir: Path, tmp_path: Path) -> None:
    policy = Policy.model_validate(GUARD)
    outcome = train(policy, base_dir=tmp_path, models_dir=models_dir, threads=1)
    assert outcome.accepted
    assert outcome.report["settings"]["head"].endswith("added to the network of harm")
    assert re.fullmatch(r"harm \d{8}-\d{6}-[0-9a-f]{8} \(shipped\)", outcome.report["settings"]["builds_on"])
    runtime = Runtime.load(models_dir, ["guard"])
    # nothing like the threat is among the policy's lines, and a polite sentence hides nothing
    threat = "I will kill you."
    texts = (threat, f"Hello, my order arrived on Monday, thank you. {threat}", f"{threat} Where is my parcel?")
    verdicts = runtime.classify([Reading(classifier="guard", texts=(text,)) for text in texts])
    assert [verdict.labels for verdict in verdicts] == [("violence",)] * 3
    calm = ("Where is my parcel?", "Hello, my order arrived on Monday, thank you. It is lovely.", "be brief")
    verdicts = runtime.classify([Reading(classifier="guard", texts=(text,)) for text in calm])
    assert [verdict.labels for verdict in verdicts] == [()] * 3

    chained = Policy.model_validate(GUARD | {"name": "other", "builds_on": "guard"})
    with pytest.raises(PolicyError, match="builds_on: guard is no network by itself"):
        train(chained, base_dir=tmp_path, models_dir=models_dir, threads=1)


def test_the_shipped_network_is_of_the_shipped_policy(tmp_path: Path) -> None:
    shipped = data.trained("harm")
    assert shipped
    made = artifact.load(unpack(shipped, tmp_path)).model.policy
    assert made == Policy.model_validate(yaml.safe_load((POLICIES / "harm.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"builds_on": "nobody"}, "builds_on: .* holds no classifier 'nobody' .*; harm is shipped"),
        (
            {"labels": {"spam": {"means": "advertises", "not": ["hello"]}}},
            "builds_on: harm knows no spam; name labels as it does .jailbreak",
        ),
    ],
)
def test_what_cannot_be_built_on_ends_training_early(
    models_dir: Path, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(PolicyError, match=why):
        train(Policy.model_validate(GUARD | changes), base_dir=tmp_path, models_dir=models_dir, threads=1)
