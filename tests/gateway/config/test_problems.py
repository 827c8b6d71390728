from gateway.config.problems import ConfigError, Position, Problem, did_you_mean, dotted


def test_a_path_is_written_with_dots_and_brackets() -> None:
    assert dotted(("rules", 1, "then", "a b")) == "rules[1].then.a b"
    assert dotted((0, "a")) == "[0].a"
    assert dotted(()) == ""


def test_a_problem_says_file_line_column_path_and_message() -> None:
    assert str(Problem("f", Position(2, 3), ("a", 0), "is wrong")) == "f:2:3: a[0]: is wrong"
    assert str(Problem("f", Position(2, 3), (), "is wrong")) == "f:2:3: is wrong"
    assert str(Problem("f", None, (), "is wrong")) == "f: is wrong"


def test_problems_come_in_the_files_order() -> None:
    late, early = Problem("f", Position(10, 1), (), "late"), Problem("f", Position(9, 5), (), "early")
    nowhere = Problem("f", None, (), "nowhere")
    assert ConfigError([late, early, nowhere]).problems == [nowhere, early, late]


def test_the_nearest_word_is_offered_or_the_choice_shown() -> None:
    assert did_you_mean("greting", ["greeting", "other"]) == '; did you mean "greeting"?'
    assert did_you_mean("xyz", ["b", "a"]) == " (known: a, b)"
    assert did_you_mean("xyz", []) == ""
    assert did_you_mean("xyz", [f"word{n}" for n in range(13)]) == ""
