"""Who is compared. Each runs in a process of its own; what it imports, it imports there.

SetFit and the full fine-tune run in an environment of their own: their packages are no part of this project.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Rows = Sequence[tuple[str, str]]
Predict = Callable[[Sequence[str]], list[str]]

SETFIT_PAIRS = {"10 rows a label": (5, -1), "all rows": (1, 500)}
"""`num_iterations`, which deals each row twice so many pairs, and the most steps of 16 pairs (-1: no limit).

SetFit's own default deals each row as many pairs as there are other rows: 586,000 for 770 rows, and 100 million for
all, which is days.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """line: how the table calls it; rows: to train on; weights: a folder with all-MiniLM-L6-v2, trainable; scratch: an
    empty folder."""

    line: str
    rows: Rows
    weights: Path
    scratch: Path


def tfidf(task: Task) -> Predict:
    """Characters and words, logistic regression."""
    from benchmarks.peers.plain import tfidf as fit

    return fit(task.rows)


def centroid(task: Task) -> Predict:
    """The encoder that we serve, and the class whose mean vector is nearest."""
    from benchmarks.peers.plain import centroid as fit

    return fit(_encoder(task), task.rows)


def setfit(task: Task) -> Predict:
    """SetFit with its own defaults, but for the number of pairs."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer, models
    from setfit import SetFitModel, Trainer, TrainingArguments

    words = models.Transformer(str(task.weights), max_seq_length=128)
    body = SentenceTransformer(
        modules=[words, models.Pooling(words.get_word_embedding_dimension()), models.Normalize()], device="cpu"
    )
    from sklearn.linear_model import LogisticRegression

    model = SetFitModel(model_body=body, model_head=LogisticRegression(max_iter=300))
    rows = Dataset.from_dict({"text": [text for text, _ in task.rows], "label": [label for _, label in task.rows]})
    iterations, steps = SETFIT_PAIRS[task.line]
    arguments = TrainingArguments(
        output_dir=str(task.scratch), num_iterations=iterations, max_steps=steps, num_epochs=1, batch_size=16,
        report_to="none", save_strategy="no",
    )  # fmt: skip
    Trainer(model=model, args=arguments, train_dataset=rows).train()
    return lambda texts: [str(label) for label in model.predict(list(texts), show_progress_bar=False)]


def full_finetune(task: Task) -> Predict:
    """Artifex 0.11's recipe: transformers' Trainer with its defaults, three epochs in batches of 16, every weight; on
    all-MiniLM-L6-v2, a fifth of the size of the model that Artifex takes."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

    names = sorted({label for _, label in task.rows})
    reads: Any = AutoTokenizer.from_pretrained(task.weights, local_files_only=True)
    model: Any = AutoModelForSequenceClassification.from_pretrained(
        task.weights, num_labels=len(names), local_files_only=True
    )
    rows = [{**reads(text, truncation=True, max_length=128), "label": names.index(label)} for text, label in task.rows]
    arguments = TrainingArguments(
        output_dir=str(task.scratch), num_train_epochs=3, per_device_train_batch_size=16, save_strategy="no",
        report_to="none", use_cpu=True, disable_tqdm=True, seed=0,
    )  # fmt: skip
    Trainer(model=model, args=arguments, train_dataset=rows, processing_class=reads).train()
    model.eval()

    def predict(texts: Sequence[str]) -> list[str]:
        found: list[str] = []
        with torch.no_grad():
            for start in range(0, len(texts), 64):
                batch = reads(list(texts[start : start + 64]), padding=True, truncation=True, max_length=128,
                              return_tensors="pt")  # fmt: skip
                found += [names[place] for place in model(**batch).logits.argmax(dim=1).tolist()]
        return found

    return predict


def offramp(task: Task, recipe: str = "frozen") -> Predict:
    """Ours, on the same rows: no descriptions or examples beside them, so that it knows no more than the others."""
    from benchmarks.banking77.dataset import write
    from classifiers import Reading, Runtime
    from classifiers.policy import Policy
    from classifiers.training.run import train
    from classifiers.training.write.builtin import name_words

    names = sorted({label for _, label in task.rows})
    policy = Policy.model_validate(
        {
            "version": 1,
            "name": "banking",
            "kind": "intent",
            "about": "Messages to a bank.",
            "recipe": recipe,
            "labels": {name: {"means": name_words(name)} for name in names},
            "data": [write(task.rows, task.scratch / "rows.jsonl").name],
        }
    )
    models = _models(task)
    train(policy, base_dir=task.scratch, models_dir=models)
    runtime = Runtime.load(models, [policy.name], cache_windows=0)

    def predict(texts: Sequence[str]) -> list[str]:
        verdicts = runtime.classify([Reading(classifier=policy.name, texts=(text,)) for text in texts])
        return [max(verdict.scores, key=lambda name: verdict.scores[name]) for verdict in verdicts]

    return predict


def offramp_tuned(task: Task) -> Predict:
    """The same with `recipe: finetune`."""
    return offramp(task, recipe="finetune")


CONTESTANTS: dict[str, tuple[str, Callable[[Task], Predict], bool]] = {
    "tfidf": ("tf-idf + logistic regression", tfidf, False),
    "centroid": ("nearest centroid, frozen encoder", centroid, False),
    "setfit": ("SetFit 1.2.0", setfit, True),
    "full_finetune": ("full fine-tune, as Artifex does it", full_finetune, True),
    "offramp": ("**Offramp, recipe: frozen**", offramp, False),
    "offramp_tuned": ("**Offramp, recipe: finetune**", offramp_tuned, False),
}
"""By name: how the table calls it, what trains it, and whether it needs the environment of its own."""


def _models(task: Task) -> Path:
    """A folder for prepared encoders and models, kept for the run so that preparing is not counted as training."""
    from classifiers.encoder.prepare import prepare
    from classifiers.encoder.source import resolve

    models = task.scratch.parent / "models"
    models.mkdir(exist_ok=True)
    prepare(resolve(None), models)
    return models


def _encoder(task: Task) -> Any:
    from classifiers.encoder.prepare import prepare
    from classifiers.encoder.session import Encoder
    from classifiers.encoder.source import resolve

    return Encoder.open(prepare(resolve(None), _models(task)), threads=2)
