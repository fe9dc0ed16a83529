"""Scores of imputation: the target modality is hidden in each outer fold in turn and predicted from the others.

Whatever learns is fitted on the training part, encoders of the target included; the uncertainty is set by inner folds of
it, in which the target is hidden likewise. A patient's units are in one part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.joint.imputing import LEVEL, NORMAL, Method, Part, Target, fit_scale

Array = NDArray[np.float64]

INNER = 3
FEWEST_PAIRS = 5
"""Cells of a fold without which no correlation is computed."""


@dataclass(frozen=True, eq=False)
class FoldScores:
    """One fold: features by name; (n, q) truth in training standard deviations, NaN where unknown; training means (q,); per
    method value, standard deviation as the method has it, and as inner folds have corrected it. picked: per method what
    inner folds chose."""

    n_train: int
    names: NDArray[np.object_]
    truth: Array
    mean: Array
    made: Mapping[str, tuple[Array, Array, Array]]
    picked: Mapping[str, int]


def deal_hidden(have: NDArray[np.bool_], groups: NDArray[np.int64], k: int, seed: int) -> NDArray[np.int64]:
    """(n,) fold 0..k-1 in which a unit's target is hidden, -1 for units of groups of which nobody has it."""
    from cohortium.resampling.dealing import deal

    out = np.full(len(have), -1, dtype=np.int64)
    rows = np.flatnonzero(np.isin(groups, groups[have]))
    k = min(k, len(np.unique(groups[rows])))
    strata = have[rows].astype(np.int64)
    out[rows] = deal(strata, groups[rows], k, [], np.random.default_rng([seed, 17]))
    return out


