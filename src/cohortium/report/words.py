"""Names, numbers and sentences as a reader sees them."""

from __future__ import annotations

from collections.abc import Sequence

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.results import EndpointRecord, LeaderboardRow, Results

METRIC_NAMES = {
    "roc_auc": "ROC-AUC",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "f1_macro": "macro F1",
    "f1_weighted": "weighted F1",
    "brier": "Brier score",
    "log_loss": "log loss",
    "quadratic_kappa": "quadratic kappa",
    "harrell_c": "C-index (Harrell)",
    "uno_c": "C-index (Uno)",
    "wolbers_c": "C-index (Wolbers)",
    "auc_t": "time-dependent AUC",
    "brier_t": "Brier score at a horizon",
    "integrated_brier": "integrated Brier score",
    "r2": "R²",
    "mae": "mean absolute error",
    "spearman": "Spearman correlation",
}
OTHER_NAMES = {
    "net_benefit": "net benefit",
    "calibration_slope": "calibration slope",
    "calibration_intercept": "calibration in the large",
    "expected_observed": "expected / observed",
    "ici": "mean gap (ICI)",
    "e50": "median gap (E50)",
    "e90": "90th percentile of the gap (E90)",
    "ici_by_chance": "mean gap by chance",
    "expected_minus_observed": "expected minus observed",
    "coverage": "share that held",
    "one_class": "sets of one class",
    "one_class_right": "of these right",
    "interval_width": "median width",
    "lower_bound": "median bound",
    "rank_correlation": "rank correlation",
}
"""Of numbers that are in no leaderboard."""
LOWER_IS_BETTER = frozenset({"brier", "log_loss", "brier_t", "integrated_brier", "mae"})
_USUAL = {
    "binary": "roc_auc",
    "multiclass": "roc_auc",
    "ordinal": "quadratic_kappa",
    "continuous": "r2",
    "survival": "harrell_c",
    "competing_risks": "wolbers_c",
}
ROLE_NAMES = {"reference": "reference", "single": "single modality", "fusion": "fusion", "auto": "auto (headline)"}

METRIC_MEANING = {
    "roc_auc": "of a patient with and a patient without the outcome, how often the model ranks the right one "
    "higher: 0.5 is a coin toss, 1 is always",
    "harrell_c": "of two patients, how often the one with the higher predicted risk has the event first: "
    "0.5 is a coin toss, 1 is always",
    "uno_c": "of two patients, how often the one with the higher predicted risk has the event first, corrected for "
    "patients lost to follow-up: 0.5 is a coin toss, 1 is always",
    "wolbers_c": "of a patient who has the event of interest and one who has it later, never, or another event first, how often "
    "the former has the higher predicted risk, corrected for patients lost to follow-up: 0.5 is a coin toss, 1 is always",
    "balanced_accuracy": "the share of correctly named patients, averaged over the classes so that a large class "
    "cannot hide a small one",
    "quadratic_kappa": "agreement with the true grade beyond chance, in which a miss by two grades counts four times "
    "a miss by one: 0 is chance, 1 is perfect",
    "r2": "the share of the variation between patients that the model explains: 0 is no better than the mean, "
    "1 is perfect",
    "spearman": "how well the predicted order of the patients agrees with the true order: 0 not at all, 1 perfectly",
    "mae": "how far a prediction is off on average, in the unit of the outcome: smaller is better",
    "average_precision": "how often patients flagged by the model have the outcome, averaged over all cut-offs: "
    "compare with the share of patients who have it",
    "brier": "the mean squared distance between predicted probability and outcome: 0 is perfect, smaller is better",
}
_METHODS = {
    "nadeau_bengio": "repeated cross-validation with the Nadeau-Bengio correction",
    "bootstrap_patients": "bootstrap over patients",
    "delong": "DeLong's method",
}


def metric_name(metric: str, horizon: float | None = None, time_unit: str = "") -> str:
    """``time-dependent AUC at 5 years``."""
    name = METRIC_NAMES.get(metric) or OTHER_NAMES.get(metric, metric.replace("_", " "))
    if horizon is None:
        return name
    return f"{name.replace(' at a horizon', '')} at {number(horizon)} {time_unit}".rstrip()


def plain_metric(metric: str, horizon: float | None = None, time_unit: str = "") -> str:
    """The same without the name of the estimator: ``C-index``."""
    return (
        metric_name(metric, horizon, time_unit)
        .replace(" (Harrell)", "")
        .replace(" (Uno)", "")
        .replace(" (Wolbers)", "")
    )


def method_name(method: str) -> str:
    """The way an interval was made, in words."""
    return _METHODS.get(method.removesuffix("_paired"), method.replace("_", " "))


def number(x: float | None, digits: int = 4) -> str:
    """A count, time or setting: thousands separated, no needless zeros."""
    if x is None:
        return "–"
    if float(x).is_integer():
        return f"{int(x):,}"
    return f"{x:,.{digits}g}"


def value_text(x: float | None, signed: bool = False) -> str:
    """An estimate: three decimals below ten, fewer above, more where only they show that it is not zero; a true
    minus sign."""
    if x is None:
        return "–"
    size = abs(x)
    digits = 1 if size >= 100 else 2 if size >= 10 else 4 if 5e-5 <= size < 5e-4 else 3
    if round(size, digits) == 0:
        return f"{0:.{digits}f}"
    return (f"{x:+,.{digits}f}" if signed else f"{x:,.{digits}f}").replace("-", "−")


