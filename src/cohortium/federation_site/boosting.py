"""Scores of boosted trees at a site, and the derivatives of their loss. Models are those of
:mod:`cohortium.contracts.federation_trees`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logsumexp, softmax

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_trees import TreesModel
from cohortium.federation_site.cox import cox_derivatives
from cohortium.federation_site.encoding import columns_of
from cohortium.federation_site.grouping import binned, grouped
from cohortium.federation_site.site import Site

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

FARTHEST = 100.0
"""Leaves are on the scale of log odds, or of standard deviations: values beyond belong to no model."""

MOST_KEPT = 64


def unfit(model: TreesModel, plan: FederationPlan) -> str:
    """Why a model is none of this plan's, or an empty text."""
    trees, q = plan.trees, len(model.columns)
    if trees is None:
        return "it was sent a model that its study file does not ask for"
    k, places = n_scores(plan, model.classes), 2**trees.depth - 1
    n = len(model.values)
    shapes = (
        model.edges.ndim == 2 and model.edges.shape[0] == q and model.edges.shape[1] < trees.bins
        and model.base.shape == (k,) and model.splits.shape == (n * places, 3)
        and model.values.shape == (n, places + 1) and n <= k * trees.rounds and n % k == 0
    )  # fmt: skip
    if not shapes or fits_splits(model.splits, model) or np.isnan(model.edges).any():
        return "the question does not fit its columns"
    earlier, later = model.edges[:, :-1], model.edges[:, 1:]
    if np.isneginf(model.edges).any() or not ((earlier < later) | (np.isinf(earlier) & np.isinf(later))).all():
        return "the question has no bins"
    numbers = np.concatenate([model.values.ravel(), model.base, model.outcome])
    if not np.isfinite(numbers).all() or np.abs(numbers[: model.values.size]).max(initial=0.0) > FARTHEST:
        return "the question is about parameters that no model has"
    return ""


def fits_splits(splits: Array, model: TreesModel) -> str:
    """Why splits (S, 3) are none of the model's columns and bins."""
    column, cut, unknown = splits.T if splits.ndim == 2 and splits.shape[1:] == (3,) else (np.full(1, np.nan),) * 3
    whole = (splits == np.round(splits)).all()
    fine = (column >= -1) & (column < len(model.columns)) & (cut >= 0) & (cut <= model.edges.shape[1])
    return "" if whole and (fine & ((unknown == 0) | (unknown == 1))).all() else "its splits are of no column"


def n_scores(plan: FederationPlan, classes: Sequence[str]) -> int:
    """Scores K."""
    return len(classes) if plan.kind == "multiclass" else 1


def bins_of(site: Site, plan: FederationPlan, model: TreesModel, groups: bool) -> Ints:
    """(n, q) bins of the site's units; groups: as they are trained on, see :mod:`cohortium.federation_site.grouping`."""
    key = (model.columns, model.edges.tobytes(), plan.least_cell, groups)
    if key not in site.fits:
        make_room(site)
        x = (grouped if groups else columns_of)(site, model.columns, plan.least_cell)
        site.fits[key] = binned(x, model.edges)
    found: Ints = site.fits[key]
    return found


def make_room(site: Site) -> None:
    """Forget what was kept, where it is much."""
    if len(site.fits) >= MOST_KEPT:
        site.fits.clear()


def places_at(bins: Ints, splits: Array, level: int, unknown: int) -> Ints:
    """(n,) node at a level, counted from the left, of the tree with these splits. unknown: the bin of those without a value."""
    rows = np.arange(len(bins))
    at = np.zeros(len(bins), np.int64)
    for d in range(level):
        column, cut, lacking = splits[2**d - 1 + at].T
        b = bins[rows, np.maximum(column, 0).astype(np.int64)]
        left = (column < 0) | np.where(b == unknown, lacking > 0, b <= cut)
        at = 2 * at + ~left
    return at


def scores_by(site: Site, plan: FederationPlan, model: TreesModel, groups: bool) -> Array:
    """(n, K) scores of the site's units. Trees that were added up before are not gone through again; the sum is the same."""
    bins = bins_of(site, plan, model, groups)
    k, depth = len(model.base), int(np.log2(model.values.shape[1]))
    places = 2**depth - 1
    key = ("scores", model.columns, model.edges.tobytes(), plan.least_cell, model.base.tobytes(), groups)
    done, splits, values, total = site.fits.get(key, (0, b"", b"", np.tile(model.base, (len(site), 1))))
    known = done <= len(model.values)
    known = known and model.splits[: done * places].tobytes() == splits and model.values[:done].tobytes() == values
    if not known:
        done, total = 0, np.tile(model.base, (len(site), 1))
    total = total.copy()
    for t in range(done, len(model.values)):
        leaf = places_at(bins, model.splits[t * places : (t + 1) * places], depth, model.edges.shape[1] + 1)
        total[:, t % k] += model.values[t, leaf]
    make_room(site)
    site.fits[key] = (len(model.values), model.splits.tobytes(), model.values.tobytes(), total)
    return total


def predicted(site: Site, plan: FederationPlan, model: TreesModel) -> Array | str:
    """As :func:`cohortium.federation_site.models.predicted_by`."""
    if reason := unfit(model, plan):
        return reason
    score = scores_by(site, plan, model, groups=False)
    if plan.kind == "multiclass":
        return score
    return model.outcome[0] + model.outcome[1] * score[:, 0] if plan.kind == "continuous" else score[:, 0]


def derivatives(site: Site, plan: FederationPlan, model: TreesModel, f: Array) -> tuple[float, Array, Array] | str:
    """Loss, and its first and second derivatives (n, K) by scores f (n, K), of the site's units as one stratum; or why not.

    Of several classes the second derivative is K/(K - 1) times the diagonal, as Friedman (2001, Ann Stat 29:1189) has it.
    """
    w = site.weight
    if plan.kind == "survival":
        loss, g, h = cox_derivatives(f[:, 0], site.time, site.y, site.entry, w)
        return loss, g[:, None], h[:, None]
    if plan.kind == "continuous":
        r = f[:, 0] - (site.y - model.outcome[0]) / model.outcome[1]
        return 0.5 * float(w @ (r * r)), (w * r)[:, None], w[:, None].copy()
    if plan.kind == "binary":
        m = f[:, 0]
        p = expit(m)
        loss = -float(w @ (site.y * log_expit(m) + (1 - site.y) * log_expit(-m)))
        return loss, (w * (p - site.y))[:, None], (w * p * expit(-m))[:, None]
    if set(site.classes) - set(model.classes):
        return "it has a class that sites did not agree on"
    codes = np.array([model.classes.index(c) for c in site.classes])[site.y.astype(int)]
    share, y = softmax(f, axis=1), np.eye(len(model.classes))[codes]
    loss = float(w @ (logsumexp(f, axis=1) - (y * f).sum(1)))
    k = len(model.classes)
    return loss, w[:, None] * (share - y), w[:, None] * share * (1 - share) * k / (k - 1)
