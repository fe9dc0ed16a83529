"""A network across sites beside the same network on all rows together, and beside each site alone, on the same folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_results import FederatedEvaluation, FederatedResults, Paired, SitePerformance
from cohortium.errors import FederationError
from cohortium.study.federating import asking, drive

if TYPE_CHECKING:
    from cohortium.federation_coordinator import State
    from cohortium.federation_site import Site

POOLED = {"leave_one_site_out": "pooled_site", "folds": "pooled"}
"""Design of the pooled model beside that of the federated one."""

FEWEST = 3

COMPARED = ("c_index", "roc_auc", "brier", "r2", "mae")
"""Metrics of which one model can have more than another."""


def compared(
    found: FederatedResults, state: State, sites: Mapping[str, Site], plan: FederationPlan
) -> FederatedResults:
    """The results with the performance of each site's own network, and of one on all rows; both only where there is an evaluation."""
    if found.evaluation is None or found.network is None:
        note = "Networks are compared by how well they predict: say --evaluate too."
        return replace(found, notices=[*found.notices, note])
    from cohortium.federation_coordinator.performance import alone_performance, with_own

    own: list[SitePerformance] = []
    reasons: dict[str, str] = {}
    alone = replace(plan, quorum=1)
    for name in state.here:
        try:
            own += alone_performance(drive(alone, {name: asking(sites[name], alone)}).state)
        except FederationError as e:
            reasons[name] = str(e)
    evaluation = with_own(found.evaluation, own)
    evaluation = _with(evaluation, pooled_performance(state, sites, plan))
    records = [replace(s, local_reason=reasons.get(s.site, "")) for s in found.sites]
    pairs = [paired(evaluation.sites, d, m, a) for d, m, a in _wanted(evaluation)]
    return replace(found, evaluation=evaluation, sites=records, network=replace(found.network, paired=pairs))


def _with(e: FederatedEvaluation, rows: Sequence[SitePerformance]) -> FederatedEvaluation:
    from cohortium.federation_coordinator.performance import across_sites

    keys = list(dict.fromkeys((r.design, r.metric) for r in rows))
    across = [across_sites(d, m, [r for r in rows if (r.design, r.metric) == (d, m)]) for d, m in keys]
    return replace(e, across=[*e.across, *across], sites=[*e.sites, *rows])


def together(name: str, sites: Sequence[Site], plan: FederationPlan) -> Site:
    """All rows as one site. Features are those of all; where a site lacks one, it is unknown; levels by their names."""
    from cohortium.federation_site import Feature, Site

    first: dict[tuple[str, str], Feature] = {}
    for s in sites:
        for f in s.features:
            first.setdefault((f.modality, f.name), f)
    features = []
    for key, like in first.items():
        own = [next((f for f in s.features if (f.modality, f.name) == key), None) for s in sites]
        levels = tuple(dict.fromkeys(n for f in own if f is not None for n in f.levels)) if like.levels else ()
        parts = [_coded(f, levels, len(s)) for f, s in zip(own, sites, strict=True)]
        features.append(replace(like, levels=levels, values=np.concatenate(parts)))
    classes = tuple(dict.fromkeys(c for s in sites for c in s.classes))
    y = [
        np.array([classes.index(c) for c in s.classes])[s.y.astype(int)].astype(float) if s.classes else s.y
        for s in sites
    ]
    people = np.cumsum([0, *(int(s.patient.max()) + 1 for s in sites)])
    patient = np.concatenate([s.patient + shift for s, shift in zip(sites, people, strict=False)])
    every = [np.concatenate([getattr(s, a) for s in sites]) for a in ("weight", "time", "entry")]
    stratum = np.repeat(np.arange(len(sites)), [len(s) for s in sites])
    return Site(name, tuple(features), patient, every[0], stratum, np.concatenate(y), classes, every[1], every[2])


def _coded(f: object, levels: tuple[str, ...], n: int) -> np.ndarray:
    if f is None:
        return np.full(n, np.nan)
    if not f.levels:  # type: ignore[attr-defined]
        return f.values  # type: ignore[attr-defined, no-any-return]
    codes = np.array([levels.index(x) for x in f.levels], float)  # type: ignore[attr-defined]
    known = ~np.isnan(f.values)  # type: ignore[attr-defined]
    out = np.full(n, np.nan)
    out[known] = codes[f.values[known].astype(int)]  # type: ignore[attr-defined]
    return out


def pooled_performance(state: State, sites: Mapping[str, Site], plan: FederationPlan) -> list[SitePerformance]:
    """How well the network that is trained on all rows together predicts each site, on the folds and held-out sites of the federated one."""
    from cohortium.contracts.federation import AskScores
    from cohortium.federation_coordinator.evaluating import BINS
    from cohortium.federation_coordinator.methods import method_of
    from cohortium.federation_coordinator.performance import evaluation
    from cohortium.federation_site.models import predicted_by
    from cohortium.federation_site.scoring import scores_of
    from cohortium.federation_site.trials import folds_of, take

    free = replace(plan, quorum=1, folds=0, least_patients=1, least_events=1, least_cell=1)
    folds = {s: folds_of(sites[s], plan) for s in state.here}
    trials = []
    for t in state.trials:
        training = {s: sites[s] for s in t.state.here if s != t.without}
        if t.fold >= 0:
            training = {s: take(x, np.flatnonzero(folds[s] != t.fold)) for s, x in training.items()}
        one = together("all", list(training.values()), plan)
        try:
            fitted = drive(free, {"all": asking(one, free)}).state
        except FederationError as e:
            trials.append(replace(t, failed=str(e), scores={}))
            continue
        model, scores = method_of(fitted).model(fitted), {}
        q = AskScores("", 0, model, fitted.classes, method_of(fitted).grid(fitted, BINS))
        for s in t.scores:
            rows = np.arange(len(sites[s])) if t.fold < 0 else np.flatnonzero(folds[s] == t.fold)
            said = predicted_by(sites[s], replace(free, folds=plan.folds), model, training.get(s))
            if not isinstance(said, str):
                scores[s] = replace(scores_of(take(sites[s], rows), said[rows], plan, q), site=s)
        trials.append(replace(t, scores=scores, state=replace(t.state, classes=fitted.classes)))
    found = evaluation(replace(state, trials=tuple(trials), calibration=()))
    return [] if found is None else [replace(r, design=POOLED[r.design]) for r in found.sites]


def _wanted(e: FederatedEvaluation) -> list[tuple[str, str, str]]:
    metrics = [m for m in dict.fromkeys(r.metric for r in e.sites) if m in COMPARED]
    return [
        (design, metric, against)
        for metric in metrics
        for design, against in (
            ("folds", "pooled"),
            ("folds", "own"),
            ("leave_one_site_out", "pooled"),
            ("leave_one_site_out", "own"),
        )
    ]


def paired(rows: Sequence[SitePerformance], design: str, metric: str, against: str) -> Paired:
    """Mean over sites of federated less other, on the same patients, with a 95% interval by t over sites."""
    other = "own" if against == "own" else POOLED[design]
    mine = {r.site: r.value for r in rows if (r.design, r.metric) == (design, metric) and r.value is not None}
    theirs = {r.site: r.value for r in rows if (r.design, r.metric) == (other, metric) and r.value is not None}
    d = np.array([mine[s] - theirs[s] for s in mine if s in theirs])
    if not len(d):
        return Paired(design, metric, against, 0)
    value = float(d.mean())
    if len(d) < FEWEST:
        return Paired(design, metric, against, len(d), value)
    from scipy import stats

    half = float(stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d)))
    return Paired(design, metric, against, len(d), value, value - half, value + half)
