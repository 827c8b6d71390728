"""`offramp check`."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Exit, Json, fields, print_json, stderr, stdout
from gateway.config.problems import ConfigError, Problem, did_you_mean
from gateway.config.source import read

if TYPE_CHECKING:
    from classifiers.policy import Policy
    from gateway.cli.forecast import ForecastLine
    from gateway.config.load import Loaded
    from gateway.config.source import DataPath

    Places = Iterator[tuple[DataPath, str]]
    """Settings by their path of keys, and what is wrong there."""


@dataclass(slots=True)
class _CheckResult:
    """The problems and forecasts of the files so far. named: the file of each policy, by its name; policy_notes: notes
    on each; used: the classifiers that rules bind, None where no gateway file is checked."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    contracts: "list[ForecastLine]" = field(default_factory=list)
    judges: "list[ForecastLine]" = field(default_factory=list)
    named: dict[str, Path] = field(default_factory=dict)
    policy_notes: dict[str, list[str]] = field(default_factory=dict)
    used: set[str] | None = None


def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Gateway and policy files.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where there are notes, too.")] = False,
    json: Json = False,
) -> None:
    """Check gateway and policy files, and the files that they name: what is wrong, with its place. Of contracts, how
    long they take."""

    chosen = files or [Path("config/gateway.yaml"), *sorted(Path("config/policies").glob("*.yaml"))]
    result = _CheckResult()
    for file in chosen:
        try:
            if _is_policy(file):
                _check_policy(file, result)
            else:
                _check_gateway(file, chosen, result)
        except ConfigError as error:
            result.problems.extend(error.problems)
    for name, notes in result.policy_notes.items():
        # a policy that no rule uses is trained by nobody but who asks for it, and training prints its notes
        result.notes += notes if result.used is None or name in result.used else []
    failed = bool(result.problems or (strict and result.notes))
    if json:
        _print_json(chosen, result)
    else:
        _print(len(chosen), result, failed=failed)
    if failed:
        raise typer.Exit(Exit.USAGE)


def _print_json(files: Sequence[Path], result: _CheckResult) -> None:
    nowhere = {"line": None, "column": None}
    problems = [
        {
            **fields(problem, "file", "message"),
            **(fields(problem.mark, *nowhere) if problem.mark else nowhere),
            "path": list(problem.path),
        }
        for problem in result.problems
    ]
    expected = {name: [one.data for one in getattr(result, name)] for name in ("contracts", "judges")}
    print_json({"files": [str(file) for file in files], "problems": problems, "notes": result.notes, **expected})


def _print(files: int, result: _CheckResult, *, failed: bool) -> None:
    from classifiers.report.markup import counted

    for problem in result.problems:
        stderr().print(str(problem), style="red", soft_wrap=True)
    for note in result.notes:
        stderr().print(note, style="yellow", soft_wrap=True)
    problems = counted(len(result.problems), "problem") if failed else "nothing wrong"
    notes = [counted(len(result.notes), "note")] if result.notes else []
    (stderr() if failed else stdout()).print(", ".join([counted(files, "file"), problems, *notes]))
    for forecast in (*result.contracts, *result.judges):
        stdout().print(forecast.line, soft_wrap=True)


def _data(file: Path) -> dict[str, Any]:
    """The keys of a file; none where it is no YAML mapping, which the checks report."""
    try:
        data = read(file, os.environ).data
    except ConfigError:
        return {}
    return data if isinstance(data, dict) else {}


def _is_policy(file: Path) -> bool:
    keys = _data(file).keys()
    known = {"kind", "about", "labels", "slots"} & keys
    return "upstreams" not in keys and bool(known or file.parent.name == "policies")


def _check_policy(file: Path, result: _CheckResult) -> None:
    """Checks a policy, its rows and its encoders. Raises ConfigError."""
    from gateway.config.load import lacking_secrets, load_policy
    from gateway.config.policy_checks import policy_notes

    policy = load_policy(file, os.environ, secrets=False)
    document = read(file, os.environ)
    places = list(_unreadable_rows(policy, file.parent))
    if (first := result.named.setdefault(policy.name, file)) != file:
        places.append((("name",), f"{policy.name} is the name of {first}, too"))
    notes = [*policy_notes(policy)]
    for key, what, needed in _lacking_weights(policy, file.parent):
        (places if needed else notes).append(((key,), what))
    lacking = [f"{problem}; to train, it must be" for problem in lacking_secrets(document)]
    result.policy_notes[policy.name] = [*lacking, *(str(document.problem(*note)) for note in notes)]
    if places:
        raise ConfigError(document.problem(*place) for place in places)


