"""Of which labels the built-in writer keeps to the essentials."""

from classifiers.training.rows import Row
from classifiers.training.write.sentences import plenty


def rows(count: int, *labels: str, text: str = "message {}") -> list[Row]:
    return [Row(text=text.format(n), labels=labels, group=str(n), source="file") for n in range(count)]


def test_a_label_has_plenty_by_its_own_rows_alone() -> None:
    assert plenty([*rows(60, "card"), *rows(7, "fees"), *rows(60)]) == {"card"}
    assert plenty([*rows(8, "card", "fees")]) == {"card", "fees"}


def test_the_same_sentence_many_times_is_one() -> None:
    same = rows(60, "card", text="where is it")
    assert plenty([*same, *rows(6, "card"), *rows(6, "card", text="Message {}!")]) == set()
    assert plenty([*same, *rows(7, "card")]) == {"card"}
