"""Which metrics there are, for which endpoints, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass

from cohortium.errors import CohortiumError, StudyError, did_you_mean
from cohortium.schema import EndpointKind

B, M, R, C, S, K = (
    EndpointKind.BINARY,
    EndpointKind.MULTICLASS,
    EndpointKind.ORDINAL,
    EndpointKind.CONTINUOUS,
    EndpointKind.SURVIVAL,
    EndpointKind.COMPETING_RISKS,
)


class NotEstimable(CohortiumError):  # noqa: N818 - a state of an estimate, not a fault
    """The metric has no value on these units; the message is the reason shown to people."""


@dataclass(frozen=True)
class Metric:
    """kinds: endpoints it is for. chance: value of an uninformative prediction, None when it depends on the data.
    needs_horizon: a time has to be given. needs_censoring: weights from the training fold's censoring."""

    name: str
    label: str
    kinds: frozenset[EndpointKind]
    higher_is_better: bool = True
    chance: float | None = None
    needs_horizon: bool = False
    needs_censoring: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value that the metric can take."""
        if self.name in ("log_loss", "mae"):
            return 0.0, float("inf")
        if self.name in ("r2", "quadratic_kappa", "spearman"):
            return (-float("inf") if self.name == "r2" else -1.0), 1.0
        return 0.0, 2.0 if self.name == "brier" else 1.0


def _m(name: str, label: str, kinds: tuple[EndpointKind, ...], better: bool = True, chance: float | None = None,
       horizon: bool = False, censoring: bool = False) -> Metric:  # fmt: skip
    return Metric(name, label, frozenset(kinds), better, chance, horizon, censoring)


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        _m("roc_auc", "ROC-AUC", (B, M), chance=0.5),
        _m("average_precision", "Average precision", (B,)),
        _m("balanced_accuracy", "Balanced accuracy", (B, M, R)),
        _m("accuracy", "Accuracy", (B, M, R)),
        _m("f1_macro", "F1 (macro)", (B, M, R)),
        _m("f1_weighted", "F1 (weighted)", (B, M, R)),
        _m("brier", "Brier score", (B, M, R), better=False),
        _m("log_loss", "Log loss", (B, M, R), better=False),
        _m("quadratic_kappa", "Quadratic kappa", (R,), chance=0.0),
        _m("harrell_c", "Harrell's C", (S,), chance=0.5),
        _m("uno_c", "Uno's C", (S,), chance=0.5, censoring=True),
        _m("wolbers_c", "Wolbers' C", (K,), chance=0.5, censoring=True),
        _m("auc_t", "Time-dependent AUC", (S, K), chance=0.5, horizon=True, censoring=True),
        _m("brier_t", "Time-dependent Brier score", (S, K), better=False, horizon=True, censoring=True),
        _m("integrated_brier", "Integrated Brier score", (S, K), better=False, censoring=True),
        _m("r2", "R squared", (C,), chance=0.0),
        _m("mae", "Mean absolute error", (C,), better=False),
        _m("spearman", "Spearman correlation", (C,), chance=0.0),
    )
}

_DEFAULT: dict[EndpointKind, tuple[str, ...]] = {
    B: ("roc_auc", "average_precision", "balanced_accuracy", "f1_macro", "brier", "log_loss"),
    M: ("roc_auc", "balanced_accuracy", "accuracy", "f1_macro", "f1_weighted", "brier", "log_loss"),
    R: ("quadratic_kappa", "balanced_accuracy", "accuracy", "f1_macro", "log_loss"),
    C: ("r2", "mae", "spearman"),
    S: ("harrell_c", "uno_c", "auc_t", "brier_t", "integrated_brier"),
    K: ("wolbers_c", "auc_t", "brier_t", "integrated_brier"),
}


def default_metrics(kind: EndpointKind) -> tuple[str, ...]:
    """Names of the metrics reported for an endpoint kind; the first is the headline."""
    return _DEFAULT[kind]


def headline_metric(kind: EndpointKind) -> str:
    """Name of the metric that the leaderboard is read by."""
    return _DEFAULT[kind][0]


def check_metric(name: str, kind: EndpointKind) -> Metric:
    """The metric of that name. Raises StudyError when there is none or it is for other endpoints."""
    fitting = [m.name for m in METRICS.values() if kind in m.kinds]
    if name not in METRICS:
        raise StudyError(f"No metric called '{name}'.{did_you_mean(name, fitting)}")
    if kind not in METRICS[name].kinds:
        raise StudyError(f"The metric '{name}' is not for {kind} endpoints. Those have: {', '.join(fitting)}.")
    return METRICS[name]
