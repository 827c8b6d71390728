"""The same text in the places of a request that a rule may read: tool results, arguments, a further text part …

A classifier sees texts, not roles; which roles are read is the rule's choice (`reads.roles`). So these are the
shapes that text has in each.
"""

import json
from collections.abc import Callable, Iterator, Mapping

from classifiers.suite.case import Case, Sample

PLACES: Mapping[str, Callable[[str], tuple[str, ...]]] = {
    "tool result": lambda text: (
        "What did the customer write?",
        json.dumps({"status": "ok", "results": [{"id": 7, "from": "customer", "body": text}]}),
    ),
    "function arguments": lambda text: (json.dumps({"recipient": "support", "message": text}),),
    "second text part": lambda text: ("Here is what I would like to know.", text),
    "assistant prefill": lambda text: ("Please go on.", f"Sure. {text}"),
    "after the operator's prompt": lambda text: ("You are a helpful assistant of a shop. Be brief.", text),
    "quoted": lambda text: ("\n".join(f"> {line}" for line in text.split("\n")) + "\nWhat do you say to this?",),
}


def cases(sample: Sample) -> Iterator[Case]:
    """Every row in every place."""
    for place, put in PLACES.items():
        for harmful, index, text in sample.rows():
            yield Case(variant=place, texts=put(text), harmful=harmful, base=index)
