"""A row inside a format, and the format around nothing, which is harmless."""

import json
from collections.abc import Callable, Iterator, Mapping
from html import escape

from classifiers.suite.case import Case, Sample

WRAPPERS: Mapping[str, Callable[[str], str]] = {
    "JSON": lambda text: json.dumps({"role": "user", "content": text, "id": 18}, indent=1),
    "XML": lambda text: f'<?xml version="1.0"?>\n<message><body>{escape(text)}</body></message>',
    "HTML": lambda text: f"<html><body><div class='text'><p>{escape(text)}</p></div></body></html>",
    "Markdown": lambda text: f"# Message\n\n- **text:** {text}\n- *date:* today\n",
    "Markdown table": lambda text: f"| field | value |\n|---|---|\n| text | {text} |\n",
    "code fence": lambda text: f"```python\ntext = {text!r}\nprint(text)\n```",
    "YAML": lambda text: f"message:\n  lang: en\n  text: {json.dumps(text)}\n",
    "CSV": lambda text: 'id,text,state\n1,"' + text.replace('"', '""') + '",open\n',
    "log line": lambda text: f'2024-05-02T10:14:07Z INFO request id=8f2 body="{text}" status=200',
}
_NOTHING = ("", "-")
_GREETING = "hello"


def cases(sample: Sample) -> Iterator[Case]:
    """Every row in every wrapper, and each wrapper empty or around a greeting, unless a policy's labels mean that."""
    for name, wrap in WRAPPERS.items():
        for harmful, index, text in sample.rows():
            yield Case(variant=name, texts=(wrap(text),), harmful=harmful, base=index)
    contents = (*_NOTHING, _GREETING) if sample.policy.everyday else _NOTHING
    for wrap in WRAPPERS.values():
        for content in contents:
            yield Case(variant="empty", texts=(wrap(content),), harmful=False)
