"""Metrics: pure functions of outcomes and predictions, and the intervals of their estimates.

May know: contracts, schema, numpy, scipy, scikit-learn. May not know: torch, learners, folds' contents,
files. A prediction file can be scored years later with nothing else installed.
"""

from cohortium.metrics.calibration import (
    Calibrated,
    calibrate_classes,
    calibrate_survival,
    calibration_in_the_large,
    calibration_line,
)
from cohortium.metrics.competing import (
    aalen_johansen,
    calibrate_incidence,
    incidence_at,
    incidence_pseudo_values,
)
from cohortium.metrics.curves import calibration_curve, roc_curve
from cohortium.metrics.decisions import net_benefit, net_benefit_by
from cohortium.metrics.differences import level_difference, mean_difference
from cohortium.metrics.intervals import (
    benjamini_hochberg,
    bootstrap_patients,
    delong,
    delong_paired,
    from_folds,
    holm,
    nadeau_bengio,
    nadeau_bengio_p,
    paired_from_folds,
    random_effects,
    wilson,
)
from cohortium.metrics.kaplan_meier import (
    Censoring,
    censoring_distribution,
    kaplan_meier,
    logrank,
    median_follow_up,
    nelson_aalen,
    numbers_at_risk,
    pseudo_values,
    restricted_mean,
)
from cohortium.metrics.registry import METRICS, Metric, NotEstimable, check_metric, default_metrics, headline_metric
from cohortium.metrics.scoring import choose_threshold, decide, score

__all__ = [
    "METRICS",
    "Calibrated",
    "Censoring",
    "Metric",
    "NotEstimable",
    "aalen_johansen",
    "benjamini_hochberg",
    "bootstrap_patients",
    "calibrate_classes",
    "calibrate_incidence",
    "calibrate_survival",
    "calibration_curve",
    "calibration_in_the_large",
    "calibration_line",
    "censoring_distribution",
    "check_metric",
    "choose_threshold",
    "decide",
    "default_metrics",
    "delong",
    "delong_paired",
    "from_folds",
    "headline_metric",
    "holm",
    "incidence_at",
    "incidence_pseudo_values",
    "kaplan_meier",
    "level_difference",
    "logrank",
    "mean_difference",
    "median_follow_up",
    "nadeau_bengio",
    "nadeau_bengio_p",
    "nelson_aalen",
    "net_benefit",
    "net_benefit_by",
    "numbers_at_risk",
    "paired_from_folds",
    "pseudo_values",
    "random_effects",
    "restricted_mean",
    "roc_curve",
    "score",
    "wilson",
]
