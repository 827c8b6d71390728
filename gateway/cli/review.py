"""`offramp blocked` and `offramp review`: texts that rules blocked or were in doubt of, listed and decided on."""

import json as jsonlib
import os
import sys
import termios
import time
import tty
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from classifiers.report.markup import counted
from gateway.cli.inputs import parsed
from gateway.cli.output import Exit, Json, fail, fields, percent, quoted, result, stderr

if TYPE_CHECKING:
    from gateway.config.load import Loaded
    from gateway.ledger.call_store import KeptText, TextStore

_BEGINNING: Final = 76
"""Characters of a text in a list."""
_SHOWN: Final = 4000
"""Characters of a text to decide on."""
_COLUMNS: Final = ("id", "request_id", "rule", "label", "confidence", "classifier", "version", "times", "judged")
_KEYS: Final = {"h": True, "n": False, "s": None}
_ASKED: Final = "[h] harmful   [n] not harmful   [s] skip   [q] quit"

Config = Annotated[Path, typer.Argument(help="The gateway's file.")]
RuleName = Annotated[str | None, typer.Option("--rule", help="Texts of this rule only.")]
_DEFAULT: Final = Path("config/gateway.yaml")


def blocked(
    config: Config = _DEFAULT,
    since: Annotated[str, typer.Option(help="How far back, such as 24h or 30d.")] = "24h",
    rule: RuleName = None,
    unsure: Annotated[bool, typer.Option("--unsure", help="Texts that rules were in doubt of instead.")] = False,
    json: Json = False,
) -> None:
    """List texts that rules blocked, where the gateway keeps them."""
    from classifiers.fields import parse_duration
    from gateway.config.load import load_gateway

    loaded = load_gateway(config, os.environ, secrets=False)
    back_s = parsed(parse_duration, since, "--since")
    wanted = "unsure" if unsure else "blocked"
    with closing(_opened(loaded.ledger, read_only=True)) as store:
        _check_rule(rule, loaded, store)
        texts = store.texts(time.time() - back_s)
    kept = [text for text in texts if text.kept_as == wanted and rule in (None, text.rule)]
    rows = [
        {"time": _time(text.latest), **fields(text, *_COLUMNS), "review": _review_of(text), "text": text.text}
        for text in kept
    ]
    result(rows, _listed(kept, wanted, kept=getattr(loaded.settings.content, wanted) is not None), as_json=json)


def review(
    config: Config = _DEFAULT,
    rule: RuleName = None,
    decisions: Annotated[
        Path | None,
        typer.Option("--from", help="A file with a line `id harmful`, `id harmless` or `id LABEL` for each text."),
    ] = None,
    judged: Annotated[bool, typer.Option("--judged", help="Ask nobody; make rows of what judges found.")] = False,
    rows: Annotated[Path | None, typer.Option(help="The file that rows are added to, of one classifier.")] = None,
    json: Json = False,
) -> None:
    """Decide on texts that rules blocked or were in doubt of, one after the other, and make rows of them."""
    from gateway.config.load import load_gateway

    loaded = load_gateway(config, os.environ, secrets=False)
    if judged and decisions is not None:
        raise fail("--judged takes the verdicts of judges, --from those of a file; name one of them", Exit.USAGE)
    if not judged and decisions is None and not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        what = "there is no terminal here to ask in; write a line `id harmful` or `id harmless` for each text into a "
        raise fail(f"{what}file for --from (`offramp blocked --json` has the ids)", Exit.USAGE)
    with closing(_opened(loaded.ledger, read_only=judged)) as store:
        _check_rule(rule, loaded, store)
        texts = store.texts()
        pending = _pending(texts, rule)
        files = _row_files(loaded, {equal[0].classifier for equal in pending}, rows)
        if judged:
            value = _take_verdicts(pending, files)
        else:
            reviewer = _Reviewer(store, files)
            if decisions is None:
                with _keys_at_once():
                    left = _asked(pending, reviewer)
            else:
                left = len(pending) - _from_file(decisions, texts, pending, reviewer)
            value = {**fields(reviewer, "harmful", "harmless"), "left": left, "rows": dict(reviewer.written)}
    result(value, _reviewed(value), as_json=json)


def _opened(ledger: Path, *, read_only: bool = False) -> "TextStore":
    from gateway.ledger.call_store import TextStore
    from gateway.ledger.store import NoLedger

    if not ledger.is_file():
        raise NoLedger(ledger)
    return TextStore(ledger, read_only=read_only)


