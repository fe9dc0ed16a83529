"""Predicting a modality that is absent from those that are there: factors, and the plain rivals.

A method is fitted on a cohort and asked for the encoded features of the target modality of other units, of which the
target itself is never looked at. Every method says how uncertain it is; how uncertain it should have said to be is
learned from training units whose target was hidden on purpose (:func:`fit_scale`; the quantile is that of split conformal
prediction, Lei 2018, JASA 113:1094).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.encoders import Encoder, fit_encoder
from cohortium.joint.factors import FACTORS, ROUGH, fit_joint_factors
from cohortium.joint.model import Array, Joint

LEVEL, NORMAL = 0.9, 1.6448536269514722
"""Intervals hold 90% of the cells: the value plus and minus so many standard deviations."""

POOLED = 30.0
"""The scale of a feature's uncertainty is shrunk to that of all as if these were so many further units."""

PENALTIES = tuple(float(x) for x in np.geomspace(0.01, 100.0, 9))
NEIGHBOURS = (5, 10, 20, 40)


class Imputer(Protocol):
    """A fitted method."""

    def predict(self, cohort: Cohort) -> tuple[Array, Array]:
        """(n, q) expected encoded features of the target for any units, and their standard deviations."""
        ...


Fit = Callable[[Cohort, str, int], Imputer]
"""Training units, the target modality, a seed."""


@dataclass(frozen=True, eq=False)
class Target:
    """The target of some units as a method is to predict it. z: (m, q) encoded, NaN where a cell is unknown. rows: (m,)."""

    encoder: Encoder
    z: Array
    rows: NDArray[np.intp]

    @staticmethod
    def fit(cohort: Cohort, name: str) -> Target:
        """Encoder and values of the units that have it."""
        return Target.of(cohort, name, fit_encoder(cohort.modalities[name]))

    @staticmethod
    def of(cohort: Cohort, name: str, encoder: Encoder) -> Target:
        """The same of other units."""
        data = cohort.modalities[name]
        return Target(encoder, encoder.transform(data, impute=False), cohort.units.index.get_indexer(data.units))  # type: ignore[arg-type]

    def moments(self) -> tuple[Array, Array]:
        """(q,) means and standard deviations of the known cells."""
        known = ~np.isnan(self.z)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, self.z, 0.0).sum(axis=0) / count
        return mean, np.sqrt(np.square(np.where(known, self.z - mean, 0.0)).sum(axis=0) / count)


@dataclass(frozen=True, eq=False)
class Part:
    """Units that a method learns from, and further ones whose target is hidden. blind: these without it. truth: (m, q) encoded by
    ``encoder``, which is that of the units learned from."""

    seen: Cohort
    blind: Cohort
    truth: Array
    encoder: Encoder

    @staticmethod
    def of(seen: Cohort, others: Cohort, target: str) -> Part | None:
        """None when one side lacks the target."""
        if len(seen.modalities[target].units) < 2 or not len(others.modalities[target].units):
            return None
        others = others.take(others.units.index.get_indexer(others.modalities[target].units))
        own = Target.fit(seen, target)
        return Part(seen, hidden(others, target), Target.of(others, target, own.encoder).z, own.encoder)


class Method(Protocol):
    """A way to impute, with something to choose."""

    def tune(self, parts: Sequence[Part], target: str, seed: int) -> tuple[int, list[tuple[Array, Array]]]:
        """What to choose, by the squared error on the hidden cells of all parts; with it, per part values and standard
        deviations of its hidden units."""
        ...

    def fit(self, cohort: Cohort, target: str, seed: int, pick: int) -> Imputer:
        """The method with that choice."""
        ...


@dataclass(frozen=True)
class Among:
    """A method that is one of some settings; the choice is its position."""

    fits: tuple[Fit, ...]

    def tune(self, parts: Sequence[Part], target: str, seed: int) -> tuple[int, list[tuple[Array, Array]]]:
        made = [[f(p.seen, target, seed).predict(p.blind) for p in parts] for f in self.fits]
        pick = int(np.argmin([squared_error(parts, [value for value, _ in each]) for each in made]))
        return pick, made[pick]

    def fit(self, cohort: Cohort, target: str, seed: int, pick: int) -> Imputer:
        return self.fits[pick](cohort, target, seed)


def squared_error(parts: Sequence[Part], values: Sequence[Array]) -> float:
    """Mean over the hidden cells of all parts."""
    cells = [np.square(p.truth - v)[~np.isnan(p.truth)] for p, v in zip(parts, values, strict=True)]
    return float(np.concatenate(cells).mean()) if cells else 0.0


