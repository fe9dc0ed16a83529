"""Learners on a joint representation: latent variables of all modalities, and ridge on them.

The representation is fitted without outcomes, on each inner split's training rows and on the whole training part. As
a representation is found up to a rotation, splits share no coordinates, only choices: how many of the leading latent
variables the head looks at, and its penalty, both by inner loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.contracts import Fold
from cohortium.heads.families import Family
from cohortium.heads.linear import PRIOR_SDS, RidgePath
from cohortium.joint import Joint, fit_joint_factors, weightings
from cohortium.joint.canonical import fit_joint_canonical
from cohortium.joint.factors import ROUGH
from cohortium.learners.base import PATIENCE, oof_loss
from cohortium.learners.config import JointSpec
from cohortium.learners.joint_node import JointNode
from cohortium.learners.nodes import Node

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

NUMBERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Numbers of leading latent variables that are tried, up to those there are."""


@dataclass(frozen=True, eq=False)
class JointFit:
    """oof: (n, K) out-of-fold scores, NaN where no modality is there. loss: their inner loss."""

    oof: Array
    loss: float
    node: Node
    facts: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Split:
    """Latent variables of the training and test rows of a split, and which rows they are."""

    train: Rows
    test: Rows
    z: tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class _Choice:
    """cap: how wide modalities are counted. k: latent variables. point: of the ridge path. oof: (n, K) scores; loss: of them."""

    modalities: tuple[str, ...]
    cap: float | None
    k: int
    point: int
    oof: Array
    loss: float


class JointFitter:
    """Fits learners on representations of a fold."""

    def __init__(self, fold: Fold, family: Family) -> None:
        self.fold, self.family = fold, family

    def fit(self, spec: JointSpec, sets: Sequence[tuple[str, ...]]) -> JointFit:
        """Choose on the inner splits, then fit on the whole training part. sets: of modalities, all of them first; how wide
        ones are counted is chosen with the last, which costs least."""
        best: _Choice | None = None
        caps = self._caps(sets[0])
        for modalities in reversed(sets):
            for cap in caps if best is None else (best.cap,):
                found = self._choose(spec, modalities, cap)
                if best is None or found.loss < best.loss - 1e-9:
                    best = found
        assert best is not None
        return self._finish(spec, best)

    def _caps(self, modalities: tuple[str, ...]) -> tuple[float | None, ...]:
        """Ways to count wide modalities, to choose among."""
        return weightings(self.fold.cohort, modalities)

    def _represent(self, spec: JointSpec, cohort: Cohort, modalities: tuple[str, ...], cap: float | None) -> Joint:
        return fit_joint_factors(cohort, modalities, spec.size, cap, ROUGH)

    def _choose(self, spec: JointSpec, modalities: tuple[str, ...], cap: float | None) -> _Choice:
        """The best number of latent variables and penalty of one representation."""
        splits = [self._split(spec, modalities, cap, s) for s in range(len(self.fold.inner))]
        most = min(s.z[0].shape[1] for s in splits)
        paths = [self._path(splits, k) for k in [*(k for k in NUMBERS if k < most), most]]
        loss, k, point, oof = min(paths, key=lambda p: p[0])
        return _Choice(modalities, cap, k, point, oof, loss)

    def _finish(self, spec: JointSpec, best: _Choice) -> JointFit:
        """The representation and head that were chosen, on the whole training part."""
        loss, point, oof, modalities = best.loss, best.point, best.oof, best.modalities
        joint = self._represent(spec, self.fold.cohort, modalities, best.cap)
        z, rows = known_units(joint, self.fold.cohort)
        k = best.k
        k = min(k, z.shape[1])
        scale = scale_of(z[:, :k])
        coef = RidgePath(z[:, :k] * scale, self.family.take(rows)).coef(point) * scale
        facts = {
            "representation": spec.model,
            "modalities": list(modalities),
            "latent_variables": k,
            "of": joint.size,
            **({} if best.cap is None else {"wide_count_as": best.cap}),
            "prior_sd_of_score": round(PRIOR_SDS[point], 4),
            "inner_loss": round(loss, 5),
        }
        return JointFit(oof, loss, JointNode(joint, coef, self.family.n_scores), facts)

    def _split(self, spec: JointSpec, modalities: tuple[str, ...], cap: float | None, s: int) -> Split:
        train, test = self.fold.inner[s]
        seen, hidden = self.fold.cohort.take(train), self.fold.cohort.take(test)
        joint = self._represent(spec, seen, modalities, cap)
        (z, rows), (fresh, new) = known_units(joint, seen), known_units(joint, hidden)
        return Split(train[rows], test[new], (z, fresh))

    def _path(self, splits: list[Split], k: int) -> tuple[float, int, int, Array]:
        """Loss, k, point of the ridge path and out-of-fold scores of the best penalty for k latent variables."""
        scales = [scale_of(s.z[0][:, :k]) for s in splits]
        paths = [RidgePath(s.z[0][:, :k] * c, self.family.take(s.train)) for s, c in zip(splits, scales, strict=True)]
        best: tuple[float, int, int, Array] | None = None
        for point in range(RidgePath.length):
            oof = np.full((self.family.n, self.family.n_scores), np.nan)
            for split, scale, path in zip(splits, scales, paths, strict=True):
                oof[split.test] = split.z[1][:, :k] @ path.coef(point) * scale
            loss = oof_loss(self.family, oof)
            if best is None or loss < best[0] - 1e-9:
                best = (loss, k, point, oof)
            elif point - best[2] >= PATIENCE:
                break
        assert best is not None
        return best


class CanonicalFitter(JointFitter):
    """Learners on the variates on which modalities agree."""

    def fit(self, spec: JointSpec, sets: Sequence[tuple[str, ...]]) -> JointFit:
        """One modality alone agrees with nothing: sets of several are used where there are any."""
        return super().fit(spec, [s for s in sets if len(s) > 1] or sets)

    def _caps(self, modalities: tuple[str, ...]) -> tuple[float | None, ...]:
        return (None,)

    def _represent(self, spec: JointSpec, cohort: Cohort, modalities: tuple[str, ...], cap: float | None) -> Joint:
        return fit_joint_canonical(cohort, modalities, spec.size, readout=False)


def known_units(joint: Joint, cohort: Cohort) -> tuple[Array, Rows]:
    """Representation of the units that have any of its modalities, and their positions."""
    found = joint.embed(cohort)
    return found.mean[found.known], np.flatnonzero(found.known)


def scale_of(z: Array) -> float:
    """What makes the total variance of training rows one, as the ridge path expects."""
    return float(1 / np.sqrt(max(np.square(z).mean(axis=0).sum(), 1e-12)))
