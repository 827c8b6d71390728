"""What `offramp eval` measured, as a page. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from classifiers.report import sections
from classifiers.report.figures import percent
from classifiers.report.layout import document, quoted, table


def page(evaluation: Mapping[str, Any], files: Sequence[str]) -> str:
    """evaluation: as of `examine`; files: what the rows are from."""
    return document(f"{evaluation['classifier']}: evaluation", _parts(evaluation, files))


def _parts(found: Mapping[str, Any], files: Sequence[str]) -> Iterator[str]:
    yield f"<h1>{escape(found['classifier'])}</h1>"
    yield f'<p class="lead">{escape(found["about"])} · {escape(found["kind"])} · {escape(found["made_at"])}</p>'
    yield sections.headline(found)
    yield (
        f'<p class="note">Version {escape(found["version"])} on {found["rows"]} rows of '
        f"{escape(', '.join(files))}. Shares have 95 % intervals (Wilson).</p>"
    )
    yield from _cautions(found)
    yield "<h2>Pictures</h2>"
    yield from sections.pictures(found)
    yield "<h2>Labels</h2>"
    yield sections.labels(found, found["thresholds"])
    yield "<h2>Most certain errors</h2>"
    yield sections.errors(found)
    if "suite" in found:
        yield "<h2>Safety suite</h2>"
        yield from sections.suite(found["suite"])
    if found["latency"]:
        yield "<h2>Latency</h2>"
        yield sections.latency(found["latency"])
        rows = [[escape(stage), count, percent(count / found["rows"])] for stage, count in found["stages"].items()]
        yield table(["settled by the stage", "rows", "share"], rows)


def _cautions(found: Mapping[str, Any]) -> Iterator[str]:
    """What the figures leave out."""
    seen = found["trained_on"]
    if seen is None:
        yield (
            '<p class="warn">The rows that this version was trained on are not kept here, so whether the test shares '
            "some with them is not known.</p>"
        )
    elif seen["rows"]:
        some = f"; the first {len(seen['texts'])} of them" if len(seen["texts"]) < seen["rows"] else ""
        lines = "".join(map(quoted, seen["texts"]))
        yield (
            f'<div class="warn"><p>{seen["rows"]} more rows were trained on and count in no figure here '
            f"(accuracy on them: {percent(seen['accuracy'])}){some}:</p><details><summary>texts</summary>"
            f"{lines}</details></div>"
        )
    if found["repeated"]:
        yield f'<p class="warn">{found["repeated"]} rows repeat the text of another.</p>'
