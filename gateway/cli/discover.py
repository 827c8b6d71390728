"""`offramp discover`: groups of calls as a table with lines below it, or as data; and the files that it writes."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Column, Table

from classifiers.fields import parse_duration, parse_share
from gateway.cli import inputs
from gateway.cli.output import Exit, Json, fail, print_json, progress_bar, quoted, result, stderr, table

if TYPE_CHECKING:
    from gateway.discover.calls import Log
    from gateway.discover.finding import Finding

_SHOWN_PROBLEMS: Final = 20


def discover(
    source: Annotated[
        list[Path],
        typer.Argument(
            help="Exported logs: files, or folders of .jsonl and .json files; a gateway's file or its ledger."
        ),
    ],
    bound: Annotated[str, typer.Option(help="The most disagreement among what would be answered here.")] = "2%",
    period: Annotated[str, typer.Option(help="How long the log took, such as 7d, where its records do not say.")] = "",
    top: Annotated[int, typer.Option(min=1, help="How many groups to show.")] = 20,
    write: Annotated[
        Path | None, typer.Option(help="Write policy, rows and rule of the best groups into this folder.")
    ] = None,
    group: Annotated[list[int] | None, typer.Option(help="Which groups to write, by their number; repeatable.")] = None,
    json: Json = False,
) -> None:
    """Find calls in a log that ask a model for a small decision: what they cost, and whether a classifier would do."""
    from gateway.config.prices import load_prices
    from gateway.discover import finding

    limit = inputs.parsed(_share, bound, "--bound")
    length = inputs.parsed(parse_duration, period, "--period") if period else None
    if group and write is None:
        raise typer.BadParameter("says which groups to write; name a folder with --write", param_hint="--group")
    log = _read(source)
    prices = load_prices()
    with progress_bar() as advance:
        found = finding.findings(
            log.calls, prices, Path("models"), bound=limit, period=length, progress=stderr().print, advance=advance
        )
    groups = [finding.as_dict(number, one) for number, one in enumerate(found, 1)]
    if not json:
        # before anything is written, for it says why nothing can be
        result(groups, _shown(groups, limit, top), as_json=False)
    written = _write(write, found, group, log) if write else None
    if json:
        counts = {"calls": len(log.calls), "skipped": dict(log.skipped), "problems": list(log.problems)}
        print_json({**counts, "prices_as_of": prices.as_of, "groups": groups, "written": written})
    elif written:
        lines = (f"wrote {file}" for file in written["files"])
        result(written, [*lines, *written["notes"], "\nNext:", *(f"  {one}" for one in written["next"])], as_json=False)


def _shown(groups: Sequence[Mapping[str, Any]], bound: float, top: int) -> Iterator[str | Table]:
    """A table of the first groups, at least one, and lines for what it has no room for. bound: a share."""
    from gateway.discover.finding import cells, heads, lines

    number, name, *figures = heads(groups)
    columns: list[str | Column] = [number, name, *(Column(one, justify="right", no_wrap=True) for one in figures)]
    title = f"Calls by template; saved at up to {bound * 100:.3g} % disagreement"
    yield table(title, columns, map(cells, groups[:top]))
    for group in groups[:top]:
        yield from (f"{group['group']}. {quoted(line)}" for line in lines(group, bound))
    if len(groups) > top:
        yield f"and {len(groups) - top} more groups (--top)"


def _write(folder: Path, findings: Sequence["Finding"], numbers: Sequence[int] | None, log: "Log") -> dict[str, Any]:
    from gateway.discover.draft import GATEWAY, draft, gateway, write
    from gateway.protocols.wire import system_text

    chosen = _chosen(findings, numbers)
    drafts = [draft(finding) for finding in chosen]
    systems = list(dict.fromkeys(system_text(call.turns) for call in log.calls))
    rules = gateway(chosen, systems, models_dir=_models_dir(folder / GATEWAY))
    try:
        written = write(folder, drafts, rules)
    except FileExistsError as error:
        raise fail(str(error), Exit.USAGE) from error
    rules_file, policies = str(written.gateway), [str(file) for file in written.policies]
    commands = (("check", rules_file, *policies), ("train", *policies), ("serve", rules_file))
    divided = "inputs that got different answers equally often are left out"
    notes = [f"{draft.name}: {draft.divided} {divided}" for draft in drafts if draft.divided]
    notes += [f"{draft.name}: {', '.join(draft.reserved)} became `other`" for draft in drafts if draft.reserved]
    if written.gateway.name != GATEWAY:
        notes.append(f"{folder / GATEWAY} is there already: copy the rules of {written.gateway} into it")
    return {
        "files": [str(file) for file in written.files],
        "notes": notes,
        "next": [shlex.join(["offramp", *command]) for command in commands],
    }


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


def _models_dir(gateway: Path) -> str:
    from gateway.config.problems import ConfigError

    try:
        return inputs.gateway(gateway).settings.models_dir
    except ConfigError:
        return "../models"


def _read(source: Sequence[Path]) -> "Log":
    """All sources as one log: exported files, and ledgers, by their own file or the gateway's. Prints what was skipped;
    ends the command where no call is left."""
    from gateway.discover.calls import Log, is_ledger, read_ledger
    from gateway.discover.logs import read_files
    from gateway.ledger.store import LedgerError

    log = Log()
    files: dict[Path, Path] = {}
    for file in chain.from_iterable(map(_files, source)):
        # each once, by the first of its names
        files.setdefault(file.resolve(), file)
    ledgers = [file for file in files.values() if is_ledger(file)]
    with progress_bar() as advance:

        def read(done: int) -> None:
            advance("records", done, None)

        try:
            for ledger in ledgers:
                read_ledger(ledger, log, read)
        except LedgerError as error:
            raise fail(str(error), Exit.USAGE) from error
        read_files([file for file in files.values() if file not in ledgers], log, read)
    for problem in log.problems[:_SHOWN_PROBLEMS]:
        stderr().print(quoted(problem), style="red", soft_wrap=True)
    if len(log.problems) > _SHOWN_PROBLEMS:
        stderr().print(f"… and {len(log.problems) - _SHOWN_PROBLEMS} more that cannot be read", style="red")
    for reason, count in log.skipped.most_common():
        stderr().print(f"{count:,} skipped: {reason}", soft_wrap=True)
    if not log.calls:
        raise fail("no chat call with its answer could be read", Exit.USAGE)
    return log


def _files(path: Path) -> list[Path]:
    """The files of one source. Raises typer.Exit where there is none, and ConfigError."""
    if path.is_dir():
        inside = sorted(file for file in path.rglob("*") if file.suffix in (".jsonl", ".json") and file.is_file())
        if not inside:
            raise fail(f"{path}: holds no .jsonl or .json file", Exit.USAGE)
        return inside
    if not path.is_file():
        raise fail(f"{path}: there is no such file", Exit.USAGE)
    return [_ledger_of(path)] if path.suffix in (".yaml", ".yml") else [path]


def _ledger_of(gateway: Path) -> Path:
    """The ledger of a gateway's file. Raises ConfigError."""

    loaded = inputs.gateway(gateway)
    if not loaded.settings.content.calls:
        mend = "content: {keep: 30d, calls: true} keeps them"
        note = f"{gateway}: keeps no calls, so only those of earlier settings are found; {mend}"
        stderr().print(note, style="yellow", soft_wrap=True)
    if not loaded.ledger.is_file():
        raise fail(f"{gateway}: there is no ledger at {loaded.ledger} yet", Exit.USAGE)
    return loaded.ledger


def _share(text: str) -> float:
    share = parse_share(text)
    if not 0 < share < 1:
        raise ValueError("must be between 0 and 100 %")
    return share
