from gateway.config.problems import Position, Problem


def test_a_problem_says_file_line_column_path_and_message() -> None:
    assert str(Problem("f", Position(2, 3), ("a", 0), "is wrong")) == "f:2:3: a[0]: is wrong"
    assert str(Problem("f", Position(2, 3), (), "is wrong")) == "f:2:3: is wrong"
    assert str(Problem("f", None, (), "is wrong")) == "f: is wrong"
