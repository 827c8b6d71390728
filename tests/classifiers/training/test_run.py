"""Whole training runs, those that show how good a model is on the real encoder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from classifiers import Reading, Runtime
from classifiers.errors import PolicyError, TrainingError
from classifiers.model import artifact
from classifiers.model.registry import Registry
from classifiers.policy import OTHER, Policy
from classifiers.training.run import TrainingOutcome, train
from classifiers.training.write.builtin import name_words
from classifiers.training.write.teacher import Hired, TeacherPrice, TeacherReply
from classifiers.verdict import Abstention

POLICIES = Path(__file__).parents[3] / "config" / "policies"

BANK: dict[str, Any] = {
    "version": 1,
    "name": "bank",
    "kind": "intent",
    "about": "messages to a bank",
    "labels": {
        "card_arrival": {
            "means": "asks when a card that was ordered will arrive, or says it has not come",
            "examples": ["where is my new card", "ordered a card two weeks ago, still nothing", "card not here yet"],
            "not": ["my card was swallowed by the machine"],
        },
        "exchange_rate": {
            "means": "asks what the exchange rate is",
            "examples": ["how many euros do I get for a dollar", "what is your rate for yen today"],
        },
        "lost_card": {"means": "has lost a card or says it was stolen", "examples": "I cannot find my card"},
    },
    "other": "anything else",
    "tests": [
        {"text": "has my card been sent yet?", "expect": "card_arrival"},
        {"text": "someone stole my card", "expect": "lost_card"},
        {"text": "will it rain tomorrow", "expect": "other"},
    ],
}

SAID = {"told.jsonl": 1, "more.jsonl": 2, "small": 6}

Train = Callable[..., TrainingOutcome]


class Scripted:
    """A teacher's model that has a form for some labels, by what the prompt asks for, and nothing for others."""

    def __init__(self, forms: dict[str, str]) -> None:
        self.forms = forms
        self.prompts: list[str] = []

    def __call__(self, prompt: str, *, max_tokens: int, temperature: float, seed: int) -> TeacherReply:
        self.prompts.append(prompt)
        label = next((name for name in self.forms if f'mean "{name_words(name)}"' in prompt), None)
        texts = [self.forms[label].format(number) for number in range(3)] if label else []
        return TeacherReply(text=json.dumps(texts), input_tokens=10, output_tokens=20)


def trainer(base_dir: Path, models_dir: Path, **given: Any) -> Train:
    def make(**changes: Any) -> TrainingOutcome:
        options = {key: changes.pop(key) for key in ("seed", "progress", "hire", "approve") if key in changes}
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


def test_a_policy_becomes_a_classifier_that_answers(run_real: Train, models_dir: Path) -> None:
    outcome = run_real()
    assert (outcome.accepted, outcome.missed) == (True, ())
    assert Registry(models_dir).current("bank") == outcome.version
    assert {"report.json", "report.html", "MODEL_CARD.md"} <= {path.name for path in outcome.folder.iterdir()}
    runtime = Runtime.load(models_dir, ["bank"])
    texts = ("has my debit card been posted?", "what's the going rate for pounds", "recommend a film about whales")
    verdicts = runtime.classify([Reading(classifier="bank", texts=(text,)) for text in texts])
    assert [verdict.labels for verdict in verdicts[:2]] == [("card_arrival",), ("exchange_rate",)]
    assert verdicts[2].labels == (OTHER,) or verdicts[2].abstention is Abstention.UNSURE


def test_the_report_is_json_and_says_what_the_model_was_made_of(run_real: Train) -> None:
    outcome = run_real()
    stored = json.loads((outcome.folder / "report.json").read_text())
    assert stored == json.loads(json.dumps(outcome.report))
    assert stored["measured_on"] == "written text"
    assert stored["text"]["sources"].keys() == {"policy", "builtin"}
    assert stored["tests"] == {"count": 3, "failed": [], "left_out": 0}
    assert stored["held_out"]["rows"] == 6
    assert stored["everyday"]["rows"] > 100
    assert stored["everyday"]["answered"] < 10
    assert next(iter(stored["seconds"])) == "load"


def test_the_same_input_and_seed_give_the_same_bytes_of_weights(run: Train) -> None:
    first, second, other = run(), run(), run(seed=7)
    weights = [(outcome.folder / artifact.HEAD).read_bytes() for outcome in (first, second, other)]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]


def test_a_failing_test_of_its_own_publishes_nothing(run_real: Train, models_dir: Path) -> None:
    before = run_real().version
    outcome = run_real(tests=[{"text": "what is the rate for dollars", "expect": "lost_card"}])
    assert (outcome.accepted, outcome.version) == (False, None)
    assert outcome.missed[0].startswith("tests: 'what is the rate for dollars' should be lost_card, but is")
    assert (outcome.folder / "report.html").is_file()
    assert json.loads((outcome.folder / "report.json").read_text("utf-8")) == json.loads(json.dumps(outcome.report))
    assert Registry(models_dir).versions("bank") == [before]
    assert Registry(models_dir).current("bank") == before