def _check_rule(rule: str | None, loaded: "Loaded", store: "TextStore") -> None:
    """Raises typer.Exit where neither the gateway's file nor a kept text names the rule."""
    from gateway.config.problems import did_you_mean

    rules = [settings.name for settings in loaded.settings.rules]
    if rule is None or rule in rules:
        return
    rules += [text.rule for text in store.texts()]
    if rule not in rules:
        known = did_you_mean(rule, rules) if rules else "; there is no rule"
        raise fail(f"neither {loaded.file} nor a kept text names a rule {quoted(rule)}{known}", Exit.USAGE)


def _pending(texts: Sequence["KeptText"], rule: str | None) -> list[list["KeptText"]]:
    """Texts that nobody has reviewed, as given; equal ones of one classifier together. rule: that one of them is of."""
    by_text: dict[tuple[str, str], list[KeptText]] = {}
    for text in texts:
        by_text.setdefault((text.classifier, text.text), []).append(text)
    return [
        equal
        for equal in by_text.values()
        if all(text.harmful is None for text in equal) and rule in (None, *(text.rule for text in equal))
    ]


@dataclass(frozen=True, slots=True)
class _RowFile:
    """Where rows of a classifier go. labels: those that its policy learns. none: the label of harmless text; empty
    where the policy has no word for it. texts: those that the file has."""

    path: Path
    labels: Collection[str]
    none: str
    texts: set[str]

    def add(self, text: str, label: str, *, by_judge: bool = False) -> int:
        """How many rows were added: none where the policy does not learn the label, and none of a judge's where the
        file has the text. label: several parted by `|`."""
        names = [name for name in label.split("|") if name in (*self.labels, self.none) and name]
        if not names or (by_judge and text in self.texts):
            return 0
        # what a guard blocked or was in doubt of is harder than traffic, so that nothing must be measured on it
        row = {"text": text, "label": "|".join(names), "picked": True, **({"by": "judge"} if by_judge else {})}
        with self.path.open("ab+") as file:
            file.seek(max(file.tell() - 1, 0))
            # somebody may have edited the file
            parted = b"" if file.read() in (b"", b"\n") else b"\n"
            file.write(parted + jsonlib.dumps(row, ensure_ascii=False).encode() + b"\n")
        self.texts.add(text)
        return 1


def _texts_of(file: Path) -> set[str]:
    texts = set()
    for line in file.read_bytes().splitlines() if file.exists() else []:
        with suppress(ValueError, TypeError, KeyError):
            texts.add(jsonlib.loads(line)["text"])
    return texts


@dataclass(slots=True, eq=False)
class _Reviewer:
    """Notes decisions and makes rows of them. files: by classifier. written: rows added, by file."""

    store: "TextStore"
    files: Mapping[str, _RowFile]
    harmful: int = 0
    harmless: int = 0
    written: dict[str, int] = field(default_factory=dict)

    def decide(self, equal: Sequence["KeptText"], *, harmful: bool, label: str = "") -> None:
        """Of texts that are equal. The row comes first: of one that is written twice training takes one. label: of
        harmful text, where it is known; else the judge's, or the likeliest."""
        file = self.files[equal[0].classifier]
        judged = next((text.judged for text in equal if text.judged not in (None, "none")), None)
        added = file.add(equal[0].text, (label or judged or equal[0].label) if harmful else file.none)
        self.store.review(equal, harmful=harmful, at=time.time())
        self.harmful += harmful
        self.harmless += not harmful
        self.written[str(file.path)] = self.written.get(str(file.path), 0) + added


def _row_files(loaded: "Loaded", names: Collection[str], rows: Path | None) -> dict[str, _RowFile]:
    """By classifier. Raises ConfigError where a policy cannot be read."""
    from gateway.config.load import load_policy, policy_file

    if rows is not None and len(names) > 1:
        among = ", ".join(sorted(names))
        raise fail(f"--rows takes rows of one classifier, not of {among}; name a --rule", Exit.USAGE)
    files = {}
    for name in sorted(names):
        file = policy_file(loaded, name)
        policy = load_policy(file, os.environ, secrets=False)
        none = "none" if policy.kind == "safety" or policy.multi_label else ""
        path = rows or file.with_name(f"{name}.reviewed.jsonl")
        files[name] = _RowFile(path, policy.learned, none, _texts_of(path))
    return files


