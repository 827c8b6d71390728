"""A finding as the files that take over its calls: policy, labelled rows, and a gateway file with the rule.

The drafts go into a folder, next to a gateway file if there is one. Existing files are never overwritten.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from classifiers.policy import OTHER
from gateway.config.load import OTHER_MODELS
from gateway.discover.finding import Finding
from gateway.discover.group import unread
from gateway.discover.labels import names_of, reserved
from gateway.discover.template import DraftedReads
from gateway.protocols.wire import system_text

_PLAIN: Final = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
_NOTHING: Final = frozenset({"null", "Null", "NULL"})
GATEWAY: Final = "gateway.yaml"
_SECOND_GATEWAY: Final = "discovered.yaml"
_EXAMPLES = 2
_USUAL_CHARS = range(8, 200)
_GLOB_CHARS = 200
_SPECIAL: Final = re.compile(r"[*?\[]|\$(?=\{)")

_HEAD: Final = """\
# Made by `offramp discover`. Each rule answers nothing until its contract is certified on your own calls.
version: 1
listen: 127.0.0.1:8080
models_dir: {models_dir}
ledger: ../offramp.db
upstreams:
  openai:
    kind: openai
    base_url: https://api.openai.com/v1
    api_key: "${{OPENAI_API_KEY:-}}"
    without_key: echo
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A finding's policy and data, each as the text of a file. divided: inputs that got two answers equally often and
    are left out. reserved: answers that are words of Offramp's own and become `other` in the policy."""

    name: str
    policy: str
    data: str
    divided: int
    reserved: tuple[str, ...]


def scalar(text: str) -> str:
    """A text as a YAML scalar: a plain word as it is, other text in quotes. `unwritable` texts have none."""
    if _PLAIN.fullmatch(text) and text not in _NOTHING:
        return text
    letters = json.dumps(text, ensure_ascii=False)
    # YAML has JSON's escapes, but takes fewer signs unescaped
    return "".join(sign if sign.isprintable() and sign != "\ufeff" else f"\\U{ord(sign):08x}" for sign in letters)


def unwritable(text: str) -> bool:
    """Whether the reader would refuse a text, or put a variable of the environment into it."""
    return "${" in text or "\0" in text


def draft(finding: Finding) -> Draft:
    """The policy of a finding without an obstacle, and its rows."""
    answers, divided = _answers(finding)
    own = tuple(filter(reserved, finding.labels.names))
    by_label: dict[str, list[str]] = defaultdict(list)
    for text, label in answers.items():
        by_label[label].append(text)
    rows = [{"text": text, "label": OTHER if label in own else label} for text, label in answers.items()]
    return Draft(
        name=finding.name,
        policy=_policy(finding, by_label, own),
        data="".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
        divided=divided,
        reserved=own,
    )


def gateway(findings: Sequence[Finding], systems: Sequence[str], *, models_dir: str = "../models") -> str:
    """A gateway file with a rule for each finding. systems: all system prompts of the log, to tell theirs apart."""
    models = dict.fromkeys((model for finding in findings for model in finding.models), "openai")
    if not all(finding.models for finding in findings):
        models[OTHER_MODELS] = "openai"
    rules = [_rule(finding, systems) for finding in findings]
    return f"{_HEAD.format(models_dir=scalar(models_dir))}{_block({'models': models, 'rules': rules})}\n"


def _block(value: Mapping[str, Any] | Sequence[Any], indent: str = "") -> str:
    """Mappings and lists of texts as lines of YAML. Empty ones are left out."""
    lines: list[str] = []
    pairs = value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
    for key, part in pairs:
        name = "-" if key is None else f"{scalar(key)}:"
        if isinstance(part, str):
            lines.append(f"{indent}{name} {scalar(part)}")
        elif part and key is None:
            lines.append(f"{indent}- {_block(part, indent + '  ').lstrip()}")
        elif part:
            lines.append(f"{indent}{name}\n{_block(part, indent + '  ')}")
    return "\n".join(lines)


