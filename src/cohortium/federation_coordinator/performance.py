"""From scores of those who were held out to records: performance by site, and across sites with what a new one can expect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from cohortium.contracts.federation import Histogram, SiteScores
from cohortium.contracts.federation_results import FederatedEvaluation, Performance, SitePerformance
from cohortium.federation_coordinator import lines
from cohortium.federation_coordinator.state import State, Trial
from cohortium.metrics.intervals import random_effects

Array = NDArray[np.float64]

FEWEST = 3
"""Sites without which nothing is said across them: spread cannot be told from chance by two."""

DESIGNS = {
    "leave_one_site_out": "a site held out", "folds": "folds held out", "own": "its own model",
    "pooled_site": "all rows, a site held out", "pooled": "all rows, folds held out",
}  # fmt: skip
NAMES = {
    "c_index": "C-index", "roc_auc": "ROC-AUC", "brier": "Brier score", "observed_expected": "observed / expected",
    "observed_minus_expected": "observed - expected share", "r2": "R²", "mae": "mean absolute error",
    "calibration_intercept": "calibration intercept", "calibration_slope": "calibration slope",
}  # fmt: skip

METRICS: dict[str, tuple[str, ...]] = {
    "survival": ("c_index",),
    "binary": ("roc_auc", "brier", "observed_expected", "observed_minus_expected"),
    "multiclass": ("roc_auc",),
    "continuous": ("r2", "mae"),
}
SCALES = {
    "c_index": "logit", "roc_auc": "logit", "brier": "log", "observed_expected": "log", "mae": "log", "r2": "identity",
    "observed_minus_expected": "identity", "calibration_intercept": "identity", "calibration_slope": "identity",
}  # fmt: skip
"""On which a site's value is closest to normal (Debray 2017, BMJ 356:i6460; Snell 2018, Stat Methods Med Res 27:3505)."""


@dataclass(frozen=True)
class One:
    """A metric on one set of patients: value, standard error, weight among sets of the same site, bound of binning."""

    value: float
    error: float
    weight: float
    bound: float = 0.0


def evaluation(state: State) -> FederatedEvaluation | None:
    """The records of an evaluation; None where there was none."""
    if not state.trials:
        return None
    designs = {
        "leave_one_site_out": [t for t in state.trials if t.without],
        "folds": [t for t in state.trials if not t.without],
    }
    rows = [
        _at_site(state, design, metric, site, trials)
        for design, trials in designs.items()
        for metric in METRICS[state.plan.kind]
        for site in state.here
        if trials
    ] + lines.site_lines(state)
    across = [
        across_sites(design, metric, [r for r in rows if (r.design, r.metric) == (design, metric)])
        for design in designs
        for metric in (*METRICS[state.plan.kind], *lines.metrics(state.plan.kind))
    ]
    notices = [*_notices(state), *_uncombined(rows)]
    return FederatedEvaluation(state.plan.folds, state.plan.seed, across, rows, notices, lines.whole_lines(state))


def alone_performance(state: State) -> list[SitePerformance]:
    """Of a fit of one site alone: how well its own model predicts its own folds."""
    found = evaluation(state)
    return [] if found is None else [replace(r, design="own") for r in found.sites if r.design == "folds"]


def with_own(found: FederatedEvaluation, own: Sequence[SitePerformance]) -> FederatedEvaluation:
    """An evaluation with that of each site's own model beside it."""
    metrics = list(dict.fromkeys(r.metric for r in own))
    across = [across_sites("own", m, [r for r in own if r.metric == m]) for m in metrics]
    return replace(found, across=[*found.across, *across], sites=[*found.sites, *own])


def _uncombined(rows: Sequence[SitePerformance]) -> list[str]:
    """A notice of values that are no part of the mean across sites, such as a concordance of exactly one."""
    lost: dict[tuple[str, str], list[str]] = {}
    for r in rows:
        if r.value is not None and not _usable(r.metric, r.value, r.error):
            lost.setdefault((r.design, r.metric), []).append(f"'{r.site}' ({r.value:.3f})")
    return [
        f"Not in the mean of {NAMES[metric]} with {DESIGNS[design]}, for want of a standard error on the {SCALES[metric]} scale: "
        f"{', '.join(who)}."
        for (design, metric), who in lost.items()
    ]


