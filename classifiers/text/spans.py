"""Read a text for an encoder: piece by piece normalised and tokenised, as far as a budget goes, into windows."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from classifiers.text.language import Stretch
from classifiers.text.normalise import normalise
from classifiers.text.scripts import letters
from classifiers.text.windows import Window, cut, pieces

_CHARS_A_TOKEN = 16
"""Text with fewer tokens than one in so many characters is not followed further: its reading must end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What was read of one text.

    windows: token ids; unread: how many windows were left out (estimated where the rest was not tokenised).
    chars: characters that were read, after normalising; foreign: letters of each script but Latin.
    stretches: the languages that its parts may be in; empty where no detector was asked.
    plain: the whole text, normalised, where one window holds it; else empty.
    """

    windows: tuple[Window, ...] = ()
    unread: int = 0
    chars: int = 0
    foreign: Mapping[str, int] = field(default_factory=dict)
    stretches: tuple[Stretch, ...] = ()
    plain: str = ""

    @property
    def weight(self) -> int:
        """About how many bytes it takes: a text that could be in any language has a share for each."""
        shares = sum(len(stretch.likely) for stretch in self.stretches)
        return 200 + len(self.plain) + 50 * shares + sum(100 + 4 * len(window) for window in self.windows)

    def first(self, count: int) -> "Span":
        """The same span with at most `count` windows; the others are unread."""
        if len(self.windows) <= count:
            return self
        kept = max(count, 0)
        return replace(self, windows=self.windows[:kept], unread=self.unread + len(self.windows) - kept)


def read(
    text: str,
    tokenize: Callable[[str], Sequence[int]],
    *,
    room: int,
    overlap: int,
    max_windows: int,
    between: Callable[[], None] = lambda: None,
    detect: Callable[[str], Iterable[Stretch]] = lambda _: (),
) -> Span:
    """room: tokens in a window; overlap: of them shared with its neighbour; max_windows: the budget, 0 or more.
    between: called before each piece; what it raises ends the reading. detect: given each piece, normalised.

    Takes time in proportion to the budget, not to the text, however long that is and whatever it is made of.
    """
    stride = room - overlap
    wanted = room + (max_windows - 1) * stride if max_windows > 0 else 0
    ids: list[int] = []
    texts: list[str] = []
    foreign: Counter[str] = Counter()
    stretches: list[Stretch] = []
    consumed = chars = end = 0
    for stop, piece in pieces(text):
        if piece.isspace():
            continue
        if not wanted or len(ids) > wanted or consumed > wanted * _CHARS_A_TOKEN:
            break
        between()
        plain = normalise(piece)
        ids += tokenize(plain)
        texts.append(plain)
        foreign.update(letters(plain))
        stretches += detect(plain)
        chars += len(plain)
        consumed += len(piece)
        end = stop
    left = len(ids) - wanted if len(ids) > wanted else 0
    rest = len(text[end:].strip())
    if rest:
        left += ceil(rest * (len(ids) / consumed if consumed and ids else 0.25))
    windows = tuple(cut(ids[:wanted], room, overlap)) if wanted else ()
    return Span(
        windows=windows,
        unread=ceil(left / stride),
        chars=chars,
        foreign=dict(foreign),
        stretches=tuple(stretches),
        plain=" ".join(texts) if len(windows) == 1 and not left else "",
    )
