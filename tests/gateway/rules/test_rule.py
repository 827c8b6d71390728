from collections.abc import Callable

import pytest

from gateway.requests.parse import parse_chat
from gateway.rules.rule import Rule, matching

USER = b'{"role":"user","content":"hi"}'
REQUEST = parse_chat(
    b'{"model":"m","messages":[{"role":"system","content":"Classify the support ticket.\\nBe brief."},' + USER + b"]}"
)


@pytest.mark.parametrize(
    ("settings", "met"),
    [
        ({}, True),
        ({"models": ("m", "n")}, True),
        ({"models": ("n",)}, False),
        ({"models": ("M",)}, False),
        ({"system_glob": "Classify the support ticket*"}, True),
        ({"system_glob": "classify*"}, False),
        ({"system_glob": "Classify"}, False),
        ({"system_glob": "*brief."}, True),
        ({"models": ("m",), "system_glob": "*hi*"}, False),
        ({"models": ("n",), "system_glob": "*"}, False),
    ],
)
def test_all_that_is_given_must_hold(make_rule: Callable[..., Rule], settings: dict[str, object], met: bool) -> None:
    rule = make_rule(**settings)
    assert matching([rule], REQUEST) == ([rule] if met else [])
