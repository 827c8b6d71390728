from classifiers.report.figures import remarks
from classifiers.training.write.prompts import SentenceRequest
from classifiers.training.write.teacher import Tally


def ask(label: str) -> SentenceRequest:
    return SentenceRequest(prompt="", labels={"flagged": (label,), "harmless": ()}, wanted=1, batch=label)


def test_what_a_label_did_not_get_is_told() -> None:
    tally = Tally()
    tally.want([ask("threat"), ask("threat"), ask("fraud"), ask("fraud")])
    for label in ("threat", "threat", "fraud"):
        tally.take(ask(label), [])
    tally.take(ask("fraud"), [("a", ("fraud",)), ("b", ())])
    told = {**tally.told(), "refused": 2, "cut_off": 1, "stopped_by_budget": True}
    assert list(remarks(told)) == [
        "3 of 4 batches brought no sentence (threat 2, fraud 1), 2 of them refused",
        "it wrote nothing for threat",
        "1 answer was cut off for length, which answer_tokens bounds",
        "stopped by its budget",
    ]


def test_of_many_labels_some_are_named() -> None:
    tally = Tally()
    asks = [ask(f"label {number}") for number in range(12)]
    tally.want(asks)
    for one in asks:
        tally.take(one, [])
    _, nothing = remarks(tally.told())
    assert nothing == f"it wrote nothing for {', '.join(f'label {number}' for number in range(10))}, and 2 more"


def test_a_file_and_an_older_report_have_none() -> None:
    assert list(remarks({"file": ["a.jsonl"], "sentences": 1})) == []
    assert list(remarks({"model": "small", "batches": {"wanted": 2, "answered": 2, "unusable": 0}})) == []
