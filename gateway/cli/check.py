"""`offramp check`."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Exit, Json, print_json, print_lines, stderr, stdout
from gateway.config.problems import ConfigError, Problem, did_you_mean
from gateway.config.source import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from classifiers.policy import Policy
    from gateway.cli.forecast import ForecastLine
    from gateway.config.load import Loaded


@dataclass(slots=True)
class _CheckResult:
    """The problems and forecasts of the files so far. named: the file of each policy, by its name."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    contracts: "list[ForecastLine]" = field(default_factory=list)
    judges: "list[ForecastLine]" = field(default_factory=list)
    named: dict[str, Path] = field(default_factory=dict)


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
    failed = bool(result.problems or (strict and result.notes))
    if json:
        _print_json(chosen, result)
    else:
        _print(chosen, result, failed=failed)
    if failed:
        raise typer.Exit(Exit.USAGE)


def _print_json(files: list[Path], result: _CheckResult) -> None:
    print_json(
        {
            "files": [str(file) for file in files],
            "problems": [
                {
                    "file": problem.file,
                    "line": problem.mark.line if problem.mark else None,
                    "column": problem.mark.column if problem.mark else None,
                    "path": list(problem.path),
                    "message": problem.message,
                }
                for problem in result.problems
            ],
            "notes": result.notes,
            "contracts": [forecast.data for forecast in result.contracts],
            "judges": [forecast.data for forecast in result.judges],
        }
    )


def _print(files: list[Path], result: _CheckResult, *, failed: bool) -> None:
    from classifiers.report.markup import counted

    for problem in result.problems:
        stderr().print(str(problem), style="red", soft_wrap=True)
    for note in result.notes:
        stderr().print(note, style="yellow", soft_wrap=True)
    counts = [
        counted(len(files), "file"),
        counted(len(result.problems), "problem") if failed else "nothing wrong",
        *([counted(len(result.notes), "note")] if result.notes else []),
    ]
    (stderr() if failed else stdout()).print(", ".join(counts))
    print_lines(forecast.line for forecast in (*result.contracts, *result.judges))


def _expect(loaded: "Loaded", notes: list[str]) -> "list[ForecastLine]":
    """The forecasts of a file's contracts. A reason why there are none becomes a note."""
    from classifiers.errors import ArtifactError
    from gateway.cli.forecast import outlooks, safety_outlooks
    from gateway.ledger.store import LedgerError

    try:
        return [*outlooks(loaded), *safety_outlooks(loaded)]
    except (LedgerError, ArtifactError) as error:
        notes.append(f"what to expect of the contracts cannot be told: {error}")
        return []


def _data(file: Path) -> Any:
    """The parsed file; an empty mapping where it is not YAML, which the checks report."""
    try:
        return read(file, os.environ).data
    except ConfigError:
        return {}


def _is_policy(file: Path) -> bool:
    """Whether a file is a policy, by its keys or else by its folder."""
    data = _data(file)
    if not isinstance(data, dict) or "upstreams" in data:
        return False
    return bool({"kind", "about", "labels", "slots"} & data.keys()) or file.parent.name == "policies"


def _check_policy(file: Path, result: _CheckResult) -> None:
    """Checks a policy and its rows. Raises ConfigError."""
    from gateway.config.load import lacking_secrets, load_policy
    from gateway.config.policy_checks import policy_notes

    policy = load_policy(file, os.environ, secrets=False)
    document = read(file, os.environ)
    result.notes += [f"{problem}; to train, it must be" for problem in lacking_secrets(document)]
    problems = [document.problem((key,), line) for key, line in _row_problems(policy, file.parent)]
    first = result.named.setdefault(policy.name, file)
    if first != file:
        problems.append(document.problem(("name",), f"{policy.name} is the name of {first}, too"))
    notes = [*policy_notes(policy)]
    for path, what, done_without in _lacking_weights(policy, file.parent):
        if done_without:
            notes.append((path, what))
        else:
            problems.append(document.problem(path, what))
    result.notes += [str(document.problem(path, what)) for path, what in notes]
    if problems:
        raise ConfigError(problems)


