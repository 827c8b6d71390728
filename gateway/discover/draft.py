"""A finding as the files that take its calls over: policy, labelled rows, and a gateway with the rule. Pure.

Text as a scalar of YAML that this project's reader reads back as it was. Pure.

Drafts written into a folder, beside a gateway file if there is one. Files that are there are never written over.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from classifiers.policy import OTHER
from gateway.config.load import OTHER_MODELS
from gateway.discover.finding import Finding
from gateway.discover.group import unread
from gateway.discover.labels import names_of, reserved
from gateway.requests.messages import system_text

_PLAIN: Final = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
_NOTHING: Final = frozenset({"null", "Null", "NULL"})
_NAMED: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_VARIABLE: Final = "${"


def scalar(text: str) -> str:
    """A word as it stands, any other text in double quotes. `unwritable` texts cannot be values."""
    if _PLAIN.fullmatch(text) and text not in _NOTHING:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def unwritable(text: str) -> bool:
    """Whether the reader would refuse the text, or put a variable of the environment into it."""
    return _VARIABLE in text or "\0" in text


def _escaped(letter: str) -> str:
    if letter in _NAMED:
        return _NAMED[letter]
    if letter == " " or (letter.isprintable() and letter != "\ufeff"):
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_EXAMPLES = 2
_USUAL_CHARS = range(8, 200)
_GLOB_CHARS = 80
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
models:
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """policy, data: the texts of the files; rows: in the data; divided: inputs that got two answers equally often and
    are left out; reserved: answers that are words of Offramp's own and mean `other` in the policy."""

    name: str
    policy: str
    data: str
    rows: int
    divided: int
    reserved: tuple[str, ...]


def draft(finding: Finding) -> Draft:
    """The policy of a finding without an obstacle, and its rows."""
    answers, divided = _answers(finding)
    own = _own_words(finding)
    labels = [name for name in finding.labels.names if name not in own]
    by_label: dict[str, list[str]] = defaultdict(list)
    for text, label in answers.items():
        by_label[label].append(text)
    rows = [{"text": text, "label": OTHER if label in own else label} for text, label in answers.items()]
    return Draft(
        name=finding.name,
        policy="\n".join(_policy(finding, labels, by_label, own)) + "\n",
        data="".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
        rows=len(rows),
        divided=divided,
        reserved=own,
    )


def gateway(findings: Sequence[Finding], systems: Sequence[str], *, models_dir: str = "../models") -> str:
    """A whole gateway file with the rule of each. systems: all system prompts of the log, to tell theirs apart."""
    models = [scalar(model) for model in dict.fromkeys(model for one in findings for model in one.models)]
    if not all(one.models for one in findings):
        models.append(OTHER_MODELS)
    routes = "".join(f"  {model}: openai\n" for model in models)
    rules = "\n".join(line for one in findings for line in _rule(one, systems))
    return f"{_HEAD.format(models_dir=scalar(models_dir))}{routes}rules:\n{rules}\n"


def _own_words(finding: Finding) -> tuple[str, ...]:
    return tuple(filter(reserved, finding.labels.names))


