"""`offramp discover`: groups of calls as a table with lines below it, or as data; and the files that it writes."""

import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column

from classifiers.fields import MAX_SEED, parse_duration, parse_share
from gateway.cli.inputs import parsed
from gateway.cli.output import Exit, Json, bars, fail, fields, print_json, print_lines, quoted, stderr, stdout, table

if TYPE_CHECKING:
    from gateway.discover.calls import Log
    from gateway.discover.finding import Finding
    from gateway.ledger.prices import PriceTable


def show(groups: Sequence["Finding"], bound: float, top: int) -> None:
    """Prints a table of the first groups, at least one, and lines for what it has no room for. bound: a share."""
    console = stdout()
    findings = groups[:top]
    month = findings[0].month
    when = "a month" if month else "in the log"
    names = (f"calls\n{when}", f"$\n{when}", "answers", "agreement\n(95 %)", "calls\nsaved", "$\nsaved")
    figures = [Column(name, justify="right", no_wrap=True) for name in names]
    columns = [Column("#", justify="right"), Column("name", overflow="fold"), *figures]
    cells = ((str(number), item.name, *_cells(item, month or 1.0)) for number, item in enumerate(findings, 1))
    console.print(table(f"Calls by template; saved at up to {bound * 100:.3g} % disagreement", columns, cells))
    for number, finding in enumerate(findings, 1):
        print_lines(f"{number}. {quoted(line)}" for line in _lines(finding, bound))
    if len(groups) > top:
        console.print(f"and {len(groups) - top} more groups (--top)")


def _cells(finding: "Finding", times: float) -> Iterator[str]:
    agreement = finding.agreement
    yield f"{finding.calls * times:,.0f}"
    yield f"{finding.spend.usd * times:,.2f}"
    yield f"{finding.labels.distinct:,}"
    if agreement is None:
        yield from ("–", "–", "–")
        return
    yield f"{agreement.share:.1%}\n({agreement.low:.1%}–{agreement.high:.1%})"
    yield f"{finding.calls * times * finding.saved_share:,.0f}\n({finding.saved_share:.0%})"
    yield f"{finding.spend.usd * times * finding.saved_share:,.2f}"


def _lines(finding: "Finding", bound: float) -> Iterator[str]:
    yield f"{finding.calls:,} calls of {finding.asked}; reads {finding.group.reads}"
    if finding.obstacle is not None:
        yield f"not replaceable: {finding.obstacle}"
    elif finding.agreement is not None and not finding.agreement.answered:
        yield f"no threshold keeps to {bound * 100:.3g} % yet, on {finding.agreement.inputs:,} different inputs"
    if finding.group.frame.gaps:
        spans = len(finding.group.frame.gaps) + 1
        between = ", ".join(repr(gap) for gap in finding.group.frame.gaps)
        yield f"{spans} spans vary (parted by {between}); they are read together, with the words between them"
    if finding.consistency.agree is not None and finding.consistency.agree < 1:
        differ, pairs = 1 - finding.consistency.agree, finding.consistency.pairs
        yield f"the model contradicts itself: {differ:.1%} of {pairs:,} pairs of calls with the same input differ"
    if finding.spend.unpriced:
        yield f"{finding.spend.unpriced:,} calls have no known price"
    if finding.spend.estimated:
        yield f"tokens of {finding.spend.estimated:,} calls are estimated from their length"


def as_dict(number: int, finding: "Finding") -> dict[str, Any]:
    """For JSON. number: as the table counts."""
    group, month, usd = finding.group, finding.month, finding.spend.usd
    return {
        "group": number,
        "name": finding.name,
        "models": list(finding.models),
        "calls": finding.calls,
        "inputs": len(set(group.inputs)),
        "system": group.system,
        "reads": {"roles": list(group.reads.roles), **fields(group.reads, "after", "before")},
        "varying_spans": len(group.frame.gaps) + 1,
        "constant": group.constant,
        "conversation": group.conversation,
        "answers": finding.labels.distinct,
        "labels": list(finding.labels.names),
        "label_field": finding.labels.field,
        "entropy_bits": round(finding.bits, 4),
        "answer_chars": finding.chars,
        "repeated": fields(finding.consistency, "inputs", "pairs", "agree"),
        "usd": usd,
        "usd_a_month": usd * month if month else None,
        "calls_a_month": finding.calls * month if month else None,
        "estimated_calls": finding.spend.estimated,
        "unpriced_calls": finding.spend.unpriced,
        "obstacle": finding.obstacle,
        "agreement": finding.agreement
        and fields(finding.agreement, "inputs", "share", "low", "high", "bound", "threshold"),
        "saved_share": finding.saved_share,
        "saved_usd_a_month": usd * month * finding.saved_share if month else None,
    }


