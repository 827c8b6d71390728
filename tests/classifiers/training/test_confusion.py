from classifiers.training import confusion


def test_each_cell_has_its_texts_the_most_certain_error_first() -> None:
    found = confusion.one_of(
        ["a", "b"], ["a", "a", "a", "b"], ["a", "b", "b", "b"], ["1", "2", "3", "4"], [0.9, 0.5, 0.7, 0.8]
    )
    assert found["cells"] == [[0, 0, 1], [0, 1, 2], [1, 1, 1]]
    assert [[one["text"] for one in texts] for texts in found["texts"]] == [["1"], ["3", "2"], ["4"]]


def test_few_texts_are_kept_of_what_is_right_and_more_of_what_is_wrong() -> None:
    texts = [str(number) for number in range(100)]
    said = ["a" if number < 50 else "b" for number in range(100)]
    found = confusion.one_of(["a", "b"], ["a"] * 100, said, texts, [0.5] * 100)
    assert found["cells"] == [[0, 0, 50], [0, 1, 50]]
    assert [len(kept) for kept in found["texts"]] == [3, 25]


def test_the_least_certain_of_what_is_right_is_shown() -> None:
    found = confusion.one_of(["a"], ["a"] * 5, ["a"] * 5, list("vwxyz"), [0.9, 0.2, 0.8, 0.1, 0.3])
    assert [one["text"] for one in found["texts"][0]] == ["y", "w", "z"]


def test_labels_that_were_missed_stand_against_those_that_were_said() -> None:
    found = confusion.any_of(
        ["a", "b", "c"],
        [{"a", "b"}, {"a"}, set(), set(), {"a", "b"}],
        [{"a"}, {"c"}, {"c"}, set(), {"a", "c"}],
        list("12345"),
        [0.5] * 5,
    )
    names = found["labels"]
    cells = {(names[truth], names[said]): count for truth, said, count in found["cells"]}
    assert cells == {
        ("a", "a"): 2,
        ("b", "none"): 1,
        ("a", "c"): 1,
        ("none", "c"): 1,
        ("none", "none"): 1,
        ("b", "c"): 1,
    }


def test_long_texts_are_cut() -> None:
    assert len(confusion.shortened("x" * 10_000)) == 600
    assert confusion.shortened("short") == "short"