def _notices(state: State) -> list[str]:
    """What went wrong in the evaluation; the same of several fits once."""
    every: dict[str, list[str]] = {}
    for t in state.trials:
        name = f"without '{t.without}'" if t.without else f"of fold {t.fold + 1}"
        if t.failed:
            every.setdefault(f"There is no fit: {t.failed}", []).append(name)
        gone = {**{s: r.partition(": ")[2] for s, r in t.state.left.items()}, **t.unscored}
        for site, reason in gone.items():
            every.setdefault(f"Site '{site}' was left out: {reason}.", []).append(name)
    for c in state.calibration:
        for site, reason in c.gone.items():
            every.setdefault(f"Site '{site}' was left out of the calibration: {reason}.", []).append(
                f"with {DESIGNS[c.design]}"
            )
    folds = [f"of fold {k + 1}" for k in range(state.plan.folds)]
    return [
        f"Evaluation, fit {'of every fold' if who == folds else ', '.join(who)}. {said}" for said, who in every.items()
    ]


def _at_site(state: State, design: str, metric: str, site: str, trials: Sequence[Trial]) -> SitePerformance:
    """A metric of all patients of a site who were held out: the mean of its folds, each pair or patient counting once."""
    mine = [t for t in trials if not t.without or t.without == site]
    parts, units, events, reason = [], 0, 0, ""
    for t in mine:
        if site not in t.scores:
            reason = reason or t.unscored.get(site) or t.state.left.get(site, "").partition(": ")[2] or t.failed
            continue
        a = t.scores[site]
        units, events = units + a.units, events + (a.counts[-1] if t.state.plan.kind in ("survival", "binary") else 0)
        found = MEASURES[metric](a, state)
        if isinstance(found, str):
            reason = reason or found
        else:
            parts.append(found)
    if reason or not parts:
        return SitePerformance(
            design, metric, site, None, units=units, events=events, reason=reason or "nobody was held out"
        )
    w = np.array([p.weight for p in parts]) / sum(p.weight for p in parts)
    value = float(w @ np.array([p.value for p in parts]))
    error = float(np.sqrt(w**2 @ np.array([p.error for p in parts]) ** 2))
    bound = float(w @ np.array([p.bound for p in parts]))
    low, high = _interval(metric, value, error)
    return SitePerformance(design, metric, site, value, error or None, low, high, bound, units, events)


def _there(metric: str) -> Callable[[float, float], tuple[float, float]]:
    """Value and standard error onto the metric's scale."""
    scale = SCALES[metric]
    if scale == "logit":
        return lambda x, e: (float(np.log(x / (1 - x))), e / (x * (1 - x)))
    return (lambda x, e: (float(np.log(x)), e / x)) if scale == "log" else (lambda x, e: (x, e))


def _back(metric: str, x: float) -> float:
    with np.errstate(over="ignore"):
        scale = SCALES[metric]
        return float(1 / (1 + np.exp(-x)) if scale == "logit" else np.exp(x) if scale == "log" else x)


def _usable(metric: str, value: float, error: float | None) -> bool:
    inside = {"logit": 0 < value < 1, "log": value > 0, "identity": True}[SCALES[metric]]
    return inside and error is not None and error > 0


def _interval(metric: str, value: float, error: float) -> tuple[float | None, float | None]:
    if not _usable(metric, value, error):
        return None, None
    x, e = _there(metric)(value, error)
    z = float(ndtri(0.975))
    return _back(metric, x - z * e), _back(metric, x + z * e)


