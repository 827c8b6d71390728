"""What a contract belongs to: a change of any part is another contract, which begins in shadow. Pure."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """rule: its name; model: that the client asks for, or the rule's judge; prompt: the constant part of the prompt,
    and the shape that the answer is to have, as a digest; labels: of the policy; classifier, version: who answers;
    terms: as text. sent_to: where the model is sent first, as `upstream/model`."""

    rule: str
    model: str
    prompt: str
    labels: tuple[str, ...]
    classifier: str
    version: str
    terms: str
    sent_to: str = ""

    def with_version(self, version: str) -> str:
        """The key of the same contract with another version of the classifier."""
        return replace(self, version=version).key

    def reached(self, first: Callable[[str], str]) -> bool:
        """Whether calls may belong to it. first: where a model is sent first now, as `upstream/model`."""
        return bool(self.sent_to) and self.sent_to == first(self.model)

    @property
    def key(self) -> str:
        """A short name for all of it."""
        parts = (self.rule, self.model, self.prompt, *self.labels, self.classifier, self.version, self.terms)
        return digest(*parts, self.sent_to)


def among(classifier: str, labels: Iterable[str]) -> str:
    """A short name for a classifier's labels, in whatever order: what a kept text's label was chosen from."""
    return digest(classifier, *sorted(labels))


def digest(*parts: str) -> str:
    """16 hex digits for texts in this order."""
    # as Python writes them, no two lists of texts are alike
    return hashlib.sha256(ascii(parts).encode()).hexdigest()[:16]
