"""`offramp init`."""

import os
import shlex
import shutil
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import Exit, Json, fail, print_json, stdout


class StarterTemplate(StrEnum):
    """What to start from."""

    SUPPORT = "support"
    GUARD = "guard"
    PROXY = "proxy"


def init(
    folder: Annotated[Path, typer.Argument(help="Where config/ is made.")] = Path(),
    template: Annotated[
        StarterTemplate,
        typer.Option(help="support: a safety filter and an intent router; guard: filters alone; proxy: no rules."),
    ] = StarterTemplate.SUPPORT,
    json: Json = False,
) -> None:
    """Write a starter gateway.yaml with its policies. Files that are there already are left as they are."""
    from gateway.config.load import load_gateway
    from gateway.config.settings import shipped_dir

    source, target = shipped_dir(), folder / "config"
    written: list[Path] = []
    if (target / "gateway.yaml").exists():
        raise fail(f"{target / 'gateway.yaml'} is there already; nothing was written", Exit.USAGE)
    gateway_file = source / ("gateway.yaml" if template is StarterTemplate.SUPPORT else f"templates/{template}.yaml")
    copies: dict[Path, Path] = {}
    parts = {
        StarterTemplate.SUPPORT: ("policies", "replies"),
        StarterTemplate.GUARD: ("policies",),
        StarterTemplate.PROXY: (),
    }[template]
    for part in (*parts, "schema"):
        for file in sorted((source / part).rglob("*")):
            if file.is_file():
                copies[file] = target / file.relative_to(source)
    # last: what could not be written is then written by the next try, which ends where this file is there
    copies[gateway_file] = target / "gateway.yaml"
    for file, to in copies.items():
        if not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)
            written.append(to)
    rules = load_gateway(target / "gateway.yaml", os.environ).settings.rules
    policies = [str(target / "policies" / f"{name}.yaml") for name in dict.fromkeys(rule.classifier for rule in rules)]
    following = [shlex.join(["offramp", "train", *policies])] if policies else []
    following.append(shlex.join(["offramp", "serve", str(target / "gateway.yaml")]))
    if json:
        print_json({"written": [str(path) for path in written], "next": following})
        return
    for path in written:
        stdout().print(f"wrote {path}")
    stdout().print("\nNext:\n  " + "\n  ".join(following), soft_wrap=True)
