"""Fuse an encoder's graph and make its weights int8, once; the result is cached by the source's content.

With ONNX Runtime's own tools and without torch: the BERT fusions (and `attention`, `relative`), then dynamic
quantisation with signed 8-bit weights for each channel (`quantise`). The same source gives the same bytes. Sums and
the norms after them stay apart: joined, ONNX Runtime takes eight times as long for them. A few sentences are encoded
with the 32-bit graph as well, so that whoever opens the result can tell whether this processor computes int8
faithfully.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from classifiers import data
from classifiers.encoder import fuse
from classifiers.encoder.fuse import join
from classifiers.encoder.guard import log_odds, with_head, with_odds
from classifiers.encoder.quantise import quantise
from classifiers.encoder.session import DESCRIPTION, MODEL, TOKENIZER, Description, Encoder, Graph
from classifiers.encoder.source import (
    DEFAULT,
    PACKAGED,
    RECIPE,
    EncoderSource,
    Odds,
    from_package,
    resolve,
    sha256_of,
    verify,
)
from classifiers.encoder.tokens import Tokens
from classifiers.errors import EncoderError, require
from classifiers.model.model import EncoderId, Floats
from classifiers.model.registry import publish
from classifiers.text.normalise import normalise

Progress = Callable[[str], None]


def prepare(source: EncoderSource, models_dir: Path, progress: Progress | None = None) -> Path:
    """The folder of the prepared encoder: the wheel's own, the one in `<models_dir>/encoders/`, or made there now (some
    seconds, with the extra `train`).

    progress: called with a word for each step, only where there is something to do.
    Raises EncoderError where the source's files are not as they should be or cannot be prepared, OSError
    where the folder cannot be written.
    """
    if source.prepared:
        return source.prepared
    digests = verify(source)
    key = hashlib.sha256(
        json.dumps([RECIPE, source.pooling, source.max_tokens, [digests[path] for path in source.files]]).encode()
    ).hexdigest()[:16]
    folder = models_dir / "encoders" / key
    if (folder / DESCRIPTION).is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=folder.parent))
    try:
        write_prepared(source, made, progress=progress)
        publish(made, folder, DESCRIPTION)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


def find(encoder: EncoderId, models_dir: Path, progress: Progress | None = None) -> Path:
    """The folder of the very encoder that a classifier was trained on, prepared now if need be. Raises EncoderError
    where its source is out of reach or gives another encoder than it did then."""
    for path in (PACKAGED / DESCRIPTION, *sorted(models_dir.glob(f"encoders/[!.]*/{DESCRIPTION}"))):
        # a damaged description is no error where another encoder is meant
        with suppress(EncoderError):
            if encoder.fits(Description.read(path.parent).id):
                return path.parent
    folder = prepare(resolve(encoder.source), models_dir, progress)
    made = Description.read(folder).id
    if not encoder.fits(made):
        raise EncoderError(
            f"encoder {encoder.source} is not the one that the classifier was trained on "
            f"({made}, not {encoder}); train the classifier again"
        )
    return folder


def write_prepared(
    source: EncoderSource, folder: Path, *, int8: bool = True, fused: bool = True, progress: Progress | None = None
) -> None:
    """Write a prepared encoder into an existing, empty folder, without any cache. int8: else it keeps 32 bits; fused:
    else the graph stays as it is. Raises EncoderError where the source's files cannot be prepared."""
    require(f"preparing the encoder {source.name}", "onnx", "sympy")
    step = progress or (lambda _: None)
    tokens = Tokens.open(source.tokenizer, ended=source.pooling == "last")
    shutil.copyfile(source.tokenizer, folder / TOKENIZER)
    with _quiet():
        step("fusing the encoder")
        model = _fuse(source, folder) if fused else load_graph(source.model, folder)
        whole = _finished(model, source).SerializeToString()
        if int8:
            step("making its weights int8")
            texts = [text for part in data.table("encoder_samples.json").values() for text in part]
            quantise(model, folder / MODEL, [tokens.surround(tokens.encode(normalise(text))) for text in texts])
            if source.odds:
                import onnx

                onnx.save(_finished(onnx.load(folder / MODEL), source), folder / MODEL)
        else:
            (folder / MODEL).write_bytes(whole)
    step("encoding a few sentences with 32-bit weights")
    describe(folder, Graph(whole, source.pooling), tokens, source.name, source.max_tokens)


