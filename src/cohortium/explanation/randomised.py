"""Does an explanation tell of what the network learned? Its weights are drawn anew, and explanations have to lose their order.

The check of Adebayo 2018 (NeurIPS 31:9505): an explanation that looks the same of a network whose weights are random tells of the data or
of the network's build, not of what was learned. Where a network starts from late fusion, that start is taken away from both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.explanation.gradients import integrated_gradients, network_of
from cohortium.explanation.grouping import FeatureGroup
from cohortium.explanation.held_out import FoldModel, explain_fold
from cohortium.explanation.target import Target

Array = NDArray[np.float64]

DRAWS, UNITS, STEPS, FEWEST = 5, 40, 16, 5
"""Networks of random weights in each fold, units whose gradients are taken, points of their integral, and features that ranks need."""


@dataclass(frozen=True, eq=False)
class Randomised:
    """One fold. shuffled, gradients: mean rank correlation within modalities over draws of how much features move predictions, and of the mean absolute
    integrated gradients, between the fitted network and random ones; NaN where there are too few features, or the
    fitted one does not move. full, again: the score of the fitted network alone, and the mean of the random ones."""

    shuffled: float
    gradients: float
    full: float
    again: float


def alone(predictor: Any) -> Any | None:
    """The predictor of a learner's network alone, without what it starts from; None where it has none."""
    node = network_of(predictor)
    return None if node is None else replace(predictor, node=replace(node, start=None), maker=None, recalibration=None)


def redrawn(predictor: Any, rng: np.random.Generator) -> Any:
    """The predictor of :func:`alone` with every weight drawn anew: normal, each tensor as large (root mean square) as the fitted one."""
    node = predictor.node
    members = tuple({name: _drawn(np.asarray(w), rng) for name, w in weights.items()} for weights in node.members)
    return replace(predictor, node=replace(node, members=members))


def _drawn(weights: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    if weights.dtype.kind != "f" or not weights.size:
        return weights
    size = float(np.sqrt(np.mean(np.square(weights, dtype=np.float64))))
    return (size * rng.standard_normal(weights.shape)).astype(weights.dtype)


def randomised(model: FoldModel, target: Target, items: Sequence[FeatureGroup]) -> Randomised | None:
    """Held-out explanations of a fold's network and of random ones; None where the learner has no network, or nobody has anything."""
    network = alone(model.predictor)
    if network is None:
        return None
    own, single = replace(model, predictor=network), [g for g in items if len(g.features) == 1]
    rows = np.linspace(0, len(model.cohort) - 1, min(UNITS, len(model.cohort))).round().astype(np.intp)
    some = model.cohort.take(rows)
    moves, score = _moves(own, target, single)
    slopes, own_of = _slopes(network, some)
    found = list[tuple[float, float, float]]()
    for draw in range(DRAWS):
        other = redrawn(network, model.rng(f"randomised/{draw}"))
        other_moves, other_score = _moves(replace(model, predictor=other), target, single)
        by_shuffling = same_order(moves, other_moves, [g.modality for g in single])
        found.append((by_shuffling, same_order(slopes, _slopes(other, some)[0], own_of), other_score))
    known = [[v for v in column if not np.isnan(v)] for column in zip(*found, strict=True)]
    means = [float(np.mean(v)) if v else float("nan") for v in known]
    return Randomised(means[0], means[1], score, means[2])


def _moves(model: FoldModel, target: Target, items: Sequence[FeatureGroup]) -> tuple[Array, float]:
    """(I,) how far each feature moves predictions when it is shuffled, and the score."""
    found = explain_fold(model, target, items)
    return found.item_moves, found.full


def _slopes(predictor: Any, cohort: Any) -> tuple[Array, list[str]]:
    """(q,) mean absolute integrated gradient of every encoded feature, and their modalities; empty without captum."""
    from cohortium.errors import MissingExtra

    try:
        found = integrated_gradients(predictor, cohort, steps=STEPS)
    except MissingExtra:
        return np.zeros(0), []
    parts, of = [np.zeros(0)], list[str]()
    for name, v in found.values.items():
        rows = ~np.isnan(v).all(axis=1)
        if rows.any():
            parts.append(np.abs(v[rows]).mean(axis=0))
            of += [name] * v.shape[1]
    return np.concatenate(parts), of


def same_order(a: Array, b: Array, of: Sequence[str]) -> float:
    """Rank correlation within modalities, pooled: that features of a narrow modality move more is the network's build, and tells of
    no order. of: (k,) the modality of each. NaN with fewer than ``FEWEST`` features, or where either is the same for all."""
    from scipy.stats import rankdata

    if len(a) != len(b):
        return float("nan")
    known = ~(np.isnan(a) | np.isnan(b))
    a, b, which = a[known], b[known], np.asarray(of, dtype=object)[known]
    if len(a) < FEWEST or np.ptp(a) <= 1e-12 or np.ptp(b) <= 1e-12:
        return float("nan")
    ranks = np.zeros((2, len(a)))
    for name in dict.fromkeys(which):
        rows = np.flatnonzero(which == name)
        for k, x in enumerate((a, b)):
            ranks[k, rows] = (rankdata(x[rows]) - (len(rows) + 1) / 2) / len(rows)
    size = np.sqrt((ranks**2).sum(axis=1))
    return float(ranks[0] @ ranks[1] / (size[0] * size[1])) if size.min() > 0 else float("nan")
