"""Who writes training sentences, as a policy says it."""

from classifiers.policy import Teacher, writers


def test_models_of_one_name_are_told_apart() -> None:
    here, there = "http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"
    named = [("local", here), ("small", here), ("local", there), ("local", there), ("local", None)]
    teachers = [Teacher(model=model, base_url=url) for model, url in named]
    names = [f"local at {here}", "small", "local (teacher 3)", "local (teacher 4)", "local"]
    assert writers(teachers) == names
    assert writers([*teachers, Teacher(file=("a.jsonl",))]) == [*names, "a.jsonl"]
    assert writers([Teacher(model="small"), Teacher(model="small")]) == ["small (teacher 1)", "small (teacher 2)"]
