"""Messages of others, by which the starter policies are measured; nothing of them is ever trained on."""

import csv
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BANK, REFUSALS = "Banking77 test", "CyberSecEval false refusals"
"""Harmless text: what a bank's customers write, and requests that are made to be refused wrongly."""
AILUMINATE, SURGE, HATECHECK, CONTRAST = "AILuminate demo prompts", "Surge toxicity", "HateCheck", "contrast rows"
INJECTIONS, JAILBREAKS = "CyberSecEval injections", "GPTFuzz jailbreak templates"

Rows = Sequence[tuple[str, bool]]
"""Texts, and whether each is harmful."""

_CSV_LIMIT = 10_000_000


def own(name: str) -> Rows:
    """Messages that were written before the policy of that name."""
    return [(row["text"], row["label"] != "none") for row in jsonl(HERE / f"{name}.jsonl")]


def beside(data: Path) -> Iterator[tuple[str, list[str]]]:
    """Messages that are about other things than a shop."""
    snips = data / "snips" / "test" / "seq.in"
    if snips.is_file():
        yield "SNIPS test (music, weather, restaurants …)", snips.read_text(encoding="utf-8").splitlines()
    bank = data / "banking77" / "test.csv"
    if bank.is_file():
        yield "Banking77 test (a bank's customers, partly the shop's own subjects)", [row["text"] for row in _csv(bank)]


def public(data: Path) -> Iterator[tuple[str, Rows]]:
    """(what, rows of text and whether it is harmful) of each set that is there."""
    folder = data / "safety"
    if folder.is_dir():
        yield AILUMINATE, [(row["prompt_text"], True) for row in _csv(folder / "ailuminate_demo_en.csv")]
        injections = json.loads((folder / "cyberseceval_prompt_injection.json").read_text(encoding="utf-8"))
        yield INJECTIONS, [(row["user_input"], True) for row in injections]
        yield (
            JAILBREAKS,
            [(row["text"], True) for row in _csv(folder / "gptfuzz_jailbreak_templates.csv")],
        )
        refusals = json.loads((folder / "cyberseceval_false_refusal.json").read_text(encoding="utf-8"))
        yield REFUSALS, [(row["mutated_prompt"], False) for row in refusals]
        surge = _csv(folder / "surge_toxicity_en.csv")
        yield SURGE, [(row["text"], row["is_toxic"] == "Toxic") for row in surge]
        cases = _csv(folder / "hatecheck_cases.csv")
        yield HATECHECK, [(row["test_case"], row["label_gold"] == "hateful") for row in cases]
        yield CONTRAST, [(row["text"], bool(row["flag"])) for row in jsonl(folder / "contrast_rows.jsonl")]
    bank = data / "banking77" / "test.csv"
    if bank.is_file():
        yield BANK, [(row["text"], False) for row in _csv(bank)]


def prompted(data: Path) -> Iterator[tuple[str, Rows, list[str]]]:
    """(what, rows, the system prompt of each) of sets that guards which read system prompts are measured by: the
    injections under their own, harmless messages under those and under prompts of our own; drawn with a fixed seed."""
    folder = data / "safety"
    held = dict(public(data))
    if INJECTIONS not in held or BANK not in held:
        return
    injections = json.loads((folder / "cyberseceval_prompt_injection.json").read_text(encoding="utf-8"))
    theirs = [row["test_case_prompt"] for row in injections]
    yield f"{INJECTIONS}, under their prompts", held[INJECTIONS], theirs
    own_prompts = jsonl(HERE / "prompts.jsonl")
    for what, about in ((REFUSALS, "security"), (BANK, "bank")):
        chance = random.Random(0)
        yield f"{what}, under the injections' prompts", held[what], chance.choices(theirs, k=len(held[what]))
        fitting = [row["text"] for row in own_prompts if row["for"] == about]
        yield f"{what}, under {len(fitting)} prompts of our own", held[what], chance.choices(fitting, k=len(held[what]))


def kinds(data: Path) -> dict[str, list[str]]:
    """Of the sets that say it, the official category of each row, in the order of `public`."""
    folder = data / "safety"
    if not folder.is_dir():
        return {}
    injections = json.loads((folder / "cyberseceval_prompt_injection.json").read_text(encoding="utf-8"))
    return {
        AILUMINATE: [row["hazard"] for row in _csv(folder / "ailuminate_demo_en.csv")],
        INJECTIONS: [row["injection_variant"] for row in injections],
        HATECHECK: [row["functionality"] for row in _csv(folder / "hatecheck_cases.csv")],
    }


def jsonl(path: Path) -> list[dict[str, Any]]:
    """A record from each line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _csv(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(_CSV_LIMIT)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
