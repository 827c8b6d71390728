"""`offramp check`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import Exit, Json, print_json, stderr, stdout


def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Gateway and policy files.")] = None,
    json: Json = False,
) -> None:
    """Check gateway and policy files: all that is wrong, at once, with its place."""
    from gateway.config.problems import ConfigError, Problem

    chosen = files or [Path("config/gateway.yaml"), *sorted(Path("config/policies").glob("*.yaml"))]
    problems: list[Problem] = []
    notes: list[str] = []
    for file in chosen:
        try:
            notes += _check_one(file)
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
            }
        )
    else:
        for problem in problems:
            stderr().print(str(problem), style="red", markup=False, soft_wrap=True)
        for note in notes:
            stderr().print(note, style="yellow", markup=False, soft_wrap=True)
        if not problems:
            stdout().print(f"{len(chosen)} {'file' if len(chosen) == 1 else 'files'}, nothing wrong", markup=False)
    if problems:
        raise typer.Exit(Exit.USAGE)


def _check_one(file: Path) -> list[str]:
    """What could not be checked. Raises ConfigError. A gateway file's rules are held against the policies beside it."""
    from gateway.config import source
    from gateway.config.load import load_gateway, load_policy, rule_problems
    from gateway.config.problems import ConfigError

    data = source.read(file, os.environ).data
    if isinstance(data, dict) and "kind" in data:
        load_policy(file, os.environ)
        return []
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
    return [
        str(loaded.document.problem(("rules", index, "classifier"), _unread(rule.classifier, where)))
        for index, rule in enumerate(loaded.settings.rules)
        if rule.classifier not in policies
    ]


def _unread(name: str, where: Path) -> str:
    return f"no policy named {name} can be read in {where}; the rule's labels were not checked"
