from collections.abc import Callable, Mapping

import pytest

from gateway.rules.rule import Act, Action, Rule
from gateway.spelling import Names


@pytest.fixture
def make_rule() -> Callable[..., Rule]:
    """make_rule(then={label: Act…}, unsure=…, unread=…, broken=…, …): a rule of the safety classifier."""

    def make(
        then: Mapping[str, Act] | None = None,
        *,
        name: str = "r",
        unsure: Act = Act.FORWARD,
        language: Act = Act.FORWARD,
        unread: Act = Act.BLOCK,
        broken: Act = Act.BLOCK,
        models: tuple[str, ...] = (),
        system_glob: str | None = None,
    ) -> Rule:
        return Rule(
            name=name,
            classifier="safe",
            models=frozenset(models),
            system_glob=system_glob,
            roles=frozenset({"user"}),
            last_turn=False,
            output=False,
            max_windows=8,
            then={label: Action(act=act, text=label) for label, act in (then or {}).items()},
            otherwise={
                "unsure": Action(act=unsure, text="unsure"),
                "language": Action(act=language, text="language"),
                "unread": Action(act=unread, text="unread"),
                "broken": Action(act=broken, text="broken"),
            },
            names=Names(()),
            template=None,
            taxonomy={},
        )

    return make
