"""The rules of the gateway's file and where their contracts stand; and rules that could be, by groups in kept calls."""

import os
import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from classifiers.errors import ClassifierError
from classifiers.report.markup import bars, percent
from gateway.config.load import load_gateway, load_policy, policy_file
from gateway.config.problems import ConfigError
from gateway.config.rules import Then
from gateway.console.data import ConsoleData, data_of, form
from gateway.console.render import at, page
from gateway.contracts.standing import HEADS, cells, details, set_paused, standings
from gateway.contracts.store import ContractStore
from gateway.discover import finding
from gateway.discover.calls import Log, read_ledger
from gateway.discover.draft import draft, gateway
from gateway.ledger.hours import DAY_S
from gateway.ledger.report import Figures, read
from gateway.ledger.store import LedgerError, NoLedger
from gateway.protocols.wire import system_text

_CONTRACTS: Final = 30
_GROUPS: Final = 20
_CALLS: Final = 4000
"""So many are shown, or looked through, at most: those of contracts and calls that are the latest."""
_BOUNDS: Final = {"1%": 0.01, "2%": 0.02, "5%": 0.05, "10%": 0.1}
_NICE: Final = 19


async def rules(request: Request) -> Response:
    """The page Rules. A posted rule's contracts are paused, or resumed."""
    data = data_of(request)
    if request.method == "POST":
        given = await form(request)
        paused = given.get("do") == "pause"
        try:
            await run_in_threadpool(set_paused, data.loaded, given.get("rule", ""), paused=paused)
        except ConfigError as error:
            raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error
        return RedirectResponse("/rules", HTTPStatus.SEE_OTHER)
    return await run_in_threadpool(_rules, request, data)


def _rules(request: Request, data: ConsoleData) -> Response:
    loaded, settings = data.loaded, data.loaded.settings.rules
    policies = dict.fromkeys(policy_file(loaded, name) for rule in settings for _, name in rule.bindings)
    files = [
        (loaded.file, _lines(loaded.file, load_gateway)),
        *((file, _lines(file, load_policy)) for file in policies),
    ]
    with closing(ContractStore(loaded.ledger, read_only=True)) as store:
        rows, paused = standings(store, data.routes.first, most=_CONTRACTS), store.paused()
        days = {row["key"]: store.days(row["key"]) for row in rows}
    return page(
        request,
        "rules.html.j2",
        rules=settings,
        lines=[loaded.document.mark(("rules", place)).line for place in range(len(settings))],
        does={rule.name: [(label, _does(then)) for label, then in rule.then.items()] for rule in settings},
        files=files,
        heads=HEADS[1:],
        contracts=[(row, [cells(row, one)[1:] for one in row["bounds"]], "\n".join(details(row))) for row in rows],
        days=days,
        charts={row["key"]: _charts(row, days[row["key"]]) for row in rows},
        paused=paused,
        spent=_spent(data),
        since=int(time.time() - 30 * DAY_S),
        most=_CONTRACTS,
        changed=data.changed,
    )


def _charts(row: Mapping[str, Any], days: Sequence[tuple[int, int, int, Sequence[float | None]]]) -> Sequence[Markup]:
    """Of a contract's days, the share of checks that are wrong, and each bound of what is decided here alone."""
    names = [at(day)[:10] for day, *_ in days]
    wrong = "Judge's verdicts, unsafe or missing" if len(row["bounds"]) > 1 else "Checked answers that differ"
    made = [bars(wrong, {name: bad / checks for name, (_, checks, bad, _) in zip(names, days, strict=True)}, percent)]
    for place, one in enumerate(row["bounds"]):
        stood = ((name, bounds[place] if bounds else None) for name, (*_, bounds) in zip(names, days, strict=True))
        course = {name: bound for name, bound in stood if bound is not None}
        made.append(bars(f"{cells(row, one)[2]}, at most, here alone", course, percent))
    return made


