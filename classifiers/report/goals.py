"""What the policy states as its goals and tests, and what became of them, as HTML. Pure."""

from collections.abc import Mapping
from html import escape
from typing import Any

from classifiers.report.figures import counted, percent, within

_MARKS = {
    True: '<span class="yes">met</span>',
    False: '<span class="no">not met</span>',
    None: "not shown, with nothing to measure it on",
}
_SIDES = ("catch", "false_alarms")
_AIMED = "aimed at, not demanded"


def section(report: Mapping[str, Any]) -> str:
    """report: as in report.json."""
    parts = []
    for goal in report["goals"]:
        mark = _MARKS[goal["met"]]
        if "label" in goal:
            mark = _MARKS[goal["demanded_met"]] if goal["demanded"] else _AIMED
            aims = {side: "" if side in goal["demanded"] or not goal["stated"] else f" ({_AIMED})" for side in _SIDES}
            wanted = f"catch {percent(goal['catch'])}{aims['catch']}"
            wanted += f" at {percent(goal['false_alarms'])} false alarms{aims['false_alarms']}"
            asked = f"{escape(goal['label'] or 'any label')}: {wanted}"
            caught, alarms = (within(goal[side], goal[f"{side}_interval"]) for side in ("caught", "alarms"))
            reached = f"{caught} at {alarms}"
            asked += "" if goal["stated"] else " (by default)"
        else:
            asked = f"at most {percent(goal['max_error'])} error, at least {percent(goal['min_answered'])} answered"
            error = within(goal["error"], goal["error_interval"]) if "error" in goal else "–"
            reached = f"{error} error, {percent(goal.get('answered'))} answered"
        parts.append(f"<li>{asked}: {mark}, {reached} on {escape(goal['measured_on'])}{_judged(goal)}</li>")
    tests = report["tests"]
    failed = "".join(f'<li class="no">{escape(line)}</li>' for line in tests["failed"])
    passed = f"{tests['count'] - len(tests['failed'])} of the policy's {counted(tests['count'], 'test')} pass"
    if tests.get("left_out"):
        passed += f"; {tests['left_out']} under a system prompt are left out, since none is read"
    note = (
        '<p class="note">In brackets: 95 % intervals (Wilson) on the rows by which the thresholds were chosen.</p>'
        if parts
        else ""
    )
    return f"<ul>{''.join(parts)}</ul>{note}<p>{passed}.</p><ul>{failed}</ul>"


def _judged(goal: Mapping[str, Any]) -> str:
    """How many rows, which are more than the held-out ones above where everyday sentences are among them."""
    told = ""
    if beside := goal.get("rows_of_no_label"):
        told += f" ({counted(goal['rows'], 'row')}, {beside} of them everyday sentences and other text of no label)"
    if never := goal.get("never_named"):
        told += f'; <span class="no">never named: {escape(", ".join(never))}</span>'
    return told
