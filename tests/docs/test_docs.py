"""What the documents say is what the code has: commands, exit codes, variables, headers, errors, columns, links.

Of a ```yaml block, its keys tell the kind of file. `<!-- fragment: gateway -->` or `<!-- fragment: policy -->` on the
line above marks one that is a part: it is put over a small whole file. Prometheus's own files are merely YAML.
"""

import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

import gateway.app  # noqa: F401 - brings all errors in
from gateway.cli.main import app
from gateway.cli.output import Exit
from gateway.config.load import load_gateway, load_policy
from gateway.config.prices import load_prices
from gateway.errors import ApiError
from gateway.ledger.report import read
from gateway.ledger.store import SQLiteLedger
from gateway.record import Record
from gateway.routes import Routes

from .conftest import PAGES, ROOT, Block, blocks, code, rows, section

WHOLE = {
    "gateway": {
        "version": "version: 1\n",
        "upstreams": "upstreams:\n  demo:\n    kind: echo\n",
        "models": "models:\n  gpt-4o: demo\n  cheap: demo\n",
    },
    "policy": {
        "version": "version: 1\n",
        "name": "name: a-policy\n",
        "kind": "kind: intent\n",
        "about": "about: Messages to a shop.\n",
        "labels": "labels:\n  hours:\n    means: asks when the shop is open\n  refund:\n    means: wants money back\n",
    },
}
COMMAND = typer.main.get_command(app)
SOURCES = [path for name in ("gateway", "classifiers") for path in sorted((ROOT / name).rglob("*.py"))]


def whole(block: Block) -> tuple[str, str]:
    """The block's kind, and its text as a whole file."""
    kind = block.mark.partition("fragment:")[2].strip()
    data = yaml.safe_load(block.text)
    if kind:
        return kind, "".join(text for key, text in WHOLE[kind].items() if key not in data) + block.text
    kinds = {"kind": "policy", "as_of": "prices", "scrape_configs": "prometheus"}
    return next((kind for key, kind in kinds.items() if key in data), "gateway"), block.text


