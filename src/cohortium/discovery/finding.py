"""Knockoffs over all modalities at once: groups, screening, one filter, and how steady the list is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import Outcome
from cohortium.discovery.clusters import cluster_features
from cohortium.discovery.conditional import conditional_p
from cohortium.discovery.contrast import contrast
from cohortium.discovery.features import Features
from cohortium.discovery.filtering import e_benjamini_hochberg, e_values
from cohortium.discovery.knockoffs import KnockoffModel, Margins, fit_knockoffs, normal_scores
from cohortium.discovery.null import NullModel, fit_null, information, is_multiclass, residualised
from cohortium.metrics import benjamini_hochberg

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Rows = NDArray[np.intp]

FEWEST, LEAST, TOGETHER = 60, 10, 40
"""Units that knockoffs need, events (or units of the smaller class), and units that two modalities must share so that
their correlations can be known."""

WIDE, SCREENED, AGAIN = 2, 0.5, 10
"""With more than WIDE features a unit, the share SCREENED of the units chooses among them; draws of knockoffs that show how
steady a list is."""


@dataclass(frozen=True, eq=False)
class Discovery:
    """groups: (q,) group of every feature, numbered over all modalities. tested, selected: (groups,). w, e: (groups,) contrast
    and e-value, NaN where not tested. p, q: (groups,) of the
    conditional test of each group given all others, and corrected (Benjamini-Hochberg). again: (groups,) share of further draws of knockoffs that select the group, or None.

    sets: modalities that were looked at jointly. screening: units that only screened. shrinkage: of each set. refused: why
    no knockoffs were made; nothing is selected then, and p may be there.
    """

    groups: Codes
    tested: NDArray[np.bool_]
    selected: NDArray[np.bool_]
    w: Array
    e: Array
    p: Array
    q: Array
    again: Array | None = None
    sets: tuple[tuple[str, ...], ...] = ()
    screening: int = 0
    shrinkage: tuple[float, ...] = ()
    refused: str = ""


@dataclass(frozen=True, eq=False)
class _Problem:
    """One set of modalities: columns tested, their groups from 0, and what knockoffs are drawn from."""

    rows: Rows
    fresh: Rows
    columns: Rows
    groups: Codes
    latent: Array
    margins: Margins
    fitted: Array
    model: KnockoffModel
    null: NullModel


def discover(
    outcome: Outcome,
    features: Features,
    rng: np.random.Generator,
    *,
    covariates: Array | None = None,
    fdr: float = 0.1,
    draws: int = 1,
    again: int = AGAIN,
    groups: Codes | None = None,
    each: Callable[[], None] = lambda: None,
) -> Discovery:
    """Groups of features that the outcome depends on, given all others and the covariates.

    outcome: of the units of ``features``, in their order, one unit of each patient. covariates: (n, c) complete. draws: of
    knockoffs whose e-values are averaged; with more than one the list hardly depends on chance, and is much shorter. again:
    draws that show how steady the list of one draw is. groups: (q,) within modalities; default by correlation. each: called
    after every draw.
    """
    groups = all_groups(features) if groups is None else groups
    n = int(groups.max()) + 1 if len(groups) else 0
    empty = Discovery(groups, *(np.zeros(n, dtype=bool) for _ in range(2)), *(np.full(n, np.nan) for _ in range(4)))
    reason = _refusal(outcome)
    if reason:
        return replace(empty, refused=reason)
    problems, sets, screening = list[_Problem](), joint_sets(features), 0
    for names in sets:
        made = _problem(outcome, features, names, groups, covariates, rng)
        if made is not None:
            problems.append(made)
            screening += len(made.rows) - len(made.fresh)
    if not problems:
        return replace(empty, refused="no modality was measured in enough units")
    at = np.concatenate([_numbers(p, groups) for p in problems])
    few = _few(len(at), fdr) if len(at) < 1 / fdr else ""
    e_of, w_of, lists = np.zeros(len(at)), np.full(len(at), np.nan), list[NDArray[np.bool_]]()
    if not few:
        w_of, e_of, lists = _drawn(problems, fdr, draws, again, rng, each)
    conditional = np.concatenate([_conditional(p, rng) for p in problems])

    def everywhere(values: Array) -> Array:
        out = np.full(n, np.nan)
        out[at] = values
        return out

    selected, tested = empty.selected.copy(), empty.tested.copy()
    selected[at], tested[at] = e_benjamini_hochberg(e_of, fdr), True
    return Discovery(
        groups, tested, selected, everywhere(w_of), everywhere(e_of), everywhere(conditional),
        everywhere(benjamini_hochberg(conditional)), everywhere(np.mean(lists, axis=0)) if lists else None, tuple(sets),
        screening, tuple(p.model.shrinkage for p in problems), few,
    )  # fmt: skip


def _drawn(
    problems: Sequence[_Problem], fdr: float, draws: int, again: int, rng: np.random.Generator, each: Callable[[], None]
) -> tuple[Array, Array, list[NDArray[np.bool_]]]:
    """Contrasts of the first draw, mean e-values of ``draws``, and the lists that ``again`` more would make."""
    first, e, lists = np.zeros(0), np.zeros(0), list[NDArray[np.bool_]]()
    for d in range(draws + again):
        contrasts = [_draw(p, rng) for p in problems]
        if d == 0:
            first = np.concatenate(contrasts)
            e = np.zeros(len(first))
        if d < draws:
            # Averages need e-values of a stricter rule (Ren & Barber 2024).
            e += np.concatenate([e_values(c, fdr if draws == 1 else fdr / 2) for c in contrasts]) / draws
        else:
            lists.append(e_benjamini_hochberg(np.concatenate([e_values(c, fdr) for c in contrasts]), fdr))
        each()
    return first, e, lists


def _refusal(outcome: Outcome) -> str:
    from cohortium.discovery.null import effective_size

    if len(outcome) < FEWEST:
        return f"{len(outcome)} units are too few to know how features vary together: knockoffs need {FEWEST}"
    if effective_size(outcome) < LEAST:
        what = "events" if hasattr(outcome, "event") else "units outside the largest class"
        return f"{effective_size(outcome)} {what} are too few: knockoffs need {LEAST}"
    return ""


def _few(groups: int, fdr: float) -> str:
    return (
        f"{groups} groups of features are too few: at a false discovery rate of {fdr:g} no list shorter than "
        f"{int(np.ceil(1 / fdr - 1e-9))} can be made"
    )


def all_groups(features: Features) -> Codes:
    """(q,) groups of correlated features of the same modality, from the units that have it."""
    out, base = np.zeros(len(features), dtype=np.int64), 0
    for m in features.modalities:
        at = features.columns(m)
        if not len(at):
            continue
        x = features.x[:, at]
        x = x[~np.isnan(x[:, 0])]
        centred = x - x.mean(axis=0)
        sd = centred.std(axis=0)
        out[at] = cluster_features(centred / np.where(sd > 0, sd, 1.0)) + base
        base = int(out[at].max()) + 1
    return out


def joint_sets(features: Features) -> list[tuple[str, ...]]:
    """Modalities that can be looked at jointly: each pair shares enough units to know their correlations."""
    there = {
        m: ~np.isnan(features.x[:, features.columns(m)[0]]) for m in features.modalities if len(features.columns(m))
    }
    out = list[list[str]]()
    for m in there:
        if there[m].sum() < FEWEST:
            continue
        home = next((s for s in out if all((there[m] & there[o]).sum() >= TOGETHER for o in s)), None)
        if home is None:
            out.append([m])
        else:
            home.append(m)
    return [tuple(s) for s in out]


def _problem(
    outcome: Outcome, features: Features, names: Sequence[str], groups: Codes, covariates: Array | None,
    rng: np.random.Generator,
) -> _Problem | None:  # fmt: skip
    columns = np.flatnonzero(np.isin(features.modality, list(names)))
    rows = np.flatnonzero(~np.isnan(features.x[:, columns]).all(axis=1))
    if len(rows) < FEWEST:
        return None
    c = None if covariates is None else covariates[rows]
    null, x = fit_null(outcome.take(rows), c), features.x[np.ix_(rows, columns)]
    fresh = np.arange(len(rows))
    if len(columns) > WIDE * len(rows):
        part = _screening_part(null.outcome.strata, rng)
        fresh = np.setdiff1d(fresh, part)
        kept = _screen(null.outcome.take(part), x[part], groups[columns], None if c is None else c[part], len(fresh))
        columns, x = columns[kept], x[:, kept]
    _, own = np.unique(groups[columns], return_inverse=True)
    margins = normal_scores(x, rng)
    fitted = _explained(margins.latent, null)
    model = fit_knockoffs(margins.latent - fitted, own.astype(np.int64))
    return _Problem(rows, fresh, columns, own.astype(np.int64), margins.latent, margins, fitted, model, null)


def _screening_part(strata: Codes, rng: np.random.Generator) -> Rows:
    """A random half of every stratum."""
    part = list[Rows]()
    for s in np.unique(strata):
        at = rng.permutation(np.flatnonzero(strata == s))
        part.append(at[: round(SCREENED * len(at))])
    return np.sort(np.concatenate(part))


def _screen(outcome: Outcome, x: Array, groups: Codes, covariates: Array | None, room: int) -> Rows:
    """Columns of the groups with the largest univariate score, as many as there is room for."""
    null = fit_null(outcome, covariates)
    filled = np.nan_to_num(x)
    if is_multiclass(null):
        z = residualised(filled, null)
        size = np.maximum((z * z).sum(axis=0), 1e-12)
        strength = ((z.T @ null.residual) ** 2).max(axis=1) / size
    else:
        score, info = information(null, filled)
        strength = np.where(info > 1e-9, score**2 / np.maximum(info, 1e-9), 0.0)
    best, width = np.zeros(int(groups.max()) + 1), np.bincount(groups)
    np.maximum.at(best, groups, strength)
    order = np.argsort(-best, kind="stable")
    order = order[width[order] > 0]
    keep = order[np.cumsum(width[order]) <= room]
    return np.flatnonzero(np.isin(groups, keep))


def _explained(latent: Array, null: NullModel) -> Array:
    """What the covariates say of each column, from the units that have it; 0 without covariates."""
    out = np.zeros(latent.shape)
    c = null.covariates
    if not c.shape[1]:
        return out
    design = np.column_stack([np.ones(len(c)), c])
    absent = np.isnan(latent)
    patterns, at = np.unique(absent, axis=1, return_inverse=True)
    for k in range(patterns.shape[1]):
        rows, columns = np.flatnonzero(~patterns[:, k]), np.flatnonzero(at.ravel() == k)
        if len(rows):
            b = np.linalg.lstsq(design[rows], latent[np.ix_(rows, columns)], rcond=None)[0]
            out[:, columns] = design @ b
    return out


def _draw(p: _Problem, rng: np.random.Generator) -> Array:
    """Contrasts of one draw. Units that screened have copies of their features: they lend strength to both alike (Barber &
    Candès 2019, Ann Stat 47:2504)."""
    copies = p.latent.copy()
    rest = (p.latent - p.fitted)[p.fresh]
    copies[p.fresh] = p.model.sample(rest, rng) + p.fitted[p.fresh]
    x, k = np.nan_to_num(p.margins.seen(p.latent)), np.nan_to_num(p.margins.seen(copies))
    if p.null.covariates.shape[1]:
        x, k = residualised(x, p.null), residualised(k, p.null)
    return contrast(x, k, p.null.residual, p.groups, rng)


def _conditional(p: _Problem, rng: np.random.Generator) -> Array:
    """p-value of each group given all others."""
    x = np.nan_to_num(p.margins.seen(p.latent))
    if p.null.covariates.shape[1]:
        x = residualised(x, p.null)
    return conditional_p(x, p.latent - p.fitted, p.fresh, p.model, p.null.residual, p.groups, rng)


def _numbers(p: _Problem, groups: Codes) -> Codes:
    return np.unique(groups[p.columns])