def _lines(file: Path, load: Callable[..., object]) -> list[str]:
    """A file's lines, or what is wrong with it: a secret that is written into it is refused, and so not shown."""
    try:
        load(file, os.environ, secrets=False)
        return file.read_text("utf-8-sig").splitlines()
    except (ConfigError, OSError) as error:
        return str(error).splitlines()


def _does(then: Then) -> str:
    """What is done for a label, as the file has it."""
    name, value = next((name, value) for name, value in then if value)
    return f"{name} {value}" if isinstance(value, str) and value != "true" else name


def _spent(data: ConsoleData) -> Mapping[str, Figures]:
    """Of each rule's calls in the last 30 days."""
    now = time.time()
    with suppress(NoLedger), data.ledger() as store:
        made = read(store, now - 30 * DAY_S, now + 1, prices=data.prices, routes=data.routes)
        return {line.name: line.figures for line in made.lines("rule")}
    return {}


@dataclass(slots=True)
class DiscoveryRun:
    """bound: the most disagreement, a key of _BOUNDS; step: what it does; calls: that were read; groups: each with its
    row of the table, its lines, and its drafts by file; problem: why it failed."""

    data: ConsoleData
    bound: str
    step: str = ""
    calls: int = 0
    left_out: Sequence[tuple[str, int]] = ()
    heads: Sequence[str] = ()
    groups: Sequence[tuple[Sequence[str], Sequence[str], Mapping[str, str]]] = ()
    problem: str = ""
    ended: bool = False

    def work(self) -> None:
        """All of it, at the lowest priority of this thread."""
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            self._find()
        except (ClassifierError, LedgerError, OSError) as error:
            self.problem = str(error)
        finally:
            self.ended = True

    def _find(self) -> None:
        log, loaded, bound = Log(), self.data.loaded, _BOUNDS[self.bound]
        read_ledger(loaded.ledger, log, lambda _: None, most=_CALLS)
        self.calls = len(log.calls)
        self.left_out = [*log.skipped.most_common(), *([("cannot be read", len(log.problems))] if log.problems else [])]
        if not log.calls:
            return
        found = finding.findings(
            log.calls, self.data.prices, loaded.models_dir, bound=bound, progress=self._at, advance=self._at
        )[:_GROUPS]
        groups = [finding.as_dict(number, one) for number, one in enumerate(found, 1)]
        self.heads = finding.heads(groups)
        self.groups = [
            (finding.cells(group), list(finding.lines(group, bound)), self._drafts(one, log))
            for group, one in zip(groups, found, strict=True)
        ]

    def _at(self, step: str, done: int = 0, total: int | None = None) -> None:
        self.step = f"{step} {done:,} of {total:,}" if total else step

    @property
    def command(self) -> str:
        """That writes drafts with their rows, of all kept calls."""
        file = self.data.loaded.file
        return shlex.join(["offramp", "discover", str(file), "--bound", self.bound, "--write", str(file.parent)])

    def _drafts(self, one: finding.Finding, log: Log) -> Mapping[str, str]:
        if one.obstacle is not None:
            return {}
        made, systems = draft(one), list(dict.fromkeys(system_text(call.turns) for call in log.calls))
        rule = gateway([one], systems, models_dir=self.data.loaded.settings.models_dir)
        return {f"policies/{made.name}.yaml": made.policy, "discovered.yaml": rule}


class Discoveries:
    """The run of this console: the one at work, or the last one."""

    def __init__(self) -> None:
        self._run: DiscoveryRun | None = None

    async def show(self, request: Request) -> Response:
        """The page Discover. A posted bound begins a run, unless one is at work."""
        data = data_of(request)
        if request.method == "POST":
            bound = (await form(request)).get("bound", "")
            if (self._run is None or self._run.ended) and bound in _BOUNDS:
                self._run = DiscoveryRun(data, bound)
                threading.Thread(target=self._run.work, daemon=True).start()
            return RedirectResponse("/discover", HTTPStatus.SEE_OTHER)
        kept = data.loaded.settings.content.calls
        return page(request, "discover.html.j2", run=self._run, bounds=_BOUNDS, most=_CALLS, kept=kept)
