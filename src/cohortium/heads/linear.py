"""Penalised linear heads along a path: ridge and elastic net for every endpoint.

A path head is fitted point by point, from strong to weak penalty, so that the caller can stop when its
inner folds say so. Coefficients are returned in the basis that the caller gave.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cohortium.contracts import ClassOutcome
from cohortium.heads.families import Array, Binary, Family, Multinomial
from cohortium.heads.newton import fit_ridge, fit_theta
from cohortium.schema import Endpoint, EndpointKind

PRIOR_SDS = tuple(float(x) for x in np.geomspace(0.06, 8.0, 12))
"""Ridge path: prior standard deviation of the score when the features have total variance one."""

NET_RATIOS = tuple(float(x) for x in np.geomspace(0.95, 0.03, 16))
"""Elastic-net path: penalty as a share of the one that sets every coefficient to zero."""


@dataclass
class RidgePath:
    """Ridge along :data:`PRIOR_SDS`. z: (n, r) rotated features with total variance about one.

    The penalty 1/sd^2 makes the prior standard deviation of the score sd, whatever n and r are
    (for Gaussian outcomes in units of the outcome's standard deviation).
    """

    z: Array
    family: Family
    offset: Array | None = None
    points: list[tuple[Array, Array]] = field(default_factory=list)

    length = len(PRIOR_SDS)

    def coef(self, k: int) -> Array:
        """(r, K) coefficients at point k of the path."""
        while len(self.points) <= k:
            sd = PRIOR_SDS[len(self.points)]
            if self.points:
                start = self.points[-1]
            else:
                start = (np.zeros((self.z.shape[1], self.family.n_scores)), self.family.start())
            penalty = np.full(self.z.shape[1], 1.0 / sd**2)
            self.points.append(fit_ridge(self.z, self.family, penalty, start, self.offset))
        return self.points[k][0]


@dataclass
class NetPath:
    """Elastic net along :data:`NET_RATIOS` by iteratively reweighted coordinate descent (Friedman 2010,
    J Stat Softw 33:1; Simon 2011, J Stat Softw 39:5). Several classes: one against the rest.

    x: (n, q) standardised features, Fortran order.
    """

    x: Array
    family: Family
    l1_ratio: float = 0.5
    points: list[Array] = field(default_factory=list)
    _parts: list[_NetPart] = field(default_factory=list)

    length = len(NET_RATIOS)

    def coef(self, k: int) -> Array:
        """(q, K) coefficients at point k of the path."""
        if not self._parts:
            families = _by_score(self.family)
            self._parts = [_NetPart(self.x, f, self.l1_ratio) for f in families]
        while len(self.points) <= k:
            ratio = NET_RATIOS[len(self.points)]
            self.points.append(np.column_stack([p.step(ratio) for p in self._parts]))
        return self.points[k]


def _by_score(family: Family) -> list[Family]:
    """A family of one score for each of the family's scores."""
    from cohortium.heads.competing import CauseSpecific

    if isinstance(family, CauseSpecific):
        return list(family.parts)
    return _one_against_rest(family) if isinstance(family, Multinomial) else [family]


def _one_against_rest(family: Multinomial) -> list[Family]:
    classes = family.endpoint.classes
    out: list[Family] = []
    for k, c in enumerate(classes):
        endpoint = Endpoint(f"{family.endpoint.name}:{c}", EndpointKind.BINARY, ("rest", c))
        codes = (family.outcome.codes == k).astype(np.int64)
        out.append(Binary(ClassOutcome(endpoint, family.outcome.units, codes)))
    return out


class _NetPart:
    def __init__(self, x: Array, family: Family, l1_ratio: float) -> None:
        self.x, self.family, self.l1_ratio = x, family, l1_ratio
        self.b = np.zeros(x.shape[1])
        self.eta = np.zeros((family.n, 1))
        self.theta = fit_theta(family, self.eta)
        g = family.value_grad(self.eta, self.theta)[1][:, 0]
        g = g - g.mean()
        self.alpha_max = float(np.abs(x.T @ g).max(initial=1e-12)) / family.n / l1_ratio

    def step(self, ratio: float) -> Array:
        """Move to the penalty ``ratio * alpha_max``."""
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import enet_path

        for _ in range(25):
            g = self.family.value_grad(self.eta, self.theta)[1][:, 0]
            h = self.family.diagonal(self.eta, self.theta)
            work = self.eta[:, 0] - g / h
            root = np.sqrt(h)
            share = h / h.sum()
            centre = share @ self.x
            xw = np.asfortranarray((self.x - centre) * root[:, None])
            yw = (work - share @ work) * root
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                _, coefs, _ = enet_path(
                    xw,
                    yw,
                    l1_ratio=self.l1_ratio,
                    alphas=[ratio * self.alpha_max],
                    coef_init=self.b.copy(),
                    check_input=False,
                    copy_X=False,
                    max_iter=500,
                    tol=1e-5,
                )
            new = coefs[:, 0]
            if not new.any() and not self.b.any():
                break
            moved = np.abs(self.x @ (new - self.b)).max(initial=0.0)
            self.b = new
            self.eta = np.clip(self.x @ self.b, -20, 20)[:, None]
            self.theta = fit_theta(self.family, self.eta, self.theta)
            if moved < 1e-3:
                break
        return self.b
