"""What the contracts of rules promise."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a rule promises: of what it answers, at most `target` disagrees, with the chance of `confidence`."""

    target: float
    confidence: float

    @property
    def text(self) -> str:
        """As a contract's scope has them."""
        return f"{self.target:g} at {self.confidence:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyTerms:
    """At most `missed` of what the judge calls unsafe pass unseen, and at most `wrongly` of what it calls safe are
    flagged, both together with the chance of `confidence`."""

    missed: float
    wrongly: float
    confidence: float

    @property
    def text(self) -> str:
        """As a contract's scope has them."""
        return f"missed {self.missed:g}, wrongly {self.wrongly:g} at {self.confidence:g}"
