"""Verdicts that were reached before: what was asked is kept as a keyed hash, never as text."""

import secrets
from hashlib import blake2b
from itertools import chain

from classifiers.runtime.runtime import Runtime
from classifiers.runtime.windows import Recent
from classifiers.verdict import Abstention, Reading, Verdict

_BYTES = 16_000_000
_MOST_CHARS = 100_000
"""More is not hashed, which would take the event loop too long."""
_LEAST_BYTES = 1600
"""An entry counts as at least so many bytes, so that there are at most 10,000."""
_NOT_ITS_LAST_WORD = (Abstention.LATE, Abstention.BROKEN)


class VerdictMemory:
    """An LRU cache of verdicts, at most 10,000 entries and about 16 MB. For one thread at a time. The hash's key is
    this object's own and random. windows: how many windows' reading it has saved."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._verdicts: Recent[bytes, Verdict] = Recent(_BYTES, lambda _, verdict: max(_size(verdict), _LEAST_BYTES))
        self.windows = 0

    def key(self, runtime: Runtime, reading: Reading) -> bytes | None:
        """A hash of all that a reading holds and of the versions that it asks; None for one that is never kept: whose
        answer hangs on a given day, that is too long, or whose classifiers are not loaded or have no version."""
        names = [name for name in (reading.classifier, reading.other_languages) if name]
        asked = [runtime.classifiers[name].version for name in names if name in runtime.classifiers]
        too_long = sum(map(len, reading.texts), len(reading.system)) > _MOST_CHARS
        if too_long or reading.now is not None or len(asked) < len(names) or not all(asked):
            return None
        flags = (reading.incomplete, reading.cut, reading.every_slot, reading.last_stage)
        alone = [text in reading.alone for text in reading.texts]
        switches = f"{reading.max_windows} {[*flags, *alone]}"
        parts = (reading.classifier, reading.other_languages, *asked, switches, reading.system, *reading.texts)
        # with each part's length in front no two lists are written alike
        written = "".join(chain.from_iterable((str(len(part)), ":", part) for part in parts))
        return blake2b(written.encode(errors="surrogatepass"), digest_size=16, key=self._key).digest()

    def get(self, key: bytes | None) -> Verdict | None:
        """The verdict that was reached, if it is remembered."""
        verdict = None if key is None else self._verdicts.get(key)
        self.windows += 0 if verdict is None else verdict.windows_read
        return verdict

    def put(self, key: bytes | None, verdict: Verdict) -> None:
        """Keeps a verdict, unless it is late or broken, or holds places of a text or what stands there."""
        if key is not None and not any(_passing(part) for part in (verdict, *verdict.parts)):
            self._verdicts.put(key, verdict)


def _passing(verdict: Verdict) -> bool:
    unread = any(kind in _NOT_ITS_LAST_WORD for kind in verdict.abstentions)
    return unread or bool(verdict.spans or verdict.slots or verdict.missing)


def _size(verdict: Verdict) -> int:
    """Bytes in memory, about."""
    return sum(900 + 130 * (len(part.scores) + len(part.thresholds)) for part in (verdict, *verdict.parts))
