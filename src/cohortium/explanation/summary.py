"""Values of the folds -> records with intervals over folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import Estimate
from cohortium.contracts.explanations import DeletionCurve, FeatureWorth, ModalityWorth, RandomisedCheck
from cohortium.explanation.deleting import Deleted
from cohortium.explanation.grouping import FeatureGroup
from cohortium.explanation.held_out import FoldValues
from cohortium.explanation.randomised import DRAWS, Randomised

Array = NDArray[np.float64]
Say = Callable[..., Estimate]
"""Name, (n_folds,) values and whether they are the metric itself -> the estimate."""

MOVES, ORDER = "absolute_change", "rank_correlation"


def estimator(folds: Sequence[FoldValues], n: int, reason: str | None) -> Say:
    """Means over folds with the corrected interval (Nadeau & Bengio 2003); n: distinct units tested. reason: why the metric of a
    fold has no value. Limits are cut at the metric's bounds where ``bounded`` is said: of the metric, not of differences."""
    from cohortium.metrics import from_folds

    n_train, n_test = (np.array([getattr(f, k) for f in folds], dtype=float) for k in ("n_train", "n_test"))

    def say(name: str, values: Array, bounded: bool = False) -> Estimate:
        method = "nadeau_bengio" if bounded else "nadeau_bengio_paired"
        made = from_folds(name, values, n_train, n_test, n=n, reason=reason, method=method)
        # A mean of absolute changes is never below zero.
        if name == ORDER and made.low is not None and made.high is not None:
            return replace(made, low=max(made.low, -1.0), high=min(made.high, 1.0))
        return replace(made, low=max(made.low, 0.0)) if name == MOVES and made.low is not None else made

    return say


def modality_records(
    have: Mapping[str, int], folds: Sequence[FoldValues], metric: str, say: Say
) -> list[ModalityWorth]:
    """Every modality, the one worth most first. have: modality -> distinct units tested that have it."""
    out = []
    for i, (name, n_units) in enumerate(have.items()):
        take = lambda field: np.array([getattr(f, field)[i] for f in folds], dtype=float)  # noqa: B023, E731
        out.append(
            ModalityWorth(
                name,
                n_units,
                int(take("used").sum()),
                say(metric, take("shapley")),
                float(np.sqrt(np.mean(take("error") ** 2) / len(folds))),
                say(MOVES, take("given")),
                say(metric, take("loss")),
                say(MOVES, take("moves")),
            )
        )
    return sorted(out, key=lambda m: -(m.worth.value if m.worth.value is not None else -np.inf))


def feature_records(
    items: Sequence[FeatureGroup], folds: Sequence[FoldValues], metric: str, say: Say
) -> list[FeatureWorth]:
    """Features and groups, those that move predictions most first: an order that no outcome had a say in."""
    groups = [g for g in items if len(g.columns) > 1]
    out = []
    for i, item in enumerate(items):
        loss, moves = (np.array([getattr(f, k)[i] for f in folds], dtype=float) for k in ("item_loss", "item_moves"))
        with_it = [
            g for g in groups if len(item.columns) == 1 and g.modality == item.modality and item.columns[0] in g.columns
        ]
        beside = [f for g in with_it for f in g.features if f != item.features[0]]
        out.append(FeatureWorth(item.modality, list(item.features), say(metric, loss), say(MOVES, moves), beside))
    return sorted(out, key=lambda f: -(f.moves.value if f.moves.value is not None else -np.inf))


def deletion_order(items: Sequence[FeatureGroup], folds: Sequence[FoldValues]) -> list[FeatureGroup]:
    """Single features by how much they move predictions, over all folds."""
    moves = np.sum([np.nan_to_num(f.item_moves) for f in folds], axis=0)  # nobody of a fold has it: nothing moves there
    return [items[i] for i in np.argsort(-moves, kind="stable") if len(items[i].features) == 1]


def deletion_record(found: Sequence[Deleted], metric: str, say: Say, sign: float) -> DeletionCurve | None:
    """Curves of all folds. sign: -1 where the metric is better when smaller, and scores were turned."""
    if not found or len(found[0].steps) < 3:
        return None
    ordered, random = (np.array([getattr(d, k) for d in found]) for k in ("ordered", "random"))
    return DeletionCurve(
        [int(s) for s in found[0].steps],
        [say(metric, sign * ordered[:, k], True) for k in range(ordered.shape[1])],
        [say(metric, sign * random[:, k], True) for k in range(random.shape[1])],
        say(metric, np.array([d.gap for d in found])),
    )


def randomised_record(
    found: Sequence[Randomised | None], folds: Sequence[FoldValues], n: int, metric: str, sign: float
) -> RandomisedCheck | None:
    """Over the folds whose learner has a network. sign: -1 where the metric is better when smaller, and scores were turned."""
    have = [(r, f) for r, f in zip(found, folds, strict=True) if r is not None]
    if not have:
        return None
    say = estimator([f for _, f in have], n, "too few features, or the network moves nothing")
    take = lambda field: np.array([getattr(r, field) for r, _ in have])  # noqa: E731
    return RandomisedCheck(
        DRAWS, say(ORDER, take("shuffled")), say(ORDER, take("gradients")), say(metric, sign * take("full"), True),
        say(metric, sign * take("again"), True),
    )  # fmt: skip
