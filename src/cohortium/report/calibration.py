"""The section "Are the predicted probabilities right?": words, smooth curves and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.results import CalibrationRow, EndpointRecord, LeaderboardRow
from cohortium.report.figures.classes import smooth_calibration
from cohortium.report.figures.style import Drawing
from cohortium.report.tables import Cell, Table, estimate_cell, partial_note
from cohortium.report.words import estimate_text, learner_name, metric_name, number, pick

_COLUMNS = ("expected_observed", "calibration_intercept", "calibration_slope", "ici", "ici_by_chance")
_MOST_HORIZONS, _MOST_CLASSES = 4, 8


def calibration_section(
    rows: Sequence[CalibrationRow], e: EndpointRecord, headline: LeaderboardRow | None, grouped: list[Drawing], key: str
) -> dict[str, Any] | None:
    """Words, drawings and table; None without records. grouped: the drawing of groups, shown beside the curves."""
    if not rows or headline is None:
        return None
    own = [r for r in rows if r.learner == headline.learner]
    drawings = [d for d in _drawings(rows, own, e, key) if d is not None]
    drawings += [replace(d, title="In groups of similar prediction") for d in grouped]
    return {"words": _words(own, e), "drawings": drawings, "table": _table(rows, e)}


def _what(r: CalibrationRow, e: EndpointRecord) -> str:
    """``yes``, or ``24 months``."""
    return r.label if r.horizon is None else f"{number(r.horizon, 3)} {e.time_unit}".strip()


def _words(own: Sequence[CalibrationRow], e: EndpointRecord) -> list[str]:
    """What the numbers say, of a two-class endpoint or of the middle horizon."""
    if not own or (own[0].horizon is None and len(own) > 1):
        return []
    r = own[len(own) // 2]
    where = "" if r.horizon is None else f" by {_what(r, e)}"
    out = []
    ratio = pick(r.estimates, "expected_observed", r.horizon)
    if ratio is not None and ratio.value is not None:
        text = (
            f"For every 100 patients who had the outcome{where}, {100 * ratio.value:.0f} were expected"
            f"{_limits(ratio, 100)}{_side(ratio, 'predictions are too low on the whole', 'predictions are too high on the whole')}."
        )
        out.append(text)
    slope = pick(r.estimates, "calibration_slope", r.horizon)
    if slope is not None and slope.value is not None:
        side = _side(
            slope, "predictions are too extreme: high ones too high, low ones too low", "predictions are too timid"
        )
        out.append(f"Calibration slope {estimate_text(slope)}{side}.")
    gap, chance = (pick(r.estimates, m, r.horizon) for m in ("ici", "ici_by_chance"))
    if gap is not None and gap.value is not None and chance is not None and chance.value is not None:
        out.append(
            f"Predictions are off by {100 * gap.value:.1f} percentage points on average; test folds as small as these "
            f"would show {100 * chance.value:.1f} if every prediction were right."
        )
    return [" ".join(out)] if out else []


def _limits(e: Estimate, times: float) -> str:
    return "" if e.low is None or e.high is None else f" (95% interval {times * e.low:.0f} to {times * e.high:.0f})"


def _side(e: Estimate, below: str, above: str) -> str:
    """What an interval beside 1 means; that one that includes it does not tell."""
    if e.low is None or e.high is None:
        return ""
    return f": {below}" if e.high < 1 else f": {above}" if e.low > 1 else ", which is no clear sign of either side"


def _table(rows: Sequence[CalibrationRow], e: EndpointRecord) -> Table:
    several = len({(r.label, r.horizon) for r in rows}) > 1 or any(r.horizon is not None for r in rows)
    body = [
        [Cell(learner_name(r.learner), _what(r, e) if several else ""), *(estimate_cell(pick(r.estimates, m, r.horizon)) for m in _COLUMNS)]
        for r in rows
    ]  # fmt: skip
    note = partial_note([x for r in rows for x in r.estimates if x.metric in _COLUMNS]) + (
        "Right predictions have expected / observed 1, calibration in the large 0 and slope 1. Expected / observed above "
        "1, and calibration in the large below 0: too high on the whole. Slope below 1: too extreme. The gap is the distance "
        "between predictions and the smooth curve; compare it with the gap by chance, which small test folds show anyway."
    )
    return Table(["learner", *(metric_name(m) for m in _COLUMNS)], body, note=note)


def _drawings(
    rows: Sequence[CalibrationRow], own: Sequence[CalibrationRow], e: EndpointRecord, key: str
) -> list[Drawing | None]:
    if own and own[0].horizon is None and len(own) > 1:
        often = sorted(own, key=lambda r: -(r.estimates[0].n_events or 0))[:_MOST_CLASSES]
        kept = [r for r in own if r in often]
        return [smooth_calibration([(r.label, r.curve) for r in kept], key, what="probability of the class", of=e.name)]
    out = []
    for i, r in enumerate(own[:_MOST_HORIZONS]):
        same = [x for x in rows if (x.label, x.horizon) == (r.label, r.horizon)]
        what = f"probability of {r.label}" if r.horizon is None else f"risk of the event by {_what(r, e)}"
        curves = [(learner_name(x.learner), x.curve) for x in same]
        out.append(smooth_calibration(curves, f"{key}-{i}", what=what, of=e.name))
    return out
