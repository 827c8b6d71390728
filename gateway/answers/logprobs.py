"""Calibrated scores as `logprobs`: the label is one token, the text around it is certain. Pure.

Without a label in it, the whole text is one token, as certain as its least certain part.
"""

import math
import re
from collections.abc import Callable, Iterator
from itertools import islice

from gateway.answers.format import Prediction
from gateway.protocols.json import encode
from gateway.protocols.wire import TokenLogprob

_LEAST = 1e-9

Spelled = Callable[[str], str | None]
"""A label of the policy as the caller spells it; None where the caller has none such."""


def logprobs(
    content: str, label: str | None, prediction: Prediction, alternatives: int, spelled: Spelled
) -> list[TokenLogprob]:
    """label: as it is spelled in the content. alternatives: how many to show for each token; for the label these are
    the caller's other labels."""
    if label is None:
        return [_token(content, prediction.confidence, alternatives)]
    before, written, after = _parts(content, label)
    ranked = _ranked(written, prediction, spelled if content == label else lambda name: _in_json(spelled(name)))
    token = _token(written, prediction.confidence, 0)
    token.top_logprobs = list(islice(ranked, max(0, alternatives)))
    around = [[_token(text, 1.0, alternatives)] if text else [] for text in (before, after)]
    return [*around[0], token, *around[1]]


def _parts(content: str, label: str) -> tuple[str, str, str]:
    """The text before the label, the label as it is written there, the text after it. In JSON it is no key."""
    if content == label:
        return "", content, ""
    written = encode(label).decode()
    for match in re.finditer(re.escape(written), content):
        if not content[match.end() :].lstrip().startswith(":"):
            return content[: match.start() + 1], written[1:-1], content[match.end() - 1 :]
    return "", content, ""


def _in_json(word: str | None) -> str | None:
    return None if word is None else encode(word).decode()[1:-1]


def _ranked(label: str, prediction: Prediction, spelled: Spelled) -> Iterator[TokenLogprob]:
    yield TokenLogprob(label, _log(prediction.confidence), list(label.encode()))
    others = sorted((score, name) for name, score in prediction.scores.items() if name != prediction.labels[0])
    for score, name in reversed(others):
        word = spelled(name)
        if word is not None:
            yield TokenLogprob(word, _log(score), list(word.encode()))


def _token(text: str, probability: float, alternatives: int) -> TokenLogprob:
    """A text as one token, which is its own only alternative."""
    own = [TokenLogprob(text, _log(probability), list(text.encode()))]
    return TokenLogprob(text, _log(probability), list(text.encode()), own[:alternatives])


def _log(probability: float) -> float:
    return math.log(min(1.0, max(_LEAST, probability)))