_SHOWN_PROBLEMS = 20


def discover(
    source: Annotated[
        list[Path],
        typer.Argument(
            help="Exported logs: files, or folders of .jsonl and .json files; a gateway's file or its ledger."
        ),
    ],
    models: Annotated[Path, typer.Option(help="Where the prepared encoder is kept.")] = Path("models"),
    bound: Annotated[str, typer.Option(help="The most disagreement among what would be answered here.")] = "2%",
    period: Annotated[str, typer.Option(help="How long the log took, such as 7d, where its records do not say.")] = "",
    top: Annotated[int, typer.Option(min=1, help="How many groups to show.")] = 20,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of the cross-validation.")] = 0,
    write: Annotated[
        Path | None, typer.Option(help="Write policy, rows and rule of the best groups into this folder.")
    ] = None,
    group: Annotated[list[int] | None, typer.Option(help="Which groups to write, by their number; repeatable.")] = None,
    json: Json = False,
) -> None:
    """Find calls in a log that ask a model for a small decision: what they cost, and whether a classifier would do."""
    from gateway.config.settings import shipped_dir
    from gateway.ledger.prices import load_prices

    limit = parsed(_share, bound, "--bound")
    length = parsed(parse_duration, period, "--period") if period else None
    if group and write is None:
        raise typer.BadParameter("says which groups to write; name a folder with --write", param_hint="--group")
    log = _read(source)
    prices = load_prices(shipped_dir() / "prices.yaml")
    findings = _findings(log, prices, models, bound=limit, period=length, seed=seed)
    if not json:
        # before anything is written, for it says why nothing can be
        show(findings, limit, top)
    written = _write(write, findings, group, log) if write else None
    if json:
        print_json(
            {
                "calls": len(log.calls),
                "skipped": dict(log.skipped),
                "problems": list(log.problems),
                "prices_as_of": prices.as_of,
                "groups": [as_dict(number, finding) for number, finding in enumerate(findings, 1)],
                "written": written,
            }
        )
    elif written:
        _print_written(written)


def _print_written(written: dict[str, Any]) -> None:
    print_lines(map(quoted, (*(f"wrote {file}" for file in written["files"]), *written["notes"])))
    print_lines(["\nNext:", *(f"  {command}" for command in written["next"])])


def _findings(
    log: "Log", prices: "PriceTable", models: Path, *, bound: float, period: float | None, seed: int
) -> list["Finding"]:
    from classifiers.encoder.prepare import prepare
    from classifiers.encoder.session import Encoder
    from classifiers.encoder.source import resolve
    from gateway.discover.finding import look, measure, ranked

    with bars() as advance:
        advance("templates", 0, None)
        findings = look(log.calls, prices, period=period)
        if all(finding.obstacle for finding in findings):
            return findings
        encoder = Encoder.open(prepare(resolve(None), models, stderr().print))
        return ranked([measure(finding, encoder, bound=bound, seed=seed, advance=advance) for finding in findings])


def _write(folder: Path, findings: Sequence["Finding"], numbers: Sequence[int] | None, log: "Log") -> dict[str, Any]:
    """What was written, and what to do next."""
    from gateway.discover.draft import GATEWAY, Occupied, draft, gateway, write
    from gateway.requests.messages import system_text

    chosen = _chosen(findings, numbers)
    drafts = [draft(finding) for finding in chosen]
    systems = list(dict.fromkeys(system_text(call.turns) for call in log.calls))
    rules = gateway(chosen, systems, models_dir=_models_dir(folder / GATEWAY))
    try:
        written = write(folder, drafts, rules)
    except Occupied as error:
        raise fail(str(error), Exit.USAGE) from error
    policies = [str(file) for file in written.policies]
    notes = [
        f"{draft.name}: {draft.divided} inputs that got different answers equally often are left out"
        for draft in drafts
        if draft.divided
    ]
    notes += [f"{draft.name}: {', '.join(draft.reserved)} became `other`" for draft in drafts if draft.reserved]
    if written.existing:
        notes.append(f"{folder / 'gateway.yaml'} is there already: copy the rules of {written.gateway} into it")
    return {
        "files": [str(file) for file in written.files],
        "notes": notes,
        "next": [
            shlex.join(["offramp", "check", str(written.gateway), *policies]),
            shlex.join(["offramp", "train", *policies]),
            shlex.join(["offramp", "serve", str(written.gateway)]),
        ],
    }


