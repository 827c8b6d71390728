"""python -m benchmarks.answers: what the starter answers that it must not, through a real gateway.

Every request is a task about a message, or one that the rule was not written for; an answer made here is wrong. With
--apart the kinds of task that were kept apart are measured, too.
"""

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import aiohttp

from benchmarks.answers import typos
from benchmarks.answers.misuse import Body, Prompts, encoded, requests
from benchmarks.gateway.processes import gateway
from benchmarks.machine import machine
from classifiers.evaluation.metrics import wilson
from gateway.config.load import load_policy

HERE = Path(__file__).parent
CONFIG = HERE.parents[1] / "config"
RESULTS = HERE.parent / "results" / "answers.md"
MODEL = "gpt-4o-mini"
AT_ONCE = 8


def main() -> None:
    """Trains the starter, serves it, and counts what it decides."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, help="folder of trained models; what is there already is kept")
    parser.add_argument("--apart", action="store_true", help="measure the kinds kept apart as well")
    parser.add_argument("--show", type=int, default=0, help="print so many of the wrong answers")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    files = {"worked on": HERE / "misuse.yaml"}
    if options.apart:
        files["kept apart"] = HERE / "kept_apart.yaml"
    with tempfile.TemporaryDirectory() as scratch:
        config = _starter(Path(scratch), options.models)
        command = "python -m benchmarks.answers" + " --apart" * options.apart
        lines = ["# Answers to what was not asked", "", f"Made by `{command}` on {machine()}.", ""]
        lines += ["How many calls of a rule's own task are still answered: [value.md](value.md).", ""]
        lines += _typos(options.models or Path(scratch, "models"))
        with gateway(config) as (_, _, address):
            for name, file in files.items():
                rows = list(requests(Prompts.read(file)))
                decided = asyncio.run(_ask(address, [body for _, body in rows]))
                lines += _table(name, [group for group, _ in rows], decided)
                _show(rows, decided, options.show)
    text = "\n".join(lines)
    print(text)
    options.output.write_text(text, "utf-8")


def _starter(scratch: Path, models: Path | None) -> Path:
    """A copy of the shipped starter with its classifiers trained, its upstream the built-in echo."""
    shutil.copytree(CONFIG, scratch / "config")
    folder = (models or scratch / "models").resolve()
    file = scratch / "config/gateway.yaml"
    file.write_text(file.read_text("utf-8").replace("models_dir: ../models", f"models_dir: {folder}"), "utf-8")
    missing = [name for name in ("support-safety", "shop-intents") if not (folder / name).exists()]
    policies = [str(scratch / f"config/policies/{name}.yaml") for name in missing]
    if policies:
        command = [sys.executable, "-m", "gateway", "train", *policies, "--models", str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OPENAI_API_KEY": ""})
    return file


def _typos(models: Path) -> Iterator[str]:
    yield "## Own examples with typos"
    yield ""
    yield "| policy | typos | texts | right | wrong | of these `other` |"
    yield "| --- | --- | --- | --- | --- | --- |"
    yield from typos.lines(load_policy(CONFIG / "policies/shop-intents.yaml", {}), models)
    yield ""


async def _ask(address: str, bodies: list[Body]) -> list[str]:
    """What the gateway decides of each request."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def decision(session: aiohttp.ClientSession, body: Body) -> str:
        async with (
            turns,
            session.post(
                f"{address}/v1/chat/completions",
                data=encoded(body, MODEL),
                headers={"content-type": "application/json"},
            ) as answer,
        ):
            await answer.read()
            return answer.headers.get("x-offramp-decision", f"status {answer.status}")

    async with aiohttp.ClientSession() as session:
        return list(await asyncio.gather(*(decision(session, body) for body in bodies)))


def _table(name: str, groups: list[str], decided: list[str]) -> Iterator[str]:
    yield f"## Prompts {name}"
    yield ""
    yield "| group | requests | answered here, wrongly | 95 % interval | blocked |"
    yield "| --- | --- | --- | --- | --- |"
    tops = dict.fromkeys(group.partition(":")[0] for group in groups)
    for group in dict.fromkeys([*tops, *(group for group in groups if ":" in group)]):
        chosen = [
            what for own, what in zip(groups, decided, strict=True) if own == group or own.startswith(f"{group}:")
        ]
        counts = Counter(chosen)
        wrong, blocked = counts["answer"], counts["block"]
        low, high = wilson(wrong, len(chosen))
        yield (
            f"| {group} | {len(chosen)} | {wrong} ({wrong / len(chosen):.2%}) | {low:.2%} to {high:.2%} "
            f"| {blocked} ({blocked / len(chosen):.2%}) |"
        )
    yield ""


def _show(rows: Iterable[tuple[str, Body]], decided: Iterable[str], most: int) -> None:
    wrong = [(group, body) for (group, body), what in zip(rows, decided, strict=True) if what == "answer"]
    for group, body in wrong[:most]:
        print(f"{group}: {body['messages'][-1]['content']!r}", file=sys.stderr)


if __name__ == "__main__":
    main()
