"""The Gaussian mechanism, exactly: what noise of standard deviation sensitivity / mu costs.

Balle & Wang 2018, ICML (the analytic Gaussian mechanism); in the terms of Dong, Roth & Su 2022, JRSS B 84:3, it is mu-Gaussian
differential privacy, and several such releases together are one with mu² = sum of their mu²: no bound, but the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from scipy.special import log_ndtr

GREATEST = 1e4
"""An epsilon beyond this is none: such a search ends there."""


def delta_of(mu: float, epsilon: float) -> float:
    """The least delta with which a release of ``mu`` is (epsilon, delta)-private. Direction: falls with epsilon, grows with mu."""
    if mu <= 0:
        return 0.0
    if math.isinf(mu):
        return 1.0
    first = float(log_ndtr(mu / 2 - epsilon / mu))
    second = epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))
    # The two are near each other where delta is small: their difference without cancellation.
    return math.exp(first) * -math.expm1(min(second - first, 0.0))


def epsilon_of(mu: float, delta: float) -> float:
    """The least epsilon at ``delta``; 0 where delta alone covers it, infinite beyond what can be told."""
    if delta_of(mu, 0.0) <= delta:
        return 0.0
    if math.isinf(mu) or delta_of(mu, GREATEST) > delta:
        return math.inf
    from scipy.optimize import brentq

    found = brentq(lambda e: delta_of(mu, e) - delta, 0.0, GREATEST, xtol=1e-12, rtol=8.9e-16)
    return float(found) * (1 + 1e-12)


def mu_of(epsilon: float, delta: float) -> float:
    """The most mu that (epsilon, delta) allows: noise then has standard deviation sensitivity / mu."""
    if math.isinf(epsilon):
        return math.inf
    low, high = 1e-9, 1.0
    while delta_of(high, epsilon) < delta:
        high *= 2
    from scipy.optimize import brentq

    return float(brentq(lambda m: delta_of(m, epsilon) - delta, low, high, xtol=1e-15)) * (1 - 1e-9)


def together(mus: Iterable[float]) -> float:
    """The mu of several releases of the same patients, whatever each was made to depend on by those before it."""
    return float(np.sqrt(sum(m * m for m in mus)))