def _answers(finding: Finding) -> tuple[Mapping[str, str], int]:
    """By input that a rule reads whole, the answer that it mostly got; and how many inputs have none."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    group = finding.group
    for call, text, label in zip(group.calls, group.inputs, finding.labels.of, strict=True):
        if label in finding.labels.names and text and not unread(call, group.reads):
            counts[text][str(label)] += 1
    found, divided = {}, 0
    for text, given in counts.items():
        (label, most), *others = given.most_common(2)
        if others and others[0][1] == most:
            divided += 1
        else:
            found[text] = label
    return found, divided


def _policy(
    finding: Finding, labels: Sequence[str], by_label: Mapping[str, Sequence[str]], own: Sequence[str]
) -> Iterator[str]:
    models = finding.asked
    yield f"# Made by `offramp discover` from {finding.calls} calls; the labels are the answers of {scalar(models)}."
    yield "# A description in your own words under means: helps, and so do more examples."
    yield "version: 1"
    yield f"name: {finding.name}"
    yield "kind: intent"
    yield f"about: {scalar(_safe(f'What {models} is asked to sort with one prompt, found in a log.'))}"
    yield "languages: any"
    yield "labels:"
    for name in labels:
        yield f"  {scalar(name)}:"
        yield f"    means: {scalar(_safe(f'what {models} calls {name}'))}"
        if examples := _typical(by_label[name]):
            yield "    examples:"
            yield from (f"      - {scalar(text)}" for text in examples)
    if own:
        named = " or ".join(own)
        yield f"other: {scalar(_safe(f'what {models} calls {named}'))}"
    yield f"data: data/{finding.name}.jsonl"


def _typical(texts: Sequence[str]) -> list[str]:
    """Inputs of a usual length that a value of YAML can hold."""
    fitting = [text for text in texts if len(text) in _USUAL_CHARS and not unwritable(text)]
    middle = sorted(fitting, key=lambda text: (len(text), text))
    start = max(0, (len(middle) - _EXAMPLES) // 2)
    return middle[start : start + _EXAMPLES]


def _rule(finding: Finding, systems: Sequence[str]) -> Iterator[str]:
    group = finding.group
    own = group.frame.before if group.system is None else group.system
    mine = {system_text(call.turns) for call in group.calls}
    glob = _glob(own, [text for text in systems if text not in mine], exact=group.system is not None)
    yield f"  - name: {finding.name}"
    yield f"    classifier: {finding.name}"
    if finding.models or glob:
        yield "    when:"
    if finding.models:
        yield "      model:"
        yield from (f"        - {scalar(model)}" for model in finding.models)
    if glob:
        yield f"      system_glob: {scalar(glob)}"
    if lines := list(_reads(finding)):
        yield "    reads:"
        yield from lines
    yield "    then:"
    yield '      "*": {answer: label}'
    names = names_of(finding.labels.names)
    if OTHER in map(names.meant, finding.labels.names):
        yield "      other: {answer: label}"
    if names.aliases:
        yield "    aliases:"
        yield "      other:"
        yield from (f"        - {scalar(word)}" for word in names.aliases[OTHER])
    yield "    contract: true"


def _reads(finding: Finding) -> Iterator[str]:
    reads = finding.group.reads
    if reads.roles:
        yield f"      roles: [{', '.join(reads.roles)}]"
    if unwritable(reads.after) or unwritable(reads.before):
        pattern = f"{_literal(reads.after)}(?P<input>.*){_literal(reads.before)}"
        yield f"      regex: {scalar(pattern)}"
        return
    if reads.after:
        yield f"      after: {scalar(reads.after)}"
    if reads.before:
        yield f"      before: {scalar(reads.before)}"


def _literal(text: str) -> str:
    """A pattern for just this text, in signs that a value can hold and that stay at its ends."""
    return "".join(f"\\u{ord(sign):04x}" if sign.isspace() or sign == "\0" else re.escape(sign) for sign in text)


def _glob(system: str, others: Sequence[str], *, exact: bool) -> str:
    """A glob for a system prompt: its beginning, as far as tells it from the others; empty where there is none."""
    text = system.partition("\0")[0].strip()
    if not text:
        return ""
    lead = "*" if system[0].isspace() else ""
    for length in (*range(_GLOB_CHARS, len(text), _GLOB_CHARS), len(text)):
        whole = exact and length >= len(text) and text == system
        found = lead + _SPECIAL.sub(r"[\g<0>]", text[:length].rstrip()) + ("" if whole else "*")
        if not any(fnmatchcase(other, found) for other in others):
            break
    return found


def _safe(text: str) -> str:
    return text.replace("${", "$ {").replace("\0", "")


GATEWAY: Final = "gateway.yaml"
_BESIDE = "discovered.yaml"


class Occupied(Exception):
    """A file that would be written is there already; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """policies: the files to train; gateway: the file with the rules; files: all; beside: whether there was a gateway
    file already, into which the rules are to be copied."""

    policies: tuple[Path, ...]
    gateway: Path
    files: tuple[Path, ...]
    beside: bool


def write(folder: Path, drafts: Sequence[Draft], gateway: str) -> WrittenFile:
    """Raises Occupied, before anything is written, and OSError."""
    beside = (folder / GATEWAY).exists()
    file = folder / (_BESIDE if beside else GATEWAY)
    texts = {file: gateway}
    for one in drafts:
        texts[folder / "policies" / f"{one.name}.yaml"] = one.policy
        texts[folder / "policies" / "data" / f"{one.name}.jsonl"] = one.data
    there = [str(path) for path in texts if path.exists()]
    if there:
        raise Occupied(f"{', '.join(there)}: there already; nothing was written. Name another folder, or move it")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    policies = tuple(path for path in texts if path.suffix == ".yaml" and path.parent.name == "policies")
    return WrittenFile(policies=policies, gateway=file, files=tuple(texts), beside=beside)
