"""Numbers of a site in groups of patients: whatever is asked about one column is answered about groups.

Patients with neighbouring values form groups of at least ``least``, those with the same value in one; each is counted where his
group's mean is (microaggregation: Domingo-Ferrer & Mateo-Sanz 2002, IEEE TKDE 14:189). Groups depend on the column alone, so that no
two answers about it, however their edges were chosen, differ by fewer patients, and no edge can close in on a single value.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Column
from cohortium.federation_site.encoding import columns_of
from cohortium.federation_site.site import Site

Array = NDArray[np.float64]

ROUNDING = 1e-9


def people_of(site: Site) -> Array:
    """(n,) one over the number of the patient's units: sums of it never count more patients than there are."""
    _, who, times = np.unique(site.patient, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / times[who])


def grouped(site: Site, columns: Sequence[Column], least: int) -> Array:
    """(n, q) of the model's columns, each value the mean of its group; NaN where unknown. Fewer than ``least`` patients who
    lack a value are counted with the group in the middle."""
    x = columns_of(site, columns, least)
    if least <= 1:
        return x
    people = people_of(site)
    return np.stack([_grouped(x[:, j], people, least) for j in range(x.shape[1])], axis=1)


def _grouped(x: Array, people: Array, least: int) -> Array:
    known = np.flatnonzero(~np.isnan(x))
    if people[known].sum() < least - ROUNDING:
        return np.full(len(x), np.nan)
    values, at = np.unique(x[known], return_inverse=True)
    filled = np.cumsum(np.bincount(at, people[known]))
    ends, last = [], 0.0
    while filled[-1] - last >= least - ROUNDING:  # what is left at the end joins the last group
        end = int(np.searchsorted(filled, last + least - ROUNDING))
        ends.append(end)
        last = float(filled[end])
    group = np.searchsorted(np.array(ends[:-1]), np.arange(len(values)))[at]
    means = np.bincount(group, x[known]) / np.bincount(group)
    out = np.full(len(x), np.nan)
    out[known] = means[group]
    lacking = people[np.isnan(x)].sum()
    if 0 < lacking < least - ROUNDING:
        middle = int(np.searchsorted(filled, filled[-1] / 2))
        out[np.isnan(x)] = means[np.searchsorted(np.array(ends[:-1]), middle)]
    return out


def binned(x: Array, edges: Array) -> NDArray[np.int64]:
    """(n, q) bins of columns by edges (q, B - 1), see :mod:`cohortium.contracts.federation_trees`; B where unknown."""
    out = np.empty(x.shape, np.int64)
    for j in range(x.shape[1]):
        out[:, j] = np.searchsorted(edges[j], x[:, j], side="left")
    out[np.isnan(x)] = edges.shape[1] + 1
    return out
