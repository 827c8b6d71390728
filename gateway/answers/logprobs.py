"""Calibrated scores as `logprobs`: the label is one token, what stands around it is certain. Pure.

Where no label stands in the text, the whole text is one token, as certain as its least certain part.
"""

import math
import re
from collections.abc import Callable, Iterator
from itertools import islice

from gateway.answers.format import Prediction
from gateway.protocols import chat
from gateway.protocols.chat import Alternative, Logprobs, TokenLogprob

_LEAST = 1e-9


Spelled = Callable[[str], str | None]
"""A label of the policy as the caller spells it; None where the caller has none such."""


def logprobs(content: str, label: str | None, told: Prediction, alternatives: int, spelled: Spelled) -> Logprobs:
    """label: as it stands in the content. alternatives: how many to show for each token; of the label, the others that
    the caller has."""
    if label is None:
        certain = _log(told.confidence)
        same = [Alternative(content, certain, _bytes(content))]
        return Logprobs([TokenLogprob(content, certain, _bytes(content), same[:alternatives])])
    before, written, after = _around(content, label)
    ranked = _ranked(written, told, spelled if content == label else lambda name: _in_json(spelled(name)))
    tokens = [
        *_certain(before, alternatives),
        TokenLogprob(written, _log(told.confidence), _bytes(written), list(islice(ranked, max(0, alternatives)))),
        *_certain(after, alternatives),
    ]
    return Logprobs(tokens)


def _around(content: str, label: str) -> tuple[str, str, str]:
    """What stands before the label, the label as it is written there, what stands behind. In JSON it is no key."""
    if content == label:
        return "", content, ""
    written = chat.encode(label).decode()
    for match in re.finditer(re.escape(written), content):
        if not content[match.end() :].lstrip().startswith(":"):
            return content[: match.start() + 1], written[1:-1], content[match.end() - 1 :]
    return "", content, ""


def _in_json(word: str | None) -> str | None:
    """As it is written between quotes."""
    return None if word is None else chat.encode(word).decode()[1:-1]


def _ranked(label: str, told: Prediction, spelled: Spelled) -> Iterator[Alternative]:
    """The label as it is written, and the others by their scores."""
    yield Alternative(label, _log(told.confidence), _bytes(label))
    others = sorted((score, name) for name, score in told.scores.items() if name != told.labels[0])
    for score, name in reversed(others):
        word = spelled(name)
        if word is not None:
            yield Alternative(word, _log(score), _bytes(word))


def _certain(text: str, alternatives: int) -> Iterator[TokenLogprob]:
    if text:
        same = [Alternative(text, 0.0, _bytes(text))]
        yield TokenLogprob(text, 0.0, _bytes(text), same[:alternatives])


def _log(chance: float) -> float:
    return math.log(min(1.0, max(_LEAST, chance)))


def _bytes(text: str) -> list[int]:
    return list(text.encode())
