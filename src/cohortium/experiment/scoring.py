"""Metrics of all learners in every outer fold.

Each fold is scored on its own, survival metrics against the censoring of its own training part up to one tau for
all folds; nothing is pooled across folds. A metric that a fold does not allow (one class, no comparable pair) is
NaN there, with the reason kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import Bounds, CompetingOutcome, Outcome, Prediction, TimeOutcome
from cohortium.experiment.folds import FoldResult
from cohortium.experiment.plan import EndpointPlan

if TYPE_CHECKING:
    import pandas as pd

Ask = tuple[str, float | None]
"""A metric and its horizon (None where it has none)."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FoldToScore:
    """One outer fold. outcome: of its n test units. patients: (n,) group codes. censoring: of its training part. bounds: of the headline learner."""

    outcome: Outcome
    patients: NDArray[np.int64]
    censoring: Any
    n_train: int
    predictions: dict[str, Prediction]
    thresholds: dict[str, float | None]
    bounds: Bounds | None = None


@dataclass(frozen=True, eq=False)
class Scores:
    """Metrics of one endpoint. values: learner -> (n_asks, n_folds), NaN where not estimable; reasons: why,
    by (ask, fold), for any learner."""

    endpoint: EndpointPlan
    asks: tuple[Ask, ...]
    folds: tuple[FoldToScore, ...]
    values: dict[str, FloatArray]
    reasons: dict[tuple[int, int], str]
    n: int
    n_events: int | None
    seed: int
    draws: dict[tuple[str, int], FloatArray] = field(default_factory=dict, repr=False)

    @property
    def n_train(self) -> FloatArray:
        """(n_folds,) units trained on."""
        return np.array([f.n_train for f in self.folds], dtype=np.float64)

    @property
    def n_test(self) -> FloatArray:
        """(n_folds,) units tested."""
        return np.array([len(f.outcome) for f in self.folds], dtype=np.float64)


def score_frame(name: str, scores: Scores) -> pd.DataFrame:
    """``endpoint, learner, metric, horizon, repeat, fold, n_train, n_test, value``: one row per fold and metric."""
    import pandas as pd

    frames = []
    for learner, values in scores.values.items():
        for (metric, horizon), row in zip(scores.asks, values, strict=True):
            frame = pd.DataFrame({"endpoint": name, "learner": learner, "metric": metric}, index=range(len(row)))
            frame["horizon"] = np.nan if horizon is None else horizon
            frame["repeat"] = [int(s.repeat) for s in scores.endpoint.splits]
            frame["fold"] = [int(s.fold) for s in scores.endpoint.splits]
            frame["n_train"], frame["n_test"], frame["value"] = scores.n_train, scores.n_test, row
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def asks_of(e: EndpointPlan, metrics: Sequence[str] | None) -> tuple[Ask, ...]:
    """Metrics (default: the kind's usual ones) with their horizons: time-dependent ones once for each.

    Metrics that do not suit the endpoint's kind are left out: a study names one list for all its endpoints.
    """
    from cohortium.metrics import METRICS, default_metrics

    endpoint = e.outcome.endpoint
    usual = list(default_metrics(endpoint.kind))
    names = [m for m in metrics if endpoint.kind in METRICS[m].kinds] if metrics else usual
    out: list[Ask] = []
    for m in names or usual:
        out += [(m, h) for h in e.horizons] if METRICS[m].needs_horizon else [(m, None)]
    return tuple(out)


def score_endpoint(e: EndpointPlan, results: Sequence[FoldResult], asks: tuple[Ask, ...], seed: int) -> Scores:
    """Score every learner in every fold; ``results`` in the order of ``e.splits``."""
    folds = tuple(_fold(e, s, r) for s, r in zip(e.splits, results, strict=True))
    learners = list(results[0].predictions)
    values = {name: np.full((len(asks), len(folds)), np.nan) for name in learners}
    reasons: dict[tuple[int, int], str] = {}
    for j, fold in enumerate(folds):
        for i, ask in enumerate(asks):
            for name in learners:
                value = score_one(e, fold, name, ask)
                if isinstance(value, str):
                    reasons[(i, j)] = value
                else:
                    values[name][i, j] = value
    tested = np.unique(np.concatenate([r.test for r in results]))
    return Scores(e, asks, folds, values, reasons, len(tested), count_events(e.outcome.take(tested)), seed)


def _fold(e: EndpointPlan, split: Any, result: FoldResult) -> FoldToScore:
    thresholds = {name: facts.get("threshold") for name, facts in result.learners.items()}
    return FoldToScore(
        e.outcome.take(result.test),
        e.groups[result.test],
        censoring_of(e, split),
        result.n_train,
        dict(result.predictions),
        thresholds,
        result.bounds,
    )


def censoring_of(e: EndpointPlan, split: Any) -> Any:
    """Of the training part; None where nobody can be censored."""
    from cohortium.metrics import censoring_distribution

    if not isinstance(e.outcome, TimeOutcome):
        return None
    trained = e.outcome.take(np.asarray(split.train, dtype=np.intp))
    return censoring_distribution(trained.any_cause if isinstance(trained, CompetingOutcome) else trained)


def censoring_curves(e: EndpointPlan) -> list[FloatArray]:
    """Per outer split (m,) P(not yet censored just before t) in the training part, at the grid's times."""
    assert e.grid is not None
    return [np.asarray(censoring_of(e, s).at(e.grid), dtype=float) for s in e.splits]


def score_one(e: EndpointPlan, fold: FoldToScore, learner: str, ask: Ask) -> float | str:
    """One number, or the reason why there is none."""
    from cohortium.metrics import NotEstimable, score

    try:
        return float(
            score(
                ask[0],
                fold.outcome,
                fold.predictions[learner],
                horizon=ask[1],
                tau=e.tau,
                censoring=fold.censoring,
                threshold=fold.thresholds.get(learner),
            )
        )
    except NotEstimable as reason:
        return str(reason)


def count_events(o: Outcome) -> int | None:
    """Events (of interest) of a survival outcome, positives of a binary one, else None."""
    if isinstance(o, TimeOutcome):
        return int(o.event.sum())
    if o.endpoint.kind.value == "binary":
        return int((o.codes == 1).sum())  # type: ignore[union-attr]
    return None


def tested_events(scores: Scores, event: NDArray[np.bool_]) -> int:
    """How many of the units that any fold tests have the event; event: (n,) of the endpoint's outcome."""
    tested = np.unique(np.concatenate([f.outcome.units for f in scores.folds]).astype(str))
    return int(event[np.isin(scores.endpoint.outcome.units.astype(str), tested)].sum())