@dataclass(frozen=True, eq=False)
class MeanImputer:
    """The mean of those who have it, for everybody."""

    mean: Array
    sd: Array

    def predict(self, cohort: Cohort) -> tuple[Array, Array]:
        shape = (len(cohort), len(self.mean))
        return np.broadcast_to(self.mean, shape).copy(), np.broadcast_to(self.sd, shape).copy()


def fit_mean(cohort: Cohort, target: str, seed: int) -> MeanImputer:
    """:class:`MeanImputer` of the units that have the target."""
    return MeanImputer(*Target.fit(cohort, target).moments())


class _Others:
    """The other modalities of units that have the target, encoded; each of the same total variance."""

    def __init__(self, cohort: Cohort, target: str) -> None:
        self.encoders: dict[str, Encoder] = {}
        for name, data in cohort.modalities.items():
            if name != target and len(data.units) > 1:
                encoder = fit_encoder(data)
                if len(encoder.names_):
                    self.encoders[name] = encoder

    def blocks(self, cohort: Cohort) -> dict[str, tuple[Array, NDArray[np.bool_]]]:
        """name -> (n, q) complete features, zero where the modality is absent, and (n,) who has it."""
        out = {}
        for name, encoder in self.encoders.items():
            x, have = np.zeros((len(cohort), len(encoder.names_))), np.zeros(len(cohort), dtype=bool)
            data = cohort.modalities.get(name)
            if data is not None and len(data.units):
                rows = cohort.units.index.get_indexer(data.units)
                x[rows] = encoder.transform(data) / np.sqrt(x.shape[1])  # type: ignore[arg-type]
                have[rows] = True
            out[name] = (x, have)
        return out


@dataclass(frozen=True, eq=False)
class RidgeImputer:
    """Ridge of each feature on all other modalities side by side, absent ones at their mean; a penalty for each feature
    by its leave-one-out error, which is also its standard deviation. Worked out in sample space."""

    others: _Others
    centre: Array
    train: Array
    dual: Array
    mean: Array
    sd: Array

    def predict(self, cohort: Cohort) -> tuple[Array, Array]:
        x = np.hstack([b for b, _ in self.others.blocks(cohort).values()]) - self.centre
        value = x @ (self.train.T @ self.dual) + self.mean
        return value, np.broadcast_to(self.sd, value.shape).copy()


def fit_ridge_imputer(cohort: Cohort, target: str, seed: int) -> RidgeImputer:
    """:class:`RidgeImputer` of the units that have the target. The penalty is relative to the mean variance of a unit."""
    seen = cohort.take(cohort.units.index.get_indexer(cohort.modalities[target].units))
    z, others = Target.fit(seen, target), _Others(seen, target)
    mean, _ = z.moments()
    known = ~np.isnan(z.z)
    y = np.where(known, z.z - mean, 0.0)
    x = np.hstack([b for b, _ in others.blocks(seen).values()])
    centre = x.mean(axis=0)
    x = x - centre
    values, vectors = np.linalg.eigh(x @ x.T)
    values, inner = np.maximum(values, 0.0), vectors.T @ y
    unit = max(float(values.sum()) / len(x), 1e-12)
    best, pick = np.full(y.shape[1], np.inf), np.zeros(y.shape[1], dtype=np.intp)
    for k, ratio in enumerate(PENALTIES):
        shrink = values / (values + ratio * unit)
        # The mean was learned from the left-out unit too: without its 1/n small penalties would look good.
        hat = np.square(vectors) @ shrink + 1 / len(x)
        left = (y - vectors @ (shrink[:, None] * inner)) / np.maximum(1 - hat, 1e-6)[:, None]
        error = np.square(np.where(known, left, 0.0)).sum(axis=0)
        better = error < best - 1e-12
        best[better], pick[better] = error[better], k
    penalty = np.array(PENALTIES)[pick] * unit
    dual = vectors @ (inner / (values[:, None] + penalty))
    return RidgeImputer(others, centre, x, dual, mean, np.sqrt(best / np.maximum(known.sum(axis=0), 1)))


@dataclass(frozen=True, eq=False)
class NeighbourImputer:
    """Mean over the nearest training units, by the mean squared distance in the modalities that both have."""

    others: _Others
    blocks: dict[str, tuple[Array, NDArray[np.bool_]]]
    z: Array
    k: int
    mean: Array
    sd: Array

    def predict(self, cohort: Cohort) -> tuple[Array, Array]:
        far = _distances(self.others.blocks(cohort), self.blocks)
        value = _neighbours(far, self.z, self.k, self.mean)
        return value, np.broadcast_to(self.sd, value.shape).copy()


