"""The section "For whom does it work": the headline metric by group, differences to the rest, and what is too small to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.results import Contrast, EndpointRecord, SubgroupRow
from cohortium.report.figures.subgroups import forest
from cohortium.report.tables import Cell, Table, estimate_cell, partial_note
from cohortium.report.words import count, learner_name, metric_name, names, value_text

_LEVEL = 0.05
_MOST_NAMED = 5


def subgroups_section(
    rows: Sequence[SubgroupRow], e: EndpointRecord, whole: Estimate | None, key: str
) -> dict[str, Any] | None:
    """Words, forest plot and tables; None without records. whole: the headline's estimate for everybody."""
    if not rows:
        return None
    first = rows[0].estimates
    tables = [("", _table(rows, [0], e))]
    if len(first) > 1:
        what = "Errors and calibration by group" if len(first) > 2 else "Calibration by group"
        tables.append((what, _table(rows, list(range(1, len(first))), e)))
    return {
        "words": [_words(rows, e), *_small(rows)],
        "drawing": forest(rows, whole, metric_name(first[0].metric, first[0].horizon, e.time_unit), e.name, key),
        "tables": tables,
    }


def _words(rows: Sequence[SubgroupRow], e: EndpointRecord) -> str:
    every = [(r, c) for r in rows for c in r.versus_rest if c.p_holm is not None]
    if not every:
        return "No group can be compared with the rest."
    clear = sorted(((r, c) for r, c in every if _clear(c)), key=lambda pair: pair[1].p or 0.0)
    looks = count(len(every), "difference")
    if not clear:
        return (
            f"{looks} between a group and the rest were looked at, and none is clear after correction for so many looks "
            "(Holm). That is no proof of fairness: groups are smaller than the cohort, and their intervals wider."
        )
    texts = []
    for r, c in clear[:_MOST_NAMED]:
        size = value_text(abs(c.estimate.value or 0.0))
        side = "higher" if (c.estimate.value or 0.0) > 0 else "lower"
        what = metric_name(c.estimate.metric, c.estimate.horizon, e.time_unit)
        texts.append(f"{what} is {size} {side} for {r.variable} {r.group}")
    more = f"; and {len(clear) - _MOST_NAMED} more" if len(clear) > _MOST_NAMED else ""
    verb = "stays" if len(clear) == 1 else "stay"
    return (
        f"Of {looks} between a group and the rest, {len(clear)} {verb} clear after correction for so many looks (Holm): "
        f"{'; '.join(texts)}{more}. Groups also differ in how common the outcome is, which moves some of these by itself."
    )


def _small(rows: Sequence[SubgroupRow]) -> list[str]:
    """A warning that names the groups of which nothing can be said."""
    small = [f"{r.variable} {r.group}" for r in rows if r.estimates[0].value is None]
    if not small:
        return []
    which = names(small, most=8)
    return [f"Too small to say anything of {which}; that is not the same as no difference."]


def _clear(c: Contrast) -> bool:
    return c.p_holm is not None and c.p_holm < _LEVEL


def _table(rows: Sequence[SubgroupRow], at: list[int], e: EndpointRecord) -> Table:
    head = ["group", "units"]
    for i in at:
        x = rows[0].estimates[i]
        head += [metric_name(x.metric, x.horizon, e.time_unit), "minus the rest"]
    body = []
    for r in rows:
        events = "" if r.n_events is None else count(r.n_events, "event")
        cells = [Cell(r.group, r.variable), Cell(f"{r.n_units:,}", events)]
        for i in at:
            cells += [estimate_cell(r.estimates[i]), _contrast(r.versus_rest[i] if r.versus_rest else None)]
        body.append(cells)
    note = partial_note([r.estimates[i] for r in rows for i in at]) + (
        f"{learner_name(rows[0].learner)}. Minus the rest: the group less all other groups of the variable, on the same test "
        "folds; of two groups it stands at the first. p is corrected for all differences of this endpoint (Holm); bold: below 0.05."
    )
    return Table(head, body, note=note)


def _contrast(c: Contrast | None) -> Cell:
    if c is None:
        return Cell("–")
    e = c.estimate
    if e.value is None:
        return Cell("not estimable", e.reason or "")
    if e.low is None or e.high is None or c.p_holm is None:
        return Cell(value_text(e.value, True), mark="unclear")
    p = "p < 0.001" if c.p_holm < 0.001 else f"p = {c.p_holm:.3f}" if c.p_holm < 0.1 else f"p = {c.p_holm:.2f}"
    interval = f"{value_text(e.low, True)} to {value_text(e.high, True)}; {p}"
    return Cell(value_text(e.value, True), interval, "clear" if _clear(c) else "unclear")
