"""Writes the shipped prices from litellm's price table (MIT): python -m benchmarks.litellm_prices --as-of DATE.

Prices of text tokens, of models for chats, completions, embeddings and moderations. A price of 0 stands there for an
unknown one, but of moderations, which are free. Left out are batches, and models that price reasoning apart.
"""

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, Final

from gateway.config.settings import shipped_dir

_MODES: Final = frozenset({"chat", "responses", "completion", "embedding", "moderation"})
_MAKERS: Final = ("xai", "deepseek", "mistral", "gemini", "moonshot", "zai", "dashscope", "minimax", "perplexity")
"""Their models are known by bare names too, as their own APIs call them; of one name, the first maker's."""
_KINDS: Final = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
}
_NEEDED: Final = {"input", "output"}
_COST: Final = re.compile(rf"({'|'.join(_KINDS)})(?:_above_(\d+)k_tokens)?(?:_(flex|priority|balanced|ultrafast))?")


def entry(model: Mapping[str, Any]) -> dict[str, Any] | None:
    """litellm's entry of a model as one of prices.json; None where it has no price."""
    mode, reasoning = model.get("mode"), model.get("output_cost_per_reasoning_token")
    if mode not in _MODES or reasoning not in (None, model.get("output_cost_per_token")):
        return None
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for tier, above, kind, usd in sorted(_costs(model), key=lambda cost: list(_KINDS.values()).index(cost[2])):
        found.setdefault((tier, above), {"output": 0.0} if mode == "embedding" else {})[kind] = round(usd * 1e6, 6)
    paid = {"moderation": set(), "embedding": {"input"}}.get(mode, {"output"})
    whole = {key: part for key, part in found.items() if part.keys() >= _NEEDED and all(part[kind] for kind in paid)}
    made = whole.get(("", 0))
    for (tier, above), part in sorted(whole.items()):
        if made is not None and tier and not above:
            made.setdefault("tiers", {})[tier] = part
        elif made is not None and above and (tier, 0) in whole:
            whole[tier, 0].setdefault("above", {})[str(above)] = part
    return made


def _costs(model: Mapping[str, Any]) -> Iterator[tuple[str, int, str, float]]:
    """(tier, above how many input tokens, kind, dollars a token) of each price."""
    for name, usd in model.items():
        if usd is not None and (parts := _COST.fullmatch(name)):
            yield parts[3] or "", int(parts[2] or 0) * 1000, _KINDS[parts[1]], usd
    for step in model.get("tiered_pricing", ()):
        for name in _KINDS.keys() & step.keys():
            if "range" in step:
                yield "", int(step["range"][0]), _KINDS[name], step[name]


def price_list(models: Mapping[str, Mapping[str, Any]], *, source: str, as_of: str) -> str:
    """The text of prices.json: one model a line."""
    made = {name: price for name, model in models.items() if (price := entry(model)) is not None}
    for maker in _MAKERS:
        own = [name for name in made if name.startswith(f"{maker}/") and name.count("/") == 1]
        made = {name.partition("/")[2]: made[name] for name in own} | made
    lines = [f"{json.dumps(name)}: {json.dumps(made[name])}" for name in sorted(made)]
    head = f'{{"version": 1, "as_of": {json.dumps(as_of)}, "source": {json.dumps(source)}, "models": {{\n'
    return head + ",\n".join(lines) + "\n}}\n"


def models_of(package: Distribution) -> dict[str, dict[str, Any]]:
    """The table that comes with an installed litellm."""
    file = Path(str(package.locate_file("litellm/model_prices_and_context_window_backup.json")))
    return dict(json.loads(file.read_text("utf-8")))


def main() -> None:
    """Writes prices.json from the litellm that is installed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--as-of", required=True, help="when these prices held, as 2026-11-25")
    as_of, package = parser.parse_args().as_of, distribution("litellm")
    table = f"the model price table (MIT) in the litellm {package.version} package from PyPI"
    text = price_list(models_of(package), source=f"{table}; dollars per million text tokens", as_of=as_of)
    (shipped_dir() / "prices.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
