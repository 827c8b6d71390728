"""A prepared encoder: windows of token ids → unit vectors, by an ONNX graph.

encoder.json describes it, with vectors by which a processor is checked.
"""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from classifiers.encoder.source import Pooling, sha256_of
from classifiers.encoder.tokens import LONGEST_CHARS_A_TOKEN, Tokens
from classifiers.errors import EncoderError
from classifiers.model.model import EncoderId, Floats, Windowing
from classifiers.text.normalise import normalise
from classifiers.text.spans import read

MODEL, TOKENIZER, DESCRIPTION = "model.onnx", "tokenizer.json", "encoder.json"


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What encoder.json says of the graph and the tokenizer in its folder.

    source: where it came from; sha256: of each file in the folder.
    max_tokens: the longest window, special tokens included.
    sentences, vectors: texts and what the 32-bit graph made of them, rounded to 1e-6; of length 1 unless they are odds.
    made_with: versions of the tools.
    """

    source: str
    recipe: int
    dimensions: int
    pooling: Pooling
    max_tokens: int
    sha256: dict[str, str]
    sentences: tuple[str, ...]
    vectors: tuple[tuple[float, ...], ...]
    made_with: dict[str, str] = {}

    def __post_init__(self) -> None:
        """Raises ValueError where a digest is missing."""
        if missing := {MODEL, TOKENIZER} - set(self.sha256):
            raise ValueError(f"no sha256 of {', '.join(sorted(missing))}")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder's encoder.json. Raises EncoderError where it is missing or not of this shape."""
        path = folder / DESCRIPTION
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except OSError as error:
            raise EncoderError(f"{path} cannot be read ({error.strerror}); prepare the encoder again") from error
        except ValueError as error:
            raise EncoderError(f"{path} is not an encoder's description ({error}); delete {folder}") from error

    def write(self, folder: Path) -> None:
        """Write encoder.json into the folder."""
        (folder / DESCRIPTION).write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    @property
    def id(self) -> EncoderId:
        """What tells an encoder from others."""
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
        msgspec.structs.replace(self, source=source).write(target)
        return {**self.sha256, DESCRIPTION: sha256_of(target / DESCRIPTION)}


_SLOWER = ["SkipLayerNormFusion"]
"""Joins a sum and the norm after it, which then take 0.14 instead of 0.02 ms for 32 tokens of 768 numbers
(ONNX Runtime 1.32, one thread)."""

_INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}