def _answers(finding: Finding) -> tuple[Mapping[str, str], int]:
    """The most frequent answer to each input that a rule reads whole, and how many inputs have none."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    group = finding.group
    for call, text, label in zip(group.calls, group.inputs, finding.labels.by_call, strict=True):
        if label in finding.labels.names and text and not unread(call, group.reads):
            counts[text][str(label)] += 1
    ranked = {text: given.most_common(2) for text, given in counts.items()}
    answers = {text: top[0][0] for text, top in ranked.items() if len(top) == 1 or top[0][1] > top[1][1]}
    return answers, len(ranked) - len(answers)


def _policy(finding: Finding, texts: Mapping[str, Sequence[str]], own: Sequence[str]) -> str:
    models = finding.asked
    head = (
        f"# Made by `offramp discover` from {finding.calls} calls; the labels are the answers of {scalar(models)}.\n"
        "# A description in your own words under means: helps, and so do more examples.\nversion: 1\n"
    )
    labels = {
        name: {"means": _prose(f"what {models} calls {name}"), "examples": _typical(texts[name])}
        for name in finding.labels.names
        if name not in own
    }
    fields = {
        "name": finding.name,
        "kind": "intent",
        "about": _prose(f"What {models} is asked to sort with one prompt, found in a log."),
        "languages": "any",
        "labels": labels,
        **({"other": _prose(f"what {models} calls {' or '.join(own)}")} if own else {}),
        "data": f"data/{finding.name}.jsonl",
    }
    return f"{head}{_block(fields)}\n"


def _prose(text: str) -> str:
    return text.replace("${", "$ {").replace("\0", "")


def _typical(texts: Sequence[str]) -> list[str]:
    fitting = [text for text in texts if len(text) in _USUAL_CHARS and not unwritable(text)]
    middle = sorted(fitting, key=lambda text: (len(text), text))
    start = max(0, (len(middle) - _EXAMPLES) // 2)
    return middle[start : start + _EXAMPLES]


def _rule(finding: Finding, systems: Sequence[str]) -> dict[str, Any]:
    group = finding.group
    own = group.frame.before if group.system is None else group.system
    mine = {system_text(call.turns) for call in group.calls}
    glob = _glob(own, [text for text in systems if text not in mine], exact=group.system is not None)
    names = names_of(finding.labels.names)
    then: dict[str, Any] = {"*": {"answer": "label"}}
    if OTHER in map(names.resolve, finding.labels.names):
        then[OTHER] = {"answer": "label"}
    return {
        "name": finding.name,
        "classifier": finding.name,
        "when": {"model": list(finding.models), **_system(glob, without=group.system is not None and not own.strip())},
        "reads": _reads(group.reads),
        "then": then,
        "aliases": {OTHER: list(names.aliases[OTHER])} if names.aliases else {},
        "contract": "true",
    }


def _system(glob: str, *, without: bool) -> dict[str, str]:
    """Which system prompts the rule is written for. without: whether its calls have none."""
    if glob:
        return {"system": glob}
    return {"system": "none"} if without else {"any_system": "true"}


def _reads(reads: DraftedReads) -> dict[str, Any]:
    roles = {"roles": list(reads.roles)}
    if unwritable(reads.after) or unwritable(reads.before):
        return {**roles, "regex": f"{_literal(reads.after)}(?P<input>.*){_literal(reads.before)}"}
    return {**roles, **{side: text for side in ("after", "before") if (text := getattr(reads, side))}}


def _literal(text: str) -> str:
    return "".join(f"\\u{ord(sign):04x}" if sign.isspace() or sign == "\0" else re.escape(sign) for sign in text)


def _glob(system: str, others: Sequence[str], *, exact: bool) -> str:
    """A glob for a system prompt: as much of its beginning as tells it from the others; empty where there is none."""
    text = system.partition("\0")[0].strip()
    if not text:
        return ""
    lead = "*" if system[0].isspace() else ""
    for length in (*range(_GLOB_CHARS, len(text), _GLOB_CHARS), len(text)):
        whole = exact and length >= len(text) and text == system
        glob = lead + _SPECIAL.sub(r"[\g<0>]", text[:length].rstrip()) + ("" if whole else "*")
        if not any(fnmatchcase(other, glob) for other in others):
            break
    return glob


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFiles:
    """policies: the files to train. gateway: the file with the rules. files: all."""

    policies: tuple[Path, ...]
    gateway: Path
    files: tuple[Path, ...]


def write(folder: Path, drafts: Sequence[Draft], gateway: str) -> WrittenFiles:
    """Writes drafts and a gateway file, under another name where there is one. Raises FileExistsError, before anything
    is written, and OSError."""
    file = folder / (_SECOND_GATEWAY if (folder / GATEWAY).exists() else GATEWAY)
    policies = {folder / "policies" / f"{draft.name}.yaml": draft.policy for draft in drafts}
    data = {folder / "policies" / "data" / f"{draft.name}.jsonl": draft.data for draft in drafts}
    texts = {file: gateway, **policies, **data}
    if taken := [str(path) for path in texts if path.exists()]:
        raise FileExistsError(f"{', '.join(taken)}: there already, so nothing was written; name another folder")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return WrittenFiles(policies=tuple(policies), gateway=file, files=tuple(texts))
