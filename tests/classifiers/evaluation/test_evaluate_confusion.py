import numpy as np

from classifiers.evaluation import evaluate


def test_each_cell_has_its_texts_the_most_certain_error_first() -> None:
    found = evaluate.one_of(
        ["a", "b"], ["a", "a", "a", "b"], ["a", "b", "b", "b"], ["1", "2", "3", "4"], [0.9, 0.5, 0.7, 0.8]
    )
    assert found["cells"] == [[0, 0, 1], [0, 1, 2], [1, 1, 1]]
    assert [[one["text"] for one in texts] for texts in found["texts"]] == [["1"], ["3", "2"], ["4"]]


def test_few_texts_are_kept_of_what_is_right_and_more_of_what_is_wrong() -> None:
    texts = [str(number) for number in range(100)]
    said = ["a" if number < 50 else "b" for number in range(100)]
    found = evaluate.one_of(["a", "b"], ["a"] * 100, said, texts, [0.5] * 100)
    assert found["cells"] == [[0, 0, 50], [0, 1, 50]]
    assert [len(kept) for kept in found["texts"]] == [3, 25]


def test_the_least_certain_of_what_is_right_is_shown() -> None:
    found = evaluate.one_of(["a"], ["a"] * 5, ["a"] * 5, list("vwxyz"), [0.9, 0.2, 0.8, 0.1, 0.3])
    assert [one["text"] for one in found["texts"][0]] == ["y", "w", "z"]


def test_labels_that_were_missed_stand_against_those_that_were_said() -> None:
    found = evaluate.multi_label_confusion(
        ["a", "b", "c"],
        [{"a", "b"}, {"a"}, set(), set(), {"a", "b"}],
        [{"a"}, {"c"}, {"c"}, set(), {"a", "c"}],
        list("12345"),
        np.full((5, 3), 0.5, np.float32),
        doubted=[False] * 5,
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


def test_a_text_is_as_certain_as_what_was_said_of_it() -> None:
    scores = np.array([[0.45, 0.9], [0.7, 0.2], [0.1, 0.2], [0.3, 0.6]], np.float32)
    said, truths = [{"a", "b"}, set(), set(), {"b"}], [{"a"}, {"a"}, {"a"}, {"a", "b"}]
    found = evaluate.multi_label_confusion(
        ["a", "b"], truths, said, list("1234"), scores, doubted=[False, True, False, False]
    )
    cells = [tuple(found["labels"][place] for place in cell[:2]) for cell in found["cells"]]
    texts = {
        cell: [(one["text"], one["confidence"]) for one in kept]
        for cell, kept in zip(cells, found["texts"], strict=True)
    }
    assert texts == {
        ("a", "a"): [("1", 0.45)],
        ("b", "b"): [("4", 0.6)],
        ("none", "b"): [("1", 0.9)],
        ("a", "none"): [("3", 0.9), ("2", 0.7), ("4", 0.7)],
    }
    assert [one["text"] for kept in found["texts"] for one in kept if one.get("doubt")] == ["2"]


def test_long_texts_are_cut() -> None:
    assert len(evaluate.shortened("x" * 10_000)) == 600
    assert evaluate.shortened("short") == "short"
