"""Features of a site as columns of the model, with small counts suppressed.

What fewer than ``least_cell`` patients of the site share is unknown there: a level that few have, values other than the
commonest where few differ from it, a feature that few have at all; and the whole of a feature of which the rest is the same, since who is unknown
would then be seen. Unknown cells are the federated mean, so that they add
nothing to any sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Column, FeatureSchema
from cohortium.federation_site.site import Feature, Site

Array = NDArray[np.float64]


def schema_of(site: Site, least: int) -> tuple[FeatureSchema, ...]:
    """Names and coding of a site's features; of levels those that at least ``least`` patients have."""
    out = []
    for f in site.features:
        levels = f.levels if f.kind == "ordinal" else tuple(n for n, c in _shared(site, f).items() if c >= least)
        out.append(FeatureSchema(f.modality, f.name, f.kind, levels, f.id_space, f.unit))
    return tuple(out)


def _shared(site: Site, f: Feature) -> dict[str, int]:
    """level -> patients who have it."""
    return {n: site.patients(f.values == code) for code, n in enumerate(f.levels)}


def columns_of(site: Site, columns: Sequence[Column], least: int) -> Array:
    """(n, q) values of the model's columns; NaN where unknown, suppressed or not known at this site. Not to be changed."""
    asked = (tuple(columns), least)
    if asked not in site.kept:
        site.kept.clear()  # one set of columns is asked about again and again
        site.kept[asked] = _columns_of(site, columns, least)
    found: Array = site.kept[asked]
    return found


def _columns_of(site: Site, columns: Sequence[Column], least: int) -> Array:
    known = {(f.modality, f.name): f for f in site.features}
    out = np.full((len(site), len(columns)), np.nan)
    done: dict[tuple[str, str], Array] = {}
    for j, c in enumerate(columns):
        key = (c.modality, c.feature)
        if key not in known:
            continue
        if key not in done:
            f = known[key]
            done[key] = _levels(site, f, c.levels, least) if c.kind == "level" else _numbers(site, f, c, least)
        x = done[key]
        out[:, j] = np.where(np.isnan(x), np.nan, x == c.levels.index(c.level)) if c.kind == "level" else x
        for name, shift, factor in c.batches:
            if name == site.name:
                out[:, j] = shift + factor * out[:, j]
        if c.compress:
            out[:, j] = np.arcsinh((out[:, j] - c.compress[0]) / c.compress[1])
    return out


def _levels(site: Site, f: Feature, agreed: Sequence[str], least: int) -> Array:
    """(n,) position among the agreed levels; NaN where the level is another, or too few have it here."""
    x = np.full(len(site), np.nan)
    code = {n: i for i, n in enumerate(agreed)}
    for text, rows in _texts(f).items():
        if text in code and site.patients(rows) >= least:
            x[rows] = code[text]
    there = set(x[~np.isnan(x)])
    # Without the first level, columns of the others add up to one: what is left out would be seen as the rest.
    return _unless_told(site, x, least, len(there) < 2 or 0.0 not in there)


def _unless_told(site: Site, x: Array, least: int, alike: bool) -> Array:
    """x, or nothing of it where known cells are ``alike`` and few are unknown: the column would be one of who those few are."""
    few = np.isnan(x)
    return np.full(len(x), np.nan) if alike and 0 < site.patients(few) < least else x


def _texts(f: Feature) -> dict[str, NDArray[np.bool_]]:
    if f.kind == "numeric":
        return {f"{v:g}": f.values == v for v in np.unique(f.values[~np.isnan(f.values)])}
    return {n: f.values == i for i, n in enumerate(f.levels)}


def _numbers(site: Site, f: Feature, c: Column, least: int) -> Array:
    x = f.values.copy()
    if c.kind == "ordinal":
        x = x if f.levels == c.levels else np.full(len(x), np.nan)
    elif f.kind != "numeric":
        numbers = np.array([_number(n) for n in f.levels])
        some = ~np.isnan(x)
        x[some] = numbers[x[some].astype(int)] if len(numbers) else np.nan
    some = ~np.isnan(x)
    if site.patients(some) < least:
        return np.full(len(x), np.nan)
    values, counts = np.unique(x[some], return_counts=True)
    unlike = some & (x != values[counts.argmax()])
    if unlike.any() and site.patients(unlike) < least:
        x[unlike] = np.nan
    return _unless_told(site, x, least, len(np.unique(x[~np.isnan(x)])) < 2)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