def _models_dir(gateway: Path) -> str:
    """The models folder of a gateway file that may exist, or else the default."""
    from gateway.config.load import load_gateway
    from gateway.config.problems import ConfigError

    try:
        return load_gateway(gateway, os.environ, secrets=False).settings.models_dir
    except ConfigError:
        return "../models"


def _chosen(findings: Sequence["Finding"], numbers: Sequence[int] | None) -> list["Finding"]:
    """The groups named, or those that save something, or else the first that a classifier may answer."""
    if numbers:
        for number in numbers:
            if not 1 <= number <= len(findings):
                raise fail(f"--group {number}: there are {len(findings)} groups", Exit.USAGE)
            if hindrance := findings[number - 1].obstacle:
                raise fail(f"--group {number}: {hindrance}", Exit.USAGE)
        return [findings[number - 1] for number in dict.fromkeys(numbers)]
    fitting = [finding for finding in findings if finding.obstacle is None]
    if not fitting:
        raise fail("no group can be answered by a classifier, so nothing was written", Exit.USAGE)
    return [finding for finding in fitting if finding.saved_share] or fitting[:1]


def _read(source: Sequence[Path]) -> "Log":
    """All sources as one log: exported files, and ledgers, by their own file or the gateway's. Prints what was skipped;
    ends the command where no call is left."""
    from gateway.discover.calls import Log, is_ledger, read_ledger
    from gateway.discover.logs import read_files
    from gateway.ledger.store import LedgerError

    files: list[Path] = []
    ledgers: list[Path] = []
    for path in source:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix in (".jsonl", ".json") and file.is_file())
            if not inside:
                raise fail(f"{path}: holds no .jsonl or .json file", Exit.USAGE)
            files += inside
        elif not path.is_file():
            raise fail(f"{path}: there is no such file", Exit.USAGE)
        elif path.suffix in (".yaml", ".yml"):
            ledgers.append(_ledger_of(path))
        else:
            (ledgers if is_ledger(path) else files).append(path)
    log = Log()
    with bars() as advance:

        def read(done: int) -> None:
            advance("records", done, None)

        try:
            for ledger in _once(ledgers):
                read_ledger(ledger, log, read)
            read_files(_once(files), log, read)
        except LedgerError as error:
            raise fail(str(error), Exit.USAGE) from error
    _print_skipped(log)
    if not log.calls:
        raise fail("no chat call with its answer could be read", Exit.USAGE)
    return log


def _once(paths: Iterable[Path]) -> list[Path]:
    """Each file once, by the first of its names."""
    names: dict[Path, Path] = {}
    for path in paths:
        names.setdefault(path.resolve(), path)
    return list(names.values())


def _ledger_of(gateway: Path) -> Path:
    """Of a gateway's file. Raises ConfigError."""
    from gateway.config.load import load_gateway

    loaded = load_gateway(gateway, os.environ, secrets=False)
    if not loaded.settings.content.calls:
        mend = "content: {keep: 30d, calls: true} keeps them"
        note = f"{gateway}: keeps no calls, so only those of earlier settings are found; {mend}"
        stderr().print(note, style="yellow", soft_wrap=True)
    if not loaded.ledger.is_file():
        raise fail(f"{gateway}: there is no ledger at {loaded.ledger} yet", Exit.USAGE)
    return loaded.ledger


def _print_skipped(log: "Log") -> None:
    console = stderr()
    for problem in log.problems[:_SHOWN_PROBLEMS]:
        console.print(quoted(problem), style="red", soft_wrap=True)
    if len(log.problems) > _SHOWN_PROBLEMS:
        console.print(f"… and {len(log.problems) - _SHOWN_PROBLEMS} more that cannot be read", style="red")
    for reason, count in log.skipped.most_common():
        console.print(f"{count:,} skipped: {reason}", soft_wrap=True)


def _share(text: str) -> float:
    share = parse_share(text)
    if not 0 < share < 1:
        raise ValueError("must be between 0 and 100 %")
    return share
