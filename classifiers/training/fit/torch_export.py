"""A torch encoder → the folder of a prepared one: ONNX graph, fused, int8; agreement with torch checked.

The graph reads one window at a time, as serving does, so it needs no mask. Importing this module imports torch.
"""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from classifiers.encoder.guard import GuardSource
from classifiers.encoder.prepare import write_prepared
from classifiers.encoder.session import Encoder, embed
from classifiers.encoder.source import EncoderSource
from classifiers.encoder.tokens import Tokens
from classifiers.errors import EncoderError, TrainingError
from classifiers.model.model import OWN, Floats
from classifiers.training.fit.fitted import TunedHead, Workbench
from classifiers.training.fit.torch_encoder import TorchEncoder, sequence_classifier, torch_threads
from classifiers.training.fit.tuning_set import prompts_of
from classifiers.training.fit.weights import TOKENIZER
from classifiers.training.rows import Row

_OPSET = 17
LEAST_AGREEMENT = 0.97
"""Share of held-out rows on which torch and the exported graph must decide alike."""
LEAST_COSINE = 0.95
"""The least mean cosine between torch's vectors and the exported graph's."""


def export(encoder: TorchEncoder, folder: Path, *, name: str, int8: bool = True) -> None:
    """Write model.onnx, tokenizer.json and encoder.json into an existing, empty folder. name: what the artifact records
    as the encoder's source. Raises EncoderError where a step fails."""
    with tempfile.TemporaryDirectory() as scratch:
        graph = Path(scratch) / "model.onnx"
        trace(encoder, graph)
        source = EncoderSource(
            name=name,
            model=graph,
            tokenizer=encoder.weights.folder / TOKENIZER,
            heads=int(encoder.module.config.num_attention_heads),
            dimensions=encoder.dimensions,
            pooling=encoder.weights.pooling,
            max_tokens=encoder.weights.max_tokens,
        )
        write_prepared(source, folder, int8=int8)


def agreement(before: Floats, after: Floats, head: TunedHead) -> dict[str, Any]:
    """How an exported encoder compares with torch. same: share of rows on which the tuned head decides alike (the
    likeliest class; of several labels, whether any is likelier than not); cosine: of vectors, the mean. before, after:
    (rows, dimensions) of length 1, torch's in 32 bits and the exported graph's."""
    logits = [vectors @ head.weights.T + head.bias for vectors in (before, after)]
    first, second = (part.max(axis=1) >= 0 if head.multi_label else part.argmax(axis=1) for part in logits)
    return {
        "rows": len(before),
        "same": round(float((first == second).mean()), 5),
        "cosine": round(float((after * before).sum(axis=1).mean()), 5),
    }


class _Output(torch.nn.Module):
    """Token ids → hidden states, or what else the module gives under that name."""

    def __init__(self, module: Any, name: str) -> None:
        super().__init__()
        self.module, self.name = module, name

    def forward(self, input_ids: Any) -> Any:
        return getattr(self.module(input_ids=input_ids, attention_mask=torch.ones_like(input_ids)), self.name)


def trace(encoder: TorchEncoder, path: Path) -> None:
    """Write an encoder as an ONNX graph. Raises EncoderError where it cannot be exported."""
    _trace(encoder.module, path, encoder.tokenizer.surround([7] * 7), "last_hidden_state", encoder.weights.name)


def trace_guard(source: GuardSource, path: Path, threads: int) -> Callable[[Sequence[int]], Floats]:
    """Write a guard's weights as an ONNX graph, ids to `logits`, and return what torch makes of ids on so many threads:
    (labels,). Raises EncoderError where the files are no guard or cannot be exported."""
    module = sequence_classifier(source.folder)
    _trace(module, path, Tokens.open(source.folder / TOKENIZER).surround([7] * 7), "logits", source.name)
    output = _Output(module, "logits")

    def logits(ids: Sequence[int]) -> Floats:
        with torch.no_grad(), torch_threads(threads, 0):
            made: Floats = output(torch.tensor([list(ids)]))[0].numpy()
        return made

    return logits


def _trace(module: Any, path: Path, ids: Sequence[int], output: str, name: str) -> None:
    attention = module.config._attn_implementation  # noqa: SLF001 - set_attn_implementation has no getter
    module.eval()
    # the other implementations trace to operators that the fusions do not know
    module.set_attn_implementation("eager")
    axes = {0: "batch", 1: "tokens"}
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # the exporter warns that it is the older one, and of shapes that are fixed here on purpose
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Output(module, output).eval(),
                (torch.tensor([list(ids)]),),
                str(path),
                dynamo=False,
                opset_version=_OPSET,
                input_names=["input_ids"],
                output_names=[output],
                dynamic_axes={"input_ids": axes, output: axes if output == "last_hidden_state" else {0: "batch"}},
            )
    except Exception as error:  # the exporter raises whatever it comes upon
        raise EncoderError(f"{name} could not be exported: {type(error).__name__}: {error}") from error
    finally:
        module.set_attn_implementation(attention)


def exported(
    torch_encoder: TorchEncoder, head: TunedHead, rows: Sequence[Row], name: str, bench: Workbench
) -> tuple[Encoder, Path, dict[str, Any]]:
    """The exported encoder, its folder and how it agrees with torch on each row's first window; 32 bits where int8
    agrees too little, there or on the sentences by which processors are checked. head: tuned with the encoder. Raises
    TrainingError where even 32 bits agree too little, EncoderError where the folder cannot be opened."""
    texts, prompts = [row.text for row in rows], prompts_of(rows, head.system_tokens)
    before = torch_encoder.vectors(torch_encoder.tokenize(texts, prompts), bf16=False)
    agreed: dict[str, Any] = {}
    for int8 in (True, False):
        folder = bench.scratch / f"{name}-{'int8' if int8 else 'fp32'}"
        folder.mkdir()
        export(torch_encoder, folder, name=OWN + name, int8=int8)
        encoder = Encoder.open(folder, bench.threads, check=False)
        after = embed(encoder, texts, tokens=torch_encoder.tokens, prompts=prompts)
        agreed = {**agreement(before, after, head), "int8": int8}
        if agreed["same"] >= LEAST_AGREEMENT and agreed["cosine"] >= LEAST_COSINE:
            try:
                return Encoder.open(folder, bench.threads), folder, agreed
            except EncoderError:
                if not int8:
                    raise
    raise TrainingError(
        f"the exported encoder decides as torch does on only {agreed['same']:.1%} of held-out rows "
        f"(mean cosine {agreed['cosine']:.3f}); at least {LEAST_AGREEMENT:.0%} is needed: use recipe: frozen"
    )