def score_fold(
    cohort: Cohort,
    groups: NDArray[np.int64],
    fold: NDArray[np.int64],
    k: int,
    target: str,
    methods: Mapping[str, Method],
    seed: int,
) -> FoldScores:
    """Hide the target of fold ``k`` and predict it. fold: of :func:`deal_hidden`."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        train = np.flatnonzero(fold != k)
        seen, tested = cohort.take(train), cohort.take(np.flatnonzero(fold == k))
        own, whole = Target.fit(seen, target), Part.of(seen, tested, target)
        assert whole is not None
        inner = deal_hidden(seen.presence()[target].to_numpy(bool), groups[train], INNER, seed + 1 + k)
        rows = [(np.flatnonzero(inner != j), np.flatnonzero(inner == j)) for j in range(int(inner.max()) + 1)]
        tried = [Part.of(seen.take(a), seen.take(b), target) for a, b in rows]
        parts = [p for p in tried if p is not None]
        made, picked = {}, {}
        for name, method in methods.items():
            picked[name], inside = method.tune(parts, target, seed)
            value, sd = method.fit(seen, target, seed, picked[name]).predict(whole.blind)
            made[name] = (value, sd, sd * _scale(parts, inside, own))
        return FoldScores(len(own.rows), own.encoder.names_, whole.truth, own.moments()[0], made, picked)


def _scale(parts: Sequence[Part], made: Sequence[tuple[Array, Array]], own: Target) -> Array:
    """(q,) correction of standard deviations by the inner folds, for the features that the whole training part has."""
    names, residuals, sds = list(own.encoder.names_), [], []
    for part, (value, sd) in zip(parts, made, strict=True):
        at = _positions(part.encoder.names_, names)
        residuals.append(_spread(part.truth - value, at, len(names)))
        sds.append(_spread(sd, at, len(names)))
    if not residuals:
        return np.ones(len(names))
    return fit_scale(np.concatenate(residuals), np.concatenate(sds))


def _positions(some: NDArray[Any], names: list[Any]) -> NDArray[np.intp]:
    return np.asarray(pd.Index(names).get_indexer(pd.Index(some)), dtype=np.intp)


def _spread(x: Array, at: NDArray[np.intp], width: int) -> Array:
    """(n, width) columns at their positions, NaN where there is none."""
    out = np.full((len(x), width), np.nan)
    out[:, at[at >= 0]] = x[:, at >= 0]
    return out


def scores_by_feature(folds: Sequence[FoldScores], names: Sequence[str], coded: set[str]) -> pd.DataFrame:
    """``method, feature, correlation, r2, rmse, coverage, n``: a row for each method and feature.

    correlation: Pearson, the mean over folds; r2: 1 - squared error / squared distance from the training mean; rmse: in training standard
    deviations; coverage: of the 90% interval, null for ``coded`` features, whose cells are 0 or 1.
    """
    rows = []
    for method in folds[0].made:
        parts = [_aligned(f, method, list(names)) for f in folds]
        correlation = np.stack([_correlations(p) for p in parts])
        known = np.concatenate([~np.isnan(p["truth"]) & ~np.isnan(p["value"]) for p in parts])
        error = np.concatenate([p["truth"] - p["value"] for p in parts])
        spread = np.concatenate([p["truth"] - p["mean"] for p in parts])
        inside = np.abs(error) <= NORMAL * np.concatenate([p["sd"] for p in parts])
        count = known.sum(axis=0)
        square = np.where(known, np.square(error), 0.0).sum(axis=0)
        total = np.where(known, np.square(spread), 0.0).sum(axis=0)
        some = (~np.isnan(correlation)).sum(axis=0)
        mean_r = np.where(some > 0, np.nansum(correlation, axis=0) / np.maximum(some, 1), np.nan)
        for j, name in enumerate(names):
            n = int(count[j])
            covered = float((inside[:, j] & known[:, j]).sum() / n) if n and name not in coded else np.nan
            rows.append({
                "method": method, "feature": name, "correlation": mean_r[j],
                "r2": 1 - square[j] / total[j] if total[j] > 0 else np.nan,
                "rmse": np.sqrt(square[j] / n) if n else np.nan, "coverage": covered, "n": n,
            })  # fmt: skip
    return pd.DataFrame(rows)


def summary(folds: Sequence[FoldScores], features: pd.DataFrame, names: Sequence[str], against: str) -> pd.DataFrame:
    """A row for each method: over features the median correlation (mean over folds), its quartiles, and the medians of
    ``r2`` and ``rmse``; ``coverage`` of all cells; intervals over folds (Nadeau & Bengio 2003) of the median correlation and
    of its paired difference to the method ``against``."""
    from cohortium.metrics import nadeau_bengio

    n_train = float(np.mean([f.n_train for f in folds]))
    n_test = float(np.mean([len(f.truth) for f in folds]))
    medians = {}
    for method in folds[0].made:
        r = np.stack([_correlations(_aligned(f, method, list(names))) for f in folds])
        medians[method] = np.array([np.nanmedian(x) if (~np.isnan(x)).any() else np.nan for x in r])
    rows = []
    for method in folds[0].made:
        mine = features[features["method"] == method]
        row: dict[str, Any] = {"method": method}
        for what, values in (("correlation", medians[method]), ("difference", medians[method] - medians[against])):
            some = (~np.isnan(values)).any() and not (what == "difference" and method == against)
            row[what], row[f"{what}_low"], row[f"{what}_high"] = (
                nadeau_bengio(values, n_train, n_test) if some else (np.nan, np.nan, np.nan)
            )
        sds = np.concatenate([f.made[method][2].ravel() for f in folds])
        cells = mine["n"].where(mine["coverage"].notna(), 0)
        row |= {
            "lower_quartile": mine["correlation"].quantile(0.25), "upper_quartile": mine["correlation"].quantile(0.75),
            "r2": mine["r2"].median(), "rmse": mine["rmse"].median(),
            "coverage": float((mine["coverage"].fillna(0) * cells).sum() / max(cells.sum(), 1)),
            "width": float(2 * NORMAL * np.mean(sds)), "n_features": len(mine), "n_cells": int(mine["n"].sum()),
        }  # fmt: skip
        if not cells.sum():
            row["coverage"] = np.nan
        rows.append(row)
    return pd.DataFrame(rows)


def picked_most(folds: Sequence[FoldScores], method: str) -> int:
    """What was chosen in most folds; of several as often, the middle one."""
    picks, counts = np.unique([f.picked[method] for f in folds], return_counts=True)
    often = picks[counts == counts.max()]
    return int(often[(len(often) - 1) // 2])


def final_scale(folds: Sequence[FoldScores], method: str, names: Sequence[str]) -> Array:
    """(q,) correction of the standard deviations of a method fitted on everyone, by all hidden cells."""
    parts = [_aligned(f, method, list(names), raw=True) for f in folds]
    return fit_scale(np.concatenate([p["truth"] - p["value"] for p in parts]), np.concatenate([p["sd"] for p in parts]))


def _aligned(fold: FoldScores, method: str, names: list[str], raw: bool = False) -> dict[str, Array]:
    at, width = _positions(fold.names, names), len(names)
    value, own, corrected = fold.made[method]
    mean = np.broadcast_to(fold.mean, fold.truth.shape)
    found = {"truth": fold.truth, "value": value, "sd": own if raw else corrected, "mean": mean}
    return {k: _spread(v, at, width) for k, v in found.items()}


def _correlations(part: Mapping[str, Array]) -> Array:
    """(q,) Pearson of each feature in one fold; NaN where there are too few cells or a side is constant."""
    out = np.full(part["truth"].shape[1], np.nan)
    for j, (a, b) in enumerate(zip(part["truth"].T, part["value"].T, strict=True)):
        known = ~np.isnan(a) & ~np.isnan(b)
        if known.sum() >= FEWEST_PAIRS and np.ptp(a[known]) > 1e-9 and np.ptp(b[known]) > 1e-9:
            out[j] = np.corrcoef(a[known], b[known])[0, 1]
    return out


__all__ = [
    "LEVEL",
    "FoldScores",
    "deal_hidden",
    "final_scale",
    "picked_most",
    "score_fold",
    "scores_by_feature",
    "summary",
]
