"""Read a text for an encoder: piece by piece normalised and tokenised, as far as a budget goes, into windows."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from classifiers.text.language import Stretch
from classifiers.text.normalise import normalise
from classifiers.text.scripts import letters
from classifiers.text.windows import Window, cut, pieces
from classifiers.text.windows import units as parts_of

_CHARS_A_TOKEN = 16
"""Text with fewer tokens than one in so many characters is not followed further: its reading must end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What was read of one text.

    windows: token ids; units: how many of them, the last ones, are parts that the others hold as well.
    unread: how many windows were left out (estimated where the rest was not tokenised).
    chars: characters that were read, after normalising; foreign: letters of each script but Latin.
    stretches: the languages that its parts may be in; empty where no detector was asked.
    plain: the whole text, normalised, where one window holds it; else empty.
    """

    windows: tuple[Window, ...] = ()
    units: int = 0
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
        """The same span with at most `count` windows; the others are unread, unless they are parts."""
        if len(self.windows) <= count:
            return self
        kept, whole = max(count, 0), len(self.windows) - self.units
        return replace(
            self,
            windows=self.windows[:kept],
            units=max(kept - whole, 0),
            unread=self.unread + max(whole - kept, 0),
        )


def read(
    text: str,
    tokenize: Callable[[str], Sequence[int]],
    *,
    room: int,
    overlap: int,
    max_windows: int,
    units: bool = False,
    between: Callable[[], None] = lambda: None,
    detect: Callable[[str], Iterable[Stretch]] = lambda _: (),
) -> Span:
    """room: tokens in a window; overlap: of them shared with its neighbour; max_windows: the budget, 0 or more.
    units: whether the parts of a text of several are windows too, as far as the budget goes. between: called before
    each piece; what it raises ends the reading. detect: given each piece, normalised.

    Takes time in proportion to the budget, not to the text."""
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
    rest = len(text[end:].strip())
    left = max(len(ids) - wanted, 0) + ceil(rest * (len(ids) / consumed if consumed and ids else 0.25))
    whole = tuple(cut(ids[:wanted], room, overlap)) if wanted else ()
    windows = _with_units(whole, texts, tokenize, room, overlap)[:max_windows] if units else whole
    return Span(
        windows=windows,
        units=len(windows) - len(whole),
        unread=ceil(left / stride),
        chars=chars,
        foreign=dict(foreign),
        stretches=tuple(stretches),
        plain=" ".join(texts) if len(windows) == 1 and not left else "",
    )


def _with_units(
    windows: tuple[Window, ...], texts: Sequence[str], tokenize: Callable[[str], Sequence[int]], room: int, overlap: int
) -> tuple[Window, ...]:
    """The windows, then those of the text's parts where it has several. A part that is there already is left out."""
    parts = [part for text in texts for part in parts_of(text)]
    if len(parts) < 2:
        return windows
    known = {window.tobytes() for window in windows}
    own = {window.tobytes(): window for part in parts for window in cut(tokenize(part), room, overlap)}
    return (*windows, *(window for key, window in own.items() if key not in known))
