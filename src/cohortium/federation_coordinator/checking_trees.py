"""What counts and histograms must be before they are added up: each check gives why they are refused, or an empty text.

Derivatives of each loss are bounded by counts and by the loss itself; all columns of a node hold the same units. An answer that is
damaged, of another model, repeated or many times too large breaks one of these bounds; one within them can still be wrong.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation_trees import SiteHistograms, SiteQuantiles, cells, open_nodes
from cohortium.federation_coordinator.boosting import boosting, n_scores, plan_of
from cohortium.federation_coordinator.checking import SLACK
from cohortium.federation_coordinator.checking_shapes import wrong_counts
from cohortium.federation_coordinator.state import State

Array = NDArray[np.float64]

LARGE = "its sums are larger than its declared counts allow"
NUMBERS = "it sent NaN or infinite numbers"

FEWEST_EVENTS = 10
"""Of survival, below which a loss that comes again proves nothing."""


def wrong_quantiles(a: SiteQuantiles, state: State) -> str:
    """Shapes, counts that are none or of few, more units than declared."""
    return wrong_counts(a, boosting(state).grid, state)


def wrong_histograms(a: SiteHistograms, state: State) -> str:
    """Shapes, numbers that are none, counts beyond the declared, derivatives beyond what counts and loss allow, an old answer."""
    fit = boosting(state)
    mask = cells(fit.edges)
    shape = (len(open_nodes(fit.growing, fit.level, n_scores(state))), int(mask.sum()))
    sums = (a.gradient, a.hessian, a.count)
    if any(x.shape != shape for x in sums):
        return "its sums are of other nodes or cells"
    if not all(np.isfinite(x).all() for x in sums) or not np.isfinite([a.loss, a.held_loss]).all():
        return NUMBERS
    g, h, n = (_padded(x, mask) for x in sums)
    return (
        _counts(a, n, state) or _same_everywhere(g, h, n) or _beyond(a, g, h, n, state) or _repeated(a, h, state)
    )  # fmt: skip


def _padded(x: Array, mask: NDArray[np.bool_]) -> Array:
    """(A, q, B + 1) of (A, C)."""
    out = np.zeros((len(x), *mask.shape))
    out[:, mask] = x
    return out


def _counts(a: SiteHistograms, n: Array, state: State) -> str:
    units, least, tolerance = (
        state.schemas[a.site].units,
        state.plan.least_cell,
        SLACK * (1 + state.schemas[a.site].units),
    )
    if not 0 <= a.held <= units or (a.held and not plan_of(state).stop) or 0 < a.held < state.plan.least_patients:
        return "its counts do not fit the number of its units"
    if (n < -tolerance).any():
        return "it sent negative counts"
    whole = n[:, 0].sum(-1)
    if boosting(state).level == 0:
        if (np.abs(whole - (units - a.held)) > tolerance).any():
            return "its counts do not fit the number of its units"
        few = ((n > 0) & (n < least - tolerance)).any()
    else:
        k = n_scores(state)
        each = np.bincount(
            [score for score, _ in open_nodes(boosting(state).growing, boosting(state).level, k)], whole, k
        )
        if (each > units - a.held + tolerance).any():
            return "its counts do not fit the number of its units"
        few = ((whole > tolerance) & (whole < least - tolerance)).any()
    return f"a bin holds fewer than {least}" if few else ""


def _same_everywhere(g: Array, h: Array, n: Array) -> str:
    """Each column's sums are those of the same units."""
    for x in (g, h, n):
        whole = x.sum(-1)
        size = np.abs(x).sum(-1).max(initial=0.0)
        if x.shape[1] and np.abs(whole - whole[:, :1]).max(initial=0.0) > SLACK * (1 + size):
            return "its columns do not add up to the same sums"
    return ""


def _beyond(a: SiteHistograms, g: Array, h: Array, n: Array, state: State) -> str:
    """The bounds of each loss. Weights are not known by cell: there the site's whole weight bounds each."""
    kind, fit, schema = state.plan.kind, boosting(state), state.schemas[a.site]
    weight = state.moments[a.site].weight
    most = n if not state.plan.weighted else np.full_like(n, weight)
    tolerance = SLACK * (1 + weight)
    negative = (h < -tolerance).any() or a.held_loss < (-np.inf if kind == "survival" else -tolerance)
    if negative or (kind != "survival" and a.loss < -tolerance):
        return "its second derivatives are negative"
    if kind == "survival":
        events = weight if state.plan.weighted else float(schema.counts[-1])
        root = fit.level == 0 and (np.abs(g.sum(-1)) > tolerance).any()
        least = np.minimum(most, events)
        far = (g > events + tolerance).any() or (g < -least - tolerance).any() or (h > events + tolerance).any()
        null = events * np.log(max(schema.units, 2))
        far |= not (state.plan.weighted or len(fit.values) or -tolerance <= a.loss <= null + tolerance)
        return LARGE if root or far else ""
    if kind == "continuous":
        if not state.plan.weighted and (np.abs(h - n) > tolerance).any():
            return "its second derivatives are not its counts"
        if (g**2 > 2 * a.loss * h * (1 + SLACK) + tolerance).any():
            return LARGE
        m = state.moments[a.site]
        at_first = (m.outcome_squares + m.weight * (m.outcome_mean - state.outcome[0]) ** 2) / state.outcome[1] ** 2
        moved = np.abs(fit.values).max(1).sum() if len(fit.values) else 0.0
        return LARGE if np.sqrt(2 * max(a.loss, 0)) > np.sqrt(at_first) + moved * np.sqrt(weight) + tolerance else ""
    k = n_scores(state)
    steep = 0.25 if kind == "binary" else 0.25 * k / (k - 1)
    far = (np.abs(g) > most + tolerance).any() or (h > steep * most + tolerance).any()
    farthest = np.abs(fit.base).max() + (np.abs(fit.values).max(1).sum() if len(fit.values) else 0.0)
    far |= a.loss > weight * (2 * farthest + np.log(max(k, 2))) + tolerance
    return LARGE if far else ""


def _repeated(a: SiteHistograms, h: Array, state: State) -> str:
    """The loss is that of the trees so far: another at each round of trees, and the same at all levels of one. It stays what it was
    only where the last trees did not tell apart the site's units whose scores matter (of survival those in a risk set); with few
    events these are few, and nothing is said."""
    fit = boosting(state)
    said = fit.said.get(a.site, np.zeros(0))
    if fit.level:
        fine = len(said) and abs(a.loss - said[-1]) <= SLACK * (1 + abs(a.loss))
        return "" if fine else "its loss is that of another round"
    events = state.schemas[a.site].counts[-1] if state.plan.kind == "survival" else FEWEST_EVENTS
    if events < FEWEST_EVENTS or not len(said) or not (said == a.loss).any():
        return ""
    since = said[int(np.flatnonzero(said == a.loss)[-1]) :]
    places, k = fit.values.shape[1] - 1, n_scores(state)
    roots = fit.splits[-k * places :: places]
    parted = any(_parts(h[score], *root) for score, root in enumerate(roots) if root[0] >= 0)
    moved = (since != a.loss).any() or parted
    return "its loss is one that it gave before: a repeated message" if moved else ""


def _parts(h: Array, column: float, cut: float, unknown: float) -> bool:
    """Whether a split has curvature on both sides. h: (q, B + 1) second derivatives at the root."""
    own = h[int(column)]
    left = own[: int(cut) + 1].sum() + unknown * own[-1]
    return bool(SLACK < left < own.sum() - SLACK)