def a_file(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("a reply\n")


@pytest.mark.parametrize("block", list(blocks("yaml")), ids=str)
def test_a_yaml_block_loads(block: Block, tmp_path: Path) -> None:
    kind, text = whole(block)
    for line in text.splitlines():
        for name in re.findall(r"[\w/-]+\.(?:md|jsonl|csv)\b", line.partition("#")[0]):
            a_file(tmp_path, name)
        for folder in re.findall(r"folder:(\S+)", line):
            a_file(tmp_path, f"{folder}/model.onnx")
            a_file(tmp_path, f"{folder}/tokenizer.json")
    file = tmp_path / "file.yaml"
    file.write_text(text, "utf-8")
    if kind == "prometheus":
        return
    if kind == "prices":
        assert load_prices(file).models
    elif kind == "policy":
        assert load_policy(file, {"OPENAI_API_KEY": "k"}).labels
    else:
        loaded = load_gateway(file, {"OFFRAMP_KEY": "k", "OPENAI_API_KEY": "k"})
        assert loaded.settings.upstreams


def commands(group: click.Command, path: str = "offramp") -> Iterator[tuple[str, click.Command]]:
    inner = getattr(group, "commands", None)
    if inner is None:
        yield path, group
    else:
        for name, command in inner.items():
            yield from commands(command, f"{path} {name}")


COMMANDS = dict(commands(COMMAND))


def words_of(command: click.Command) -> set[str]:
    """Its arguments by their metavar, its flags by their long name."""
    found = set()
    for parameter in command.params:
        if parameter.name == "help":
            continue
        is_argument = parameter.param_type_name == "argument"
        found.add(str(parameter.name).upper() if is_argument else parameter.opts[0])
    return found


def test_every_command_is_documented() -> None:
    headings = re.findall(r"^## (offramp .*)$", (ROOT / "docs/cli.md").read_text("utf-8"), re.MULTILINE)
    assert headings == list(dict.fromkeys(headings))
    assert set(headings) == set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_a_commands_flags_are_documented(path: str) -> None:
    documented = [code(cells[0])[0] for cells in rows(section("docs/cli.md", path), "argument or flag")]
    assert sorted(documented) == sorted(words_of(COMMANDS[path]))


def lines_of_shell() -> Iterator[tuple[str, str]]:
    for block in blocks("sh", "console"):
        for line in block.text.replace("\\\n", " ").splitlines():
            yield str(block), line.removeprefix("$ ").strip()


@pytest.mark.parametrize(("where", "line"), [pair for pair in lines_of_shell() if pair[1].startswith("offramp ")])
def test_a_command_in_a_block_is_one(where: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    two = " ".join(words[:3])
    path = two if two in COMMANDS else " ".join(words[:2])
    assert path in COMMANDS, where
    flags = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--help"}
    assert flags <= words_of(COMMANDS[path]), where


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_targets_in_the_text_are_there(page: Path) -> None:
    text = page.read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = re.findall(r"`make ([a-z]+)", text) + re.findall(r"^make ([a-z]+)", text, re.MULTILINE)
    assert set(made) <= targets
    for name in re.findall(r"`offramp ([a-z]+)", text):
        assert any(path.startswith(f"offramp {name}") for path in COMMANDS), name


def test_exit_codes_are_documented() -> None:
    documented = {int(cells[0]) for cells in rows((ROOT / "docs/cli.md").read_text("utf-8"), "exit code")}
    assert documented == {int(one) for one in Exit}


def test_environment_variables_are_documented() -> None:
    """Those that code reads, or that a file which is shipped names."""
    in_code = re.compile(r"(?:environ\.(?:get|setdefault)\(|environ\[|getenv\()\"([A-Z_]+)\"")
    in_yaml = re.compile(r"\$\{([A-Z_]+)[:}]")
    shipped = [*(ROOT / "config").rglob("*.yaml"), ROOT / "deploy/compose.yaml"]
    read = {name for path in [*SOURCES, ROOT / "tests/conftest.py"] for name in in_code.findall(path.read_text())}
    read |= {name for path in shipped for name in in_yaml.findall(path.read_text())}
    table = rows((ROOT / "docs/operations.md").read_text("utf-8"), "variable")
    assert {code(cells[0])[0] for cells in table} == read


def test_headers_are_documented() -> None:
    made = {name for path in SOURCES for name in re.findall(r"b\"(x-(?:offramp-|request)[a-z-]+)\"", path.read_text())}
    documented = {code(cells[0])[0] for cells in rows((ROOT / "docs/api.md").read_text("utf-8"), "header")}
    assert made == documented
    for page in PAGES:
        named = set(re.findall(r"x-offramp-[a-z-]+[a-z]", page.read_text("utf-8")))
        assert named <= made, page


def kinds_of_error(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    for inner in kind.__subclasses__():
        yield inner
        yield from kinds_of_error(inner)


def test_errors_are_documented() -> None:
    table = rows((ROOT / "docs/api.md").read_text("utf-8"), "status")
    documented = {(int(cells[0]), next(iter(code(cells[1])), None)) for cells in table}
    assert documented == {(kind.status, kind.code) for kind in kinds_of_error(ApiError)}


def test_ledger_columns_are_documented() -> None:
    table = rows((ROOT / "docs/metrics.md").read_text("utf-8"), "column")
    assert [name for cells in table for name in code(cells[0])] == list(Record.__struct_fields__)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SQLiteLedger]:
    store = SQLiteLedger(tmp_path / "offramp.db")
    now = time.time()
    kinds: list[dict[str, Any]] = [
        {"spent_usd": 0.5},
        {"spent_usd": None, "usage_source": "missing"},
        {"decision": "answer", "saved_reason": "local_answer", "saved_usd": 0.25, "notional": True},
        {"decision": "answer", "saved_reason": "local_answer", "saved_usd": None},
        {"decision": "block", "saved_reason": "block", "saved_usd": 0.125},
        {"saved_reason": "cheaper_route", "saved_usd": 0.0625, "spent_usd": 0.03125},
        {"saved_reason": "cheaper_route", "saved_usd": -0.015625, "rule": "other"},
    ]
    store.append([Record(request_id=str(i), at=now, endpoint="chat", **kind) for i, kind in enumerate(kinds)])
    yield store
    store.close()


def test_the_sql_of_the_docs_gives_the_reports_figures(ledger: SQLiteLedger) -> None:
    queries = [block.text for block in blocks("sql")]
    assert len(queries) >= 3
    answers = [ledger._db.execute(query) for query in queries]
    first = dict(zip([column[0] for column in answers[0].description], answers[0].fetchone(), strict=True))
    until = time.time() + 1
    report = read(ledger, 0, until, prices=load_prices(), routes=Routes({}))
    assert first == {name: getattr(report.total, name) for name in first}
    assert all(answer.fetchall() for answer in answers[1:])


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", prose(page)):
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_in_the_text_are_there(page: Path) -> None:
    folders = "config|deploy|docs|tests|gateway|classifiers|benchmarks"
    for name in re.findall(rf"`((?:{folders})/[\w./-]+)`", page.read_text("utf-8")):
        # a policy of the reader's own is in a folder of the reader's own
        assert name.startswith("config/policies/") or (ROOT / name).exists(), name


@pytest.mark.parametrize("block", list(blocks("python")), ids=str)
def test_a_python_block_is_python(block: Block) -> None:
    compile(block.text, str(block), "exec")


def test_pages_named_in_code_are_there() -> None:
    named = {(path, name) for path in SOURCES for name in re.findall(r"docs/[\w/-]+\.md", path.read_text("utf-8"))}
    assert named
    assert not [(path.name, name) for path, name in named if not (ROOT / name).exists()]