class Graph:
    """An ONNX Runtime session on one thread. Safe to call from several threads at once.

    model: the graph's file or its bytes (weights included); pooling: how hidden states become a text's vector.
    """

    def __init__(self, model: Path | bytes, pooling: Pooling) -> None:
        """Raises EncoderError where ONNX Runtime cannot load the graph or its inputs are not BERT's."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # an arena keeps the largest window's memory for good; sizes vary little here, and calls are frequent
        options.enable_cpu_mem_arena = True
        given, what = (str(model),) * 2 if isinstance(model, Path) else (model, "the encoder's graph")
        try:
            session = onnxruntime.InferenceSession(
                given, options, providers=["CPUExecutionProvider"], disabled_optimizers=_SLOWER
            )
        except Exception as error:  # ONNX Runtime raises classes of its own that it does not publish
            raise EncoderError(f"{what} cannot be loaded: {error}") from error
        self._session: Any = session
        self.pooling = pooling
        self._output = session.get_outputs()[0].name
        self._inputs = {given.name: _INTEGERS.get(given.type) for given in session.get_inputs()}
        unknown = set(self._inputs) - {"input_ids", "attention_mask", "token_type_ids"}
        if unknown or "input_ids" not in self._inputs or None in self._inputs.values():
            raise EncoderError(f"{what} takes {sorted(self._inputs)}; a BERT-like encoder takes integer input_ids")

    def run(self, ids: Sequence[int]) -> Floats:
        """ids: special tokens included → (dimensions,) float32, of length 1 unless they are odds.

        One text at a time: int8 ranges are set over a whole batch, so neighbours would change the answer.
        """
        return self.states(ids)[0]

    def states(self, ids: Sequence[int]) -> tuple[Floats, Floats]:
        """The same vector, and the hidden states (tokens, dimensions) that it is pooled from."""
        hidden = self.tensors([self._output], ids)[0][0]
        if self.pooling == "odds":
            return hidden, hidden
        pooled = hidden.mean(axis=0) if self.pooling == "mean" else hidden[0 if self.pooling == "cls" else -1]
        unit: Floats = (pooled / max(float(np.linalg.norm(pooled)), 1e-12)).astype(np.float32, copy=False)
        return unit, hidden

    def tensors(self, names: Sequence[str], ids: Sequence[int]) -> list[Floats]:
        """The graph's outputs of these names, as they come, for one window of ids."""
        shape = (1, len(ids))
        values = {
            "input_ids": np.asarray(ids).reshape(shape),
            "attention_mask": np.ones(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }
        feed = {name: values[name].astype(kind, copy=False) for name, kind in self._inputs.items()}
        outputs: list[Floats] = self._session.run(list(names), feed)
        return outputs


PARITY = 0.97
"""The least cosine between int8 and 32-bit vectors of the stored sentences (0.99 where int8 works)."""
MOST_APART = 0.1
"""The most by which a guard's int8 and 32-bit probabilities may differ on any of the stored sentences."""

_CHUNK = 256
_MOST_OF_A_MEAN = 16
"""The most windows of a text for single-label kinds: the rest seldom changes what a text is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPrompts:
    """System prompts that texts are read beside. systems: for each text its own, empty where it has none; tokens: as
    much as is read of each."""

    systems: Sequence[str]
    tokens: int


class Encoder:
    """A prepared encoder. Safe to use from several threads at once.

    id: which encoder this is; tokenizer_sha256: encoders of equal ones read text as the same ids;
    dimensions: of its vectors; max_tokens: the longest window, specials included; specials: how many special
    tokens are set around each window; threads: windows encoded side by side. tokenize, with_starts, words, text_of,
    system, after_system, surround: as of its `Tokens`.
    """

    def __init__(self, graph: Graph, tokens: Tokens, description: Description, threads: int) -> None:
        """Use `Encoder.open`."""
        self._graph = graph
        self._tokens = tokens
        self.threads = threads
        self.id = description.id
        self.tokenizer_sha256 = self.id.tokenizer
        self.dimensions = description.dimensions
        self.max_tokens = description.max_tokens
        self.specials = tokens.specials
        self.tokenize, self.with_starts = tokens.encode, tokens.with_starts
        self.words, self.text_of = tokens.words, tokens.decode
        self.system, self.after_system, self.surround = tokens.system, tokens.after_system, tokens.surround

    @classmethod
    def open(cls, folder: Path, threads: int = 1, *, check: bool = True) -> Self:
        """Load a folder that `prepare` made; `threads` windows are encoded side by side, each on one thread.

        Raises EncoderError where a file is missing or changed, or where this processor computes int8 wrongly
        (without VNNI it can saturate): the stored sentences are encoded and held against their 32-bit
        vectors. check: leave that out where the caller measures for itself.
        """
        description = Description.read(folder)
        for name, wanted in description.sha256.items():
            path = folder / name
            try:
                digest = sha256_of(path)
            except OSError as error:
                raise EncoderError(f"{path} cannot be read ({error.strerror}); prepare the encoder again") from error
            if digest != wanted:
                raise EncoderError(f"{path} has been changed since it was prepared; delete {folder} to prepare again")
        tokens = Tokens.open(folder / TOKENIZER, ended=description.pooling == "last")
        encoder = cls(Graph(folder / MODEL, description.pooling), tokens, description, max(1, threads))
        if check:
            encoder._check_parity(description)
        return encoder

    def room(self, tokens: int, system_tokens: int = 0) -> int:
        """As of its `Tokens`, with what the encoder takes."""
        return self._tokens.room(tokens, self.max_tokens, system_tokens)

    def cut(self, text: str) -> Sequence[Sequence[int]]:
        """The windows of a text for single-label kinds; an empty one where it has no tokens."""
        windowing = Windowing()
        room = self.room(windowing.tokens)
        overlap = min(windowing.overlap, room - 1)
        return read(text, self.tokenize, room=room, overlap=overlap, max_windows=_MOST_OF_A_MEAN).windows or [()]

    def encode(self, windows: Sequence[Sequence[int]]) -> Floats:
        """windows: token ids without special tokens → (windows, dimensions) float32, rows as of `Graph.run`.

        Raises ValueError for a window that is longer than the encoder takes.
        """
        vectors = [vector for vector, _ in self.states(windows)]
        return np.array(vectors, np.float32).reshape(len(windows), self.dimensions)

    def states(self, windows: Sequence[Sequence[int]]) -> list[tuple[Floats, Floats]]:
        """The same vectors, each with what the encoder makes of the window's tokens (tokens, dimensions).

        Each window is computed by itself, so its vector depends neither on its neighbours nor on the number
        of threads.
        """
        ids, start = [self._surrounded(window) for window in windows], len(self._tokens.prefix)
        if self.threads == 1 or len(windows) < 2:
            read = list(map(self._graph.states, ids))
        else:
            with ThreadPoolExecutor(self.threads, "encode") as pool:
                read = list(pool.map(self._graph.states, ids))
        each = zip(windows, read, strict=True)
        return [(vector, hidden[start : start + len(window)]) for window, (vector, hidden) in each]

    def _surrounded(self, window: Sequence[int]) -> list[int]:
        ids = self.surround(window)
        if len(ids) > self.max_tokens:
            raise ValueError(f"a window of {len(ids)} tokens; this encoder takes {self.max_tokens}")
        return ids

    def _check_parity(self, description: Description) -> None:
        made = embed(self, description.sentences)
        if description.pooling == "odds":
            most = float(apart(made, np.asarray(description.vectors, np.float32)).max())
            if not most <= MOST_APART:
                raise EncoderError(
                    f"the guard {self.id.source} is wrong on this processor: probabilities differ by {most:.2f} from "
                    f"its 32-bit ones, at most {MOST_APART} is allowed"
                )
            return
        cosine = float((made * np.asarray(description.vectors, np.float32)).sum(axis=1).min())
        if not cosine >= PARITY:
            raise EncoderError(
                f"the int8 encoder {self.id.source} is wrong on this processor: cosine {cosine:.3f} to its "
                f"32-bit vectors, at least {PARITY} is needed (processors without VNNI can saturate)"
            )


def apart(first: Floats, other: Floats) -> Floats:
    """How far the probabilities of two log-odds differ, 0..1. Both of the same shape."""
    chances = [0.5 + 0.5 * np.tanh(0.5 * odds) for odds in (first, other)]
    differences: Floats = np.abs(chances[0] - chances[1])
    return differences


def embed(
    encoder: Encoder,
    texts: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
    tokens: int = 128,
    prompts: SystemPrompts | None = None,
) -> Floats:
    """texts → (texts, dimensions) float32 vectors, as of `Graph.run`: each normalised and cut to its first window.

    progress: called with how many texts are done and how many there are.
    tokens: the longest window, special tokens included; prompts: the system prompt of each text. Meant for training on
    sentences; to read long text whole, use a Runtime.
    """
    room = encoder.room(tokens, prompts.tokens if prompts else 0)
    vectors = np.empty((len(texts), encoder.dimensions), np.float32)
    for start in range(0, len(texts), _CHUNK):
        part = texts[start : start + _CHUNK]
        # a token is rarely longer than a word: what lies far past the window is not even read
        cut = [normalise(text[: room * LONGEST_CHARS_A_TOKEN]) for text in part]
        windows = [encoder.tokenize(text)[:room] for text in cut]
        if prompts is not None:
            systems = prompts.systems[start : start + len(part)]
            windows = [
                encoder.after_system(encoder.system(system, prompts.tokens), window)
                for system, window in zip(systems, windows, strict=True)
            ]
        vectors[start : start + len(part)] = encoder.encode(windows)
        if progress is not None:
            progress(start + len(part), len(texts))
    return vectors
