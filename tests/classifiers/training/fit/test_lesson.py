from classifiers.training.fit.lesson import held_out
from classifiers.training.rows import Row


def row(group: str, *, probe: bool = True) -> Row:
    return Row(text="a", labels=("a",), group=group, source="file", probe=probe)


def test_what_stands_for_messages_is_held_out_however_much_else_there_is() -> None:
    values = [row("slot person", probe=False)] * 200
    held = held_out([*values, *(row(str(index)) for index in range(100))], seed=0)
    assert not held[:200].any()
    assert held[200:].sum() == 20


def test_of_many_rows_a_tenth_is_held_out() -> None:
    assert held_out([row(str(index)) for index in range(8_000)], seed=0).sum() == 800


def test_where_nothing_stands_for_messages_all_may_be_held_out() -> None:
    held = held_out([row(str(index), probe=False) for index in range(50)], seed=0)
    assert held.sum() == 10
