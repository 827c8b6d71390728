"""What a teacher is told of slots, so that it marks them as training reads them. Pure."""

from classifiers.policy import Policy

_SHOWN = 4


def slot_lines(policy: Policy, label: str) -> list[str]:
    """For a prompt of one label; none where it has no slots."""
    names = policy.slots_of(label)
    if not names:
        return []
    first = names[0]
    value = next(iter(_values(policy, first)), "\u2026")
    marking = (
        "Mark each value of a slot wherever it stands, in the message itself, as [value](slot), for example "
        f"[{value}]({first}): the value alone, without words like at, for or on. Invent new values all the time."
    )
    return [
        "The messages fill in these slots, each message some of them, as people do:",
        *(f"- {name}: {policy.slots[name].means}{_such_as(policy, name)}" for name in names),
        marking,
    ]


def _such_as(policy: Policy, name: str) -> str:
    shown = _values(policy, name)[:_SHOWN]
    return f", such as {', '.join(shown)}" if shown else ""


def _values(policy: Policy, name: str) -> tuple[str, ...]:
    slot = policy.slots[name]
    return (*slot.examples, *slot.values)
