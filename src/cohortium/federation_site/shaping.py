"""Columns as a fit takes them: unknown cells filled, skewed columns compressed, outliers clipped, where the plan says so.

A unit that has a table and lacks a value gets the column's ``fill``; one that lacks the table as a whole stays unknown, and adds nothing
to any sum, as elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Column, FederationPlan, Withdrawn
from cohortium.contracts.federation_shaping import AskShape, SiteShape
from cohortium.federation_site.encoding import columns_of
from cohortium.federation_site.site import Site

Array = NDArray[np.float64]

CLIP = 6.0
"""Standardised values end here, as those of ``run`` do (:mod:`cohortium.encoders.table`)."""


def tables_of(site: Site, least: int) -> dict[str, NDArray[np.bool_]]:
    """Modality -> (n,) of which units anything is known. Of fewer than ``least`` patients who have a table, nobody has it; where fewer lack it, all
    do: sums with and without them would tell theirs."""
    if ("tables", least) not in site.folds:
        known: dict[str, NDArray[np.bool_]] = {}
        for f in site.features:
            known[f.modality] = known.get(f.modality, np.zeros(len(site), bool)) | ~np.isnan(f.values)
        for m, rows in known.items():
            if site.patients(rows) < least:
                known[m] = np.zeros(len(site), bool)
            elif 0 < site.patients(~rows) < least:
                known[m] = np.ones(len(site), bool)
        site.folds["tables", least] = known
    found: dict[str, NDArray[np.bool_]] = site.folds["tables", least]
    return found


def filled(site: Site, columns: Sequence[Column], least: int) -> Array:
    """(n, q) as :func:`cohortium.federation_site.encoding.columns_of`, with unknown cells of those who have the table filled. Not to be changed."""
    if not any(c.fill for c in columns):
        return columns_of(site, columns, least)
    key = ("filled", tuple(columns), least)
    if key not in site.kept:
        x = columns_of(site, columns, least).copy()
        tables, nobody = tables_of(site, least), np.zeros(len(site), bool)
        raw = {(f.modality, f.name): np.isnan(f.values) for f in site.features}
        for j, c in enumerate(columns):
            if c.fill and site.patients(~np.isnan(x[:, j])) >= least:
                # Not what was suppressed: whoever is filled would be seen to be one of the few.
                rows = tables.get(c.modality, nobody) & np.isnan(x[:, j]) & raw.get((c.modality, c.feature), nobody)
                x[rows, j] = compressed(np.array(c.fill), c)[0]
        site.kept[key] = x
    found: Array = site.kept[key]
    return found


def compressed(x: Array, c: Column) -> Array:
    """Values of a column as the model has them."""
    return np.asarray(np.arcsinh((x - c.compress[0]) / c.compress[1])) if c.compress else x


def scaled(site: Site, plan: FederationPlan, columns: Sequence[Column], mean: Array, sd: Array) -> Array:
    """(n, q) standardised columns, what is unknown still NaN."""
    z = (filled(site, columns, plan.least_cell) - mean) / sd
    return np.clip(z, -CLIP, CLIP) if plan.prepare is not None and plan.prepare.clip else z


def shape_answer(site: Site, plan: FederationPlan, q: AskShape, own: str) -> SiteShape | Withdrawn:
    """How skewed the columns are, and who has their tables."""
    if plan.prepare is None or not plan.prepare.asks:
        return Withdrawn(site.name, own, q.round, "its study file does not ask for the shape of columns")
    n = len(q.columns)
    if not (
        q.mean.shape == q.sd.shape == (n,)
        and np.isfinite(q.mean).all()
        and np.isfinite(q.sd).all()
        and (q.sd > 0).all()
    ):
        return Withdrawn(site.name, own, q.round, "the question does not fit its columns")
    z = (columns_of(site, q.columns, plan.least_cell) - q.mean) / q.sd
    cubes = site.weight @ np.where(np.isnan(z), 0.0, z) ** 3
    tables, nobody = tables_of(site, plan.least_cell), np.zeros(len(site), bool)
    present = np.array([float(site.weight @ tables.get(c.modality, nobody)) for c in q.columns])
    return SiteShape(site.name, own, q.round, cubes, present)
