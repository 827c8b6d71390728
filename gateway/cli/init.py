"""`offramp init`."""

import os
import re
import shlex
import shutil
import sys
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import Exit, Json, fail, result


class StarterTemplate(StrEnum):
    """What to start from."""

    SUPPORT = "support"
    GUARD = "guard"
    PROXY = "proxy"


_OWN_PROMPT = '"You are the support assistant of an online shop.*"'
"""As the starter has it."""
_SPECIAL = re.compile(r"[*?\[]")
_PARTS = {
    StarterTemplate.SUPPORT: ("policies", "replies", "schema"),
    StarterTemplate.GUARD: ("policies", "schema"),
    StarterTemplate.PROXY: ("schema",),
}


def init(
    folder: Annotated[Path, typer.Argument(help="Where config/ is made.")] = Path(),
    template: Annotated[
        StarterTemplate,
        typer.Option(help="support: a safety filter and an intent router; guard: filters alone; proxy: no rules."),
    ] = StarterTemplate.SUPPORT,
    system: Annotated[
        str | None,
        typer.Option(help="Your own system prompt, or its beginning, whose calls the starter may answer, too."),
    ] = None,
    json: Json = False,
) -> None:
    """Write a starter gateway.yaml with its policies. Files that are there already are left as they are."""
    from gateway.config.load import load_gateway
    from gateway.config.settings import shipped_dir

    source, target = shipped_dir(), folder / "config"
    gateway = target / "gateway.yaml"
    if gateway.exists():
        raise fail(f"{gateway} is there already; nothing was written", Exit.USAGE)
    if system is None and template is StarterTemplate.SUPPORT and sys.stdin.isatty() and not json:
        system = typer.prompt("Your own system prompt, or its beginning (empty: as the starter has it)", default="")
    parts = [file for part in _PARTS[template] for file in sorted((source / part).rglob("*")) if file.is_file()]
    copies = {target / file.relative_to(source): file for file in parts}
    # last: what could not be written is then written by the next try, which ends where this file is there
    copies[gateway] = source / ("gateway.yaml" if template is StarterTemplate.SUPPORT else f"templates/{template}.yaml")
    written = [to for to in copies if not to.exists()]
    for to in written:
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(copies[to], to)
    if system:
        gateway.write_text(
            gateway.read_text("utf-8").replace(_OWN_PROMPT, dumps(_SPECIAL.sub(r"[\g<0>]", system) + "*")), "utf-8"
        )
    rules = load_gateway(gateway, os.environ).settings.rules
    policies = [
        str(target / "policies" / f"{name}.yaml")
        for name in dict.fromkeys(name for rule in rules for _, name in rule.bindings)
    ]
    following = [shlex.join(["offramp", "train", *policies])] if policies else []
    following.append(shlex.join(["offramp", "serve", str(gateway)]))
    shown = (*(f"wrote {path}" for path in written), "\nNext:", *(f"  {command}" for command in following))
    result({"written": [str(path) for path in written], "next": following}, shown, as_json=json)
