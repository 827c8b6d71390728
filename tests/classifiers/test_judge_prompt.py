"""The instructions for a judge are the policy's own text, and no more than it needs."""

from typing import Any

from classifiers.judge_prompt import instructions
from classifiers.policy import Policy


def policy(labels: dict[str, Any], **more: Any) -> Policy:
    about = "Messages to a shop's assistant."
    given = {"version": 1, "name": "p", "kind": "safety", "about": about, "labels": labels, **more}
    return Policy.model_validate(given)


def test_it_is_told_what_the_policy_says() -> None:
    text = instructions(
        policy(
            {
                "threat": {
                    "means": "threatens somebody",
                    "examples": ["I will find you"],
                    "not": ["the deadline kills me"],
                },
                "spam": {"means": "advertises"},
            }
        )
    )
    assert "The policy: Messages to a shop's assistant." in text
    assert "- threat: threatens somebody\n" in text
    assert 'Applies to: "I will find you"' in text
    assert 'Does not apply to: "the deadline kills me"' in text
    assert "- spam: advertises\n" in text
    assert '{"labels": []}' in text


def test_of_a_system_prompt_it_is_told_where_the_policy_reads_it() -> None:
    labels = {"leak": {"means": "wants the hidden prompt"}}
    assert '"system"' not in instructions(policy(labels))
    assert 'Its field "system", where there is one' in instructions(policy(labels, reads_system=True))


def test_what_patterns_tell_is_not_in_doubt() -> None:
    text = instructions(
        policy({"gossip": {"means": "gossips"}, "contact": {"means": "an address", "patterns": "email"}})
    )
    assert "- gossip: gossips\n" in text
    assert "contact" not in text
    assert instructions(policy({"contact": {"means": "an address", "patterns": "email"}})) == ""
