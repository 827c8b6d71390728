"""YAML text to plain data, and the position of each part.

Every scalar stays the text that was written (`no`, `1.0` and `on` are words), and the schema decides what it means.
Only an empty value, `~` and `null` are None. In values, "${NAME}" and "${NAME:-default}" are filled from the
environment; as in a shell, the default also counts for an empty variable. This is the only file that imports yaml.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.config.problems import ConfigError, Position, Problem, without

Key = str | int
DataPath = tuple[Key, ...]

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_LIST_ITEM: Final = re.compile(r"^\s*(- +)*([\w-]+: +)?")
_SPECIAL: Final = frozenset("\"'[{@*&!%`|>")
"""Text without quotes cannot begin with one of these."""
_TAGS: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in
    ("bool", "float", "int", "map", "merge", "null", "seq", "str", "timestamp", "value"))  # fmt: skip
_COMMENT: Final = re.compile(r"[ \t]+#[^\s#]")
_PROSE: Final = frozenset({"about", "answer", "block", "means", "message", "other", "text"})
"""Keys whose text a comment would cut."""
EMPTY: Final = "is empty"
"""Of a variable."""
_MAX_DEPTH: Final = 40
_MAX_NODES: Final = 200_000
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class Document:
    """A parsed file. Its mappings have the path of keys and indices to a value as their key.

    from_env: values that come from the environment alone, without text around the variable and without a default.
    filled: values with something from the environment, as written and as filled.
    unset: variables without a default that a value needs, and whether they are not set or empty.
    """

    file: str
    data: Any = None
    marks: dict[DataPath, Position] = field(default_factory=dict)
    from_env: set[DataPath] = field(default_factory=set)
    filled: dict[DataPath, tuple[str, str]] = field(default_factory=dict)
    unset: dict[DataPath, tuple[str, str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def mark(self, path: DataPath) -> Position:
        """The position of `path`, or of the nearest part above it that the file has."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.marks:
                return self.marks[path[:end]]
        return Position(1, 1)

    def value(self, path: DataPath) -> Any:
        """The value at `path`."""
        value = self.data
        for key in path:
            value = value[key]
        return value

    def problem(self, path: DataPath, message: str) -> Problem:
        """A problem at `path`. Values from the environment are left out of the message."""
        for place, (written, value) in self.filled.items():
            if path in (place, place[:-1]):
                message = without(value, message, written)
        return Problem(self.file, self.mark(path), path, message)


def read(path: Path, env: Mapping[str, str]) -> Document:
    """Parses a YAML file. Raises ConfigError for a file that cannot be read or is not YAML at all; other problems
    (duplicate keys, missing variables) are listed in the document."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError([Problem(str(path), None, (), f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        mark = Position(before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1)
        raise ConfigError([Problem(str(path), mark, (), "is not UTF-8; save the file as UTF-8")]) from error
    return parse(text, str(path), env)


def parse(text: str, file: str, env: Mapping[str, str]) -> Document:
    """Parses YAML text. file: its name in problems. Raises ConfigError where it is not YAML."""
    document = Document(file)
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        # what follows a quote that is not closed is within it, to the end of the file
        unclosed = "quoted scalar" in (error.context or "") and "found unexpected" in (error.problem or "")
        where = error.context_mark if unclosed else error.problem_mark or error.context_mark
        mark = Position(where.line + 1, where.column + 1) if where else None
        mend = _mend(text, where.index) if where else ""
        quote = "a quote is opened here and not closed; close it, or put the text in quotes of the other kind"
        why = quote if unclosed else f"{error.problem}{mend}"
        raise ConfigError([Problem(file, mark, (), f"is not valid YAML: {why}")]) from error
    except yaml.YAMLError as error:
        raise ConfigError([Problem(file, None, (), f"is not valid YAML: {error}")]) from error
    if root is None:
        raise ConfigError([Problem(file, Position(1, 1), (), "is empty")])
    document.data = _Walk(document, env, text).value(root, ())
    return document


def _mend(text: str, place: int) -> str:
    """How to mend a line that is not YAML, where its beginning shows it. place: a character of the line."""
    line = text[text.rfind("\n", 0, place) + 1 :].partition("\n")[0]
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "; indent with spaces, not tabs"
    if _LIST_ITEM.sub("", line)[:1] in _SPECIAL:
        return "; put the whole text in quotes, a quote within it in the other kind"
    return ""


class _Walk:
    """Turns nodes into data, within bounds for nested aliases."""

    def __init__(self, document: Document, env: Mapping[str, str], text: str) -> None:
        self._document = document
        self._env = env
        self._text = text
        self._nodes = 0

    def value(self, node: yaml.Node, path: DataPath) -> Any:
        self._nodes += 1
        self._document.marks.setdefault(path, _mark(node))
        if len(path) > _MAX_DEPTH or self._nodes > _MAX_NODES:
            raise ConfigError([self._document.problem(path, "is nested or aliased too deeply")])
        if node.tag not in _TAGS:
            self._add(path, node, "begins with !, which YAML reads as a tag; put the text in quotes")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._cut(item, (*path, index))
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _cut(self, item: yaml.Node, path: DataPath) -> None:
        """Text without quotes, such as `room #5 is cold`, ends where a comment begins."""
        plain = isinstance(item, yaml.ScalarNode) and not item.style and item.value
        if plain and _COMMENT.match(self._text, item.end_mark.index):
            self._add(path, item, "ends before the #; put the text in quotes, or a space behind # for a comment")

    def _mapping(self, node: yaml.MappingNode, path: DataPath) -> dict[str, Any]:
        seen: dict[str, yaml.Node] = {}
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._add(path, key_node, "a key must be a word")
                continue
            key = str(key_node.value)
            if key in seen:
                first = _mark(seen[key]).line
                self._add((*path, key), key_node, f"stands twice; the first is on line {first}")
                continue
            seen[key] = key_node
            if key in _PROSE and " " in value_node.value:
                # of other keys, and of one word, little is lost: a comment of whatever form may stand behind a setting
                self._cut(value_node, (*path, key))
            data[key] = self.value(value_node, (*path, key))
            self._document.marks[*path, key] = _mark(key_node)
        return data

    def _scalar(self, node: yaml.Node, path: DataPath) -> str | None:
        text = str(node.value)
        plain = isinstance(node, yaml.ScalarNode) and not node.style  # None, or empty from libyaml
        if plain and text in ("", "~", "null"):
            return None
        if "\0" in text:
            self._add(path, node, "holds a NUL character")
            text = text.replace("\0", "")
        if "${" not in text:
            return text
        if not _VARIABLE.sub(lambda match: match[2] or "", text):
            self._document.from_env.add(path)
        value = _VARIABLE.sub(lambda match: self._fill(match, node, path), text)
        if any(match[1] in self._env for match in _VARIABLE.finditer(text)):
            self._document.filled[path] = (text, value)
        return value

    def _fill(self, match: re.Match[str], node: yaml.Node, path: DataPath) -> str:
        name, default = match.groups()
        if default is None and not self._env.get(name, "").strip():
            self._document.unset[path] = name, EMPTY if name in self._env else "is not set"
        if self._env.get(name) or (name in self._env and not default):
            return self._env[name]
        if default is None:
            self._add(path, node, f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
        return default or ""

    def _add(self, path: DataPath, node: yaml.Node, message: str) -> None:
        self._document.problems.append(Problem(self._document.file, _mark(node), path, message))


def _mark(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)
