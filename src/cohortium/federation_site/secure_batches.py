"""ComBat and selection under secure aggregation, as a site seals them.

The grand mean and the pooled spread of a column are sums over sites. What then is taken out of a site follows from these and from its own
values, so that it stays there: a question's column says ``("", mean, spread)`` where each site is to take out its own effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Column, FederationPlan
from cohortium.contracts.federation_preparing import STILL, AskAssociation
from cohortium.contracts.federation_secure import AskBatches, AskHeld
from cohortium.federation_site.association import association
from cohortium.federation_site.encoding import columns_of
from cohortium.federation_site.refusing import RefusedError
from cohortium.federation_site.site import Site
from cohortium.metrics.shrinkage import shrunken

Array = NDArray[np.float64]


def batches_numbers(site: Site, plan: FederationPlan, q: AskBatches) -> Array:
    """Of each table units that have its most complete column; then by numeric column these units where it is known, times its mean, squared
    deviations, and 1 where it does not vary, is not complete, is known."""
    if not plan.harmonise:
        raise RefusedError("its study file asks for no harmonisation")
    out = []
    for table in plan.harmonise:
        count, mean, squares = _moments(
            site, plan, [c for c in q.columns if c.modality == table and c.kind == "numeric"]
        )
        size = float(count.max(initial=0.0))
        weight = size * (count > 0)
        still = ~((count < 2) | (squares > STILL * count * (1e-300 + mean**2)))
        out += [np.array([size]), weight, weight * mean, squares, still, count != size, count > 0]
    return np.concatenate(out).astype(float)


def _moments(site: Site, plan: FederationPlan, columns: Sequence[Column]) -> tuple[Array, Array, Array]:
    """Counts, means and sums of squared deviations (p,) of a site's own values."""
    x = columns_of(site, tuple(replace(c, batches=()) for c in columns), plan.least_cell)
    known = ~np.isnan(x)
    count = known.sum(0).astype(float)
    mean = np.where(known, x, 0.0).sum(0) / np.maximum(count, 1)
    return count, mean, (np.where(known, x - mean, 0.0) ** 2).sum(0)


def own_effects(site: Site, plan: FederationPlan, question: Any) -> Any:
    """A question whose columns name this site's own shift and factor where each site is to take out its own; by its patients, or by those of the
    training part that ``site`` is."""
    if isinstance(question, AskHeld):
        return replace(question, model=own_effects(site, plan, question.model))
    columns = getattr(question, "columns", ())
    own = own_columns(site, plan, columns)
    return question if own is columns else replace(question, columns=own)


def own_columns(site: Site, plan: FederationPlan, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Columns with the site's own shift and factor; the same where they name none that each site is to find."""
    if not any(name == "" for c in columns for name, _, _ in c.batches):
        return columns
    key = ("batches", columns, plan.least_cell)
    if key not in site.folds:
        site.folds[key] = _resolved(site, plan, columns)
    found: tuple[Column, ...] = site.folds[key]
    return found


def _resolved(site: Site, plan: FederationPlan, columns: Sequence[Column]) -> tuple[Column, ...]:
    out = list(columns)
    for table in plan.harmonise:
        at = [j for j, c in enumerate(columns) if c.modality == table and c.batches]
        if not at:
            continue
        centre, scale = np.array([columns[j].batches[0][1:] for j in at]).T
        if not (np.isfinite(centre).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise RefusedError("the question does not fit its columns")
        count, mean, squares = _moments(site, plan, [columns[j] for j in at])
        there = np.where(count > 0, (mean - centre) / scale, 0.0)
        gamma, delta = shrunken(count, there, squares / scale**2)
        factor = 1 / np.sqrt(delta)
        shift = centre - factor * (centre + gamma * scale)
        for k, j in enumerate(at):
            out[j] = replace(columns[j], batches=((site.name, float(shift[k]), float(factor[k])),))
    return tuple(out)


def association_numbers(
    site: Site, plan: FederationPlan, q: AskAssociation, own: str, bounds: tuple[float, float]
) -> tuple[Array, list[str]]:
    """Weights, sums, squares; cut to what all sites together can have. bounds: of sums, and of squares."""
    found = association(site, plan, q, own)
    if isinstance(found, str):
        raise RefusedError(found)
    sums, squares = np.clip(found.sums, -bounds[0], bounds[0]), np.minimum(found.squares, bounds[1])
    cut = (sums != found.sums).any() or (squares != found.squares).any()
    return np.concatenate([found.weights, sums.ravel(), squares]), ["sums of columns and endpoint"] if cut else []
