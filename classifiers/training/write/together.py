"""Two labels in one text, out of examples of each: what a policy whose texts may have several labels is shown. Pure."""

import random
from collections.abc import Sequence
from dataclasses import replace

from classifiers.policy import Policy
from classifiers.training.rows import Row

JOINTS = ("{one}. {two}", "{one}, and {two}", "{one} and also {two}", "{one}\n{two}", "{one}. By the way, {two}")
_ENDS = "!?…"
_WEIGHT = 0.75


def together(policy: Policy, rows: Sequence[Row], chance: random.Random) -> tuple[list[Row], int]:
    """The rows, and texts of two labels each made of the policy's examples: both orders of each couple of examples.

    Each example is in one couple at most, which makes one group of the two and all that was made of them, so that no
    half of a text is measured on while the whole is trained on. Returns how many texts were added as well.
    """
    examples = [row for row in rows if row.source == "policy" and len(row.labels) == 1]
    chance.shuffle(examples)
    joined: list[Row] = []
    groups: dict[str, str] = {}
    while examples:
        one = examples.pop()
        place = next((n for n, two in enumerate(examples) if two.labels != one.labels), None)
        if place is None:
            continue
        two = examples.pop(place)
        group = f"{one.group} and {two.group}"
        groups |= {one.group: group, two.group: group}
        labels = tuple(label for label in policy.labels if label in {*one.labels, *two.labels})
        joined += [
            Row(text=text, labels=labels, group=group, source="builtin", weight=_WEIGHT)
            for text in (_said(one.text, two.text, chance), _said(two.text, one.text, chance))
        ]
    return [*(replace(row, group=groups.get(row.group, row.group)) for row in rows), *joined], len(joined)


def _said(one: str, two: str, chance: random.Random) -> str:
    """A mark that ends the first stays where a sentence ends there, and stands in for the joint's full stop."""
    joint, bare = chance.choice(JOINTS), one.rstrip(" .")
    if bare.endswith(tuple(_ENDS)):
        joint = joint.replace("{one}.", "{one}")
        bare = bare.rstrip(_ENDS) if joint.startswith(("{one},", "{one} and")) else bare
    return joint.format(one=bare, two=two)
