"""An encoder as a torch module that can be trained: texts → unit vectors, cut and pooled exactly as in serving.

Importing this module imports torch and transformers.
"""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from timeit import repeat
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from classifiers.encoder.session import SystemPrompts
from classifiers.encoder.tokens import LONGEST_CHARS_A_TOKEN, Tokens
from classifiers.errors import EncoderError, TrainingError
from classifiers.model.model import Floats
from classifiers.text.normalise import normalise
from classifiers.text.spans import read
from classifiers.training.fit.weights import TOKENIZER, Weights
from classifiers.training.windows import tuned_windowing

_BUCKET = 16
"""Batches that are sorted by length together, so that little is padding; within, order is chance."""
_MEASURED = 64


def shuffled(lengths: Sequence[int], size: int, chance: random.Random) -> list[NDArray[np.intp]]:
    """Batches of up to `size` indexes for one epoch, in random order. lengths: tokens of each row."""
    order = list(range(len(lengths)))
    chance.shuffle(order)
    batches: list[NDArray[np.intp]] = []
    for start in range(0, len(order), size * _BUCKET):
        bucket = sorted(order[start : start + size * _BUCKET], key=lengths.__getitem__)
        batches += [np.array(bucket[start : start + size], np.intp) for start in range(0, len(bucket), size)]
    chance.shuffle(batches)
    return batches


