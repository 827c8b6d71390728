"""report.html: what training measured, as a page. Pure.

What `offramp eval` measured, as a page. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from classifiers.report import figures
from classifiers.report.figures import (
    aim,
    errors,
    foreign,
    headline,
    labels,
    languages,
    latency,
    pictures,
    read_otherwise,
    remarks,
    section,
    slots,
    teacher_caution,
    where,
)
from classifiers.report.markup import counted, document, interval, listed, number, percent, plain, quoted, table, within


def evaluation_page(evaluation: Mapping[str, Any], files: Sequence[str]) -> str:
    """evaluation: as of `examine`; files: what the rows are from."""
    return document(f"{evaluation['classifier']}: evaluation", _parts(evaluation, files))


def _parts(found: Mapping[str, Any], files: Sequence[str]) -> Iterator[str]:
    yield f"<h1>{escape(found['classifier'])}</h1>"
    yield f'<p class="lead">{escape(found["about"])} · {escape(found["kind"])} · {escape(found["made_at"])}</p>'
    yield figures.headline(found, found.get("slots"))
    yield (
        f'<p class="note">Version {escape(found["version"])} on {counted(found["rows"], "row")} of '
        f"{escape(', '.join(files))}. Shares have 95 % intervals (Wilson).</p>"
    )
    yield from _cautions(found)
    yield "<h2>Pictures</h2>"
    yield from figures.pictures(found)
    yield "<h2>Labels</h2>"
    yield figures.labels(found, found["thresholds"])
    if "slots" in found:
        yield "<h2>Slots</h2>"
        yield from _evaluation_slots(found["slots"])
    yield "<h2>Most certain errors</h2>"
    yield figures.errors(found)
    if "suite" in found:
        yield "<h2>Safety suite</h2>"
        yield from figures.suite(found["suite"])
    if found["latency"]:
        yield "<h2>Latency</h2>"
        yield figures.latency(found["latency"])
        rows = [[escape(stage), count, percent(count / found["rows"])] for stage, count in found["stages"].items()]
        yield table(["settled by the stage", "rows", "share"], rows)


def _evaluation_slots(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["rows"]:
        yield "<p>No row that counts is of a file that marks slots, so slots are not measured.</p>"
        return
    asked = "label and all slots" if found["with_label"] else "all slots"
    yield (
        f'<p class="note">On {counted(found["rows"], "text")}, {within(found["whole"], found["whole_interval"])} of '
        f"them with {asked} right. A slot is right where its name, beginning and end are.</p>"
    )
    yield figures.slots(found)
    if found["errors"]:
        yield "<h3>Texts with most slots wrong</h3>"
        yield figures.slot_errors(found)


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
            f'<div class="warn"><p>{figures.seen(seen["rows"])} here '
            f"(accuracy on them: {percent(seen['accuracy'])}){some}:</p><details><summary>texts</summary>"
            f"{lines}</details></div>"
        )
    if found["repeated"]:
        yield f'<p class="warn">{figures.repeats(found["repeated"])}.</p>'


FILE = "report.html"


def training_page(report: Mapping[str, Any]) -> str:
    """report: as in report.json."""
    held = report["held_out"]
    parts = [
        f"<h1>{escape(report['name'])}</h1>",
        f'<p class="lead">{escape(report["about"])} · {escape(report["kind"])} · {escape(report["made_at"])}</p>',
        _verdict(report),
        _patterns(report),
        *(_learned(report, held) if held["labels"] else ()),
        "<h2>Goals and tests</h2>",
        section(report),
        _cascade(report),
        "<h2>How it was made</h2>",
        _settings(report),
    ]
    return document(report["name"], parts)


def _verdict(report: Mapping[str, Any]) -> str:
    if report.get("accepted"):
        stated = any(goal.get("stated", True) for goal in report["goals"])
        goals = ", and the goals that the policy states are met" if stated else "; the policy states no goal"
        return f'<p class="yes">Published: its tests pass{goals}.</p>'
    lines = "".join(f"<li>{escape(line)}</li>" for line in report.get("missed", ()))
    return f'<div class="no">Not published:<ul>{lines}</ul></div>'


def _learned(report: Mapping[str, Any], held: Mapping[str, Any]) -> Iterator[str]:
    yield _headline(report, held)
    yield "<h2>Pictures</h2>"
    yield from pictures(held)
    yield "<h2>Labels</h2>"
    yield labels(held, report["thresholds"])
    yield from _bands(report.get("bands", ()))
    yield from _training_slots(report["settings"].get("slots"))
    yield "<h2>Most certain errors</h2>"
    yield errors(held)
    if taken := report["latency"]:
        yield "<h2>Latency</h2>"
        yield latency(taken)
    yield "<h2>Training text</h2>"
    yield _text(report)


def _patterns(report: Mapping[str, Any]) -> str:
    rows = [[escape(kind), escape(label)] for kind, label in report.get("patterns", {}).items()]
    if not rows:
        return ""
    note = "<p>These labels hold where a pattern is found; nothing of them is learned or measured here.</p>"
    return f"<h2>Patterns</h2>{note}{table(['pattern', 'label'], rows)}"


def _headline(report: Mapping[str, Any], held: Mapping[str, Any]) -> str:
    told = f"Measured on held-out {escape(where(report))}: each was scored by a fit that saw neither it nor its group."
    if caution := teacher_caution(report):
        told += f" {escape(caution)}"
    if report["everyday"]["rows"]:
        told += (
            f" Of {report['everyday']['rows']} everyday sentences, {report['everyday']['answered']} were given a label."
        )
    beside = "".join(f"<p>{escape(line)}</p>" for line in (aim(report), languages(report)) if line)
    figures = headline(held, report["settings"].get("slots"))
    return f'{figures}<p class="note">{told}</p>{beside}'


def _bands(bands: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the common threshold does for texts of each length and language, and whether they have another."""
    if not bands:
        return
    yield "<h2>Lengths and languages</h2>"
    yield (
        '<p class="note">A stricter threshold serves where held-out text, 50 rows or more, shows with 80 % confidence '
        "that more is wrong at the common one than is wanted. Rows are all for which a label is likeliest; everyday "
        "sentences and other text of no label among them are wrong where they are answered.</p>"
    )
    yield table(
        ["characters", "language", "rows", "answered, common", "wrong", "acts from", "answered, as used", "wrong"],
        [
            [
                f"{one['above'] + 1} – {one['up_to']}" if one["up_to"] else f"over {one['above']}",
                escape(one["language"]) or "any",
                one["rows"],
                *(percent(one["common"][part]) for part in ("answered", "error")),
                f"{number(one['act'])}{' (its own)' if one['own'] else ''}",
                *(percent(one[part]) for part in ("answered", "error")),
            ]
            for one in bands
        ],
    )


