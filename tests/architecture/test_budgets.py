"""The house stays as small and as plain as budgets.toml says."""

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from classifiers.policy import Policy
from gateway.config.settings import Settings
from gateway.metrics.observe import Metrics
from tests.architecture import tokens

ROOT = Path(__file__).resolve().parents[2]
BUDGETS = tomllib.loads((ROOT / "tests/architecture/budgets.toml").read_text("utf-8"))
TOTALS, BANNED = BUDGETS["totals"], BUDGETS["banned"]
SHORT = 40


@cache
def sources() -> dict[str, str]:
    """Code files by their path from the root, without __init__.py."""
    files = [*(ROOT / "gateway").rglob("*.py"), *(ROOT / "classifiers").rglob("*.py")]
    return {
        str(file.relative_to(ROOT)): file.read_text("utf-8") for file in sorted(files) if file.name != "__init__.py"
    }


@cache
def trees() -> dict[str, ast.Module]:
    return {file: ast.parse(text) for file, text in sources().items()}


def lines(text: str) -> int:
    return text.count("\n")


def nodes(*kinds: type[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, kinds):
                yield file, node


def identifiers() -> Iterator[tuple[str, str]]:
    """Each use of a name: of variables, attributes, arguments, functions, classes and imports."""
    for file, node in nodes(ast.AST):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield file, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield file, name
            case ast.alias(name=name):
                yield file, name.rpartition(".")[2]


def test_files_lines_and_tokens() -> None:
    assert len(sources()) <= TOTALS["files"]
    assert sum(map(tokens.count, sources().values())) <= TOTALS["tokens"]
    assert sum(map(lines, sources().values())) <= TOTALS["lines"]


@pytest.mark.parametrize(
    ("code", "counted"),
    [
        ('"""What it is."""\nx = 1  # why\n\n"""Its unit."""\n', 3),
        ("f'{a}: {b!r} of {c:>{width},}'", 21),
        ("f'{{{a}}}' + rf\"{x['y']}\"", 16),
    ],
)
def test_tokens_are_those_of_every_python(code: str, counted: int) -> None:
    assert tokens.count(code) == counted


def test_rooms_keep_to_their_budgets() -> None:
    files: Counter[str] = Counter()
    length: Counter[str] = Counter()
    for file, text in sources().items():
        room = file.rpartition("/")[0]
        files[room] += 1
        length[room] += lines(text)
    rooms = BUDGETS.get("rooms", {})
    assert not rooms or set(files) == set(rooms)
    over = [
        f"{room}: {files[room]} files, {length[room]} lines; budget {budget}"
        for room, budget in rooms.items()
        if files[room] > budget["files"] or length[room] > budget["lines"]
    ]
    assert not over


def test_the_suite_keeps_to_its_lines() -> None:
    assert sum(lines(file.read_text("utf-8")) for file in (ROOT / "tests").rglob("*.py")) <= TOTALS["test_lines"]


def test_few_files_are_short() -> None:
    # contracts are rebuilt by a later issue
    short = [file for file, text in sources().items() if lines(text) < SHORT and "/contracts/" not in file]
    assert len(short) <= TOTALS["short_files"], short


def test_functions_fit_a_screen() -> None:
    long = []
    for file, node in nodes(ast.FunctionDef, ast.AsyncFunctionDef):
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        size = (node.end_lineno or node.lineno) - node.lineno + 1
        if size > TOTALS["function_lines"]:
            long.append(f"{file}:{node.lineno} {node.name}: {size} lines")
    assert not long


def test_a_class_name_stands_once() -> None:
    names: dict[str, list[str]] = {}
    for file, node in nodes(ast.ClassDef):
        assert isinstance(node, ast.ClassDef)
        names.setdefault(node.name, []).append(file)
    twice = {name: files for name, files in names.items() if len(files) > 1}
    assert len(twice) <= TOTALS["classes_of_one_name"], twice


def test_names_are_the_fields_words() -> None:
    banned = set(BANNED["identifiers"])
    used = Counter(file for file, name in identifiers() if name.strip("_").lower() in banned)
    assert used.total() <= TOTALS["identifiers"], used.most_common(10)


def test_modules_are_named_for_what_they_hold() -> None:
    assert not [file for file in sources() if Path(file).stem in BANNED["modules"]]


def imports_of(file: str) -> Iterator[str]:
    """Modules of the project that a file imports at any place, type hints included."""
    for node in ast.walk(trees()[file]):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("gateway", "classifiers"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}".replace(".", "/") + ".py"
                yield inner if inner in sources() else node.module.replace(".", "/") + ".py"


def test_imports_make_no_circle() -> None:
    state: dict[str, int] = {}
    circles: list[str] = []

    def visit(file: str, path: tuple[str, ...]) -> None:
        state[file] = 1
        for target in imports_of(file):
            if target in sources() and target != file:
                if state.get(target) == 1:
                    circles.append(" -> ".join([*path[path.index(target) if target in path else 0 :], file, target]))
                elif target not in state:
                    visit(target, (*path, file))
        state[file] = 2

    for file in sources():
        if file not in state:
            visit(file, ())
    assert not circles


def test_few_arrows_between_rooms_run_back() -> None:
    order = {room: place for place, room in enumerate((*BUDGETS["order"]["gateway"], *BUDGETS["order"]["classifiers"]))}
    assert set(order) == set(BUDGETS["rooms"]) - {"gateway", "classifiers"}
    arrows = {
        (file.rpartition("/")[0], target.rpartition("/")[0])
        for file in sources()
        for target in imports_of(file)
        if target in sources() or target.endswith("__init__.py")
    }
    between = {arrow for arrow in arrows if arrow[0] != arrow[1] and set(arrow) <= set(order)}
    back = {arrow for arrow in between if order[arrow[0]] > order[arrow[1]]}
    pairs = {arrow for arrow in back if arrow[::-1] in between}
    assert len(between) > 60
    assert len(back) <= TOTALS["arrows_back"], back
    assert len(pairs) <= TOTALS["pairs_of_rooms"], pairs


@pytest.mark.parametrize(("folder", "budget"), [("docs", "pages"), ("docs/design", "notes")])
def test_pages_are_few(folder: str, budget: str) -> None:
    assert len(list((ROOT / folder).glob("*.md"))) <= TOTALS[budget]


def test_a_design_note_is_short() -> None:
    words = {note.name: len(note.read_text("utf-8").split()) for note in (ROOT / "docs/design").glob("*.md")}
    assert not {name: count for name, count in words.items() if count > TOTALS["words_a_note"]}


def records(record: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """A record of settings and all records that its fields hold."""
    seen.add(record)
    for field in record.model_fields.values():
        parts = [field.annotation]
        while parts:
            part = parts.pop()
            if isinstance(part, type) and issubclass(part, BaseModel):
                if part not in seen:
                    records(part, seen)
            else:
                parts += get_args(part)
    return seen


def test_settings_are_few() -> None:
    found = records(Settings, set()) | records(Policy, set())
    assert sum(len(record.model_fields) for record in found) <= TOTALS["settings"]


def test_metrics_are_few() -> None:
    families = [family for family in Metrics().registry.collect() if family.name.startswith("offramp_")]
    assert len(families) <= TOTALS["metrics"]