def test_the_policys_tests_are_never_trained_on(run: Train, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "Someone stole my card!", "label": "lost_card"}\n')
    outcome = run(data=["rows.jsonl"], tests=BANK["tests"])
    assert outcome.report["text"]["leaks"] == ["Someone stole my card!"]
    assert "data" not in outcome.report["text"]["sources"]


def test_several_teachers_each_have_their_share(run: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifiers.training.write.sentences.SENTENCES", 3)
    (tmp_path / "told.jsonl").write_text('{"text": "plastic still not in the letterbox", "label": "card_arrival"}\n')
    lost = [json.dumps({"text": f"my card fell out of my {thing}", "label": "lost_card"}) for thing in ("car", "bag")]
    (tmp_path / "more.jsonl").write_text("\n".join(lost))
    model = Scripted({"card_arrival": "is card {} of mine in the post", "lost_card": "card {} of mine is gone"})
    teachers = [{"file": ["told.jsonl", "more.jsonl"]}, {"model": "small"}]
    outcome = run(teacher=teachers, hire=lambda teacher: Hired(complete=model, price=TeacherPrice(known=False)))
    model_said, file_said = outcome.report["teachers"]
    assert (model_said["model"], model_said["sentences"]) == ("small", 6)
    assert file_said == {"file": ["told.jsonl", "more.jsonl"], "sentences": 3}
    manifest = json.loads((outcome.folder / "manifest.json").read_text())
    shares = {name: share * outcome.report["text"]["rows"] for name, share in manifest["writers"].items()}
    assert shares == {name: pytest.approx(count, abs=0.05) for name, count in SAID.items()}
    assert outcome.report["by_source"].keys() >= SAID.keys()
    assert "small" in (outcome.folder / "report.html").read_text()


def test_sentences_that_read_like_another_label_are_relabelled_and_listed(
    run_real: Train, tmp_path: Path, models_dir: Path
) -> None:
    said = {
        "lost_card": ["I lost my card", "my card is gone", "someone stole my card in town", "can't find the card"],
        "card_arrival": ["when will my new card arrive", "is my card in the post", "card still not delivered"],
        "exchange_rate": ["rate of the euro", "what do I get for a pound", "tell me the exchange rate of the yen"],
    }
    rows = [{"text": text, "label": label} for label, texts in said.items() for text in texts]
    rows += [{"text": "I have lost my bank card somewhere", "label": "exchange_rate"}]
    (tmp_path / "told.jsonl").write_text("\n".join(map(json.dumps, rows)))
    outcome = run_real(teacher={"file": "told.jsonl"})
    found = outcome.report["text"]["doubts"]
    assert (found["rows"], found["done"]) == (1, {"relabelled": 1})
    assert found["shown"][0]["instead"] == "lost_card"
    kept = models_dir / "bank" / "training" / f"{outcome.version}.doubts.jsonl"
    assert [json.loads(line)["text"] for line in kept.read_text().splitlines()] == [rows[-1]["text"]]
    assert rows[-1]["text"] in (outcome.folder / "report.html").read_text()


def test_rows_that_cannot_be_read_stop_it_before_anything_is_written(run: Train, tiny_models: Path) -> None:
    with pytest.raises(TrainingError, match=r"gone\.csv: cannot be read"):
        run(data=["gone.csv"])
    assert not (tiny_models / "bank").exists()


def test_a_single_label_needs_something_beside_it(run_real: Train) -> None:
    one = {"lost_card": BANK["labels"]["lost_card"]}
    with pytest.raises(PolicyError, match="one label alone decides nothing"):
        run_real(labels=one, other=None, tests=[])
    assert run_real(labels=one, tests=[]).accepted


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


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"kind": "safety", "other": None, "everyday": "false"}, "there is no harmless text to tell its labels from"),
        ({"languages": "de"}, "all of its text is lost_card; add rows of what is none of its labels"),
    ],
)
def test_text_of_one_kind_alone_teaches_nothing(run: Train, changes: dict[str, Any], what: str) -> None:
    with pytest.raises(TrainingError, match=what):
        run(labels={"lost_card": BANK["labels"]["lost_card"]}, tests=[], **changes)


@pytest.mark.parametrize("name", ["shop-intents", "support-safety", "off-topic"])
def test_the_starter_policies_pass_their_own_tests(name: str, models_dir: Path) -> None:
    path = POLICIES / f"{name}.yaml"
    policy = Policy.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    outcome = train(policy, base_dir=path.parent, models_dir=models_dir, threads=2)
    assert outcome.missed == ()
    Runtime.load(models_dir, [name], self_test=True)