def across_sites(design: str, metric: str, rows: Sequence[SitePerformance]) -> Performance:
    """The mean over sites, its interval, heterogeneity, and the interval of a new site.

    Model: :func:`cohortium.metrics.intervals.random_effects`, on the scale of :data:`SCALES`. Prediction interval: t with k - 2
    degrees of freedom (Higgins 2009, J R Stat Soc A 172:137; Riley 2011, BMJ 342:d549).
    """
    used = [r for r in rows if r.value is not None and _usable(metric, r.value, r.error)]
    k = len(used)
    if k < FEWEST:
        several = "1 site has" if k == 1 else f"{k} sites have"
        return Performance(
            design, metric, k, scale=SCALES[metric],
            reason=f"{several} a value with a standard error; a mean across sites needs {FEWEST}",
        )  # fmt: skip
    there = _there(metric)
    y, e = np.array([there(r.value, r.error) for r in used if r.value is not None and r.error is not None]).T
    mean, low, high, tau2, i2 = random_effects(y, e)
    w = 1 / (e**2 + tau2)
    half = float(stdtrit(k - 2, 0.975)) * float(np.sqrt(tau2 + 1 / w.sum()))
    least, most = None, None
    if any(r.bound for r in used):
        ends = []
        for sign in (-1, 1):
            moved = [min(max((r.value or 0) + sign * r.bound, 1e-6), 1 - 1e-6) for r in used]
            ends.append(_back(metric, float(w @ np.log(np.array(moved) / (1 - np.array(moved))) / w.sum())))
        least, most = ends
    back = [_back(metric, x) for x in (mean, low, high, mean - half, mean + half)]
    return Performance(
        design, metric, k, back[0], back[1], back[2], float(np.sqrt(tau2)), float(i2), back[3], back[4], least, most, SCALES[metric],
    )  # fmt: skip


def binned_auc(h: Histogram) -> One | None:
    """AUC of a histogram, a pair within a bin counting one half: off by at most half the share of such pairs. Standard error
    of DeLong (1988, Biometrics 44:837) on the bins. None where there are no bins."""
    n, m = h.negatives, h.positives
    if len(n) < 2:
        return None
    below = (np.cumsum(n) - n + n / 2) / n.sum()
    above = 1 - (np.cumsum(m) - m / 2) / m.sum()
    value = float(m @ below / m.sum())
    variance = sum(
        float(c @ (x - value) ** 2) / (c.sum() - 1) / c.sum() for c, x in ((m, below), (n, above)) if c.sum() > 1
    )
    pairs = float(n.sum() * m.sum())
    return One(value, float(np.sqrt(variance)), pairs, float(n @ m) / pairs / 2)


def _auc(a: SiteScores, s: State) -> One | str:
    """Of several classes the mean of each against all others; its error at most the mean of theirs, whatever their correlation."""
    found = [binned_auc(h) for h in a.histograms if len(a.histograms) == 1 or _there_is(h, a, s)]
    if not found or any(f is None for f in found):
        return (
            f"not even two bins of scores hold {s.plan.least_cell} patients of each class: take fewer folds, or a lower "
            "federation.least_cell"
        )
    real = [f for f in found if f is not None]
    return One(*(float(np.mean([getattr(f, n) for f in real])) for n in ("value", "error", "weight", "bound")))


def _there_is(h: Histogram, a: SiteScores, s: State) -> bool:
    """A class that nobody of the site has is no part of its mean."""
    return bool(len(h.negatives)) or dict(zip(s.schemas[a.site].classes, a.counts, strict=False)).get(h.outcome, 0) > 0


def _c_index(a: SiteScores, s: State) -> One | str:
    if not a.pairs:
        return "no two of its units can be compared"
    return One(a.concordance, a.concordance_error, float(a.pairs))


def _brier(a: SiteScores, s: State) -> One:
    mean = a.brier / a.units
    return One(mean, float(np.sqrt(max(a.brier_squares / a.units - mean**2, 0) / max(a.units - 1, 1))), float(a.units))


def _ratio(a: SiteScores, s: State) -> One | str:
    if not (a.counts[-1] and a.expected):
        return "no event was observed, or expected"
    ratio = a.counts[-1] / a.expected
    return One(ratio, ratio * float(np.sqrt(1 / a.counts[-1] - 1 / a.units)), a.expected)


def _difference(a: SiteScores, s: State) -> One:
    share = a.counts[-1] / a.units
    return One(share - a.expected / a.units, float(np.sqrt(share * (1 - share) / a.units)), float(a.units))


def _r2(a: SiteScores, s: State) -> One | str:
    if a.variation <= 0:
        return "the endpoint has one value there"
    return One(1 - a.squares / a.variation, a.explained_error, a.variation)


def _mae(a: SiteScores, s: State) -> One:
    mean = a.absolute / a.units
    return One(mean, float(np.sqrt(max(a.squares / a.units - mean**2, 0) / max(a.units - 1, 1))), float(a.units))


MEASURES: dict[str, Callable[[SiteScores, State], One | str]] = {
    "c_index": _c_index, "roc_auc": _auc, "brier": _brier, "observed_expected": _ratio, "observed_minus_expected": _difference,
    "r2": _r2, "mae": _mae,
}  # fmt: skip
