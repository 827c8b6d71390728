"""Measures as rows and sentences for people, without markup. Reports are as in report.json."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from classifiers.report.markup import counted, interval, number, percent, plain, within, wrong

_FEW = 0.01
_HALF = 0.5
_MEASURED_ON_REAL_ROWS = frozenset({"real rows", "nothing"})
_SHOWN_LABELS = 10
_RECALL = "recall_at_1pct_false_alarms"
_SIDES = ("catch", "false_alarms")
_AIMED = "aimed at, not demanded"
_MARKS = {True: "met", False: "not met", None: "not shown, with nothing to measure it on"}
_HARMFUL = ("harmful", "caught", "clean", "kept", "95 %", "still caught", "95 %")
_HARMLESS = ("harmless", "false alarms", "95 %", "clean", "in doubt")
SUITE_HEAD = ("", *_HARMFUL, *_HARMLESS)
SHARES = ("precision", "95 %", "recall", "95 %", "F1", "95 %")
Figure = tuple[str, str, str]
"""A name, a value and an interval, as text."""


def aim(report: Mapping[str, Any]) -> str:
    """The share of errors that the thresholds aimed at where the policy states no goal, and whether it is reached, with
    the traffic's share out of scope where that was measured; empty where it states one."""
    wanted, held, scope = report.get("aimed_error"), report["held_out"], measured_scope(report)
    error = (scope or held).get("error")
    if wanted is None or error is None:
        return ""
    reached = "reached" if error <= wanted else "not reached"
    on = report["measured_on"] + (f", {percent(scope['share'])} of the traffic out of scope" if scope else "")
    return f"Without a goal, {percent(wanted)} wrong among answered is aimed at: {reached}, {percent(error)} on {on}."


