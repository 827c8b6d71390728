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
_ANSWER_TOKENS: Final = 12
"""Of `{"labels": ["self_harm"]}`."""


def costs(loaded: Loaded, policies: Mapping[str, Policy]) -> Iterator[ForecastLine]:
    """For each rule with a judge whose policy is at hand, what a thousand questions cost beside the texts themselves;
    under a contract, how many are needed. Raises ConfigError where the prices cannot be read."""
    prices = load_prices(loaded.prices, os.environ)
    for rule in loaded.settings.rules:
        ask, policy = rule.when_unsure, policies.get(rule.classifier)
        if not isinstance(ask, AskJudge) or policy is None:
            continue
        route = loaded.settings.models[ask.ask]
        model = route.model or ask.ask
        tokens = 0 if route.endpoint == "moderations" else len(instructions(policy).encode()) // _BYTES_A_TOKEN
        price = prices.find(model)
        answer = _ANSWER_TOKENS if route.endpoint == "chat" else 0
        usd = None if price is None else 1000 * price.cost(input_tokens=tokens, output_tokens=answer)
        terms = rule.contract and fields(rule.contract, "max_missed", "max_false_alarms", "confidence")
        what = "about every call until it is certified" if terms else "what its classifier is unsure of"
        cost = "It has no known price"
        if usd is not None:
            cost = f"A thousand questions of {tokens:,} tokens cost about ${usd:.2f}, and their texts' tokens"
        yield ForecastLine(
            line=f"rule {rule.name} asks {ask.ask} ({model}) {what}. {cost}.",
            data={
                "rule": rule.name,
                "judge": model,
                "instruction_tokens": tokens,
                "usd_a_thousand": usd,
                "contract": terms,
            },
        )
