"""`offramp blocked` and `offramp review`: texts that rules blocked or were in doubt of, listed and decided on."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from classifiers.report.markup import counted, moment
from gateway.cli.inputs import GATEWAY, GatewayFile, gateway, parsed
from gateway.cli.output import Exit, Json, fail, fields, percent, quoted, result

if TYPE_CHECKING:
    from gateway.config.load import Loaded
    from gateway.ledger.call_store import KeptText, TextStore
    from gateway.review import Reviewing, ReviewItem

_BEGINNING: Final = 76
"""Characters of a text in a list."""
_COLUMNS: Final = ("id", "request_id", "rule", "label", "confidence", "classifier", "version", "times", "judged")
_HARMFUL, _HARMLESS = "harmful", "harmless"

RuleName = Annotated[str | None, typer.Option("--rule", help="Texts of this rule only.")]


def blocked(
    config: GatewayFile = GATEWAY,
    since: Annotated[str, typer.Option(help="How far back, such as 24h or 30d.")] = "24h",
    rule: RuleName = None,
    unsure: Annotated[bool, typer.Option("--unsure", help="Texts that rules were in doubt of instead.")] = False,
    json: Json = False,
) -> None:
    """List texts that rules blocked, where the gateway keeps them."""
    from classifiers.fields import parse_duration

    loaded = gateway(config)
    back_s = parsed(parse_duration, since, "--since")
    wanted = "unsure" if unsure else "blocked"
    with closing(_opened(loaded.ledger, read_only=True)) as store:
        _check_rule(rule, loaded, store)
        texts = store.texts(time.time() - back_s)
    kept = [text for text in texts if text.kept_as == wanted and rule in (None, text.rule)]
    rows = [
        {"time": moment(text.latest), **fields(text, *_COLUMNS), "review": _review_of(text), "text": text.text}
        for text in kept
    ]
    result(rows, _listed(kept, wanted, kept=getattr(loaded.settings.content, wanted) is not None), as_json=json)


def review(
    config: GatewayFile = GATEWAY,
    rule: RuleName = None,
    decisions: Annotated[
        Path | None,
        typer.Option(
            "--from", help="A file with a line `id LABEL`, `id none`, `id harmful` or `id harmless` for each text."
        ),
    ] = None,
    judged: Annotated[bool, typer.Option("--judged", help="Ask nobody; make rows of what judges found.")] = False,
    rows: Annotated[Path | None, typer.Option(help="The file that rows are added to, of one classifier.")] = None,
    json: Json = False,
) -> None:
    """Make rows of texts that rules blocked or were in doubt of, as a file or judges decide on them."""
    from gateway.ledger.call_store import MOST_TEXTS
    from gateway.review import Reviewing

    loaded = gateway(config)
    if judged is (decisions is not None):
        what = "--judged takes the verdicts of judges, --from those of a file; name one of them"
        raise fail(
            f"{what} (`offramp blocked --json` has the ids; the console asks about one text at a time)", Exit.USAGE
        )
    with closing(_opened(loaded.ledger, read_only=judged)) as store:
        _check_rule(rule, loaded, store)
        reviewing = Reviewing(loaded=loaded, texts=store, path=rows)
        pending = reviewing.queue(rule, most=MOST_TEXTS)
        names = sorted({item.classifier for item in pending})
        if rows is not None and len(names) > 1:
            raise fail(f"--rows takes rows of one classifier, not of {', '.join(names)}; name a --rule", Exit.USAGE)
        value = _take_verdicts(pending, reviewing) if decisions is None else _from_file(decisions, pending, reviewing)
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


def _take_verdicts(pending: Sequence["ReviewItem"], reviewing: "Reviewing") -> dict[str, Any]:
    """Makes rows of what judges found, but of texts of which they found different things."""
    from classifiers.policy import NONE

    written: Counter[str] = Counter()
    for item in sorted(pending, key=lambda item: item.latest):
        if item.judged:
            rows = reviewing.rows(item.classifier)
            written[str(rows.path)] += bool(rows.add(item.text, item.judged, by_judge=True))
    return _counts([item.judged and item.judged != NONE for item in pending if item.judged], len(pending), written)


def _from_file(file: Path, pending: Sequence["ReviewItem"], reviewing: "Reviewing") -> dict[str, Any]:
    """Takes the decisions of a file, all or none of which are understood. One on a text that was reviewed before
    changes nothing."""
    from classifiers.policy import NONE

    kept = {text.id: text for text in reviewing.texts.texts()}
    of = {text.id: item for item in pending for text in item.kept}
    labels: dict[str, str] = {}
    for number, line in enumerate(file.read_text("utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        name, _, word = line.strip().partition(" ")
        if name not in kept:
            raise fail(f"{file}:{number}: no text with the id {quoted(name)} is kept", Exit.USAGE)
        word = NONE if word.strip() == _HARMLESS else word.strip()
        if word not in {_HARMFUL, NONE, *(reviewing.rows(kept[name].classifier).labels if name in of else ())}:
            raise fail(
                f"{file}:{number}: write `id LABEL` of its policy, `id none`, `id {_HARMFUL}` or `id {_HARMLESS}`",
                Exit.USAGE,
            )
        if labels.setdefault(name, word) != word:
            raise fail(f"{file}:{number}: {name} was called otherwise before", Exit.USAGE)
    taken: dict[str, tuple[ReviewItem, str]] = {}
    for name, word in labels.items():
        if name in of:
            taken.setdefault(of[name].id, (of[name], word))
    written: Counter[str] = Counter()
    for item, word in taken.values():
        # of harmful text without a label, the judge's, or the likeliest
        found = item.judged if item.judged not in (None, NONE) else item.label
        decided = reviewing.decide(item, (found or item.label) if word == _HARMFUL else word)
        written[str(decided.rows.path)] += bool(decided.written)
    return _counts([word != NONE for _, word in taken.values()], len(pending), written)


def _counts(harmful: Sequence[object], pending: int, written: Mapping[str, int]) -> dict[str, Any]:
    counts = {_HARMFUL: sum(map(bool, harmful)), _HARMLESS: len(harmful) - sum(map(bool, harmful))}
    return {**counts, "left": pending - len(harmful), "rows": {path: count for path, count in written.items() if count}}


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
        yield f"{counted(count, 'row')} added to {file}; the next training reads it"


def _review_of(text: "KeptText") -> str | None:
    return None if text.harmful is None else "harmful" if text.harmful else "harmless"


def _head(text: "KeptText") -> str:
    judged = f", the judge: {quoted(text.judged)}" if text.judged else ""
    return f"{moment(text.latest)}   {text.rule}: {quoted(text.label)} {percent(text.confidence)}{judged}"