def fit_neighbours(cohort: Cohort, target: str, seed: int) -> NeighbourImputer:
    """:class:`NeighbourImputer`; how many neighbours by the leave-one-out error over all features."""
    seen = cohort.take(cohort.units.index.get_indexer(cohort.modalities[target].units))
    z, others = Target.fit(seen, target), _Others(seen, target)
    mean, _ = z.moments()
    blocks = others.blocks(seen)
    far = _distances(blocks, blocks)
    np.fill_diagonal(far, np.inf)
    best: tuple[float, int, Array] | None = None
    for k in [k for k in NEIGHBOURS if k < len(z.z)] or [1]:
        left = np.square(z.z - _neighbours(far, z.z, k, mean))
        error = np.nanmean(left)
        if best is None or error < best[0] - 1e-12:
            best = (float(error), k, left)
    assert best is not None
    count = np.maximum((~np.isnan(best[2])).sum(axis=0), 1)
    return NeighbourImputer(others, blocks, z.z, best[1], mean, np.sqrt(np.nansum(best[2], axis=0) / count))


def _distances(
    new: dict[str, tuple[Array, NDArray[np.bool_]]], old: dict[str, tuple[Array, NDArray[np.bool_]]]
) -> Array:
    """(n, m) mean squared distance over the modalities that both have; infinite where they share none."""
    total: Array = np.zeros((1, 1))
    shared: Array = np.zeros((1, 1))
    for name, (x, have) in new.items():
        y, had = old[name]
        both = np.outer(have, had)
        square = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1) - 2 * x @ y.T
        total, shared = total + np.where(both, square, 0.0), shared + both
    return np.where(shared > 0, total / np.maximum(shared, 1), np.inf)


def _neighbours(far: Array, z: Array, k: int, mean: Array) -> Array:
    """(n, q) mean of the k nearest training rows; of all where there is none, and for cells that none of them has."""
    out = np.empty((len(far), z.shape[1]))
    known, filled = ~np.isnan(z), np.nan_to_num(z)
    for i, row in enumerate(far):
        near = np.argsort(row, kind="stable")[:k]
        near = near[np.isfinite(row[near])]
        count = known[near].sum(axis=0)
        out[i] = np.where(count > 0, filled[near].sum(axis=0) / np.maximum(count, 1), mean)
    return out


@dataclass(frozen=True, eq=False)
class JointImputer:
    """What a representation expects of the target, given what a unit's other modalities say of it."""

    joint: Joint
    target: str

    def predict(self, cohort: Cohort) -> tuple[Array, Array]:
        return self.joint.predict(cohort, self.target)


def fit_factor_imputer(size: int = FACTORS, cap: float | None = None) -> Fit:
    """Factors of at most ``size``, of all units, be the target among what they have or not. cap: see
    :func:`~cohortium.joint.factors.weightings`."""

    def fit(cohort: Cohort, target: str, seed: int) -> JointImputer:
        return JointImputer(fit_joint_factors(cohort, size=size, cap=cap, tolerance=ROUGH), target)

    return fit


def hidden(cohort: Cohort, target: str) -> Cohort:
    """The same units without the target."""
    return cohort.only([m for m in cohort.modalities if m != target])


def fit_scale(residual: Array, sd: Array) -> Array:
    """(q,) factors on standard deviations that make intervals hold :data:`LEVEL` of the residuals.

    residual, sd: (n, q) of hidden cells, NaN where the truth is unknown. A feature's own factor is shrunk, on the log scale, to that
    of all features together.
    """
    ratio = np.abs(residual) / np.maximum(sd, 1e-12)
    every = ratio[~np.isnan(ratio)]
    if not len(every):
        return np.ones(ratio.shape[1])
    pooled = _quantile(every)
    out = np.empty(ratio.shape[1])
    for j, column in enumerate(ratio.T):
        seen = column[~np.isnan(column)]
        own = _quantile(seen) if len(seen) else pooled
        weight = len(seen) / (len(seen) + POOLED)
        out[j] = np.exp(weight * np.log(max(own, 1e-6)) + (1 - weight) * np.log(max(pooled, 1e-6)))
    return out / NORMAL


def _quantile(values: Array) -> float:
    at = min(int(np.ceil((len(values) + 1) * LEVEL)), len(values)) - 1
    return float(np.partition(values, at)[at])
