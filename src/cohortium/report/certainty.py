"""The section "How sure is one prediction": how often sets, intervals and bounds held, and how much they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.results import CoverageRow, EndpointRecord
from cohortium.report.figures.certainty import whiskers
from cohortium.report.tables import Cell, Table, estimate_cell, partial_note
from cohortium.report.words import learner_name, metric_name, names, number, pick

_MOST_NAMED = 8


def certainty_section(rows: Sequence[CoverageRow], e: EndpointRecord, key: str) -> dict[str, Any] | None:
    """Words, drawing and table; None without records."""
    if not rows:
        return None
    return {
        "words": [_words(rows[0], e), *_own(rows), *_missed(rows), _assumed(e)],
        "drawing": whiskers(rows, e.name, key),
        "table": _table(rows, e),
    }


def _share(e: Estimate | None) -> str:
    """``91 of 100 (95% interval 88 to 94)``."""
    if e is None or e.value is None:
        return "an unknown number of 100"
    limits = "" if e.low is None or e.high is None else f" (95% interval {100 * e.low:.0f} to {100 * e.high:.0f})"
    return f"{100 * e.value:.0f} of 100{limits}"


def _words(r: CoverageRow, e: EndpointRecord) -> str:
    held, meant = _share(pick(r.estimates, "coverage", None)), f"{100 * r.level:.0f} of 100"
    name = learner_name(r.learner)
    if (one := pick(r.estimates, "one_class", None)) is not None:
        right = pick(r.estimates, "one_class_right", None)
        sure = f", and {_share(right)} of those are of it" if right is not None and right.value is not None else ""
        return (
            f"Beside probabilities {name} names the classes that it cannot rule out: a set made to hold the true class for {meant} "
            f"patients, of each class alike. Of patients it had not seen it held it for {held}. For {_share(one)} the set "
            f"names one class{sure}; for the others the model abstains."
        )
    if (width := pick(r.estimates, "interval_width", None)) is not None:
        size = "no finite width" if width.value is None else f"a median width of {number(width.value)}"
        return (
            f"Beside a value {name} gives an interval that is made to hold the true one for {meant} patients. Of patients it had "
            f"not seen it held it for {held}, with {size}."
        )
    low = pick(r.estimates, "lower_bound", None)
    median = (
        ""
        if low is None or low.value is None
        else f" The median bound is {number(low.value)} {e.time_unit}".rstrip() + "."
    )
    return (
        f"Beside a curve {name} gives a time that is made to be outlived by {meant} patients. Of patients it had not seen "
        f"{held} outlived it.{median}"
    )


def _own(rows: Sequence[CoverageRow]) -> list[str]:
    """Which groups have a calibration of their own, and which were too small for one."""
    asked = [r for r in rows if r.own is not None]
    if not asked:
        return []
    own = [r.group for r in asked if (r.own or 0.0) >= 0.5]
    small = [r.group for r in asked if r.group not in own]
    variable = asked[0].variable
    text = f"Calibrated within {variable}: {names(own, most=_MOST_NAMED)}." if own else ""
    if small:
        text += f" Too few to calibrate by themselves in most folds: {names(small, most=_MOST_NAMED)} of {variable}; they share the calibration of everybody."
    return [text.strip()]


def _missed(rows: Sequence[CoverageRow]) -> list[str]:
    """Groups whose interval of coverage lies wholly below the level."""
    found = []
    for r in rows[1:]:
        c = pick(r.estimates, "coverage", None)
        if c is not None and c.high is not None and c.high < r.level:
            found.append(f"{r.variable} {r.group}")
    if not found:
        return []
    return [
        f"Held less often than meant for {names(found, most=_MOST_NAMED)}: the level is promised for everybody, for each class, "
        "for each availability pattern with patients enough, and for groups that it was calibrated within; not for every group."
    ]


def _assumed(e: EndpointRecord) -> str:
    if e.kind == "survival":
        return (
            "What this rests on: new patients come from the same population; and who is lost to follow-up would have fared as "
            "others with the same predictors. The bound then holds when the survival model or the model of follow-up is right."
        )
    return "What this rests on: new patients come from the same population as these."


def _table(rows: Sequence[CoverageRow], e: EndpointRecord) -> Table:
    metrics = [x.metric for x in rows[0].estimates]
    head = ["group", "units", *(metric_name(m, None, e.time_unit) for m in metrics)]
    body = []
    for r in rows:
        # What is too small for one number is too small for all: the reason stands once.
        known = r.estimates if r.estimates[0].value is not None else r.estimates[:1]
        cells = [*map(estimate_cell, known), *[Cell("–")] * (len(metrics) - len(known))]
        body.append([Cell(r.group, "" if r.variable == r.group else r.variable), Cell(f"{r.n_units:,}"), *cells])
    note = partial_note([x for r in rows for x in r.estimates])
    return Table(head, body, [0], note + f"Meant: {100 * rows[0].level:.0f}%. Per test fold, averaged.")