class TorchEncoder:
    """A transformer that can be trained. weights: which encoder it began as; module: the transformer; tokens: a
    window's longest, specials included. kept_layers: how many layers were kept, from the lowest; None where all
    were."""

    def __init__(self, weights: Weights, tokens: int, *, layers: int | None = None) -> None:
        """layers: how many are kept, from the lowest; by default all. Raises TrainingError where there are no such
        layers, EncoderError where the files are no encoder."""
        self.weights = weights
        self.tokens = min(tokens, weights.max_tokens)
        self.tokenizer = Tokens.open(weights.folder / TOKENIZER, ended=weights.pooling == "last")
        with _quiet():
            try:
                self.module: Any = transformers.AutoModel.from_pretrained(
                    weights.folder, local_files_only=True, dtype=torch.float32, trust_remote_code=False
                )
            except (OSError, ValueError, KeyError) as error:
                raise EncoderError(f"{weights.folder} holds no encoder that transformers knows: {error}") from error
        self.module.config.use_cache = False
        self.kept_layers = layers
        if layers:
            self._cut(layers)
        self.dimensions = int(self.module.config.hidden_size)
        self._pad = int(self.module.config.pad_token_id or 0)

    @property
    def layers(self) -> Any:
        """The transformer's layers, the lowest first; none where it names them otherwise than BERT and decoders do."""
        return getattr(getattr(self.module, "encoder", None), "layer", None) or getattr(self.module, "layers", ())

    def lowest(self, count: int) -> list[Any]:
        """The modules that read a text first: what numbers its words and places, and so many layers."""
        embeddings = getattr(self.module, "embeddings", None) or self.module.get_input_embeddings()
        return [embeddings, *self.layers[:count]]

    def _cut(self, layers: int) -> None:
        name, config = self.weights.name, self.module.config
        if not self.layers:
            raise TrainingError(f"encoder {name}: layers can be cut off BERT and decoders alone")
        whole, part = (self.module, "layers") if hasattr(self.module, "layers") else (self.module.encoder, "layer")
        setattr(whole, part, self.layers[:layers])
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]

    def tokenize(self, texts: Sequence[str], prompts: SystemPrompts | None = None) -> list[list[int]]:
        """Normalised, cut to the first window, each beside its system prompt, special tokens included."""
        room = self._room(prompts)
        cut = (normalise(text[: room * LONGEST_CHARS_A_TOKEN]) for text in texts)
        ids = (self.tokenizer.encode(text)[:room] for text in cut)
        return [self.tokenizer.surround([*self._before(index, prompts), *own]) for index, own in enumerate(ids)]

    def windows(self, texts: Sequence[str], prompts: SystemPrompts | None, most: int) -> list[list[list[int]]]:
        """Of each text its windows as they are served, `most` of them and one at least."""
        tokens, room, cuts = self.tokenizer, self._room(prompts), []
        overlap = min(tuned_windowing(self.tokens).overlap, room - 1)
        for index, text in enumerate(texts):
            before = self._before(index, prompts)
            cut = read(text, tokens.encode, room=room, overlap=overlap, max_windows=most).windows or ((),)
            cuts.append([tokens.surround([*before, *window]) for window in cut])
        return cuts

    def _room(self, prompts: SystemPrompts | None) -> int:
        return self.tokenizer.room(self.tokens, self.weights.max_tokens, prompts.tokens if prompts else 0)

    def _before(self, index: int, prompts: SystemPrompts | None) -> list[int]:
        """What stands before each window of a text: its system prompt, parted from it."""
        system = self.tokenizer.system(prompts.systems[index], prompts.tokens) if prompts else []
        return self.tokenizer.after_system(system, ())

    def forward(self, batch: Sequence[Sequence[int]]) -> Any:
        """A batch of token ids → tensor (batch, dimensions), float32, rows of length 1."""
        return self.states(batch)[0]

    def states(self, batch: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """The same, and the tensor of hidden states (batch, tokens, dimensions) that it is pooled from."""
        longest = max(map(len, batch))
        ids = torch.tensor([[*row, *[self._pad] * (longest - len(row))] for row in batch])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch])
        hidden = self.module(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        if self.weights.pooling == "cls":
            pooled = hidden[:, 0]
        elif self.weights.pooling == "last":
            pooled = hidden[torch.arange(len(batch)), mask.sum(1) - 1]
        else:
            spread = mask[:, :, None].float()
            pooled = (hidden * spread).sum(1) / spread.sum(1)
        return torch.nn.functional.normalize(pooled, dim=-1), hidden

    def vectors(self, rows: Sequence[Sequence[int]], *, bf16: bool, size: int = _MEASURED) -> Floats:
        """rows: token ids → (rows, dimensions) float32, without dropout."""
        made = np.empty((len(rows), self.dimensions), np.float32)
        training = self.module.training
        self.module.eval()
        with torch.no_grad(), precision(bf16=bf16):
            order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
            for start in range(0, len(order), size):
                batch = order[start : start + size]
                made[batch] = self.forward([rows[index] for index in batch]).numpy()
        self.module.train(training)
        return made


def sequence_classifier(folder: Path) -> Any:
    """The torch module of a model for sequence classification. Raises EncoderError where the files are none."""
    with _quiet():
        try:
            module, info = transformers.AutoModelForSequenceClassification.from_pretrained(
                folder,
                local_files_only=True,
                dtype=torch.float32,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
        except Exception as error:  # transformers raises whatever it comes upon
            raise EncoderError(f"{folder} holds no guard that transformers knows: {error}") from error
    # what is missing would be filled in by chance
    if missing := sorted(info["missing_keys"]):
        raise EncoderError(f"{folder} holds no whole guard; its weights lack {', '.join(missing)}")
    return module.eval()


@contextmanager
def torch_threads(threads: int, seed: int) -> Iterator[None]:
    """Within, torch computes on so many threads with this seed; afterwards all is as it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


def precision(*, bf16: bool) -> Any:
    """A context: products in bfloat16 where `bf16`, else in 32 bits."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16)


def bf16_helps(dimensions: int) -> bool:
    """Whether this processor multiplies bfloat16 clearly faster than 32-bit numbers; tried in some milliseconds."""

    def seconds(kind: Any) -> float:
        left, right = torch.ones(512, dimensions, dtype=kind), torch.ones(4 * dimensions, dimensions, dtype=kind)
        multiply = partial(torch.nn.functional.linear, left, right)
        return min(repeat(multiply, timer=time.process_time, number=1, repeat=6))

    return seconds(torch.bfloat16) < 0.7 * seconds(torch.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """Loading reports its progress and unused weights on stderr; here only errors matter."""
    log: Any = transformers.utils.logging
    before, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(before)
        if bars:
            log.enable_progress_bar()
