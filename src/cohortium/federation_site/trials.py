"""Evaluation at a site: fits that leave it out, or a fold of its patients, and how well they predict those.

A site deals its patients into folds itself, by the declared seed and its name. Sums of the training part go through the same
answers, and the same minima, as those of all; a site of which a fold would be below the minima takes no part in the folds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import (
    AskScores,
    AskTrials,
    FederationPlan,
    SiteScores,
    SiteTrials,
    TrialAnswer,
    TrialQuestion,
    Withdrawn,
)
from cohortium.contracts.federation_preparing import AskCalibration, SiteCalibration
from cohortium.federation_site.calibrating import calibration_of
from cohortium.federation_site.models import predicted_by
from cohortium.federation_site.scoring import scores_of
from cohortium.federation_site.site import Site
from cohortium.resampling.dealing import deal

Rows = NDArray[np.intp]

HELD_OUT = (AskScores, AskCalibration)
"""Questions about those who are held out."""

Answering = tuple[Callable[..., Any], Callable[..., str]]
"""``answer`` and ``too_few`` of :mod:`cohortium.federation_site.answering`, which imports this file."""


def trial_answers(site: Site, plan: FederationPlan, q: AskTrials, own: str, how: Answering) -> SiteTrials | Withdrawn:
    """What the site says about each fit that concerns it."""
    asked = [(t.without, t.fold) for t in q.trials]
    if not plan.folds:
        return Withdrawn(site.name, own, q.round, "its study file declares no evaluation")
    if len(set(asked)) < len(asked) or any((w != "") == (f >= 0) or f >= plan.folds for w, f in asked):
        return Withdrawn(site.name, own, q.round, "the question is about folds that the study does not declare")
    said = [a for t in q.trials if (a := _trial(site, plan, t, own, how)) is not None]
    return SiteTrials(site.name, own, q.round, tuple(said))


def _trial(site: Site, plan: FederationPlan, t: TrialQuestion, own: str, how: Answering) -> TrialAnswer | None:
    """The answer about one fit; None where it is none of the site's business."""
    answer, too_few = how
    inner: Any = t.question
    if t.without != "" and (t.without == site.name) != isinstance(inner, HELD_OUT):
        return None
    found: Any
    rows = np.arange(len(site))
    train = site
    if t.fold >= 0:
        parts = _parts(site, plan, too_few)
        if isinstance(parts, str):
            return TrialAnswer("", t.fold, Withdrawn(site.name, own, inner.round, parts))
        train, rows = parts[t.fold]
    if isinstance(inner, HELD_OUT):
        found = _scores(site, rows, plan, inner, own, train if t.fold >= 0 else None)
    else:
        found = answer(train, plan, inner)
    return TrialAnswer(t.without, t.fold, found)


def _scores(
    site: Site, rows: Rows, plan: FederationPlan, q: AskScores | AskCalibration, own: str, known: Site | None = None
) -> SiteScores | SiteCalibration | Withdrawn:
    predicted = predicted_by(site, plan, q.model, known)
    if isinstance(predicted, str):
        return Withdrawn(site.name, own, q.round, predicted)
    held = take(replace(site, features=()), rows)  # what is scored needs them no more
    if isinstance(q, AskCalibration):
        line = calibration_of(held, predicted[rows], plan, q, own)
        return Withdrawn(site.name, own, q.round, line) if isinstance(line, str) else line
    grid = q.grid
    if grid.ndim != 1 or not np.isfinite(grid).all() or (np.diff(grid) <= 0).any():
        return Withdrawn(site.name, own, q.round, "the question has no bins of scores")
    if plan.kind == "multiclass" and set(site.classes) - set(q.classes):
        return Withdrawn(site.name, own, q.round, "it has a class that sites did not agree on")
    found = scores_of(held, predicted[rows], plan, q)
    return replace(found, site=site.name, plan=own, round=q.round)


def parts_of(site: Site, plan: FederationPlan) -> list[tuple[Site, Rows]] | str:
    """Training part and held-out rows of each fold; or why the site cannot have folds."""
    from cohortium.federation_site.answering import too_few  # which imports this file

    return _parts(site, plan, too_few)


def _parts(site: Site, plan: FederationPlan, too_few: Callable[..., str]) -> list[tuple[Site, Rows]] | str:
    """As :func:`parts_of`."""
    key = (plan.folds, plan.seed)
    if key not in site.folds:
        site.folds[key] = _cut(site, plan, too_few)
    found: list[tuple[Site, Rows]] | str = site.folds[key]
    return found


def _cut(site: Site, plan: FederationPlan, too_few: Callable[..., str]) -> list[tuple[Site, Rows]] | str:
    small = f"its patients are too few for {plan.folds} folds"
    if site.patients() < plan.folds:
        return small
    fold = folds_of(site, plan)
    out = []
    for k in range(plan.folds):
        held = np.flatnonzero(fold == k)
        if reason := too_few(take(site, held), plan):
            return f"{small}: in one of them, {reason}"
        out.append((take(site, np.flatnonzero(fold != k)), held))
    return out


def folds_of(site: Site, plan: FederationPlan) -> NDArray[np.int64]:
    """(n,) fold of each unit; a patient's units share it, outcomes are spread evenly. By the plan's seed and the site's name."""
    name = int.from_bytes(hashlib.blake2b(site.name.encode(), digest_size=8).digest(), "little")
    strata = site.y.astype(np.int64) if site.classes else np.zeros(len(site), np.int64)
    needed = [int(s) for s in np.unique(strata)]
    return deal(strata, site.patient, plan.folds, needed, np.random.default_rng([plan.seed, name]))


def take(site: Site, rows: Rows) -> Site:
    """The units at the given positions, as a site of its own."""
    features = tuple(replace(f, values=f.values[rows]) for f in site.features)
    parts = {n: getattr(site, n)[rows] for n in ("patient", "weight", "stratum", "y")}
    times = {n: getattr(site, n)[rows] if len(getattr(site, n)) else getattr(site, n) for n in ("time", "entry")}
    draw = None if site.draw is None else site.draw[rows]
    return replace(site, features=features, **parts, **times, draw=draw, whole=False)
