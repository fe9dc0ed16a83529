"""Maps from out-of-fold probabilities of classes to better ones, and to another prevalence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

Floats = NDArray[np.float64]
Split = tuple[NDArray[np.intp], NDArray[np.intp]]

METHODS = ("isotonic", "venn_abers")
"""Beside the slope and intercept that every learner has (Platt 1999)."""


@dataclass(frozen=True, eq=False)
class Recalibration:
    """One map per class (of two classes, of the second). scores, labels: (n,) calibration scores, growing, and 0 or 1 of each."""

    method: str
    scores: tuple[Floats, ...]
    labels: tuple[Floats, ...]

    def apply(self, p: Floats) -> Floats:
        """(n, K) probabilities, rows sum to 1."""
        if p.shape[1] == 2:
            q = self._one(0, p[:, 1])
            return np.column_stack([1 - q, q])
        q = np.column_stack([self._one(k, p[:, k]) for k in range(p.shape[1])])
        total = q.sum(axis=1, keepdims=True)
        # Where every class was mapped to nothing, nothing is known better than before.
        return np.asarray(np.where(total > 0, q / np.where(total > 0, total, 1.0), p))

    def _one(self, k: int, s: Floats) -> Floats:
        if self.method == "venn_abers":
            return venn_abers(self.scores[k], self.labels[k], s)
        places, sums, counts = _grouped(self.scores[k], self.labels[k])
        return np.interp(s, places, increasing(sums / counts, counts))

    def state(self) -> dict[str, Any]:
        return {"method": self.method, "scores": list(self.scores), "labels": list(self.labels)}

    @staticmethod
    def restore(s: dict[str, Any]) -> Recalibration:
        def arrays(key: str) -> tuple[Floats, ...]:
            return tuple(np.asarray(a, dtype=np.float64) for a in s[key])

        return Recalibration(s["method"], arrays("scores"), arrays("labels"))


def increasing(y: Floats, weight: Floats | None = None) -> Floats:
    """(n,) the nearest values that never fall (pool adjacent violators)."""
    from sklearn.isotonic import isotonic_regression

    return np.asarray(isotonic_regression(y, sample_weight=weight), dtype=np.float64)


def fit_recalibration(p: Floats, codes: NDArray[np.int64], method: str) -> Recalibration:
    """p: (n, K) out-of-fold probabilities; codes: (n,). Isotonic: Zadrozny & Elkan 2002 (KDD); Venn-Abers: Vovk & Petej 2014 (UAI)."""
    scores, labels = [], []
    for k in [1] if p.shape[1] == 2 else range(p.shape[1]):
        order = np.lexsort((codes == k, p[:, k]))  # the order of units is no matter
        scores.append(p[order, k])
        labels.append((codes[order] == k).astype(np.float64))
    return Recalibration(method, tuple(scores), tuple(labels))


def cross_fitted(p: Floats, codes: NDArray[np.int64], splits: tuple[Split, ...], method: str) -> Floats:
    """(n, K) out-of-fold probabilities, each mapped by what the other inner folds say."""
    out = p.copy()
    for train, test in splits:
        if len(test) and len(train):
            out[test] = fit_recalibration(p[train], codes[train], method).apply(p[test])
    return out


def venn_abers(scores: Floats, labels: Floats, new: Floats) -> Floats:
    """(m,) probabilities p1 / (1 - p0 + p1) of new scores, p0 and p1 from isotonic fits with the new score as 0 and as 1.

    scores: (n,) growing; labels: (n,) 0 or 1. Cost: O(distinct new scores × n).
    """
    places, sums, counts = _grouped(scores, labels)
    asked, back = np.unique(new, return_inverse=True)
    out = np.empty(len(asked))
    for i, s in enumerate(asked):
        at = int(np.searchsorted(places, s))
        there = at < len(places) and places[at] == s
        ends = []
        for label in (0.0, 1.0):
            if there:
                total, n = sums.copy(), counts.copy()
                total[at] += label
                n[at] += 1
            else:
                total, n = np.insert(sums, at, label), np.insert(counts, at, 1.0)
            ends.append(increasing(total / n, n)[at])
        out[i] = ends[1] / (1 - ends[0] + ends[1])
    return out[back]


def _grouped(scores: Floats, labels: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct scores, and the sum of labels and number of units at each."""
    places, at = np.unique(scores, return_inverse=True)
    return places, np.bincount(at, labels).astype(np.float64), np.bincount(at).astype(np.float64)


def prior_shift(prevalence: float, sampled: float) -> float:
    """What is added to the log odds of a model fitted where ``sampled`` are positive, for a population where ``prevalence`` are.

    Right where cases and controls were each sampled without regard to what the model sees (King & Zeng 2001, Polit Anal 9:137).
    """
    return float(logit(prevalence) - logit(np.clip(sampled, 1e-9, 1 - 1e-9)))


def shifted(p: Floats, by: float) -> Floats:
    """Probabilities whose log odds are moved."""
    return np.asarray(expit(logit(np.clip(p, 1e-15, 1 - 1e-15)) + by), dtype=np.float64)
