"""``score``: one metric, one outcome, one prediction."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import (
    ClassOutcome,
    CompetingOutcome,
    CumulativeIncidence,
    Outcome,
    Prediction,
    Probabilities,
    Survival,
    SurvivalOutcome,
    ValueOutcome,
    Values,
)
from cohortium.metrics import competing
from cohortium.metrics import concordance as surv
from cohortium.metrics.kaplan_meier import Censoring
from cohortium.metrics.registry import NotEstimable, check_metric
from cohortium.schema import EndpointKind


def score(
    name: str,
    outcome: Outcome,
    prediction: Prediction,
    *,
    censoring: Censoring | None = None,
    horizon: float | None = None,
    tau: float | None = None,
    threshold: float | None = None,
) -> float:
    """The metric's value.

    outcome and prediction hold the same units in the same order. censoring: of the training fold. tau: events
    after it do not count (concordance) and integration ends there. threshold: on the positive class's
    probability (binary decisions), 0.5 unless given; multiclass decides for the most probable class, ordinal
    for the median class. Raises :class:`NotEstimable` with the reason, StudyError for a metric of other kinds.
    """
    metric = check_metric(name, outcome.endpoint.kind)
    if len(outcome) != len(prediction) or not np.array_equal(outcome.units, prediction.units):
        raise ValueError("outcome and prediction are not of the same units in the same order")
    if metric.needs_horizon and horizon is None:
        raise ValueError(f"{name} needs a horizon")
    if metric.needs_censoring and censoring is None:
        raise ValueError(f"{name} needs the training fold's censoring distribution")
    if isinstance(outcome, SurvivalOutcome) and isinstance(prediction, Survival):
        return _survival(name, outcome, prediction, censoring, horizon, tau)
    if isinstance(outcome, CompetingOutcome) and isinstance(prediction, CumulativeIncidence):
        assert censoring is not None
        return _competing(name, outcome, prediction, censoring, horizon, tau)
    if isinstance(outcome, ValueOutcome) and isinstance(prediction, Values):
        return _values(name, outcome, prediction)
    if isinstance(outcome, ClassOutcome) and isinstance(prediction, Probabilities):
        if prediction.classes != outcome.endpoint.classes:
            raise ValueError("prediction and outcome name different classes")
        return _classes(name, outcome, prediction, threshold)
    raise TypeError(f"{type(prediction).__name__} cannot be scored against {type(outcome).__name__}")


def _survival(
    name: str,
    outcome: SurvivalOutcome,
    prediction: Survival,
    censoring: Censoring | None,
    horizon: float | None,
    tau: float | None,
) -> float:
    if name == "harrell_c":
        return surv.harrell_c(outcome, prediction, tau)
    assert censoring is not None
    if name == "uno_c":
        return surv.uno_c(outcome, prediction, censoring, tau)
    if name == "integrated_brier":
        return surv.integrated_brier(outcome, prediction, censoring, tau)
    assert horizon is not None
    return (surv.auc_t if name == "auc_t" else surv.brier_t)(outcome, prediction, horizon, censoring)


def _competing(
    name: str,
    outcome: CompetingOutcome,
    prediction: CumulativeIncidence,
    censoring: Censoring,
    horizon: float | None,
    tau: float | None,
) -> float:
    if name == "wolbers_c":
        return competing.wolbers_c(outcome, prediction, censoring, tau)
    if name == "integrated_brier":
        return competing.cause_integrated_brier(outcome, prediction, censoring, tau)
    assert horizon is not None
    at = competing.cause_auc_t if name == "auc_t" else competing.cause_brier_t
    return at(outcome, prediction, horizon, censoring)


def _values(name: str, outcome: ValueOutcome, prediction: Values) -> float:
    from scipy.stats import spearmanr

    y, p = outcome.values, prediction.values
    if name == "mae":
        return float(np.abs(y - p).mean())
    if len(y) < 2 or np.ptp(y) == 0:
        raise NotEstimable("the outcome does not vary in the test fold")
    if name == "r2":
        return float(1.0 - ((y - p) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    if np.ptp(p) == 0:
        return 0.0
    return float(spearmanr(y, p).statistic)


def decide(kind: EndpointKind, p: NDArray[np.float64], threshold: float | None = None) -> NDArray[np.int64]:
    """(n,) class codes of probabilities (n, K): by threshold (binary), median (ordinal), largest (multiclass)."""
    if kind is EndpointKind.BINARY:
        return (p[:, 1] >= (0.5 if threshold is None else threshold)).astype(np.int64)
    if kind is EndpointKind.ORDINAL:
        below = (np.cumsum(p, axis=1) < 0.5 - 1e-12).sum(axis=1)
        return np.asarray(np.minimum(below, p.shape[1] - 1), np.int64)
    return np.asarray(p.argmax(axis=1), np.int64)


def _classes(name: str, outcome: ClassOutcome, prediction: Probabilities, threshold: float | None) -> float:
    from sklearn import metrics as sk

    y, p, k = outcome.codes, prediction.p, len(prediction.classes)
    present = np.unique(y)
    if name == "brier":
        if outcome.endpoint.kind is EndpointKind.BINARY:
            return float(((p[:, 1] - y) ** 2).mean())
        return float(((p - np.eye(k)[y]) ** 2).sum(axis=1).mean())
    if name == "log_loss":
        return float(-np.log(np.clip(p[np.arange(len(y)), y], 1e-15, 1)).mean())
    if len(present) < 2:
        raise NotEstimable("the test fold holds one class only")
    if name == "roc_auc":
        if outcome.endpoint.kind is EndpointKind.BINARY:
            return float(sk.roc_auc_score(y, p[:, 1]))
        # One against the rest for each class that the fold holds; an absent class has no AUC.
        return float(np.mean([sk.roc_auc_score(y == c, p[:, c]) for c in present]))
    if name == "average_precision":
        return float(sk.average_precision_score(y, p[:, 1]))
    decided = decide(outcome.endpoint.kind, prediction.p, threshold)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        if name == "balanced_accuracy":
            return float(np.mean([(decided[y == c] == c).mean() for c in present]))
        if name == "accuracy":
            return float((decided == y).mean())
        if name == "quadratic_kappa":
            if len(np.unique(np.concatenate([y, decided]))) < 2:
                return 0.0
            return float(sk.cohen_kappa_score(y, decided, weights="quadratic", labels=np.arange(k)))
        return float(sk.f1_score(y, decided, average=name.removeprefix("f1_"), labels=present, zero_division=0))


def choose_threshold(outcome: ClassOutcome, p: NDArray[np.float64]) -> float:
    """Threshold on p (n,) of the positive class that maximises balanced accuracy (Youden 1950).

    The middle between the two neighbouring probabilities; of equal ones the one nearest to the prevalence.
    """
    y = outcome.codes == 1
    values, inverse = np.unique(p, return_inverse=True)
    positives = np.bincount(inverse, weights=y, minlength=len(values))
    negatives = np.bincount(inverse, weights=~y, minlength=len(values))
    cuts = np.concatenate([[values[0] - 1e-9], (values[:-1] + values[1:]) / 2])
    sensitivity = 1.0 - np.concatenate([[0.0], np.cumsum(positives)[:-1]]) / max(y.sum(), 1)
    specificity = np.concatenate([[0.0], np.cumsum(negatives)[:-1]]) / max((~y).sum(), 1)
    youden = sensitivity + specificity
    best = np.flatnonzero(youden >= youden.max() - 1e-12)
    return float(cuts[best[np.argmin(np.abs(cuts[best] - y.mean()))]])
