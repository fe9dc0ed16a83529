"""How the scores of a model relate to the outcomes of a site's own patients who were held out: a regression on the score, as sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_preparing import AskCalibration, SiteCalibration
from cohortium.federation_site.cox import cox_sums
from cohortium.federation_site.site import Site
from cohortium.federation_site.sums import linear_sums, logistic_sums

Array = NDArray[np.float64]


def calibration_of(
    site: Site, predicted: Array, plan: FederationPlan, q: AskCalibration, own: str
) -> SiteCalibration | str:
    """Of the units of ``site`` by their scores (n,), at the parameters of the fit of all and of the site's own; or why there is none."""
    if plan.kind not in ("survival", "binary", "continuous") or predicted.ndim != 1:
        return "scores of several classes are not calibrated"
    if q.at.shape != (len(q.who), 2) or not np.isfinite(q.at).all():
        return "the question does not fit its fits"
    asked = [i for i, w in enumerate(q.who) if w in ("", site.name)]
    found = [_sums(site, predicted, plan.kind, q.at[i]) for i in asked]
    loss, gradient = np.array([f[0] for f in found]), np.array([f[1] for f in found]).reshape(-1, 2)
    hessian = np.array([[h[0, 0], h[0, 1], h[1, 1]] for _, _, h in found]).reshape(-1, 3)
    return SiteCalibration(site.name, own, q.round, tuple(q.who[i] for i in asked), loss, gradient, hessian)


def _sums(site: Site, score: Array, kind: str, at: Array) -> tuple[float, Array, Array]:
    """Weights are not used here, as they are not in other metrics."""
    ones = np.ones(len(site))
    if kind == "survival":
        loss, g, h = cox_sums(score[:, None], site.time, site.y, site.entry, ones, site.stratum, at[1:])
        return loss, np.array([0.0, g[0]]), np.array([[0.0, 0.0], [0.0, h[0, 0]]])
    sums = linear_sums if kind == "continuous" else logistic_sums
    return sums(score[:, None], site.y, ones, at)
