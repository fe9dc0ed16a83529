"""Models that are sent to a site, and what they predict for its units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import AskSums, Column, FederationPlan, LinearModel, Model
from cohortium.contracts.federation_network import NetworkModel
from cohortium.contracts.federation_trees import TreesModel
from cohortium.federation_site import network
from cohortium.federation_site.boosting import predicted
from cohortium.federation_site.encoding import columns_of
from cohortium.federation_site.site import Site

Array = NDArray[np.float64]

FARTHEST = 100.0
"""Parameters are of standardised columns: a question farther out than this asks about single patients, not about a model."""


def predicted_by(site: Site, plan: FederationPlan, model: Model, known: Site | None = None) -> Array | str:
    """Scores of the site's units by a model, or why there are none: (n,) risks, higher is sooner, of survival; values of a continuous endpoint;
    log odds of the second of two classes; (n, K) logarithms of odds of several, up to a constant of the unit. known: those of the site that
    a model's own part at the site may be fitted to; None: nobody."""
    if isinstance(model, NetworkModel):
        return network.predicted(site, plan, model, known)
    how = _PREDICTING.get(type(model))
    return "it was sent a model that it does not know" if how is None else how(site, plan, model)


def _linear(site: Site, plan: FederationPlan, model: LinearModel) -> Array | str:
    z = standardised(site, plan, model)
    if isinstance(z, str):
        return z
    if plan.kind == "survival":
        return z @ model.parameters
    if plan.kind == "multiclass":
        b = model.parameters.reshape(-1, len(model.classes))
        return b[0] + z @ b[1:]
    score = model.parameters[0] + z @ model.parameters[1:]
    return score if plan.kind == "binary" else model.outcome[0] + model.outcome[1] * score


def standardised(site: Site, plan: FederationPlan, q: AskSums | LinearModel) -> Array | str:
    """(n, q) columns of the question's model, unknown cells 0; or why the question is not answered."""
    k, intercepts = scores(plan.kind, len(q.classes))
    n_columns = len(q.columns)
    fits = q.mean.shape == q.sd.shape == (n_columns,) and q.parameters.shape == (intercepts + n_columns * k,)
    if not (fits and np.isfinite(q.parameters).all() and np.isfinite(q.mean).all() and (q.sd > 0).all()):
        return "the question does not fit its columns"
    if np.abs(q.parameters).max(initial=0.0) > FARTHEST:
        return "the question is about parameters that no model has"
    return scaled(site, plan, q.columns, q.mean, q.sd)


def scaled(site: Site, plan: FederationPlan, columns: tuple[Column, ...], mean: Array, sd: Array) -> Array:
    """(n, q) standardised columns, unknown cells 0."""
    x = columns_of(site, columns, plan.least_cell)
    return np.asarray(np.where(np.isnan(x), 0.0, (x - mean) / sd))


def scores(kind: str, n_classes: int) -> tuple[int, int]:
    """Scores K, and intercepts, of a model."""
    if kind == "multiclass":
        return n_classes, n_classes
    return 1, 0 if kind == "survival" else 1


_PREDICTING: dict[type, Callable[[Site, FederationPlan, Any], Array | str]] = {
    LinearModel: _linear,
    TreesModel: predicted,
}