def _training_slots(told: Mapping[str, Any] | None) -> Iterator[str]:
    """How well the slots of held-out sentences are found, of all and of each."""
    if told is None:
        return
    yield "<h2>Slots</h2>"
    if not told["rows"]:
        yield "<p>No held-out sentence is marked, so slots are not measured.</p>"
        return
    where, whole = counted(told["rows"], "held-out marked sentence"), within(told["whole"], told["whole_interval"])
    yield (
        f'<p class="note">On {where}, {whole} of them with all slots right. A slot is right where its name, beginning '
        "and end are.</p>"
    )
    yield slots(told)


def _text(report: Mapping[str, Any]) -> str:
    text = report["text"]
    rows = [[escape(name), count] for name, count in text["sources"].items()]
    forms = ", ".join(f"{count} {escape(form)}" for form, count in text["forms"].items())
    parts = [
        table(["source", "texts"], rows),
        *_teachers(report),
        *_rounds(report),
        f"<p>The built-in writer made: {forms or 'nothing'}.</p>",
    ]
    parts.append(f"<p>Dropped: {counted(text['duplicates'], 'duplicate')}, {text['empty']} empty.</p>")
    if text["leaks"]:
        parts.append(
            f"<p>Dropped, since the policy's tests hold them too: {'; '.join(map(escape, text['leaks']))}.</p>"
        )
    if text["contradictions"]:
        lines = [
            [escape(one["text"]), escape(", ".join(one["labels"])), escape(", ".join(one["kept"])), one["dropped"]]
            for one in text["contradictions"]
        ]
        named = table(["text", "labels", "kept as", "rows dropped"], lines)
        parts.append(f"<p>Given several labels; dropped, unless four of five rows agree:</p>{named}")
    parts.extend(f"<p>{escape(line)}.</p>" for line in foreign(text))
    parts.extend(_doubts(text.get("doubts", {"rows": 0})))
    by_source = report["by_source"]
    if len(by_source) > 1:
        lines = [
            [escape(name), one["rows"], percent(one["accuracy"]), interval(one["accuracy"], one["interval"])]
            for name, one in by_source.items()
        ]
        parts.append(table(["held-out text of", "rows", "accuracy", "95 %"], lines))
    return "".join(parts)


