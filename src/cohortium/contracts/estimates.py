"""A number that may be shown to somebody."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A metric's value with its interval, or null with a reason.

    metric: name, e.g. ``roc_auc``; ``horizon``: time for time-dependent metrics. value, low, high: point
    and 95% interval, None when not estimable, and then ``reason`` says why. n: units scored (distinct),
    n_events: events or positives among them. method: how the interval was made, e.g.
    ``nadeau_bengio``, ``bootstrap_patients``, ``delong``. low_powered: fewer than 10 folds behind it.
    """

    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    n_events: int | None = None
    method: str = ""
    horizon: float | None = None
    reason: str | None = None
    low_powered: bool = False