def interval_text(e: Estimate, signed: bool = False) -> str:
    """``0.652 to 0.701``, or empty when there is none."""
    if e.low is None or e.high is None:
        return ""
    return f"{value_text(e.low, signed)} to {value_text(e.high, signed)}"


def estimate_text(e: Estimate | None, signed: bool = False) -> str:
    """``0.672 (0.652 to 0.701)``; a dash when there is no value."""
    if e is None or e.value is None:
        return "–"
    interval = interval_text(e, signed)
    return f"{value_text(e.value, signed)} ({interval})" if interval else value_text(e.value, signed)


def duration(seconds: float) -> str:
    """``42 s``, ``13 min``, ``2 h 5 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def names(items: Sequence[str], most: int = 6, last: str = " and ", sep: str = ", ") -> str:
    """``a, b and c``; beyond ``most`` names, ``a, b, c and 4 more``."""
    items = list(items)
    if len(items) > most:
        return sep.join(items[: most - 1]) + f"{last}{len(items) - most + 1} more"
    if len(items) < 2:
        return "".join(items)
    return sep.join(items[:-1]) + last + items[-1]


def count(n: int, noun: str) -> str:
    """``1 patient``, ``1,204 patients``."""
    plural = noun[:-1] + "ies" if noun.endswith("y") and noun[-2] not in "aeiou" else noun + "s"
    return f"{n:,} {noun if n == 1 else plural}"


def reason_words(reason: str) -> str:
    """A reason of exclusion as words: ``no_label`` -> ``no label``."""
    return reason.replace("_", " ")


def learner_name(name: str) -> str:
    """``single:blood`` as a reader calls it; the role stands beside it."""
    return name.removeprefix("single:")


def short(name: str, width: int = 26) -> str:
    """A name that fits an axis."""
    return name if len(name) <= width else name[: width - 1] + "…"


def endpoint_of(results: Results, name: str | None) -> EndpointRecord:
    """The named endpoint, by default the primary one."""
    name = results.study.primary if name is None else name
    for e in results.cohort.endpoints:
        if e.name == name:
            return e
    known = ", ".join(e.name for e in results.cohort.endpoints)
    raise KeyError(f"no endpoint '{name}' in these results; known: {known}")


def ordered_endpoints(results: Results) -> list[EndpointRecord]:
    """Primary first, the others as declared."""
    return sorted(results.cohort.endpoints, key=lambda e: e.name != results.study.primary)


def rows_of(results: Results, endpoint: str) -> list[LeaderboardRow]:
    """Leaderboard rows of one endpoint, as stored."""
    return [r for r in results.leaderboard if r.endpoint == endpoint]


def headline_metric(results: Results, endpoint: EndpointRecord) -> tuple[str, float | None]:
    """The metric (and horizon) in which the answer is given: declared, else the kind's usual one, else the first."""
    found = [(e.metric, e.horizon) for r in rows_of(results, endpoint.name) for e in r.estimates]
    for wanted in (endpoint.headline_metric, _USUAL.get(endpoint.kind, "")):
        for metric, horizon in found:
            if metric == wanted:
                return metric, horizon
    return found[0] if found else (_USUAL.get(endpoint.kind, ""), None)


def pick(estimates: Sequence[Estimate], metric: str, horizon: float | None) -> Estimate | None:
    """The estimate of that metric, if there is one."""
    for e in estimates:
        if e.metric == metric and e.horizon == horizon:
            return e
    return None


def headline_row(results: Results, endpoint: str) -> LeaderboardRow | None:
    """The learner the answer is about: marked as headline, else ``auto``, else ``best_single``, else the first."""
    rows = rows_of(results, endpoint)
    for test in (
        lambda r: r.headline,
        lambda r: r.role == "auto",
        lambda r: r.learner == "best_single",
        lambda r: True,
    ):
        for r in rows:
            if test(r):
                return r
    return None


def best_first(rows: Sequence[LeaderboardRow], metric: str, horizon: float | None) -> list[LeaderboardRow]:
    """Rows ordered by the metric, best first; those without a value last. Ties by name."""
    sign = 1.0 if metric in LOWER_IS_BETTER else -1.0

    def key(row: LeaderboardRow) -> tuple[bool, float, str]:
        e = pick(row.estimates, metric, horizon)
        missing = e is None or e.value is None
        return (missing, 0.0 if e is None or e.value is None else sign * e.value, row.learner)

    return sorted(rows, key=key)


def chance_level(metric: str, endpoint: EndpointRecord) -> float | None:
    """What a model that knows nothing reaches, where that is a fixed number."""
    if metric in ("roc_auc", "harrell_c", "uno_c", "wolbers_c", "auc_t"):
        return 0.5
    if metric == "balanced_accuracy" and endpoint.classes:
        return 1 / len(endpoint.classes)
    if metric == "average_precision" and endpoint.kind == "binary" and endpoint.n_events and endpoint.n_units:
        return endpoint.n_events / endpoint.n_units
    if metric in ("r2", "spearman", "quadratic_kappa"):
        return 0.0
    return None