def _take_verdicts(pending: Sequence[Sequence["KeptText"]], files: Mapping[str, _RowFile]) -> dict[str, Any]:
    """Makes rows of what judges found, but of texts of which they found different things."""
    counts = {"harmful": 0, "harmless": 0, "left": 0}
    written = {str(file.path): 0 for file in files.values()}
    for equal in pending:
        verdicts = {text.judged for text in equal if text.judged}
        verdict = verdicts.pop() if len(verdicts) == 1 else None
        counts["left" if verdict is None else "harmless" if verdict == "none" else "harmful"] += 1
        if verdict:
            file = files[equal[0].classifier]
            written[str(file.path)] += file.add(equal[0].text, verdict, by_judge=True)
    return {**counts, "rows": {path: count for path, count in written.items() if count}}


def _asked(pending: Sequence[Sequence["KeptText"]], reviewer: _Reviewer) -> int:
    """Asks in the terminal; how many are left."""
    decided = 0
    for number, equal in enumerate(pending, 1):
        text = equal[0]
        how = "blocked" if any(each.kept_as == "blocked" for each in equal) else "in doubt"
        came = counted(sum(each.times for each in equal), "time")
        stderr().print(f"\n{number} of {len(pending)}   {_head(text)}, {how}, came {came}", style="bold")
        for line in text.text[:_SHOWN].splitlines():
            stderr().print(quoted(line), soft_wrap=True)
        if (more := len(text.text) - _SHOWN) > 0:
            stderr().print(f"… and {more:,} characters more", style="dim")
        key = _key()
        if key == "q":
            break
        harmful = _KEYS[key]
        if harmful is not None:
            reviewer.decide(equal, harmful=harmful)
            decided += 1
    return len(pending) - decided


@contextmanager
def _keys_at_once() -> Iterator[None]:
    """The terminal gives each key as it is pressed, and does not show it."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _key() -> str:
    """The next key that means something. A closed terminal quits."""
    stderr().print(_ASKED, style="dim")
    while True:
        key = os.read(sys.stdin.fileno(), 1).decode(errors="replace")
        if key in ("", "\x04", "q"):
            return "q"
        if key in _KEYS:
            return key


def _from_file(
    file: Path, texts: Sequence["KeptText"], pending: Sequence[Sequence["KeptText"]], reviewer: _Reviewer
) -> int:
    """Takes the decisions of a file, all or none of which are understood; how many were taken. One on a text that was
    reviewed before changes nothing."""
    of = {text.id: reviewer.files.get(text.classifier) for text in texts}
    open_ids = {text.id: equal for equal in pending for text in equal}
    decisions: dict[str, str] = {}
    for number, line in enumerate(file.read_text("utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        name, _, word = line.strip().partition(" ")
        if name not in of:
            raise fail(f"{file}:{number}: no text with the id {quoted(name)} is kept", Exit.USAGE)
        rows, word = of[name], word.strip()
        if word not in {"harmful", "harmless", *(rows.labels if rows else ())}:
            raise fail(f"{file}:{number}: write `id harmful`, `id harmless` or `id LABEL` of its policy", Exit.USAGE)
        if decisions.setdefault(name, word) != word:
            raise fail(f"{file}:{number}: {name} was called otherwise before", Exit.USAGE)
    taken = 0
    for name, word in decisions.items():
        equal = open_ids.get(name)
        if equal is not None and equal[0].id in open_ids:
            reviewer.decide(equal, harmful=word != "harmless", label="" if word in {"harmful", "harmless"} else word)
            taken += 1
            for text in equal:
                del open_ids[text.id]
    return taken


def _listed(texts: Sequence["KeptText"], what: str, *, kept: bool) -> Iterator[str]:
    """Each text under a line of its own. kept: whether the gateway keeps any by now."""
    if not texts:
        yield f"none in this time{'' if kept else f'; nothing is kept without content: {{{what}: 30d}}'}"
    for text in texts:
        review = _review_of(text)
        yield f"{_head(text)}, {counted(text.times, 'time')}{f', {review}' if review else ''}"
        line = quoted(text.text[: _BEGINNING + 1])
        yield f"  {line if len(line) <= _BEGINNING else line[: _BEGINNING - 1] + '…'}"


def _reviewed(value: Mapping[str, Any]) -> Iterator[str]:
    yield f"{value['harmful']} harmful, {value['harmless']} harmless, {value['left']} left"
    for file, count in value["rows"].items():
        yield f"{counted(count, 'row')} added to {file}; name it under data: in the policy, then train"


def _review_of(text: "KeptText") -> str | None:
    return None if text.harmful is None else "harmful" if text.harmful else "harmless"


def _head(text: "KeptText") -> str:
    judged = f", the judge: {quoted(text.judged)}" if text.judged else ""
    return f"{_time(text.latest)}   {text.rule}: {quoted(text.label)} {percent(text.confidence)}{judged}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