def _lacking_weights(policy: "Policy", folder: Path) -> "Iterator[tuple[tuple[str], str, bool]]":
    """Encoders that training cannot load: (the key, what is wrong, whether training or another machine does without,
    so that it is only a note)."""
    from classifiers.errors import EncoderError, NotInstalledError
    from classifiers.training.fit.weights import look, needed

    for key, source in needed(policy):
        try:
            look(source, folder)
        except NotInstalledError as error:
            yield (key,), f"{error}; training would {'do without it' if policy.larger_encoder else 'stop'}", True
        except EncoderError as error:
            yield (key,), str(error), False


def _row_problems(policy: "Policy", folder: Path) -> "Iterator[tuple[str, str]]":
    """Rows that training cannot read: (the key that names the file, what is wrong)."""
    from classifiers.errors import TrainingError
    from classifiers.training.data import read_rows
    from classifiers.training.write import sentences

    try:
        read_rows(policy, [folder / name for name in policy.data])
    except TrainingError as error:
        yield from (("data", line) for line in str(error).splitlines())
    for teacher in policy.teachers:
        try:
            sentences.read(policy, teacher, folder)
        except TrainingError as error:
            yield from (("teacher", line) for line in str(error).splitlines())


def _check_gateway(file: Path, checked: list[Path], result: _CheckResult) -> None:
    """Checks a gateway file, its prices, and its rules against the policies next to it and among the checked files.

    Raises ConfigError.
    """
    from gateway.cli.judges import costs
    from gateway.config.load import gateway_notes, load_gateway
    from gateway.config.settings import LiteLLMSettings
    from gateway.ledger.prices import load_prices
    from gateway.serving.snapshot import rule_problems
    from gateway.upstreams.litellm import lacking

    loaded = load_gateway(file, os.environ, secrets=False)
    load_prices(loaded.prices, os.environ)
    policies, unreadable = _policies(file.parent / "policies", checked)
    result.notes += [f"{problem}; to serve, it must be" for problem in loaded.lacking]
    result.notes += [str(loaded.document.problem(path, what)) for path, what in gateway_notes(loaded.settings)]
    for name, upstream in loaded.settings.upstreams.items():
        if isinstance(upstream, LiteLLMSettings) and (why := lacking()):
            what = f"{why}; until then its calls fail"
            result.notes.append(str(loaded.document.problem(("upstreams", name, "kind"), what)))
    unknown, unchecked = _without_policy(loaded, policies, unreadable)
    result.notes += map(str, unchecked)
    problems = [*rule_problems(loaded, policies), *unknown]
    if problems:
        raise ConfigError(problems)
    result.contracts += _expect(loaded, result.notes)
    result.judges += costs(loaded, policies)


def _policies(folder: Path, checked: list[Path]) -> "tuple[dict[str, Policy], set[str]]":
    """The policies of a folder and among the checked files, by name; and the names of wrong ones, whose problems are
    reported when they are checked."""
    from gateway.config.load import load_policy

    policies: dict[str, Policy] = {}
    unreadable = set()
    for path in (*(path for path in checked if _is_policy(path)), *sorted(folder.glob("*.yaml"))):
        try:
            policy = load_policy(path, os.environ, secrets=False)
        except ConfigError:
            data = _data(path)
            unreadable.add(str(data.get("name", path.stem)) if isinstance(data, dict) else path.stem)
        else:
            policies[policy.name] = policy
    return policies, unreadable


def _without_policy(
    loaded: "Loaded", policies: "Mapping[str, Policy]", unreadable: set[str]
) -> tuple[list[Problem], list[Problem]]:
    """Rules without a policy: those whose classifier is unknown, and those whose labels could not be checked, because
    the policy is wrong or only the trained classifier is there."""
    from classifiers.model.registry import Registry
    from gateway.config.load import policy_file

    trained = Registry(loaded.models_dir).names()
    unknown, unchecked = [], []
    for index, rule in enumerate(loaded.settings.rules):
        name, path = rule.classifier, ("rules", index, "classifier")
        if name in policies:
            continue
        file = policy_file(loaded, name)
        if name in unreadable or name in trained:
            what = f"no policy named {name} can be read in {file.parent}; the rule's labels were not checked"
            unchecked.append(loaded.document.problem(path, what))
        else:
            what = (
                f"no policy is named {name}, and no trained classifier in {loaded.models_dir}; "
                f"write {file}, or name another{did_you_mean(name, {*policies, *unreadable, *trained})}"
            )
            unknown.append(loaded.document.problem(path, what))
    return unknown, unchecked