def write_with_head(given: Path, folder: Path, name: str, head: tuple[Floats, Floats], odds: Odds) -> None:
    """Write a prepared encoder with a head behind it, as one graph of log-odds, into an existing, empty folder. given:
    the encoder's folder; name: the source that the result goes by; head: weights (labels, dimensions) and bias
    (labels,) on its vectors. Raises EncoderError where the encoder's description cannot be read."""
    import onnx

    known = Description.read(given)
    onnx.save(with_odds(with_head(load_graph(given / MODEL, folder), head, known.pooling), odds), folder / MODEL)
    shutil.copyfile(given / TOKENIZER, folder / TOKENIZER)
    vectors = log_odds(np.asarray(known.vectors, np.float32) @ head[0].T + head[1], odds)
    msgspec.structs.replace(
        known,
        source=name,
        pooling="odds",
        dimensions=len(odds.groups),
        sha256={file: sha256_of(folder / file) for file in (MODEL, TOKENIZER)},
        vectors=tuple(map(tuple, vectors.tolist())),
    ).write(folder)


def _finished(model: Any, source: EncoderSource) -> Any:
    """The model as it is stored: a guard's with the nodes that make odds of its logits, which int8 would blur."""
    return with_odds(model, source.odds) if source.odds else model


def describe(folder: Path, graph: Graph, tokens: Tokens, name: str, max_tokens: int) -> None:
    """Write encoder.json of a folder that holds the graph and the tokenizer. graph: makes the vectors by which a
    processor is checked, in 32 bits; name: the source that the encoder goes by."""
    sentences = data.table("encoder_samples.json")["self_test"]
    vectors = [graph.run(tokens.surround(tokens.encode(normalise(text)))) for text in sentences]
    Description(
        source=name,
        recipe=RECIPE,
        dimensions=len(vectors[0]),
        pooling=graph.pooling,
        max_tokens=max_tokens,
        sha256={file: sha256_of(folder / file) for file in (MODEL, TOKENIZER)},
        sentences=tuple(sentences),
        vectors=tuple(tuple(round(float(value), 6) for value in vector) for vector in vectors),
        made_with=_tools(),
    ).write(folder)


def write_packaged(folder: Path = PACKAGED) -> None:
    """Prepare the default encoder for the wheel, unless the folder has it, made by this recipe and these tools. Raises
    EncoderError where the package's files or the vectors that the result gives are not as they should be."""
    with suppress(EncoderError):
        known = Description.read(folder)
        if (known.recipe, known.made_with) == (RECIPE, _tools()):
            Encoder.open(folder)
            return
    shutil.rmtree(folder, ignore_errors=True)
    source = from_package(DEFAULT.partition(":")[2])
    verify(source)
    folder.mkdir(parents=True)
    write_prepared(source, folder)
    Encoder.open(folder)


def _tools() -> dict[str, str]:
    return {name: version(name) for name in ("onnx", "onnxruntime")}


def _fuse(source: EncoderSource, folder: Path) -> Any:
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_by_fusion

    fusions = FusionOptions("bert")
    fusions.enable_skip_layer_norm = fusions.enable_bias_skip_layer_norm = False
    size = {"num_heads": source.heads, "hidden_size": source.dimensions}
    try:
        model = load_graph(source.model, folder)
        fused = optimize_by_fusion(model, "bert", optimization_options=fusions, **size).model
        join(fused)
        fuse.fuse(fused, source.heads)
        # the optimizer names the fused operators' domain only where it fused attention as well
        if not any(used.domain == "com.microsoft" for used in fused.opset_import):
            fused.opset_import.add(domain="com.microsoft", version=1)
    except Exception as error:  # onnx and the optimizer raise whatever they come upon
        raise EncoderError(f"{source.model} could not be fused: {type(error).__name__}: {error}") from error
    return fused


def load_graph(path: Path, folder: Path) -> Any:
    """An ONNX model (a ModelProto) with its weights. onnx refuses a file of weights that has several hard links, as uv
    installs it, or that is a symbolic link, as the Hugging Face hub's cache holds it; so it reads copies, made in
    `folder`."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    entries = (entry for tensor in model.graph.initializer for entry in tensor.external_data)
    locations = {entry.value for entry in entries if entry.key == "location"}
    if locations:
        with tempfile.TemporaryDirectory(prefix=".weights-", dir=folder.resolve()) as copies:
            for location in locations:
                # onnx says what is wrong with a file that is missing or lies outside the model's folder
                if (path.parent / location).is_file() and ".." not in Path(location).parts:
                    copy = Path(copies, location)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path.parent / location, copy)
            onnx.load_external_data_for_model(model, copies)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """The optimizer logs its every step; here only its errors matter."""
    logger = logging.getLogger("onnxruntime")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
