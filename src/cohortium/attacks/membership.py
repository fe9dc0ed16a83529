"""Membership inference by likelihood ratios (LiRA: Carlini 2022, IEEE S&P, doi 10.1109/SP46214.2022.9833649).

Models are fitted on random halves of the candidates; of each candidate the attacker knows a statistic under every model, such as
the log odds of his true class. Each model in turn is the target: the others, half of which had him, say how the statistic is
distributed with him and without (normal laws, parallel as in the paper's online attack), and the ratio of both is the evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Marks = NDArray[np.bool_]

FEWEST_EACH = 8
"""Models with a candidate, and without him, below which his own spread is not estimated: then it is that of all."""

DRAWS = 1000


@dataclass(frozen=True)
class Membership:
    """auc and tpr with 95% intervals (bootstrap of candidates). tpr: members found where a share ``fpr`` of the others is wrongly
    taken for one. models: fitted, each once the target. candidates: patients."""

    auc: float
    auc_low: float
    auc_high: float
    tpr: float
    tpr_low: float
    tpr_high: float
    fpr: float
    models: int
    candidates: int


def likelihood_ratios(statistic: Array, member: Marks) -> Array:
    """(M, n) log likelihood ratios, in favour of membership when positive. statistic, member: (M, n) of M models, n candidates.

    Raises :class:`ValueError` where a candidate has fewer than two other models with him, or without.
    """
    m, n = statistic.shape
    if member.shape != (m, n) or not np.isfinite(statistic).all():
        raise ValueError("statistics and marks of membership must be finite tables of the same shape")
    k = member.sum(0)
    if m < 6 or (np.minimum(k, m - k) < 3).any():
        raise ValueError("every candidate needs at least three models with him and three without")
    out = np.empty((m, n))
    spread = {w: _within(statistic, member == w) for w in (True, False)}
    for t in range(m):
        others = np.arange(m) != t
        part = {}
        for w in (True, False):
            has = (member == w)[others]
            count = has.sum(0)
            x = np.where(has, statistic[others], 0.0)
            mean = x.sum(0) / count
            own = np.where(has, (statistic[others] - mean) ** 2, 0.0).sum(0) / np.maximum(count - 1, 1)
            variance = np.where(count >= FEWEST_EACH, own, spread[w])
            variance = np.maximum(variance, 1e-12 + 1e-6 * spread[w])
            part[w] = -0.5 * (np.log(variance) + (statistic[t] - mean) ** 2 / variance)
        out[t] = part[True] - part[False]
    return out


def _within(statistic: Array, has: Marks) -> float:
    """The variance of a candidate's statistic between models, over all candidates."""
    count = has.sum(0)
    mean = np.where(has, statistic, 0.0).sum(0) / count
    return float(np.where(has, (statistic - mean) ** 2, 0.0).sum() / max((count - 1).sum(), 1))


def membership(statistic: Array, member: Marks, seed: int, fpr: float = 0.01) -> Membership:
    """How well the attack tells members from others, over all targets. Arguments as in :func:`likelihood_ratios`; seed: of the bootstrap."""
    score = likelihood_ratios(statistic, member)
    m, n = score.shape
    auc, tpr = _summary(score.ravel(), member.ravel(), np.ones(m * n), fpr)
    rng = np.random.default_rng(seed)
    order = np.argsort(-score.ravel(), kind="stable")
    mark, who = member.ravel()[order], np.tile(np.arange(n), m)[order]
    drawn = np.array([
        _summary_sorted(score.ravel()[order], mark, np.bincount(rng.integers(n, size=n), minlength=n)[who], fpr)
        for _ in range(DRAWS)
    ])  # fmt: skip
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return Membership(auc, low[0], high[0], tpr, low[1], high[1], fpr, m, n)


def _summary(score: Array, mark: Marks, weight: Array, fpr: float) -> tuple[float, float]:
    order = np.argsort(-score, kind="stable")
    return _summary_sorted(score[order], mark[order], weight[order], fpr)


def _summary_sorted(
    score: Array, mark: Marks, weight: NDArray[np.float64 | np.int64], fpr: float
) -> tuple[float, float]:
    """AUC, and the true-positive rate at the largest threshold set with at most this false-positive rate; scores descending."""
    yes, no = np.cumsum(weight * mark), np.cumsum(weight * ~mark)
    last = np.append(score[1:] != score[:-1], True)  # ends of runs of equal scores
    tp, fp = np.append(0.0, yes[last] / yes[-1]), np.append(0.0, no[last] / no[-1])
    auc = float(((tp[1:] + tp[:-1]) / 2 * np.diff(fp)).sum())
    return auc, float(tp[fp <= fpr + 1e-12].max())
