"""Two trained classifiers behind one rule: the second, on an encoder of the hub, reads what the first cannot."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import helper, numpy_helper
from openai import BadRequestError, OpenAI
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from benchmarks.stream.paid import Paid
from tests.given import table_text

from .conftest import Running, offramp, start

ENGLISH = table_text("given/e2e-languages-english.yaml")
GERMAN = table_text("given/e2e-languages-german.yaml")
GATEWAY = table_text("given/e2e-languages-gateway.yaml")
KILL, TOTEN = "I will kill you tomorrow", "Ich werde dich morgen umbringen"
PARCEL, PAKET = "where is my parcel?", "Wo bleibt meine Bestellung heute?"
COLIS = "Où est le colis que j'ai commandé hier matin ?"
CALLS = [
    # the model, the user's messages, the decision, and the row of the ledger: whose label, and what abstained
    ("gpt-4o", (KILL,), "block", ("guard", "threat", "")),
    ("gpt-4o", (PARCEL,), "forward", ("", "", "")),
    ("gpt-4o", (TOTEN,), "block", ("guard-de", "threat", "")),
    ("gpt-4o", (PAKET,), "forward", ("", "", "")),
    ("gpt-4o", (PARCEL, TOTEN), "block", ("guard-de", "threat", "")),
    ("gpt-4o", (KILL, PAKET), "block", ("guard", "threat", "")),
    ("gpt-4o", (COLIS,), "forward", ("", "", "safety:language")),
    ("strict", (PAKET,), "forward", ("", "", "")),
    ("strict", (COLIS,), "block", ("guard-de", "language", "strict:language")),
]


@pytest.fixture
def paid() -> Iterator[Paid]:
    server = Paid(lambda _: "Well.")
    yield server
    server.close()


def fetched(home: Path, texts: list[str]) -> None:
    """Puts an encoder into the hub client's own cache: a tokenizer as XLM-R's, of the texts, and words by chance."""
    repository = home / "hub" / "models--org--multilingual"
    folder = repository / "snapshots" / "0a"
    (folder / "onnx").mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0a")
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token=special[3], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    ends = [("<s>", 0), ("</s>", 2)]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    table = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 64)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["words"]),
            helper.make_node("MatMul", ["words", "mix"], ["last_hidden_state"]),
        ],
        "words",
        [helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("last_hidden_state", onnx.TensorProto.FLOAT, ["batch", "tokens", 64])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.eye(64, dtype=np.float32), "mix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "onnx" / "model.onnx")
    (folder / "config.json").write_text(json.dumps({"hidden_size": 64, "max_position_embeddings": 512}))


@pytest.fixture
def gateway(prepared_dir: Path, paid: Paid, tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "models" / "encoders").mkdir(parents=True)
    for folder in (prepared_dir / "encoders").glob("[!.]*"):
        (tmp_path / "models" / "encoders" / folder.name).symlink_to(folder)
    threat = yaml.safe_load(GERMAN)["labels"]["threat"]
    fetched(tmp_path / "home", [*threat["examples"], *threat["not"]])
    for name, text in (("guard", ENGLISH), ("guard-de", GERMAN)):
        (tmp_path / f"{name}.yaml").write_text(text, "utf-8")
    (tmp_path / "gateway.yaml").write_text(GATEWAY.format(paid=paid.url))
    hub = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    done = offramp("train", "guard.yaml", "guard-de.yaml", "--models", "models", cwd=tmp_path, **hub)
    assert done.returncode == 0, done.stderr
    running = start(tmp_path / "gateway.yaml")
    yield running
    running.stop()


def verdicts(gateway: Running, classifier: str, rule: str = "safety") -> dict[str, int]:
    """How many there were, by outcome."""
    outcomes = {"clean": "", "language": "", "label": "threat"}
    sample = 'offramp_verdicts_total{{classifier="{}",label="{}",outcome="{}",rule="{}"}}'
    return {one: int(gateway.metric(sample.format(classifier, label, one, rule))) for one, label in outcomes.items()}


def test_german_is_judged_by_the_second_classifier_and_english_by_the_first(gateway: Running, paid: Paid) -> None:
    client: Any = OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0)
    for model, texts, decision, _ in CALLS:
        messages = [{"role": "user", "content": text} for text in texts]
        answer = client.chat.completions.with_raw_response.create(model=model, messages=messages)
        assert answer.headers["x-offramp-decision"] == decision, texts
    # the model's answers are read as well; of two messages one has a label beside the other's language
    assert verdicts(gateway, "guard") == {"clean": 4, "label": 1, "language": 4}
    # it is asked about nothing in English
    assert verdicts(gateway, "guard-de") == {"clean": 2, "label": 2, "language": 1}
    paid.say = lambda _: TOTEN
    answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": PARCEL}])
    assert answer.choices[0].message.content == "Not here."
    shown = offramp("explain", TOTEN, "--gateway", "gateway.yaml", cwd=gateway.folder).stdout
    assert re.search(r"^guard@\S+ abstains: language \(written in de", shown, re.MULTILINE)
    assert re.search(r"^guard-de@\S+ says: threat", shown, re.MULTILINE)
    moderated = client.moderations.create(model="guard", input=[TOTEN, PAKET, KILL, COLIS]).results
    assert [result.flagged for result in moderated] == [True, False, True, True]
    assert moderated[3].error["code"] == "language"
    [both] = client.moderations.create(input=[{"type": "text", "text": text} for text in (KILL, PAKET)]).results
    assert (both.flagged, both.categories.threat, both.category_scores.threat > 0.5) == (True, True, True)
    # what the first could not read whole is not harmless for the second's reading of another part
    with pytest.raises(BadRequestError, match="too long"):
        client.moderations.create(input=[{"type": "text", "text": text} for text in ("my parcel. " * 20_000, PAKET)])
    gateway.stop()
    with closing(sqlite3.connect(gateway.folder / "offramp.db")) as db:
        rows = db.execute("SELECT classifier, label, abstentions FROM requests ORDER BY rowid").fetchall()
    assert rows[:-1] == [
        *(row for *_, row in CALLS),
        ("guard-de", "threat", ""),
        ("guard", "", "language"),
        ("guard", "threat", ""),
    ]
