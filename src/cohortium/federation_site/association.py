"""What the score test of each column by itself is made of: vectors as long as there are columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_preparing import AskAssociation, SiteAssociation
from cohortium.federation_site.cox import cox_sums
from cohortium.federation_site.encoding import columns_of
from cohortium.federation_site.site import Site

Array = NDArray[np.float64]


def association(site: Site, plan: FederationPlan, q: AskAssociation, own: str) -> SiteAssociation | str:
    """Sums of the site's units, or why there are none."""
    if plan.select is None or plan.select.by != "association":
        return "its study file asks for no selection by association"
    n_columns = len(q.columns)
    fits = q.mean.shape == q.sd.shape == (n_columns,) and np.isfinite(q.mean).all() and np.isfinite(q.sd).all()
    if not (fits and (q.sd > 0).all() and np.isfinite(q.outcome).all() and q.outcome[1] > 0):
        return "the question does not fit its columns"
    x = columns_of(site, q.columns, plan.least_cell)
    z = np.where(np.isnan(x), 0.0, (x - q.mean) / q.sd)
    w = site.weight
    squares = w @ z**2
    if plan.kind == "survival":
        none = np.zeros(n_columns)
        _, gradient, squares = cox_sums(z, site.time, site.y, site.entry, w, site.stratum, none, diagonal=True)
        weights, sums = np.array([float(w @ (site.y > 0))]), -gradient[:, None]
    elif plan.kind == "continuous":
        y = (site.y - q.outcome[0]) / q.outcome[1]
        weights, sums = np.array([w.sum()]), np.column_stack([w @ z, (w * y) @ z])
    else:
        codes = class_codes(site, q.classes if plan.kind == "multiclass" else site.classes)
        if (codes < 0).any():
            return "it has a class that sites did not agree on"
        classes = len(q.classes) if plan.kind == "multiclass" else len(site.classes)
        by = np.eye(classes)[codes] * w[:, None]
        weights, sums = by.sum(axis=0), z.T @ by
    return SiteAssociation(site.name, own, q.round, weights, sums, np.maximum(squares, 0.0))


def class_codes(site: Site, classes: Sequence[str]) -> NDArray[np.intp]:
    """(n,) place of each unit's class among ``classes``; -1 where it is none of them."""
    place = np.array([classes.index(c) if c in classes else -1 for c in site.classes], dtype=np.intp)
    return place[site.y.astype(int)]
