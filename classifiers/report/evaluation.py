"""What `offramp eval` measured, as a page. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from classifiers.report import cautions, sections
from classifiers.report.figures import counted, percent, within
from classifiers.report.layout import document, quoted, table


def page(evaluation: Mapping[str, Any], files: Sequence[str]) -> str:
    """evaluation: as of `examine`; files: what the rows are from."""
    return document(f"{evaluation['classifier']}: evaluation", _parts(evaluation, files))


def _parts(found: Mapping[str, Any], files: Sequence[str]) -> Iterator[str]:
    yield f"<h1>{escape(found['classifier'])}</h1>"
    yield f'<p class="lead">{escape(found["about"])} · {escape(found["kind"])} · {escape(found["made_at"])}</p>'
    yield sections.headline(found, found.get("slots"))
    yield (
        f'<p class="note">Version {escape(found["version"])} on {counted(found["rows"], "row")} of '
        f"{escape(', '.join(files))}. Shares have 95 % intervals (Wilson).</p>"
    )
    yield from _cautions(found)
    yield "<h2>Pictures</h2>"
    yield from sections.pictures(found)
    yield "<h2>Labels</h2>"
    yield sections.labels(found, found["thresholds"])
    if "slots" in found:
        yield "<h2>Slots</h2>"
        yield from _slots(found["slots"])
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


def _slots(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["rows"]:
        yield "<p>No row that counts is of a file that marks slots, so slots are not measured.</p>"
        return
    asked = "label and all slots" if found["with_label"] else "all slots"
    yield (
        f'<p class="note">On {counted(found["rows"], "text")}, {within(found["whole"], found["whole_interval"])} of '
        f"them with {asked} right. A slot is right where its name, beginning and end are.</p>"
    )
    yield sections.slots(found)
    if found["errors"]:
        yield "<h3>Texts with most slots wrong</h3>"
        yield sections.slot_errors(found)


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
            f'<div class="warn"><p>{cautions.seen(seen["rows"])} here '
            f"(accuracy on them: {percent(seen['accuracy'])}){some}:</p><details><summary>texts</summary>"
            f"{lines}</details></div>"
        )
    if found["repeated"]:
        yield f'<p class="warn">{cautions.repeats(found["repeated"])}.</p>'
