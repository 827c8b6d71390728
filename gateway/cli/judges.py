"""The cost of rules' judges, for `offramp check`."""

import os
from collections.abc import Iterator, Mapping
from typing import Final

from classifiers.judge_prompt import instructions
from classifiers.policy import Policy
from gateway.cli.forecast import ForecastLine
from gateway.cli.output import fields
from gateway.config.load import Loaded
from gateway.config.rules import AskJudge
from gateway.ledger.prices import load_prices

_BYTES_A_TOKEN: Final = 4
_ANSWER: Final = 12
"""Tokens of `{"labels": ["self_harm"]}`."""


def costs(loaded: Loaded, policies: Mapping[str, Policy]) -> Iterator[ForecastLine]:
    """For each rule with a judge whose policy is at hand, what a thousand questions cost beside the texts themselves;
    under a contract, how many are needed. Raises ConfigError where the prices cannot be read."""
    rules = [(rule, rule.when_unsure) for rule in loaded.settings.rules if isinstance(rule.when_unsure, AskJudge)]
    prices = load_prices(loaded.prices, os.environ) if rules else None
    for rule, ask in rules:
        policy = policies.get(rule.classifier)
        if policy is None or prices is None:
            continue
        route = loaded.settings.models[ask.ask]
        model = route.model or ask.ask
        tokens = 0 if route.endpoint == "moderations" else len(instructions(policy).encode()) // _BYTES_A_TOKEN
        price = prices.find(model)
        answer = _ANSWER if route.endpoint == "chat" else 0
        usd = None if price is None else 1000 * price.cost(input_tokens=tokens, output_tokens=answer)
        terms = rule.contract and fields(rule.contract, "max_missed", "max_false_alarms", "confidence")
        what = "about every call until it is certified." if terms else "what its classifier is unsure of."
        cost = (
            "It has no price in the price file, so what it costs is in no figure."
            if usd is None
            else f"A thousand questions cost about ${usd:.2f} and their texts' tokens "
            f"(instructions of {tokens:,} tokens)."
        )
        yield ForecastLine(
            line=f"rule {rule.name} asks {ask.ask} ({model}) {what} {cost}",
            data={
                "rule": rule.name,
                "judge": model,
                "instruction_tokens": tokens,
                "usd_a_thousand": usd,
                "contract": terms,
            },
        )