def _rounds(report: Mapping[str, Any]) -> Iterator[str]:
    """What each round of writing was aimed at and came to."""
    rounds = report.get("rounds", ())
    if not report.get("rounds_ended"):
        return
    yield f"<p>Labels that were taken for each other had further sentences written; {counted(len(rounds), 'round')}, "
    yield f"ended by: {escape(report['rounds_ended'])}.</p>"
    rows = []
    for one in rounds:
        pairs = ", ".join(f"{pair['first']} / {pair['second']} ({pair['mistaken']})" for pair in one["pairs"])
        before, after = one["before"], one["after"]
        rows.append(
            [
                one["number"],
                escape(pairs),
                sum(one["sentences"].values()),
                f"{number(before['loss'])} → {number(after['loss'])}",
                f"{percent(before['accuracy'])} → {percent(after['accuracy'])}",
                "kept" if one["kept"] else "left out",
            ]
        )
    if rows:
        yield table(["round", "aimed at (mistaken)", "sentences", "held-out loss", "accuracy", ""], rows)


def _doubts(doubts: Mapping[str, Any]) -> Iterator[str]:
    """Rows whose text speaks for another label."""
    if not doubts["rows"]:
        return
    done = ", ".join(f"{count} {escape(name)}" for name, count in doubts["done"].items())
    some = f"; here are {len(doubts['shown'])}" if len(doubts["shown"]) < doubts["rows"] else ""
    yield f"<p>{read_otherwise(doubts['rows'])} ({done}){some}:</p>"
    head = ["text", "is", "reads like", "by", "so say", "so it was"]
    yield table(
        head,
        [
            [
                quoted(one["text"]),
                escape(one["label"]),
                escape(one["instead"]),
                escape(one["writer"] or one["source"]),
                ", ".join(one["witnesses"]),
                one["done"],
            ]
            for one in doubts["shown"]
        ],
    )


def _teachers(report: Mapping[str, Any]) -> Iterator[str]:
    """Who wrote sentences: how many, which share of all texts that is, and what it cost."""
    rows = []
    for one in report["teachers"]:
        names = [one.get("writer", one["model"])] if "model" in one else one["file"]
        shares = [f"{percent(report['text']['writers'].get(name, 0.0))} of all texts" for name in names]
        cost = f"${one['spent_usd']:.4f}" if one.get("price_known") else "unknown" if "model" in one else ""
        tokens = f"{one['input_tokens']} + {one['output_tokens']}" if "model" in one else ""
        cells = [", ".join(names), one["sentences"], ", ".join(shares), cost, tokens, "; ".join(remarks(one))]
        rows.append([escape(cell) if isinstance(cell, str) else cell for cell in cells])
    if rows:
        yield table(["teacher", "sentences", "share", "cost in this run", "tokens in + out", ""], rows)


def _cascade(report: Mapping[str, Any]) -> str:
    """What each share of questions to the large encoder buys."""
    told = report["settings"].get("cascade")
    if not told:
        return ""
    rows = [
        [
            escape(point["point"]),
            percent(point["asked_of_harmless"]),
            percent(point["asked"]),
            percent(point["caught"]),
            percent(point["alarms"]),
            number(point["auprc"]),
            f"{point['ms']:.1f} ms",
        ]
        for point in told["points"]
    ]
    head = ["", "asked of harmless", "asked of all", "harmful flagged", "harmless flagged", "AUPRC", "32 tokens"]
    note = (
        f"The small encoder clears what it is sure is clean; the large one is asked about the rest, at most "
        f"{percent(told['most_asked'])} of harmless text. On held-out {escape(report['measured_on'])}; "
        "the time is for a window of 32 tokens of harmless text, on the machine that trained."
    )
    return f'<h2>Two encoders</h2><p class="note">{note}</p>{table(head, rows)}'


def _settings(report: Mapping[str, Any]) -> str:
    encoder = report["encoder"]
    return listed(
        [
            ("encoder", f"{encoder['source']} ({encoder['sha256'][:12]}…)" if encoder else "none"),
            ("seed", report["seed"]),
            *(
                (name.replace("_", " "), plain(value))
                for name, value in report["settings"].items()
                if name not in {"cascade", "slots"}
            ),
            ("seconds", ", ".join(f"{step} {seconds:.1f} s" for step, seconds in report["seconds"].items())),
        ]
    )