def _lacking_weights(policy: "Policy", folder: Path) -> Iterator[tuple[str, str, bool]]:
    """Encoders and guards that training cannot load: the key, what is wrong, and whether it is so on any machine."""
    from classifiers.encoder.guard import find_guard, is_elsewhere
    from classifiers.errors import EncoderError, NotInstalledError
    from classifiers.training.fit.weights import look, needed

    for key, source in needed(policy):
        try:
            look(source, folder)
        except NotInstalledError as error:
            yield key, f"{error}; training would {'do without it' if policy.larger_encoder else 'stop'}", False
        except EncoderError as error:
            yield key, str(error), True
    here = policy.guard and not is_elsewhere(policy.guard.model)
    if policy.guard and here and (lacking := find_guard(policy.guard.model, folder, folder).lacking):
        yield "guard", f"{lacking}; training would stop", False


def _unreadable_rows(policy: "Policy", folder: Path) -> "Places":
    """Rows of data and teachers that training cannot read, by the key that names their file."""
    from classifiers.errors import TrainingError
    from classifiers.training.data import files_of, read_rows
    from classifiers.training.write import sentences

    readings: list[tuple[str, Callable[[], object]]]
    readings = [("data", partial(read_rows, policy, files_of(policy, folder)))]
    readings += [("teacher", partial(sentences.read, policy, teacher, folder)) for teacher in policy.teachers]
    for key, reading in readings:
        try:
            reading()
        except TrainingError as error:
            yield from (((key,), line) for line in str(error).splitlines())


def _check_gateway(file: Path, checked: Sequence[Path], result: _CheckResult) -> None:
    """Checks a gateway file, its prices, and its rules against the policies next to it and among the checked files.

    Raises ConfigError.
    """
    from classifiers.errors import ArtifactError
    from gateway.cli.forecast import costs, outlooks
    from gateway.config.load import gateway_notes, load_gateway
    from gateway.config.prices import load_prices
    from gateway.ledger.store import LedgerError
    from gateway.serving.snapshot import rule_problems

    loaded = load_gateway(file, os.environ, secrets=False)
    load_prices(loaded.prices, os.environ)
    result.used = (result.used or set()) | {name for rule in loaded.settings.rules for _, name in rule.bindings}
    policies, unreadable = _policies(file.parent / "policies", checked)
    result.notes += [f"{problem}; to serve, it must be" for problem in loaded.lacking]
    notes = [*gateway_notes(loaded.settings), *_lacking_packages(loaded)]
    problems = [*rule_problems(loaded, policies)]
    for path, what, unknown in _without_policy(loaded, policies, unreadable):
        if unknown:
            problems.append(loaded.document.problem(path, what))
        else:
            notes.append((path, what))
    result.notes += [str(loaded.document.problem(*note)) for note in notes]
    if problems:
        raise ConfigError(problems)
    try:
        result.contracts += outlooks(loaded)
    except (LedgerError, ArtifactError) as error:
        result.notes.append(f"what to expect of the contracts cannot be told: {error}")
    result.judges += costs(loaded, policies)


def _lacking_packages(loaded: "Loaded") -> "Places":
    from gateway.config.settings import LiteLLMSettings
    from gateway.upstreams.litellm import lacking

    for name, upstream in loaded.settings.upstreams.items():
        if isinstance(upstream, LiteLLMSettings) and (why := lacking()):
            yield ("upstreams", name, "kind"), f"{why}; until then its calls fail"


def _policies(folder: Path, checked: Sequence[Path]) -> "tuple[dict[str, Policy], set[str]]":
    """The policies of a folder and among the checked files, by name; and the names of wrong ones."""
    from gateway.config.load import load_policy

    policies: dict[str, Policy] = {}
    unreadable = set()
    for path in (*filter(_is_policy, checked), *sorted(folder.glob("*.yaml"))):
        try:
            policy = load_policy(path, os.environ, secrets=False)
        except ConfigError:
            unreadable.add(str(_data(path).get("name", path.stem)))
        else:
            policies[policy.name] = policy
    return policies, unreadable


def _without_policy(
    loaded: "Loaded", policies: "Mapping[str, Policy]", unreadable: set[str]
) -> "Iterator[tuple[DataPath, str, bool]]":
    """Rules without a policy: their path of keys, what is wrong, and whether the classifier is unknown. It is known
    where the policy is wrong or only the trained classifier is there; then the rule's labels cannot be checked."""
    from classifiers.model.registry import Registry
    from gateway.config.load import policy_file

    trained = Registry(loaded.models_dir).names()
    bound = [(index, *binding) for index, rule in enumerate(loaded.settings.rules) for binding in rule.bindings]
    for index, place, name in bound:
        path: DataPath = ("rules", index, *place)
        file = policy_file(loaded, name)
        if name in policies:
            continue
        if name in unreadable or name in trained:
            what = f"no policy named {name} can be read in {file.parent}; the rule's labels were not checked"
            yield path, what, False
        else:
            near = did_you_mean(name, {*policies, *unreadable, *trained})
            what = f"no policy is named {name}, and no trained classifier in {loaded.models_dir}; "
            yield path, f"{what}write {file}, or name another{near}", True
