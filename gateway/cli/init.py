"""`offramp init`."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.models import install
from gateway.cli.output import Exit, Json, fail, result


class StarterTemplate(StrEnum):
    """What to start from."""

    SUPPORT = "support"
    GUARD = "guard"
    PROXY = "proxy"


class GuardSize(StrEnum):
    """Which guard the support starter has."""

    SMALL = "small"
    LARGE = "large"


_OWN_PROMPT = '"You are the support assistant of an online shop."'
_BUILDS_ON = "builds_on: harm\n"
"""As the starter's policies have them."""
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
        str | None, typer.Option(help="Your own system prompt, word for word, whose calls the starter may answer, too.")
    ] = None,
    guard: Annotated[
        GuardSize,
        typer.Option(help="small: what comes with Offramp; large: a larger one behind it, brought by --from."),
    ] = GuardSize.SMALL,
    from_: Annotated[
        str | None, typer.Option("--from", help="The larger guard: a path, an address or hub:ORG/NAME.")
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="What the hash of --from must be, as export printed it.")] = None,
    json: Json = False,
) -> None:
    """Write a starter gateway.yaml with its policies. Files that are there already are left as they are."""
    from gateway.config.load import load_gateway

    target = folder / "config"
    gateway, edits = target / "gateway.yaml", dict[Path, tuple[str, str]]()
    if gateway.exists():
        raise fail(f"{gateway} is there already; nothing was written", Exit.USAGE)
    safety = target / "policies" / "support-safety.yaml"
    large = _larger_guard(guard, from_, template, safety)
    if system is None and template is StarterTemplate.SUPPORT and sys.stdin.isatty() and not json:
        system = typer.prompt("Your own system prompt, word for word (empty: as the starter has it)", default="")
    brought = install(large, folder / "models", sha256, guard=True) if large else None
    if brought:
        behind = f'{_BUILDS_ON}guard: {{model: "trained:{brought["name"]}", labels: {{jailbreak: null}}}}\n'
        edits[safety] = (_BUILDS_ON, behind)
    if system:
        edits[gateway] = (_OWN_PROMPT, dumps(_SPECIAL.sub(r"[\g<0>]", system)))
    written = _copy(template, target, edits)
    rules = load_gateway(gateway, os.environ).settings.rules
    names = dict.fromkeys(name for rule in rules for _, name in rule.bindings)
    policies = [str(target / "policies" / f"{name}.yaml") for name in names]
    following = [shlex.join(["offramp", "train", *policies])] if policies else []
    following.append(shlex.join(["offramp", "serve", str(gateway)]))
    imported = [f"{brought['name']} is at {brought['version']} in {folder / 'models'}"] if brought else []
    shown = (*(f"wrote {path}" for path in written), *imported, "\nNext:", *(f"  {command}" for command in following))
    made = {"written": [str(path) for path in written], "next": following} | ({"guard": brought} if brought else {})
    result(made, shown, as_json=json)


def _copy(template: StarterTemplate, target: Path, edits: Mapping[Path, tuple[str, str]]) -> list[Path]:
    """Write the template's files that are not there yet, and return them. edits: of a file, what replaces what."""
    from gateway.config.settings import shipped_dir

    source = shipped_dir()
    parts = [file for part in _PARTS[template] for file in sorted((source / part).rglob("*")) if file.is_file()]
    # a checkout's own console may have written texts there
    parts = [file for file in parts if not file.name.endswith(".reviewed.jsonl")]
    copies = {target / file.relative_to(source): file for file in parts}
    # last: what could not be written is then written by the next try, which ends where this file is there
    own = "gateway.yaml" if template is StarterTemplate.SUPPORT else f"templates/{template}.yaml"
    copies[target / "gateway.yaml"] = source / own
    written = [to for to in copies if not to.exists()]
    for to in written:
        to.parent.mkdir(parents=True, exist_ok=True)
        if to in edits:
            to.write_text(copies[to].read_text("utf-8").replace(*edits[to]), "utf-8")
        else:
            shutil.copyfile(copies[to], to)
    return written


def _larger_guard(guard: GuardSize, source: str | None, template: StarterTemplate, policy: Path) -> str | None:
    """Where the larger guard comes from; None where the small one is enough. policy: where its line is written."""
    if guard is GuardSize.SMALL and source is None:
        return None
    if template is not StarterTemplate.SUPPORT:
        raise fail("--guard large is for the template support", Exit.USAGE)
    if guard is GuardSize.SMALL or source is None:
        how = "offramp train harm.yaml --larger ENCODER, then offramp models export harm-large, make the file"
        raise fail(f"--guard large needs --from FILE, and the other way round; {how}", Exit.USAGE)
    # by an earlier try that was cut off it may have the line already
    if policy.exists() and "\nguard:" not in policy.read_text("utf-8"):
        raise fail(f"{policy} is there already; nothing was written", Exit.USAGE)
    return source
