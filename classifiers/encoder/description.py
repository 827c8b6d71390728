"""encoder.json: what a prepared encoder is, and vectors by which a processor is checked."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from classifiers.encoder.source import Pooling, sha256_of
from classifiers.errors import EncoderError
from classifiers.model import EncoderId, Floats

MODEL, TOKENIZER, DESCRIPTION = "model.onnx", "tokenizer.json", "encoder.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What stands in a prepared encoder's folder beside the graph and the tokenizer.

    source: where it came from; sha256: of each file in the folder.
    max_tokens: the longest window, special tokens included.
    sentences, vectors: texts and what the 32-bit graph made of them, unit length, rounded to 1e-6.
    made_with: versions of the tools.
    """

    source: str
    recipe: int
    dimensions: int
    pooling: Pooling
    max_tokens: int
    sha256: Mapping[str, str]
    sentences: tuple[str, ...]
    vectors: tuple[tuple[float, ...], ...]
    made_with: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder's encoder.json. Raises EncoderError where it is missing or not of this shape."""
        path = folder / DESCRIPTION
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            parts = {
                "sha256": {**values["sha256"], **{name: values["sha256"][name] for name in (MODEL, TOKENIZER)}},
                "sentences": tuple(values["sentences"]),
                "vectors": tuple(tuple(map(float, vector)) for vector in values["vectors"]),
            }
            return cls(**{**values, **parts})
        except OSError as error:
            raise EncoderError(f"{path} cannot be read ({error.strerror}); prepare the encoder again") from error
        except (ValueError, KeyError, TypeError) as error:
            raise EncoderError(f"{path} is not an encoder's description ({error}); delete {folder}") from error

    def write(self, folder: Path) -> None:
        """Write encoder.json into the folder."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1)
        (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")

    @property
    def parity(self) -> Floats:
        """(sentences, dimensions) float32: the stored vectors."""
        return np.asarray(self.vectors, np.float32)

    @property
    def id(self) -> EncoderId:
        """By this an encoder is told from others."""
        return EncoderId(
            source=self.source, sha256=self.sha256[MODEL], tokenizer=self.sha256[TOKENIZER], pooling=self.pooling
        )

    def copy(self, folder: Path, target: Path, source: str) -> dict[str, str]:
        """Copy the prepared encoder that lies in `folder` into `target`, which is made, under another source's name.

        The sha256 of each file written, by its name. Raises OSError where a file cannot be read or written.
        """
        target.mkdir(parents=True)
        for name in self.sha256:
            shutil.copyfile(folder / name, target / name)
        replace(self, source=source).write(target)
        return {**self.sha256, DESCRIPTION: sha256_of(target / DESCRIPTION)}
