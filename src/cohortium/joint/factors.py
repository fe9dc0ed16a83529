"""Factor analysis of the modalities of a cohort: encoders and :mod:`cohortium.fusion.factors`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cohortium.cohort import Cohort
from cohortium.encoders import Encoder
from cohortium.fusion.factors import TOLERANCE, Block, FactorModel, Latent, fit_factors
from cohortium.joint.model import Array, Embedding, fit_encoders

FACTORS = 24
"""Most factors; those that explain nothing are dropped while fitting."""

UNITS_PER_FACTOR = 4

AT_ONCE = 8192
"""Units that are embedded together."""

ROUGH = 3e-5
"""Tolerance at which what factors predict no longer changes, though some have not yet been dropped."""

WIDE = (100.0, 25.0)
"""Features as which a wider modality counts, where its features have more in common than the factors say."""


@dataclass(frozen=True, eq=False)
class JointFactors:
    """Encoders of some modalities and the factors they share. Unknown cells stay unknown."""

    names: tuple[str, ...]
    encoders: tuple[Encoder, ...]
    model: FactorModel

    @property
    def size(self) -> int:
        """K, the number of factors."""
        return self.model.size

    @property
    def loadings(self) -> tuple[Array, ...]:
        """Per modality (q, K) loadings of its encoded features."""
        return self.model.loadings

    @property
    def explained(self) -> Array:
        """(M, K) share of a modality's variance that a factor explains."""
        return self.model.explained

    @property
    def cap(self) -> float | None:
        """As how many features wider modalities counted while fitting, None for as many as there are."""
        wide = (w * len(e.names_) for w, e in zip(self.model.weights, self.encoders, strict=True) if w < 1)
        return next(wide, None)

    def latent(self, cohort: Cohort, without: str | None = None) -> Latent:
        """Posterior of each unit's factors given its modalities, of which one may be left out."""
        return self.model.latent(self._blocks(cohort, without), len(cohort))

    def embed(self, cohort: Cohort) -> Embedding:
        """Posterior means and standard deviations; see :class:`~cohortium.joint.model.Joint`."""
        known = np.zeros(len(cohort), dtype=bool)
        for name in self.names:
            if name in cohort.modalities:
                known[cohort.units.index.get_indexer(cohort.modalities[name].units)] = True
        made = [self.latent(part) for part in _at_once(cohort)]
        return Embedding(np.concatenate([m.mean for m in made]), np.concatenate([m.sd() for m in made]), known)

    def predict(self, cohort: Cohort, target: str) -> tuple[Array, Array]:
        """(n, q) expected features of ``target`` given the others, and their standard deviations, noise included."""
        at = self.names.index(target)
        made = [self.model.predict(at, self.latent(part, target)) for part in _at_once(cohort)]
        return np.concatenate([v for v, _ in made]), np.sqrt(np.concatenate([v for _, v in made]))

    def _blocks(self, cohort: Cohort, without: str | None) -> list[Block | None]:
        out: list[Block | None] = []
        for name, encoder in zip(self.names, self.encoders, strict=True):
            data = None if name == without else cohort.modalities.get(name)
            if data is None or not len(data.units):
                out.append(None)
            else:
                x = encoder.transform(data, impute=False)  # type: ignore[arg-type]
                out.append(Block(x, cohort.units.index.get_indexer(data.units)))
        return out


def _at_once(cohort: Cohort) -> list[Cohort]:
    """The units in parts: with gaps of their own, each has a covariance of its own while it is looked at."""
    if len(cohort) <= AT_ONCE:
        return [cohort]
    return [cohort.take(rows) for rows in np.array_split(np.arange(len(cohort)), -(-len(cohort) // AT_ONCE))]


def fit_joint_factors(
    cohort: Cohort,
    names: Sequence[str] | None = None,
    size: int = FACTORS,
    cap: float | None = None,
    tolerance: float = TOLERANCE,
) -> JointFactors:
    """Fit encoders and factors on the units of a cohort.

    names: modalities to use, default all; those without a unit or a feature that varies are left out. size: most factors;
    no more than a quarter of the units. cap: modalities of more features count as so many (see :func:`weightings`).
    tolerance: of the fit; :data:`ROUGH` does where factors are not looked at. Raises ValueError when no modality is left.
    """
    encoders = fit_encoders(cohort, cohort.modalities if names is None else names)
    empty = FactorModel((), (), (), (), (), np.zeros((0, 1)))
    bare = JointFactors(tuple(encoders), tuple(encoders.values()), empty)
    blocks = [b for b in bare._blocks(cohort, None) if b is not None]
    if cap is not None:
        blocks = [replace(b, weight=min(1.0, cap / b.x.shape[1])) for b in blocks]
    model = fit_factors(blocks, len(cohort), min(size, max(len(cohort) // UNITS_PER_FACTOR, 1)), tolerance=tolerance)
    return JointFactors(bare.names, bare.encoders, model)


def weightings(cohort: Cohort, names: Sequence[str] | None = None) -> tuple[float | None, ...]:
    """Values of ``cap`` to choose among: features as many as there are, and, where one of several modalities is wider, those
    of :data:`WIDE` that make a difference.

    Features of wide modalities have more in common than a few factors can say. Each of them taken at its word, they take
    all the factors, and what small modalities share is not found; where factors do explain what features have in
    common, counting features as fewer costs accuracy. Which is the case is to be seen where cells were hidden.
    """
    used = cohort.modalities if names is None else {n: cohort.modalities[n] for n in names}
    most = max((data.n_features if data.shape == "table" else np.inf) for data in used.values())
    return (None, *(c for c in WIDE if most > c and len(used) > 1))


def cross_modal(joint: JointFactors, cohort: Cohort) -> float:
    """How well each modality of further units is predicted from their others: the mean over modalities of the share of variance
    that is explained, relative to the training mean; no less than -1 for each. NaN where nobody has two modalities."""
    found = []
    have = cohort.presence()
    for name, encoder in zip(joint.names, joint.encoders, strict=True):
        data = cohort.modalities[name]
        at = cohort.units.index.get_indexer(data.units)
        other = have[[m for m in joint.names if m != name]].any(axis=1).to_numpy(bool)[at]
        if not other.any():
            continue
        z = encoder.transform(data, impute=False)[other]  # type: ignore[arg-type]
        value = joint.predict(cohort, name)[0][at[other]]
        known = ~np.isnan(z)
        left = np.square(np.where(known, z - value, 0.0)).sum() / max(np.square(np.where(known, z, 0.0)).sum(), 1e-12)
        found.append(max(1 - float(left), -1.0))
    return float(np.mean(found)) if found else float("nan")
