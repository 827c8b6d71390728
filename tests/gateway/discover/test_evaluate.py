"""How well a small model would agree with the paid one."""

from classifiers.encoder.session import Encoder
from gateway.discover.evaluate import AnswerPair, PredictedAgreement, agreement_of, pairs_of
from gateway.discover.labels import Labels

BILLS = [f"my invoice number {number} is wrong, please send it again" for number in range(6)]
PARCELS = [f"where is parcel {number}, it was to arrive on monday" for number in range(6)]


def pairs(encoder: Encoder, said: dict[str, str | None], names: tuple[str, ...]) -> dict[str, AnswerPair]:
    labels = Labels(by_call=tuple(said.values()), field="", names=names)
    found = pairs_of(list(said), labels, encoder, seed=0, advance=lambda *_: None)
    assert len(found) == len(said)
    return {pair.text: pair for pair in found}


def test_inputs_are_judged_by_a_fit_that_has_not_seen_them(encoder: Encoder) -> None:
    said: dict[str, str | None] = {**dict.fromkeys(BILLS, "billing"), **dict.fromkeys(PARCELS, "parcel"), "hm": None}
    found = pairs(encoder, said, ("billing", "parcel"))
    assert [text for text, pair in found.items() if not pair.agrees] == ["hm"]


def test_long_inputs_are_judged_by_all_of_them(encoder: Encoder) -> None:
    greeting = "Dear team, I hope that this finds you well and that the week has been kind to all of you. " * 8
    said: dict[str, str | None] = {
        **{f"{greeting} {text}": "billing" for text in BILLS},
        **{f"{greeting} {text}": "parcel" for text in PARCELS},
    }
    assert all(pair.agrees for pair in pairs(encoder, said, ("billing", "parcel")).values())


def test_an_answer_that_one_input_got_agrees_with_nothing(encoder: Encoder) -> None:
    """A label has three inputs, of which other answers came first for two."""
    said: dict[str, str | None] = {
        **dict.fromkeys(BILLS, "billing"),
        "cancel my contract": "leaving",
        **dict.fromkeys(PARCELS, "parcel"),
    }
    found = pairs(encoder, said, ("billing", "parcel", "leaving"))
    assert [text for text, pair in found.items() if not pair.agrees] == ["cancel my contract"]
    assert agreement_of(list(found.values()), bound=0.5).share == 12 / 13


def test_where_each_answer_has_one_input_nothing_agrees(encoder: Encoder) -> None:
    said: dict[str, str | None] = {BILLS[0]: "billing", PARCELS[0]: "parcel"}
    found = pairs(encoder, said, ("billing", "parcel"))
    assert not any(pair.agrees for pair in found.values())


def test_calls_are_answered_from_the_confidence_at_which_the_bound_holds() -> None:
    sure = [AnswerPair(text=str(n), confidence=0.9, agrees=True, calls=2) for n in range(100)]
    unsure = [AnswerPair(text=str(n), confidence=0.5, agrees=False, calls=1) for n in range(100)]
    found = agreement_of([*unsure, *sure], bound=0.05)
    assert isinstance(found, PredictedAgreement)
    assert (found.inputs, found.share, found.threshold, found.answered) == (200, 0.5, 0.9, 200 / 300)
    assert found.low < 0.5 < found.high
    assert agreement_of(unsure, bound=0.05).threshold is None
