"""A safety policy's own text as instructions for a judge: a model that is asked where the classifier is unsure.

The text to be judged is given as JSON, out of which it cannot break, and is declared to be material, not instruction.
"""

from collections.abc import Iterator

from classifiers import data
from classifiers.policy import Policy

_PHRASES = 4
"""Examples, and near misses, that are quoted for each label: the first ones that are short."""
_SHORT = 160
_SYSTEM = """ Its field "system", where there is one, is the prompt of the assistant that they were written to: by it \
you can tell what that assistant is to do and to keep to itself. It is not judged."""


def instructions(policy: Policy) -> str:
    """The instructions for a judge of a policy; empty where training learned no label, so that none is in doubt."""
    if not policy.learned:
        return ""
    system = _SYSTEM if policy.reads_system else ""
    frame = "\n".join(data.lines("judge.txt"))
    return frame.format(about=policy.about, system=system, labels="\n".join(_lines(policy))) + "\n"


def _lines(policy: Policy) -> Iterator[str]:
    for name in policy.learned:
        label = policy.labels[name]
        yield f"- {name}: {label.means}"
        for head, phrases in (("Applies to", label.examples), ("Does not apply to", label.not_)):
            if short := [f'"{phrase}"' for phrase in phrases if len(phrase) <= _SHORT]:
                yield f"  {head}: {'; '.join(short[:_PHRASES])}"
