"""Estimates with intervals, and paired differences, from the scores of the outer folds.

Several folds: their mean with the Nadeau-Bengio interval, over the folds that allow the metric. One test set: the
metric on all of it, with a bootstrap over its patients in which censoring, models and thresholds stay as they are;
the ROC-AUC of one unit per patient by DeLong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import ClassOutcome, Estimate, Probabilities
from cohortium.experiment.scoring import Ask, Scores, score_one

FloatArray = NDArray[np.float64]

PROBES = ("without:", "with:")
MOST_DRAWS, FEWEST_DRAWS, DRAWN_UNITS = 500, 200, 300_000
"""Bootstrap draws: as many as draw about 300,000 units in all, between 200 and 500; 200 where probes are compared."""


def estimate(scores: Scores, learner: str, i: int) -> Estimate:
    """The estimate of ask ``i`` for one learner."""
    if len(scores.folds) == 1:
        return _one_test(scores, learner, None, i, 1.0)
    from cohortium.metrics import from_folds

    metric, horizon = scores.asks[i]
    return from_folds(
        metric, scores.values[learner][i], scores.n_train, scores.n_test,
        n=scores.n, n_events=scores.n_events, horizon=horizon, reason=_reason(scores, i),
    )  # fmt: skip


def difference(scores: Scores, learner: str, other: str, i: int, turned: bool = False) -> Estimate:
    """``learner`` minus ``other`` on the same folds; turned: larger is better whatever the metric."""
    from cohortium.metrics import METRICS, paired_from_folds

    metric, horizon = scores.asks[i]
    sign = -1.0 if turned and not METRICS[metric].higher_is_better else 1.0
    if len(scores.folds) == 1:
        return _one_test(scores, learner, other, i, sign)
    a, b = sign * scores.values[learner][i], sign * scores.values[other][i]
    return paired_from_folds(
        metric, a, b, scores.n_train, scores.n_test,
        n=scores.n, n_events=scores.n_events, horizon=horizon, reason=_reason(scores, i),
    )  # fmt: skip


def _reason(scores: Scores, i: int) -> str | None:
    """Why the first fold that does not allow the metric does not."""
    return next((text for (ask, _), text in sorted(scores.reasons.items()) if ask == i), None)


def _one_test(scores: Scores, learner: str, other: str | None, i: int, sign: float) -> Estimate:
    metric, horizon = scores.asks[i]
    point = scores.values[learner][i, 0] - (0.0 if other is None else scores.values[other][i, 0])
    blank = Estimate(metric, None, n=scores.n, n_events=scores.n_events, horizon=horizon)
    if not np.isfinite(point):
        return replace(blank, reason=_reason(scores, i) or "not estimable on the test set")
    if metric == "roc_auc" and _delong_fits(scores):
        return replace(blank, **_delong(scores, learner, other))
    both = [_draws(scores, name, i) for name in (learner, other) if name is not None]
    shortest = min(map(len, both))
    draws = both[0][:shortest] - (both[1][:shortest] if len(both) == 2 else 0.0)
    draws = sign * draws[np.isfinite(draws)]
    if len(draws) < FEWEST_DRAWS // 2:
        return replace(blank, value=sign * point, reason="too few patients: most bootstrap samples have no estimate")
    low, high = np.quantile(draws, [0.025, 0.975])
    method = "bootstrap_patients" if other is None else "bootstrap_patients_paired"
    return replace(blank, value=float(sign * point), low=float(low), high=float(high), method=method)


def _delong_fits(scores: Scores) -> bool:
    fold = scores.folds[0]
    one_each = len(np.unique(fold.patients)) == len(fold.patients)
    if not isinstance(fold.outcome, ClassOutcome) or fold.outcome.endpoint.kind.value != "binary":
        return False
    return one_each and int(np.bincount(fold.outcome.codes, minlength=2).min()) >= 2


def _delong(scores: Scores, learner: str, other: str | None) -> dict[str, Any]:
    from cohortium.metrics import delong, delong_paired

    fold = scores.folds[0]
    assert isinstance(fold.outcome, ClassOutcome)
    y, p = fold.outcome.codes == 1, fold.predictions[learner]
    assert isinstance(p, Probabilities)
    if other is None:
        value, low, high = delong(y, p.p[:, 1])
        return {"value": value, "low": low, "high": high, "method": "delong"}
    q = fold.predictions[other]
    assert isinstance(q, Probabilities)
    value, low, high, _ = delong_paired(y, p.p[:, 1], q.p[:, 1])
    return {"value": value, "low": low, "high": high, "method": "delong_paired"}


def _draws(scores: Scores, learner: str, i: int) -> FloatArray:
    """(n_draws,) metric on the same draws of patients for every learner, NaN where not estimable; kept once made.

    A probe's draws are the first of a learner's.
    """
    if (learner, i) in scores.draws:
        return scores.draws[(learner, i)]
    fold = scores.folds[0]
    n = len(fold.outcome)
    groups, of = np.unique(fold.patients, return_inverse=True)
    members = np.split(np.argsort(of, kind="stable"), np.cumsum(np.bincount(of))[:-1])
    rng = np.random.default_rng([scores.seed, 0xB007])
    most = FEWEST_DRAWS if learner.startswith(PROBES) else MOST_DRAWS
    out = np.full(int(np.clip(DRAWN_UNITS // n, FEWEST_DRAWS, most)), np.nan)
    for k in range(len(out)):
        rows = np.concatenate([members[g] for g in rng.integers(0, len(groups), len(groups))])
        drawn = replace(
            fold, outcome=fold.outcome.take(rows), predictions={learner: fold.predictions[learner].take(rows)}
        )
        value = score_one(scores.endpoint, drawn, learner, scores.asks[i])
        out[k] = np.nan if isinstance(value, str) else value
    scores.draws[(learner, i)] = out
    return out


def paired(
    ask: Ask, a: FloatArray, b: FloatArray, n_train: FloatArray, n_test: FloatArray, n: int,
    n_events: int | None,
) -> Estimate:  # fmt: skip
    """a minus b over the folds where both are estimable. a, b, n_train, n_test: (n_folds,)."""
    from cohortium.metrics import paired_from_folds

    return paired_from_folds(ask[0], a, b, n_train, n_test, n=n, n_events=n_events, horizon=ask[1])
