"""The section "What would be decided": decision curves, and what the further modalities change per 1,000 patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.results import DecisionPoint, DecisionRow, EndpointRecord
from cohortium.report.figures.decisions import decision_curves, gained
from cohortium.report.money import Further
from cohortium.report.tables import Cell, Table, partial_note
from cohortium.report.words import learner_name, names, number

_MOST_HORIZONS = 4
_PER = 1000


def decisions_section(
    rows: Sequence[DecisionRow], e: EndpointRecord, key: str, further: Further | None = None
) -> dict[str, Any] | None:
    """Words, drawings and table; None without records. further: what the headline's assays cost beyond the reference's."""
    if not rows:
        return None
    drawings = []
    for i, r in enumerate(rows[:_MOST_HORIZONS]):
        what = _what(r, e)
        drawings += [decision_curves(r, what, f"{key}-{i}"), gained(r, what, f"{key}-gain-{i}")]
    return {
        "words": [_words(rows[len(rows) // 2], e, further), *([] if further is None else [further.words])],
        "drawings": [d for d in drawings if d is not None],
        "table": _table(rows, e, further),
    }


def _what(r: DecisionRow, e: EndpointRecord) -> str:
    """``recurrence: yes``, or ``os by 24 months``."""
    return f"{e.name}: {r.label}" if r.horizon is None else f"{e.name} by {number(r.horizon, 3)} {e.time_unit}".strip()


def _words(r: DecisionRow, e: EndpointRecord, further: Further | None) -> str:
    """At which thresholds the headline clearly changes what is decided, against the reference or treating all or nobody."""
    found = [(p.threshold, p.versus_reference or _default(p)) for p in r.points]
    known = [(t, d) for t, d in found if d.value is not None]
    if not known:
        return ""
    name, other = learner_name(r.learner), "the reference" if r.reference else "treating all or nobody"
    by = "" if r.horizon is None else f" for {e.name} by {number(r.horizon, 3)} {e.time_unit}".rstrip()
    clear = [(t, d) for t, d in known if d.low is not None and d.high is not None and not d.low <= 0 <= d.high]
    if clear:
        texts = names([_change(t, d, further if r.reference else None) for t, d in clear], most=99, sep="; ", last="; ")
        return f"Per 1,000 patients treated from a certain risk on{by}, with false alarms set off, {name} makes {texts}, compared with {other}."
    t, d = max(known, key=lambda pair: abs(_value(pair[1])))
    return (
        f"At none of the thresholds {names([_percent(t) for t, _ in known], most=99)} does {name} clearly decide better or "
        f"worse{by} than {other}. The largest difference is at {_percent(t)}: {_signed(_value(d))} true decisions per 1,000 "
        f"patients{_limits(d)}."
    )


def _default(p: DecisionPoint) -> Estimate:
    """The difference to the better of treating all and treating nobody."""
    return p.versus_all if p.treat_all.value is not None and p.treat_all.value > 0 else p.model


def _value(d: Estimate) -> float:
    return 0.0 if d.value is None else d.value


def _limits(d: Estimate) -> str:
    return "" if d.low is None or d.high is None else f" (95% interval {_signed(d.low)} to {_signed(d.high)})"


def _change(threshold: float, d: Estimate, further: Further | None) -> str:
    """``at 20% 12 more true decisions (95% interval +3 to +21), one for every 83 patients, at EUR 9,960``."""
    size = f"{abs(_PER * _value(d)):.0f} {'more' if _value(d) > 0 else 'fewer'} true decisions"
    every = f", one for every {number(round(1 / _value(d)))} patients" if _value(d) > 0 else ""
    paid = "" if further is None or _value(d) <= 0 else f", at {further.paid(_value(d))}"
    return f"at {_percent(threshold)} {size}{_limits(d)}{every}{paid}"


def _plain(x: float) -> str:
    """Per 1,000, whole, with a true minus sign."""
    return f"{round(_PER * x):,}".replace("-", "−")


def _signed(x: float) -> str:
    return ("+" if round(_PER * x) > 0 else "") + _plain(x)


def _percent(x: float) -> str:
    return f"{100 * x:.3g}%"


def _table(rows: Sequence[DecisionRow], e: EndpointRecord, further: Further | None) -> Table:
    reference = any(p.reference for r in rows for p in r.points)
    name = learner_name(rows[0].learner)
    head = ["threshold", "treat all", *(["reference"] if reference else []), name, f"{name} minus treat all"]
    head += [f"{name} minus reference", "patients per further true decision"] if reference else []
    paid = further if reference else None
    head += [] if paid is None else ["cost per further true decision"]
    body = []
    for r in rows:
        for p in r.points:
            cells = [Cell(_percent(p.threshold), "" if r.horizon is None else f"{number(r.horizon, 3)} {e.time_unit}")]
            cells += [_per_thousand(x) for x in (p.treat_all, *([p.reference] if reference else []), p.model)]
            cells.append(_per_thousand(p.versus_all, True))
            if reference:
                cells += [_per_thousand(p.versus_reference, True), _needed(p.versus_reference)]
            if paid is not None:
                cells.append(_paid(p.versus_reference, paid))
            body.append(cells)
    every = [x for r in rows for p in r.points for x in (p.model, p.treat_all, p.reference) if x is not None]
    note = partial_note(every) + (
        "Net benefit per 1,000 patients: true positives less false ones, each of which counts as the odds of the threshold "
        "(at 20%, four false alarms outweigh one hit). Treating nobody has 0. Which threshold is right is for patients and "
        "physicians to say, not for these data. Bold: the 95% interval excludes zero; many thresholds are many looks."
    )
    return Table(head, body, note=note)


def _per_thousand(e: Estimate | None, difference: bool = False) -> Cell:
    if e is None or e.value is None:
        return Cell("not estimable" if e is not None else "–", (e.reason or "") if e is not None else "")
    show = _signed if difference else _plain
    dagger = "†" if e.reason and not difference else ""
    if e.low is None or e.high is None:
        return Cell(show(e.value) + dagger, mark="unclear" if difference else "")
    mark = "" if not difference else "unclear" if e.low <= 0 <= e.high else "clear"
    return Cell(show(e.value) + dagger, f"{show(e.low)} to {show(e.high)}", mark)


def _needed(e: Estimate | None) -> Cell:
    """Patients who are to be measured for one further true decision, where the difference is clear."""
    if e is None or e.value is None or e.low is None or e.high is None or e.low <= 0:
        return Cell("–")
    return Cell(number(round(1 / e.value)), f"{number(round(1 / e.high))} to {number(round(1 / e.low))}")


def _paid(e: Estimate | None, further: Further) -> Cell:
    """Money for one further true decision, where the difference is clear."""
    if e is None or e.value is None or e.low is None or e.high is None or e.low <= 0:
        return Cell("–")
    return Cell(further.paid(e.value), f"{further.paid(e.high)} to {further.paid(e.low)}")
