"""How well the headline learner does, drawn: one set of figures per kind of endpoint."""

from __future__ import annotations

import numpy as np

from cohortium.contracts.results import EndpointRecord, LeaderboardRow
from cohortium.report.curves import (
    Calibration,
    calibration_classes,
    calibration_incidence,
    calibration_survival,
    log_rank_p,
    risk_strata,
)
from cohortium.report.figures import classes, continuous, survival
from cohortium.report.figures.style import Drawing
from cohortium.report.folder import RunFolder, Scored
from cohortium.report.words import estimate_text, number, pick, rows_of

GROUPED = "Calibration"
"""Title of the drawing of groups of similar prediction."""


def performance(folder: RunFolder, endpoint: EndpointRecord, row: LeaderboardRow, key: str) -> list[Drawing]:
    """Figures of one learner from its stored out-of-fold predictions; empty when there are none."""
    scored = folder.scored(endpoint, row.learner)
    if scored is None:
        return []
    if endpoint.kind == "continuous":
        made = [continuous.predicted_observed(scored, endpoint.name, f"{key}-scatter")]
    elif endpoint.kind in ("survival", "competing_risks"):
        made = _survival(endpoint, row.learner, scored, key)
    elif endpoint.kind == "binary":
        made = [_roc(folder, endpoint, row, key), _calibration(scored, row.learner, key)]
    else:
        made = [classes.confusion(scored, f"{key}-confusion"), _calibration(scored, row.learner, key)]
    return [d for d in made if d is not None]


def _roc(folder: RunFolder, endpoint: EndpointRecord, row: LeaderboardRow, key: str) -> Drawing | None:
    """Headline, reference and best single on one picture."""
    rows = rows_of(folder.results, endpoint.name)
    others = [r for r in rows if r is not row and (r.role == "reference" or r.learner == "best_single")]
    learners = []
    for r in [row, *others]:
        scored = folder.scored(endpoint, r.learner, first_repeat=False)
        if scored is not None:
            auc = pick(r.estimates, "roc_auc", None)
            learners.append((r.learner, estimate_text(auc) if auc is not None else "", scored))
    return classes.roc(learners, f"{key}-roc")


def _calibration(scored: Scored, learner: str, key: str) -> Drawing | None:
    assert scored.p is not None and scored.code is not None
    if len(scored.classes) == 2:
        curves = [("", calibration_classes(scored.p[:, 1], scored.code == 1))]
        what = f"probability of {scored.classes[1]}"
    else:
        curves = [
            (c, calibration_classes(scored.p[:, k], scored.code == k, most=5)) for k, c in enumerate(scored.classes)
        ]
        # More than eight curves cannot be told apart: the most frequent classes are shown.
        often = sorted(range(len(curves)), key=lambda k: -int(np.count_nonzero(scored.code == k)))[:8]
        curves = [curves[k] for k in sorted(often)]
        what = "probability of the class"
    caption = (
        "Groups of similar prediction; whiskers: 95% intervals. On the dotted line, of 100 patients told 30%, 30 "
        "have the outcome. First repeat; every patient predicted by a model that had not seen them."
    )
    return classes.calibration(curves, f"{key}-cal", what=what, caption=caption, alt_of=learner)


def _survival(endpoint: EndpointRecord, learner: str, scored: Scored, key: str) -> list[Drawing | None]:
    strata = risk_strata(scored)
    cause = "" if scored.cause is None else next(iter(endpoint.classes or ("the event",)))
    km = survival.risk_group_curves(
        strata, log_rank_p(scored), endpoint.name, endpoint.time_unit, learner, f"{key}-km", cause
    )
    horizons = _horizons(endpoint, scored)
    curves: list[tuple[str, Calibration]] = []
    for h in horizons:
        found = calibration_survival(scored, h) if scored.cause is None else calibration_incidence(scored, h)
        if found is not None:
            curves.append((f"{number(h, 3)} {endpoint.time_unit}", found))
    observed = "Kaplan-Meier" if scored.cause is None else "Aalen-Johansen"
    caption = (
        f"Groups of similar predicted risk; observed: {observed} within the group, whiskers: 95% intervals. On the "
        "dotted line, predicted and observed risk agree. First repeat, predictions of unseen patients."
    )
    calibrated = classes.calibration(
        curves, f"{key}-cal", what="risk of the event by then", caption=caption, alt_of=learner
    )
    return [km, calibrated]


def _horizons(endpoint: EndpointRecord, scored: Scored) -> list[float]:
    """Declared horizons, at most four; else the median event time."""
    if endpoint.horizons:
        return sorted(endpoint.horizons)[:4]
    assert scored.time is not None and scored.event is not None
    return [float(np.median(scored.time[scored.event]))] if scored.event.any() else []
