"""Estimates with intervals, and paired differences, from the scores of the outer folds.

Several folds: their mean with the Nadeau-Bengio interval, over the folds that allow the metric. One fixed test
set: the metric on all of it, with a bootstrap over its patients in which censoring, model and thresholds stay.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import Estimate
from cohortium.experiment.scoring import Ask, Scores, score_one

FloatArray = NDArray[np.float64]
N_BOOT = 1000


def estimate(scores: Scores, learner: str, i: int) -> Estimate:
    """The estimate of ask ``i`` for one learner."""
    if len(scores.folds) == 1:
        return _resampled(scores, [learner], i, 1.0)
    from cohortium.metrics import from_folds

    metric, horizon = scores.asks[i]
    values = scores.values[learner][i]
    ok = np.isfinite(values)
    made = from_folds(
        metric, values[ok], scores.n_train[ok], scores.n_test[ok], n=scores.n, n_events=scores.n_events, horizon=horizon
    )
    return _with_reason(scores, made, i, ok)


def difference(scores: Scores, learner: str, other: str, i: int, turned: bool = False) -> Estimate:
    """``learner`` minus ``other`` on the same folds; turned: larger is better whatever the metric."""
    from cohortium.metrics import METRICS

    metric, horizon = scores.asks[i]
    sign = -1.0 if turned and not METRICS[metric].higher_is_better else 1.0
    if len(scores.folds) == 1:
        return _resampled(scores, [learner, other], i, sign)
    a, b = sign * scores.values[learner][i], sign * scores.values[other][i]
    made = paired((metric, horizon), a, b, scores.n_train, scores.n_test, scores.n, scores.n_events)
    return _with_reason(scores, made, i, np.isfinite(a) & np.isfinite(b))


def _with_reason(scores: Scores, made: Estimate, i: int, ok: NDArray[np.bool_]) -> Estimate:
    """Say how many folds do not count, and why the first of them does not."""
    left_out = int((~ok).sum())
    if not left_out:
        return made
    first = next((text for (ask, _), text in sorted(scores.reasons.items()) if ask == i), "")
    text = f"{left_out} of {len(ok)} folds do not allow it: {first}"
    return replace(made, reason=f"{made.reason}; {text}" if made.reason else text)


def paired(
    ask: Ask, a: FloatArray, b: FloatArray, n_train: NDArray[np.int64], n_test: NDArray[np.int64], n: int,
    n_events: int | None,
) -> Estimate:  # fmt: skip
    """a minus b over the folds where both are estimable. a, b, n_train, n_test: (n_folds,)."""
    from cohortium.metrics import paired_from_folds

    ok = np.isfinite(a) & np.isfinite(b)
    return paired_from_folds(ask[0], a[ok], b[ok], n_train[ok], n_test[ok], n=n, n_events=n_events, horizon=ask[1])


def _resampled(scores: Scores, learners: list[str], i: int, sign: float) -> Estimate:
    """One test set: value of the first learner, or its difference to the second, with a bootstrap over patients."""
    from cohortium.metrics import NotEstimable, bootstrap_patients

    fold, ask = scores.folds[0], scores.asks[i]

    def value(rows: NDArray[np.intp]) -> float:
        part = replace(
            fold,
            outcome=fold.outcome.take(rows),
            predictions={n: fold.predictions[n].take(rows) for n in learners},
        )
        found = [score_one(scores.endpoint, part, n, ask) for n in learners]
        bad = next((x for x in found if isinstance(x, str)), None)
        if bad is not None:
            raise NotEstimable(bad)
        numbers = [float(x) for x in found]
        return sign * (numbers[0] - numbers[1] if len(numbers) == 2 else numbers[0])

    rng = np.random.default_rng([scores.seed, 0xB007])
    return bootstrap_patients(
        ask[0], value, fold.patients, rng, n_boot=N_BOOT, n=scores.n, n_events=scores.n_events, horizon=ask[1]
    )
