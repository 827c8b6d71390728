"""A teacher's answers on disk, by what was asked: a re-run costs nothing."""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A model's answer and the tokens it was billed for, 0 where that was not reported. cut: whether it ended since it
    may not be longer."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Cache:
    """Answers below one folder, each in a file named for the hash of its question."""

    folder: Path

    def get(self, question: str) -> Completion | None:
        """The stored answer; None where there is none or it cannot be read as one."""
        try:
            values = json.loads(self._path(question).read_text(encoding="utf-8"))
            return Completion(**values["answer"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, question: str, answer: Completion) -> None:
        """Store an answer at once, whole or not at all. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"question": question, "answer": asdict(answer)}, ensure_ascii=False, indent=1)
        handle, made = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(made).replace(self._path(question))

    def _path(self, question: str) -> Path:
        return self.folder / f"{hashlib.sha256(question.encode()).hexdigest()[:32]}.json"
