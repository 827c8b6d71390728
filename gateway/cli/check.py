"""`offramp check`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import Exit, Json, print_json, stderr, stdout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from classifiers.policy import Policy
    from gateway.cli.outlook import Told
    from gateway.config.load import Loaded


def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Gateway and policy files.")] = None,
    json: Json = False,
) -> None:
    """Check gateway and policy files: all that is wrong, at once, with its place. Of contracts, how long they take."""
    from gateway.config.problems import ConfigError, Problem

    chosen = files or [Path("config/gateway.yaml"), *sorted(Path("config/policies").glob("*.yaml"))]
    problems: list[Problem] = []
    notes: list[str] = []
    contracts: list[Told] = []
    judges: list[Told] = []
    for file in chosen:
        try:
            loaded, policies, unchecked = _check_one(file)
            notes += unchecked
            if loaded is not None:
                contracts += _expect(loaded, notes)
                judges += _ask(loaded, policies)
        except ConfigError as error:
            problems.extend(error.problems)
    if json:
        print_json(
            {
                "files": [str(file) for file in chosen],
                "problems": [
                    {
                        "file": problem.file,
                        "line": problem.mark.line if problem.mark else None,
                        "column": problem.mark.column if problem.mark else None,
                        "path": list(problem.path),
                        "message": problem.message,
                    }
                    for problem in problems
                ],
                "notes": notes,
                "contracts": [told.data for told in contracts],
                "judges": [told.data for told in judges],
            }
        )
    else:
        for problem in problems:
            stderr().print(str(problem), style="red", markup=False, soft_wrap=True)
        for note in notes:
            stderr().print(note, style="yellow", markup=False, soft_wrap=True)
        if not problems:
            stdout().print(f"{len(chosen)} {'file' if len(chosen) == 1 else 'files'}, nothing wrong", markup=False)
        for told in (*contracts, *judges):
            stdout().print(told.line, markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(Exit.USAGE)


def _expect(loaded: "Loaded", notes: list[str]) -> "list[Told]":
    """What is to be expected of a file's contracts; why that cannot be told becomes a note."""
    from classifiers.errors import ArtifactError
    from gateway.cli.outlook import outlooks
    from gateway.cli.safety_outlook import safety_outlooks
    from gateway.ledger.store import LedgerError

    try:
        return [*outlooks(loaded), *safety_outlooks(loaded)]
    except (LedgerError, ArtifactError) as error:
        notes.append(f"what to expect of the contracts cannot be told: {error}")
        return []


def _ask(loaded: "Loaded", policies: "Mapping[str, Policy]") -> "list[Told]":
    """What a file's judges cost. Raises ConfigError where its prices cannot be read."""
    from gateway.cli.judges import costs

    return list(costs(loaded, policies))


def _check_one(file: Path) -> tuple["Loaded | None", "Mapping[str, Policy]", list[str]]:
    """A gateway file, the policies beside it, against which its rules are held, and what of it could not be checked.

    Raises ConfigError.
    """
    from gateway.config import source
    from gateway.config.bound import rule_problems
    from gateway.config.load import load_gateway, load_policy
    from gateway.config.problems import ConfigError

    data = source.read(file, os.environ).data
    if isinstance(data, dict) and "kind" in data:
        load_policy(file, os.environ)
        return None, {}, []
    loaded = load_gateway(file, os.environ)
    policies = {}
    for path in sorted((file.parent / "policies").glob("*.yaml")):
        try:
            policy = load_policy(path, os.environ)
        except ConfigError:
            continue  # a policy that is wrong itself is reported when it is checked itself
        policies[policy.name] = policy
    problems = rule_problems(loaded, policies)
    if problems:
        raise ConfigError(problems)
    where = file.parent / "policies"
    return (
        loaded,
        policies,
        [
            str(loaded.document.problem(("rules", index, "classifier"), _unread(rule.classifier, where)))
            for index, rule in enumerate(loaded.settings.rules)
            if rule.classifier not in policies
        ],
    )


def _unread(name: str, where: Path) -> str:
    return f"no policy named {name} can be read in {where}; the rule's labels were not checked"
