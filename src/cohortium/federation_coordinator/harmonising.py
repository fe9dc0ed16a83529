"""ComBat with sites for batches, from their counts, means and sums of squares: equal to that of all rows together.

Johnson, Li & Rabinovic 2007, Biostatistics 8:118; without covariates the regression on batches is their means, so that nothing
is asked for beyond the moments (Chen 2022, J Biomed Inform 129:104055 distributes it with covariates). As in
:class:`cohortium.encoders.combat.ComBat`: numeric features of each table; not one that does not vary at a site; a site that is not
known here keeps its values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Column, SiteMoments
from cohortium.contracts.federation_preparing import STILL
from cohortium.metrics.shrinkage import shrunken

Array = NDArray[np.float64]

FEWEST_FEATURES = 2
"""Features over which effects are shrunken."""

Moments = tuple[Array, Array, Array]


def harmonised(
    tables: Sequence[str], asked: Sequence[Column], moments: Mapping[str, SiteMoments]
) -> tuple[tuple[Column, ...], dict[str, Moments]]:
    """The columns, with what takes the effects of sites out of them; site -> counts, means, squares (q,) of what they become."""
    sites = list(moments)
    count, mean, squares = (np.array([getattr(moments[s], f) for s in sites]) for f in ("count", "mean", "squares"))
    columns = list(asked)
    for table in tables:
        at = np.array([j for j, c in enumerate(asked) if c.modality == table and c.kind == "numeric"], dtype=np.intp)
        shift, factor, used = combat(count[:, at], mean[:, at], squares[:, at])
        for k in np.flatnonzero(used):
            found = tuple((s, float(shift[i, k]), float(factor[i, k])) for i, s in enumerate(sites))
            columns[at[k]] = replace(asked[at[k]], batches=found)
        some = count[:, at] > 0
        mean[:, at] = np.where(some, shift + factor * mean[:, at], mean[:, at])
        squares[:, at] *= factor**2
    return tuple(columns), {s: (count[i], mean[i], squares[i]) for i, s in enumerate(sites)}


def combat(count: Array, mean: Array, squares: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Shift and factor (m, p) of each batch's values, and which features (p,) are adjusted; of moments (m, p)."""
    m, p = count.shape
    shift, factor, none = np.zeros((m, p)), np.ones((m, p)), np.zeros(p, dtype=bool)
    if m < 2 or p < FEWEST_FEATURES:
        return shift, factor, none
    # Units that have the table: those of its most complete feature.
    size = count.max(axis=1)
    weight = size[:, None] * (count > 0)
    centre = (weight * mean).sum(axis=0) / np.maximum(weight.sum(axis=0), 1)
    varies = ((count < 2) | (squares > STILL * count * (1e-300 + mean**2))).all(axis=0)
    whole = bool((count == size[:, None])[:, varies].all())
    sd = np.sqrt(squares.sum(axis=0) / np.maximum(count.sum(axis=0) - (0 if whole else 1), 1))
    adjusted = varies & (sd > 0) & ((count > 0).sum(axis=0) > 1)
    keep = np.flatnonzero(adjusted)
    if len(keep) < FEWEST_FEATURES or size.sum() < 3:
        return shift, factor, none
    scale = sd[keep]
    for b in range(m):
        n = count[b, keep]
        there = np.where(n > 0, (mean[b, keep] - centre[keep]) / scale, 0.0)
        gamma, delta = shrunken(n, there, squares[b, keep] / scale**2)
        factor[b, keep] = 1 / np.sqrt(delta)
        shift[b, keep] = centre[keep] - factor[b, keep] * (centre[keep] + gamma * scale)
    return shift, factor, adjusted
