"""Read a text for an encoder: piece by piece normalised and tokenised, as far as a budget goes, into windows."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from classifiers.text.language import Stretch
from classifiers.text.normalise import normalise
from classifiers.text.scripts import letters
from classifiers.text.windows import Window, cut, pieces, places

_CHARS_A_TOKEN = 16
"""Text with fewer tokens than one in so many characters is not followed further: its reading must end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What was read of one text.

    windows: token ids. within: the last of them are parts that the others hold as well; for each, which one holds most
    of it, and its first and last token there (exclusive).
    unread: how many windows were left out (estimated where the rest was not tokenised).
    chars: characters that were read, after normalising; foreign: letters of each script but Latin.
    stretches: the languages that its parts may be in; empty where no detector was asked.
    plain: the whole text, normalised, where one window holds it; else empty.
    """

    windows: tuple[Window, ...] = ()
    within: tuple[tuple[int, int, int], ...] = ()
    unread: int = 0
    chars: int = 0
    foreign: Mapping[str, int] = field(default_factory=dict)
    stretches: tuple[Stretch, ...] = ()
    plain: str = ""

    @property
    def whole(self) -> tuple[Window, ...]:
        """The windows that are no parts."""
        return self.windows[: len(self.windows) - len(self.within)]

    @property
    def parts(self) -> tuple[Window, ...]:
        """Those that are."""
        return self.windows[len(self.windows) - len(self.within) :]

    @property
    def weight(self) -> int:
        """About how many bytes it takes: a text that could be in any language has a share for each."""
        shares = sum(len(stretch.likely) for stretch in self.stretches)
        return 200 + len(self.plain) + 50 * shares + sum(100 + 4 * len(window) for window in self.windows)

    def first(self, count: int) -> "Span":
        """The same span with at most `count` windows; the others are unread, unless they are parts."""
        if len(self.windows) <= count:
            return self
        kept, whole = max(count, 0), len(self.whole)
        return replace(
            self,
            windows=self.windows[:kept],
            within=self.within[: max(kept - whole, 0)],
            unread=self.unread + max(whole - kept, 0),
        )


def read(
    text: str,
    tokenize: Callable[[str], Sequence[int]],
    *,
    room: int,
    overlap: int,
    max_windows: int,
    starts: Callable[[str], Sequence[int]] | None = None,
    between: Callable[[], None] = lambda: None,
    detect: Callable[[str], Iterable[Stretch]] = lambda _: (),
) -> Span:
    """room: tokens in a window; overlap: of them shared with its neighbour; max_windows: the budget, 0 or more.
    starts: at which characters the tokens begin; where it is given, the parts of a text of several are windows too, as
    far as the budget goes. between: called before each piece; what it raises ends the reading. tokenize, starts,
    detect: given each piece, normalised.

    Takes time in proportion to the budget, not to the text."""
    wanted = room + (max_windows - 1) * (room - overlap) if max_windows > 0 else 0
    ids, texts, parts = list[int](), list[str](), list[tuple[int, int]]()
    foreign, stretches = Counter[str](), list[Stretch]()
    consumed = chars = end = 0
    for stop, piece in pieces(text):
        if piece.isspace():
            continue
        if not wanted or len(ids) > wanted or consumed > wanted * _CHARS_A_TOKEN:
            break
        between()
        plain = normalise(piece)
        if starts is not None:
            parts += [(len(ids) + first, len(ids) + last) for first, last in _tokens(places(plain), starts(plain))]
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
    held = _parts(whole, ids, parts, room, overlap)[: max_windows - len(whole)]
    return Span(
        windows=(*whole, *(window for window, _ in held)),
        within=tuple(within for _, within in held),
        unread=ceil(left / (room - overlap)),
        chars=chars,
        foreign=dict(foreign),
        stretches=tuple(stretches),
        plain=" ".join(texts) if len(whole) == 1 and not (held or left) else "",
    )


def _tokens(places: Iterable[tuple[int, int]], starts: Sequence[int]) -> list[tuple[int, int]]:
    """The tokens between characters. Both are pairs of the first and the last one, the last exclusive."""
    return [(bisect_left(starts, first), bisect_left(starts, last)) for first, last in places]


def _parts(
    windows: Sequence[Window], ids: Sequence[int], parts: Sequence[tuple[int, int]], room: int, overlap: int
) -> list[tuple[Window, tuple[int, int, int]]]:
    """The windows of a text's parts, where it has several, each with its place in that window which holds most of it.
    A part that is there already is left out."""
    if len(parts) < 2 or not windows:
        return []
    stride, known = room - overlap, {window.tobytes() for window in windows}
    held: dict[bytes, tuple[Window, tuple[int, int, int]]] = {}
    for first, last in parts:
        for number, part in enumerate(cut(ids[first:last], room, overlap)):
            begin = first + number * stride
            near = min(begin // stride, len(windows) - 1)
            cuts = [
                (i, max(begin - i * stride, 0), min(begin - i * stride + len(part), room)) for i in (near, near + 1)
            ]
            held.setdefault(part.tobytes(), (part, max(cuts[: len(windows) - near], key=lambda cut: cut[2] - cut[1])))
    return [place for key, place in held.items() if key not in known]
