"""Several statistics of every fold at once, with the intervals of estimates: what calibration, decision curves and
subgroups are counted by.

Several folds: the mean of each column with its Nadeau-Bengio interval. One test set: its value, with a bootstrap over
patients in which models, thresholds and censoring weights stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import Estimate
from cohortium.contracts.results import Curve
from cohortium.experiment.scoring import FoldToScore, Scores

FloatArray = NDArray[np.float64]
Statistic = Callable[[FoldToScore], tuple[FloatArray, dict[int, str]]]
"""(k,) numbers of one fold, NaN where not estimable, and column -> the reason why."""

DRAWS = 200
FEWEST_DRAWS = 100
_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Looks:
    """values: (n_folds, k). reasons: column -> why the first fold that has no value has none. draws: (n_draws, k) of
    the patients of one test set, None with several folds."""

    values: FloatArray
    reasons: dict[int, str]
    n_train: FloatArray
    n_test: FloatArray
    draws: FloatArray | None = None

    def minus(self, a: slice, b: slice) -> Looks:
        """Columns a less columns b, fold by fold."""
        draws = None if self.draws is None else self.draws[:, a] - self.draws[:, b]
        columns = range(self.values.shape[1])
        why = zip(columns[a], columns[b], strict=True)
        reasons = {k: self.reasons.get(i) or self.reasons.get(j) for k, (i, j) in enumerate(why)}
        known = {k: text for k, text in reasons.items() if text}
        return Looks(self.values[:, a] - self.values[:, b], known, self.n_train, self.n_test, draws)

    def estimate(self, i: int, metric: str, *, n: int, n_events: int | None = None, horizon: float | None = None,
                 paired: bool = False, exponential: bool = False) -> Estimate:  # fmt: skip
        """Column i. exponential: the column is a logarithm, the estimate is of what it is the logarithm of."""
        blank = Estimate(metric, None, n=n, n_events=n_events, horizon=horizon)
        if self.draws is None:
            from cohortium.metrics import from_folds

            made = from_folds(
                metric, self.values[:, i], self.n_train, self.n_test, n=n, n_events=n_events, horizon=horizon,
                reason=self.reasons.get(i), method="nadeau_bengio_paired" if paired else "nadeau_bengio",
            )  # fmt: skip
        else:
            value, low, high = self._one(i)
            if value is None:
                return replace(blank, reason=self.reasons.get(i, "not estimable on the test set"))
            few = "too few patients: most bootstrap samples have no estimate" if low is None else None
            method = "" if few else "bootstrap_patients_paired" if paired else "bootstrap_patients"
            made = replace(blank, value=value, low=low, high=high, method=method, reason=few)
        if not exponential or made.value is None:
            return made
        value, low, high = (None if x is None else float(np.exp(x)) for x in (made.value, made.low, made.high))
        return replace(made, value=value, low=low, high=high)

    def p_value(self, i: int) -> float | None:
        """Two-sided, of column i being zero: by the t of its interval, or by the normal of its draws."""
        from scipy.stats import norm

        from cohortium.metrics import nadeau_bengio_p

        if self.draws is None:
            return nadeau_bengio_p(self.values[:, i], self.n_train, self.n_test)
        value, drawn = self.values[0, i], self.draws[:, i]
        drawn = drawn[np.isfinite(drawn)]
        if not np.isfinite(value) or len(drawn) < min(FEWEST_DRAWS, len(self.draws)):
            return None
        sd = float(drawn.std(ddof=1))
        return float(2 * norm.sf(abs(value) / sd)) if sd > 0 else None

    def curve(self, at: FloatArray, columns: Sequence[int]) -> Curve | None:
        """Columns as a curve over ``at``; None where fewer than half of the folds have a value, or none at all."""
        from cohortium.metrics import nadeau_bengio

        rows: list[tuple[float | None, float | None, float | None]] = []
        for i in columns:
            if self.draws is not None:
                rows.append(self._one(i))
            elif np.isfinite(self.values[:, i]).sum() * 2 >= max(len(self.values), 2):
                rows.append(nadeau_bengio(self.values[:, i], self.n_train, self.n_test))
            else:
                rows.append((None, None, None))
        if all(value is None for value, _, _ in rows):
            return None
        value, low, high = (
            [None if x is None else round(x, _DIGITS) for x in column] for column in zip(*rows, strict=True)
        )
        return Curve([round(float(x), _DIGITS) for x in at], value, low, high)

    def _one(self, i: int) -> tuple[float | None, float | None, float | None]:
        assert self.draws is not None
        value, drawn = self.values[0, i], self.draws[:, i]
        if not np.isfinite(value):
            return None, None, None
        drawn = drawn[np.isfinite(drawn)]
        if len(drawn) < min(FEWEST_DRAWS, len(self.draws)):
            return float(value), None, None
        low, high = np.quantile(drawn, [0.025, 0.975])
        return float(value), float(low), float(high)


def look(scores: Scores, statistic: Statistic, learners: Sequence[str]) -> Looks:
    """``statistic`` of every fold, given the predictions of the named learners; of one test set also of its draws."""
    folds = [replace(f, predictions={name: f.predictions[name] for name in learners}) for f in scores.folds]
    values, reasons = [], dict[int, str]()
    for fold in folds:
        value, why = statistic(fold)
        values.append(value)
        reasons = {**why, **reasons}
    draws = None
    if len(folds) == 1:
        draws = np.stack([statistic(drawn)[0] for drawn in _drawn(folds[0], scores.seed)])
    return Looks(np.stack(values), reasons, scores.n_train, scores.n_test, draws)


def _drawn(fold: FoldToScore, seed: int) -> Iterator[FoldToScore]:
    """The fold with its patients (all their units) drawn with replacement, the same draws for every statistic."""
    groups, of = np.unique(fold.patients, return_inverse=True)
    members = np.split(np.argsort(of, kind="stable"), np.cumsum(np.bincount(of))[:-1])
    rng = np.random.default_rng([seed, 0xB007])
    for _ in range(DRAWS):
        rows = np.concatenate([members[g] for g in rng.integers(0, len(groups), len(groups))])
        predictions = {name: p.take(rows) for name, p in fold.predictions.items()}
        bounds = None if fold.bounds is None else fold.bounds.take(rows)
        yield replace(fold, outcome=fold.outcome.take(rows), patients=fold.patients[rows], predictions=predictions,
                      bounds=bounds)  # fmt: skip
