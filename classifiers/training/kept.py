"""The rows that a version was trained on, kept beside it: `<models>/<name>/training/<version>.jsonl`, and those whose
label was in doubt: `<version>.doubts.jsonl`. Of a call's text there is the digest alone.

They are for evaluations on this machine: to find what a test shares with training, and what an error is near to. They
are no part of the artifact, so that one can be handed on without them; a classifier serves without them as well.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from classifiers.errors import ArtifactError
from classifiers.training.doubt import Doubt
from classifiers.training.rows import Row

FOLDER = "training"
DOUBTS = ".doubts.jsonl"
_FIELDS = ("text", "labels", "group", "source", "writer", "system", "digest")


def keep(models_dir: Path, name: str, version: str, rows: Iterable[Row], doubts: Sequence[Doubt] = ()) -> Path:
    """Write the files, each whole or not at all; that of doubts only where there are any. Raises OSError where they
    cannot be written."""
    with written(models_dir, name, rows, doubts) as put_beside:
        return put_beside(version)


@contextmanager
def written(
    models_dir: Path, name: str, rows: Iterable[Row], doubts: Sequence[Doubt] = ()
) -> Iterator[Callable[[str], Path]]:
    """The files before there is a version, so that a full disk publishes none of which the rows are not kept. What it
    gives puts them beside a version; what is not put is gone afterwards. Raises OSError where they cannot be written.
    """
    home = models_dir / name / FOLDER
    home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".kept-", dir=home) as scratch:
        found = _write(Path(scratch) / "rows", (_told(row) for row in rows))
        doubted = _write(Path(scratch) / "doubts", (asdict(one) for one in doubts)) if doubts else None

        def put_beside(version: str) -> Path:
            path = file_of(models_dir, name, version)
            if doubted:
                doubted.replace(path.with_suffix(DOUBTS))
            return found.replace(path)

        yield put_beside


def _told(row: Row) -> dict[str, Any]:
    told = {key: value for key, value in asdict(row).items() if key in _FIELDS and value}
    if row.digest:
        del told["text"]
    return {**told, "labels": row.labels}


def _write(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    # users' texts are for whoever trained
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return path


def load(models_dir: Path, name: str, version: str) -> tuple[Row, ...] | None:
    """The rows, of calls without their text, or None where they were not kept here. Raises ArtifactError where the file
    is not what it should be."""
    path = file_of(models_dir, name, version)
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        return tuple(_row(json.loads(line)) for line in lines if line)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path} does not hold training rows ({error}); delete it") from error


def _row(told: Mapping[str, Any]) -> Row:
    texts = {"text": ""} if "digest" in told else {}
    row = Row(**{**texts, **told, "labels": tuple(told["labels"])})
    if not all(isinstance(text, str) for text in (row.text, row.system, row.digest, *row.labels)):
        raise TypeError("a text is none")
    return row


def file_of(models_dir: Path, name: str, version: str) -> Path:
    """Where the rows lie, if they were kept here."""
    return models_dir / name / FOLDER / f"{version}.jsonl"
