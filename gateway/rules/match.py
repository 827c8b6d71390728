"""Which rules a request meets."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from gateway.reading.roles import Turn, system_text
from gateway.rules.rule import Rule


def matching(rules: Sequence[Rule], model: str, turns: Sequence[Turn]) -> list[Rule]:
    """The rules whose `when` holds, in order."""
    return [rule for rule in rules if _matches(rule, model, turns)]


def _matches(rule: Rule, model: str, turns: Sequence[Turn]) -> bool:
    if rule.models and model not in rule.models:
        return False
    return rule.system_glob is None or fnmatchcase(system_text(turns), rule.system_glob)