def measured_scope(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the report says of traffic of which a share is out of scope; None where that was not measured."""
    scope: Mapping[str, Any] = report.get("out_of_scope") or {}
    return scope if scope.get("kinds") else None


def advice(report: Mapping[str, Any]) -> str:
    """What helps where over half is forwarded; empty where it is not, and for guards."""
    answered = (measured_scope(report) or report.get("held_out", {})).get("answered")
    if answered is None or answered >= _HALF:
        return ""
    labels = report["held_out"]["labels"].keys() - {"other"}
    lines = round(report["text"]["sources"].get("policy", 0) / max(len(labels), 1))
    error = "a higher goal.max_error" if report["goals"] else "goal: {max_error: 10%}"
    return (
        f"it abstains on over half: {percent(answered)} answered; what helps, the best first: more examples in users' "
        f"words (now {lines} lines a label), rows of your own (data:), a teacher's sentences (teacher:), or {error}"
    )


def languages(report: Mapping[str, Any]) -> str:
    """The policy's languages that its encoder knows poorly; empty where there are none."""
    poor = ", ".join(report.get("poorly_read", ()))
    return f"Its encoder knows English, and {poor} poorly; a multilingual encoder: can be named." if poor else ""


def foreign(text: Mapping[str, Any]) -> Iterator[str]:
    """Training text in languages that the policy does not list, where it is 1 % or more. text: as in the report."""
    counts = text.get("foreign", {"rows": 0, "dropped": 0})
    if counts["rows"] and counts["rows"] >= _FEW * counts["total"]:
        yield (
            f"in a language that the policy does not name, on which it abstains: {counts['rows']} of "
            f"{counted(counts['total'], 'row')} ({plain(counts['languages'])}); name it under languages:"
        )
    if dropped := counts["dropped"]:
        languages = plain(counts["languages_dropped"])
        yield f"dropped, in a language that the policy does not name: {counted(dropped, 'sentence')} ({languages})"


def seen(rows: int) -> str:
    """Says that test rows were trained on."""
    were = "was trained on and counts" if rows == 1 else "were trained on and count"
    return f"{counted(rows, 'more row')} {were} in no figure"


def repeats(rows: int) -> str:
    """Says that test rows repeat each other."""
    return f"{counted(rows, 'row')} {'repeats' if rows == 1 else 'repeat'} the text of another"


def read_otherwise(rows: int) -> str:
    """Says that the texts of rows read like another label."""
    return f"{counted(rows, 'row')} {'reads' if rows == 1 else 'read'} like another label"


def where(report: Mapping[str, Any]) -> str:
    """What the held-out figures were measured on: `written and real text, 13 rows, 1 of them real`."""
    rows, real = report["held_out"]["rows"], report["measured_real"]
    return f"{report['measured_on']}, {counted(rows, 'row')}" + (f", {real} of them real" if 0 < real < rows else "")


def out_of_scope(report: Mapping[str, Any]) -> Iterator[str]:
    """What a model that is no guard does where as much of the traffic is out of scope as its policy says, and with what
    text that was measured. Nothing for guards."""
    if not (found := report.get("out_of_scope")):
        return
    if not found["kinds"]:
        yield "no text out of scope to measure on: give other:, or rows labelled other"
        return
    yield (
        f"with {percent(found['share'])} of the traffic out of scope ({found['measured_on']}): "
        f"{percent(found['answered'])} answered, {percent(found['error'])} of that wrong; "
        f"{percent(found['outside_answered'])} of text out of scope answered"
    )
    counts = [f"{kind} {count['answered']} of {count['rows']}" for kind, count in found["kinds"].items()]
    yield f"text out of scope that was answered: {', '.join(counts)}"


def in_traffic(report: Mapping[str, Any]) -> Iterator[str]:
    """What a guard blocks and doubts of harmful text and of ordinary traffic. Nothing where none was measured."""
    found = report.get("traffic")
    if not found:
        return
    for what, name in (("harm", "harmful"), ("ordinary traffic", "ordinary")):
        part = found[name]
        blocked, doubted = (within(part[side], part[f"{side}_interval"]) for side in ("blocked", "doubted"))
        yield f"of {counted(part['texts'], 'held-out text')} of {what}: {blocked} blocked, {doubted} in doubt"
    share = f"where {percent(found['harmful_share'])} of the traffic is harmful"
    if found["can_block"]:
        yield f"by held-out text, nine in ten blocks are right {share}"
        if never := found.get("never_blocked"):
            yield f"never blocked, since no threshold would be right as often: {', '.join(never)}"
    else:
        yield f"NOTHING is blocked: no threshold has nine in ten blocks right {share}; raise harmful_share, or add rows"
    flagged = {kind: count for kind, count in found["kinds"].items() if count["flagged"]}
    if flagged:
        counts = [f"{kind} {count['flagged']} of {count['rows']}" for kind, count in flagged.items()]
        yield f"ordinary traffic that is blocked or in doubt: {', '.join(counts)}"


def teacher_caution(report: Mapping[str, Any]) -> str:
    """What figures on text written for training are worth; empty where users wrote all of it."""
    if report["measured_on"] in _MEASURED_ON_REAL_ROWS:
        return ""
    rows, real = report["held_out"]["rows"], report["measured_real"]
    if real:
        origin = f"{real} of the {counted(rows, 'row')} that this was measured on {'is' if real == 1 else 'are'} real"
        origin += ", the others were written for training."
    else:
        origin = "All of this was measured on text written for training."
    return (
        f"{origin} Written text orders models; it promises nothing about traffic: measure on your own messages with "
        "`offramp eval`."
    )


def goals(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Each goal of the policy: `asked`, `mark` (met or not), `reached` (and on which rows), `never` (labels), `stated`
    (not by default)."""
    for goal in report["goals"]:
        mark = _MARKS[goal["met"]]
        if "label" in goal:
            mark = _MARKS[goal["demanded_met"]] if goal["demanded"] else _AIMED
            aims = {side: "" if side in goal["demanded"] or not goal["stated"] else f" ({_AIMED})" for side in _SIDES}
            asked = f"{goal['label'] or 'any label'}: catch {percent(goal['catch'])}{aims['catch']}"
            asked += f" at {percent(goal['false_alarms'])} false alarms{aims['false_alarms']}"
            asked += "" if goal["stated"] else " (by default)"
            caught, alarms = (within(goal[side], goal[f"{side}_interval"]) for side in ("caught", "alarms"))
            reached = f"{caught} at {alarms}"
        else:
            asked = f"at most {percent(goal['max_error'])} error, at least {percent(goal['min_answered'])} answered"
            error = within(goal["error"], goal["error_interval"]) if "error" in goal else "–"
            reached = f"{error} error, {percent(goal.get('answered'))} of text with a label answered"
        counts = ""
        if unlabelled := goal.get("rows_of_no_label"):
            rows = counted(goal["rows"], "row")
            counts = f" ({rows}, {unlabelled} of them everyday sentences and other text of no label)"
        never = ", ".join(goal.get("never_named", ()))
        reached += f" on {goal['measured_on']}{counts}"
        stated = goal.get("stated", True)
        yield {"asked": asked, "mark": mark, "reached": reached, "never": never, "stated": stated}


def tests(report: Mapping[str, Any]) -> str:
    """How many of the policy's tests pass."""
    outcome = report["tests"]
    passed = f"{outcome['count'] - len(outcome['failed'])} of the policy's {counted(outcome['count'], 'test')} pass"
    if outcome.get("left_out"):
        passed += f"; {outcome['left_out']} under a system prompt are left out, since none is read"
    return f"{passed}."


def remarks(teacher: Mapping[str, Any]) -> Iterator[str]:
    """What a teacher did not write, a clause each. teacher: as in the report's `teachers`; old reports say less."""
    labels = teacher.get("labels", {})
    if unusable := teacher.get("batches", {}).get("unusable", 0):
        worst_first = sorted(labels.items(), key=lambda item: -item[1]["unusable"])
        shares = [f"{name} {counts['unusable']}" for name, counts in worst_first if counts["unusable"]]
        names = f" ({_shortened(shares)})" if shares else ""
        refused = f", {teacher['refused']} of them refused" if teacher.get("refused") else ""
        yield f"{unusable} of {teacher['batches']['wanted']} batches brought no sentence{names}{refused}"
    if without := [name for name, counts in labels.items() if not counts["sentences"]]:
        yield f"it wrote nothing for {_shortened(without)}"
    if count := teacher.get("cut_off", 0):
        what = "1 answer was" if count == 1 else f"{count} answers were"
        yield f"{what} cut off for length"
    if teacher.get("stopped_by_budget"):
        yield "stopped by its budget"


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_LABELS
    return ", ".join([*names[:_SHOWN_LABELS], *([f"and {more} more"] if more > 0 else [])])


def teachers(report: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    """A row for each teacher: who, sentences, share of all texts, cost, tokens, remarks."""
    for teacher in report["teachers"]:
        model = "model" in teacher
        names = [teacher.get("writer", teacher["model"])] if model else teacher["file"]
        shares = [f"{percent(report['text']['writers'].get(name, 0.0))} of all texts" for name in names]
        cost = f"${teacher['spent_usd']:.4f}" if teacher.get("price_known") else "unknown" if model else ""
        tokens = f"{teacher['input_tokens']} + {teacher['output_tokens']}" if model else ""
        yield ", ".join(names), teacher["sentences"], ", ".join(shares), cost, tokens, "; ".join(remarks(teacher))


def is_topics(measures: Mapping[str, Any]) -> bool:
    """Whether texts may have several labels, none of which is a harm."""
    return measures.get("kind", "safety") != "safety" and "flagged" in measures


def headline(measures: Mapping[str, Any], slots: Mapping[str, Any] | None) -> list[Figure]:
    """The most important figures. slots: their measures, where the policy has slots."""
    error = ("calibration error (ECE)", number(measures["ece"]), "")
    if "flagged" in measures and not is_topics(measures):
        flagged, doubted = measures["flagged"], measures["doubted"]
        figures = [
            ("of harmful text flagged", *share(flagged, "harmful")),
            ("of harmless text flagged", *share(flagged, "harmless")),
            ("of harmful text in doubt", *share(doubted, "harmful")),
            ("of harmless text in doubt", *share(doubted, "harmless")),
            ("AUPRC, any label", number(measures["any"]["auprc"]), ""),
            ("recall at 1 % false alarms", *share(measures["any"], _RECALL)),
            error,
        ]
    else:
        accuracy = percent(measures["accuracy"]), interval(measures["accuracy"], measures["interval"])
        figures = [
            ("of texts have just their labels" if "flagged" in measures else "accuracy", *accuracy),
            ("macro F1", number(measures["macro_f1"]), ""),
            ("macro AUPRC", number(measures["macro"]["auprc"]), ""),
            ("answered", *share(measures, "answered")),
            (f"{wrong(measures)} among answered", *share(measures, "error")),
            error,
        ]
        if measures.get("flagged", {}).get("harmless") is not None:
            figures.insert(-1, ("of text without a label given one", *share(measures["flagged"], "harmless")))
    if slots and slots["rows"]:
        asked = "label and all slots" if slots.get("with_label") else "all slots"
        figures += [("slots, F1", *_f1(slots)), (f"of texts with {asked} right", *share(slots, "whole"))]
    return figures


def share(measures: Mapping[str, Any], name: str) -> tuple[str, str]:
    """A share of the measures, and its interval."""
    return percent(measures[name]), interval(measures[name], measures[f"{name}_interval"])


def _f1(measures: Mapping[str, Any]) -> tuple[str, str]:
    return number(measures["f1"]), "" if measures["f1"] is None else " – ".join(map(number, measures["f1_interval"]))


def _shares(measures: Mapping[str, Any]) -> tuple[str, ...]:
    return *share(measures, "precision"), *share(measures, "recall"), *_f1(measures)


def label_rows(measures: Mapping[str, Any], thresholds: Mapping[str, Mapping[str, float]]) -> list[tuple[object, ...]]:
    """A row for each label. thresholds: as in report.json."""
    return [
        (
            *(name, label["support"], *_shares(label), number(thresholds.get(name, {}).get("act"))),
            *(number(label["auprc"]), *share(label, _RECALL)),
        )
        for name, label in measures["labels"].items()
    ]


def slot_rows(measures: Mapping[str, Any]) -> list[tuple[object, ...]]:
    """A row for all slots, then one for each."""
    return [(name, slot["support"], *_shares(slot)) for name, slot in (("all", measures), *measures["slots"].items())]


def suite_lines(suite: Mapping[str, Any]) -> Iterator[str]:
    """The safety suite's figures for a terminal."""
    if suite_left_out(suite):
        yield suite_left_out(suite)
    yield (
        f"suite: {suite['harmful']} harmful and {suite['harmless']} harmless rows; kept = caught / caught clean, "
        "still = share of what is caught clean that still is"
    )
    lines = [(cells[0] if summed else f"  {cells[0]}", cells) for summed, cells in suite_rows(suite)]
    wide = max(len(name) for name, _ in lines)
    yield f"  {'':{wide}}{'caught':>9}{'clean':>9}{'kept':>9}{'still':>9}{'alarms':>9}{'clean':>9}{'in doubt':>10}"
    for name, cells in lines:
        shown = "".join(f"{cells[place]:>9}" for place in (2, 3, 4, 6, 9, 11))
        yield f"  {name:{wide}}{shown}{cells[12]:>10}".rstrip()


def markdown(suite: Mapping[str, Any]) -> Iterator[str]:
    """The safety suite's figures as a Markdown table."""
    yield f"| {' | '.join(SUITE_HEAD)} |"
    yield "|---" * len(SUITE_HEAD) + "|"
    for summed, cells in suite_rows(suite):
        name = f"**{cells[0]}**" if summed else cells[0]
        yield f"| {' | '.join((name, *cells[1:]))} |"


def suite_left_out(suite: Mapping[str, Any]) -> str:
    """Lines of the suite that counted in no figure, because training had them; empty where there are none."""
    left_out = suite["trained_on"]
    count, flagged = left_out["harmless"], percent(left_out["alarms"])
    lines = "line was trained on and counts" if count == 1 else "lines were trained on and count"
    return f"{count} of the suite's own harmless {lines} in no figure ({flagged} flagged)" if count else ""


def suite_rows(suite: Mapping[str, Any]) -> Iterator[tuple[bool, tuple[str, ...]]]:
    """(whether it sums up a family, cells under SUITE_HEAD): the clean rows, then each family and its variants."""
    yield True, ("as they are", *_cells(suite["clean"]))
    for family, measured in suite["families"].items():
        yield True, (family, *_cells(measured["all"]))
        for variant, figures in measured["variants"].items():
            yield False, (variant, *_cells(figures))


def _cells(figures: Mapping[str, Any]) -> tuple[str, ...]:
    bad, good = figures["harmful"], figures["harmless"]
    caught = (*map(percent, (figures["caught"], figures["clean"])), *share(figures, "kept"))
    caught += share(figures, "still_caught")
    alarms = (*share(figures, "alarms"), *map(percent, (figures["clean_alarms"], figures["in_doubt"])))
    return (
        *((str(bad), *caught) if bad else ("",) * len(_HARMFUL)),
        *((str(good), *alarms) if good else ("",) * len(_HARMLESS)),
    )
