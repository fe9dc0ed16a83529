"""Stability selection: which groups a sparse model finds again and again in halves of the patients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohortium.discovery.null import Array, NullModel, residualised

Codes = NDArray[np.int64]

PAIRS, THRESHOLD, EXPECTED = 50, 0.75, 1.0
"""Complementary pairs of halves, share of halves from which a group is stable, and false selections expected at most."""


@dataclass(frozen=True, eq=False)
class Stability:
    """share: (groups,) of the halves in which a group was selected. each: groups selected in a half. bound: on the expected
    number of false selections among those with a share of at least ``threshold``."""

    share: Array
    each: int
    threshold: float
    bound: float
    halves: int


def stability(
    x: Array, null: NullModel, groups: Codes, rng: np.random.Generator, each: Callable[[], None] = lambda: None
) -> Stability:
    """x: (n, q) standardised, 0 where absent. In each half the lasso's penalty is lowered until a fixed number of groups
    has entered; halves come in complementary pairs (Shah & Samworth 2013, JRSS B 75:55).

    The bound q^2 / ((2 threshold - 1) groups) is on the *expected number of false selections*, not on their share
    (Meinshausen & Bühlmann 2010, JRSS B 72:417); with pairs it holds for all groups that are selected no more often than at
    random, without their assumption of exchangeability.
    """
    n, m = len(x), int(groups.max()) + 1
    take = max(int(np.sqrt(EXPECTED * (2 * THRESHOLD - 1) * m)), 1)
    z = residualised(x, null)
    counts = np.zeros(m)
    for _ in range(PAIRS):
        order = rng.permutation(n)
        for half in (order[: n // 2], order[n // 2 : 2 * (n // 2)]):
            for k in first_groups(z[half], null.residual[half], groups, take):
                counts[k] += 1
        each()
    return Stability(counts / (2 * PAIRS), take, THRESHOLD, take**2 / ((2 * THRESHOLD - 1) * m), 2 * PAIRS)


def first_groups(x: Array, response: Array, groups: Codes, take: int) -> list[int]:
    """The ``take`` groups that enter the lasso first, in their order; of several classes, of all their responses."""
    from sklearn.linear_model import lasso_path

    x = x - x.mean(axis=0)
    sd = x.std(axis=0)
    x = np.asfortranarray(x / np.where(sd > 1e-9, sd, 1.0) * (sd > 1e-9))
    entered = dict[int, float]()
    for k in range(response.shape[1]):
        y = response[:, k] - response[:, k].mean()
        top = float(np.abs(x.T @ y).max()) / len(x)
        if top <= 0:
            continue
        start, found, alphas = None, dict[int, float](), top * np.geomspace(0.97, 0.05, 40)
        for step, alpha in enumerate(alphas):
            start = lasso_path(x, y, alphas=[alpha], coef_init=start, check_input=False, max_iter=200, tol=1e-3)[1][
                :, 0
            ]
            size = np.abs(start)
            fresh = [int(g) for g in np.unique(groups[size > 0]) if int(g) not in found]
            # Of those that enter together, the larger coefficient first.
            for g in sorted(fresh, key=lambda g: -float(size[groups == g].max())):
                found[g] = step + len(found) / (10 * take + len(groups) + 1)
            if len(found) >= take:
                break
        for g, at in found.items():
            entered[g] = min(at, entered.get(g, np.inf))
    return sorted(entered, key=lambda g: entered[g])[:take]
