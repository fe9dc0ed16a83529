"""Base models: one head on one set of modalities, with hyperparameters chosen by the inner folds.

A base model leaves two things: its out-of-fold scores (for whatever stacks it) and a node fitted on the
whole training part with the chosen setting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts import Fold
from cohortium.fusion import Joined, fit_slope, join_new, join_train
from cohortium.heads.families import Family
from cohortium.heads.linear import NET_RATIOS, PRIOR_SDS, NetPath, RidgePath
from cohortium.heads.newton import fit_theta
from cohortium.heads.trees import BOOST_ROUNDS, FOREST_LEAVES, SEARCH_SHARE, BoostPath, ForestPath
from cohortium.learners.nodes import Input, LinearNode, Node, TreeNode
from cohortium.learners.views import SplitView, Views

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

PATIENCE = 2
"""A path is left when this many further points did not improve the inner loss."""


@dataclass(frozen=True, eq=False)
class Base:
    """oof: (n, K) out-of-fold scores, NaN where the unit has none of the modalities. loss: mean inner loss over
    all units (absent ones at the null score). facts: chosen setting."""

    oof: Array
    loss: float
    node: Node
    facts: dict[str, Any]


def oof_loss(family: Family, oof: Array) -> float:
    """Mean loss of out-of-fold scores, absent rows at score 0, nuisance parameters fitted."""
    return float(oof_losses(family, oof).mean())


def oof_losses(family: Family, oof: Array) -> Array:
    """(n,) losses behind :func:`oof_loss`."""
    eta = np.nan_to_num(oof)
    return family.unit_loss(eta, fit_theta(family, eta))


@dataclass(frozen=True, eq=False)
class Choice:
    """The best point of a path. oof: (n, K) out-of-fold scores times slope; loss: their inner loss."""

    oof: Array
    point: int
    loss: float
    slope: float


@dataclass(frozen=True, eq=False)
class Spec:
    """What a base model looks at: modalities, their block weights, and the head."""

    modalities: tuple[str, ...]
    weights: tuple[float, ...]
    head: str


class BaseFitter:
    """Fits base models on a fold. offset: (n, K) fixed scores to start from (priority fusion), or None."""

    def __init__(self, fold: Fold, views: Views, family: Family, trees: int, offset: Array | None = None) -> None:
        self.fold, self.views, self.family, self.trees, self.offset = fold, views, family, trees, offset

    def fit(self, spec: Spec, tag: str) -> Base:
        """Choose along the head's path by inner loss, refit on the whole training part."""
        makers: dict[str, Callable[[Spec, str], Base]] = {
            "ridge": self._ridge,
            "net": self._net,
            "forest": self._forest,
            "boost": self._boost,
        }
        return makers[spec.head](spec, tag)

    def _rows(self, views: list[SplitView], test: bool) -> Rows:
        return np.unique(np.concatenate([v.test if test else v.train for v in views]))

    def _parts(self, views: list[SplitView], form: str, test: bool, rows: Rows) -> list[tuple[Array, Rows]]:
        pick = 1 if test else 0
        return [(getattr(v, form)[pick], np.searchsorted(rows, v.test if test else v.train)) for v in views]

    def _offset(self, rows: Rows) -> Array | None:
        return None if self.offset is None else self.offset[rows]

    def _arrays(self, spec: Spec, form: str, s: int | None) -> tuple[Joined, Array, Rows, Rows, list[SplitView]]:
        """Joined training features of a split, its test rows in the same basis, and the positions of both."""
        views = [self.views.split(m, s) for m in spec.modalities]
        rows, new = self._rows(views, False), self._rows(views, True)
        parts = self._parts(views, form, False, rows)
        weights = np.array(spec.weights)
        if form == "trees":
            joined = Joined(_beside(parts, len(rows)), None, tuple(b.shape[1] for b, _ in parts), weights)
            fresh = _beside(self._parts(views, form, True, new), len(new))
        else:
            joined = join_train(parts, weights, len(rows))
            fresh = join_new(joined, self._parts(views, form, True, new), len(new))
        return joined, fresh, rows, new, views

    def _search(
        self, spec: Spec, form: str, make: Callable[..., Any], score: Callable[..., Array], length: int
    ) -> Choice:
        """Walk the path on all inner splits together; returns out-of-fold scores, point, loss and slope of the best.

        Scores of trees are calibrated before they are compared; linear ones get their scale from the penalty.
        """
        trees, paths = form == "trees", []
        for s in range(len(self.fold.inner)):
            joined, fresh, rows, new, _ = self._arrays(spec, form, s)
            paths.append((make(joined.z, self.family.take(rows), self._offset(rows), s), fresh, new))
        best: Choice | None = None
        for point in range(length):
            oof = np.full((self.family.n, self.family.n_scores), np.nan)
            for path, fresh, new in paths:
                if len(new):
                    oof[new] = score(path, point, fresh)
            loss, slope = self._calibrated(oof) if trees else (self._loss(oof), 1.0)
            if best is None or loss < best.loss - 1e-9:
                best = Choice(slope * oof, point, loss, slope)
            elif point - best.point >= PATIENCE:
                break
            if slope == 0.0:  # its scores point the wrong way: weaker regularisation would only fit more noise
                break
        assert best is not None
        return best

    def _loss(self, oof: Array) -> float:
        return oof_loss(self.family, oof if self.offset is None else np.nan_to_num(oof) + self.offset)

    def _calibrated(self, oof: Array) -> tuple[float, float]:
        """Loss of out-of-fold scores after the one slope >= 0 that fits them best, and that slope.

        Scores of trees have no scale of their own (leaf means are shrunk by bagging, or overfitted): comparing
        their raw losses would choose large leaves for their scale and not for what they know.
        """
        slope, _ = fit_slope(np.nan_to_num(oof), self.family, self.offset)
        return self._loss(slope * oof), slope

    def _ridge(self, spec: Spec, tag: str) -> Base:
        make = lambda z, family, offset, s: RidgePath(z, family, offset)  # noqa: E731
        score = lambda path, k, fresh: fresh @ path.coef(k)  # noqa: E731
        best = self._search(spec, "z", make, score, RidgePath.length)
        joined, _, rows, _, views = self._arrays(spec, "z", None)
        coef = RidgePath(joined.z, self.family.take(rows), self._offset(rows)).coef(best.point)
        blocks = [v.block for v in views]
        inputs = tuple(Input(m, b.encoder) for m, b in zip(spec.modalities, blocks, strict=True) if b is not None)
        coefs = tuple(b.to_features(c) for b, c in zip(blocks, joined.split(coef), strict=True) if b is not None)
        node = LinearNode(inputs, coefs, self.family.n_scores, "ridge")
        facts = {"prior_sd_of_score": round(PRIOR_SDS[best.point], 4), "inner_loss": round(best.loss, 5)}
        return Base(best.oof, best.loss, node, facts)

    def _net(self, spec: Spec, tag: str) -> Base:
        make = lambda x, family, offset, s: NetPath(np.asfortranarray(x), family)  # noqa: E731
        score = lambda path, k, fresh: fresh @ path.coef(k)  # noqa: E731
        best = self._search(spec, "net", make, score, NetPath.length)
        joined, _, rows, _, views = self._arrays(spec, "net", None)
        coef = NetPath(np.asfortranarray(joined.z), self.family.take(rows)).coef(best.point)
        inputs, coefs = [], []
        for m, view, c in zip(spec.modalities, views, joined.split(coef), strict=True):
            assert view.block is not None
            inputs.append(Input(m, view.block.encoder, view.block.net))
            coefs.append(c)
        kept = int(np.any(coef != 0, axis=1).sum())
        facts = {
            "share_of_largest_penalty": round(NET_RATIOS[best.point], 4),
            "features_kept": kept,
            "inner_loss": round(best.loss, 5),
        }
        return Base(best.oof, best.loss, LinearNode(tuple(inputs), tuple(coefs), self.family.n_scores, "net"), facts)

    def _tree_node(self, spec: Spec, views: list[SplitView], model: Any, slope: float) -> TreeNode:
        inputs = []
        for m, v in zip(spec.modalities, views, strict=True):
            assert v.block is not None
            inputs.append(Input(m, v.block.encoder, v.block.tree_columns, v.block.tree_basis))
        return TreeNode(tuple(inputs), replace(model, slope=slope), self.family.n_scores)

    def _forest(self, spec: Spec, tag: str) -> Base:
        seed, few = self.fold.seed_of(f"forest/{tag}"), max(int(SEARCH_SHARE * self.trees), 1)
        make = lambda x, family, offset, s: ForestPath(x, family, seed + 1 + s, few)  # noqa: E731
        score = lambda path, k, fresh: path.at(k).scores(fresh)  # noqa: E731
        best = self._search(spec, "trees", make, score, ForestPath.length)
        joined, _, rows, _, views = self._arrays(spec, "trees", None)
        path = ForestPath(joined.z, self.family.take(rows), seed, self.trees)
        facts = {"smallest_leaf": FOREST_LEAVES[best.point], "trees": self.trees}
        return self._tree_base(best, self._tree_node(spec, views, path.at(best.point), best.slope), facts)

    def _boost(self, spec: Spec, tag: str) -> Base:
        seed = self.fold.seed_of(f"boost/{tag}")
        make = lambda x, family, offset, s: BoostPath(x, family, seed + 1 + s, offset)  # noqa: E731
        score = lambda path, k, fresh: path.at(k).scores(fresh)  # noqa: E731
        best = self._search(spec, "trees", make, score, BoostPath.length)
        joined, _, rows, _, views = self._arrays(spec, "trees", None)
        path = BoostPath(joined.z, self.family.take(rows), seed, self._offset(rows))
        facts = {"rounds": BOOST_ROUNDS[best.point]}
        return self._tree_base(best, self._tree_node(spec, views, path.at(best.point), best.slope), facts)

    def _tree_base(self, best: Choice, node: TreeNode, facts: dict[str, Any]) -> Base:
        facts |= {"slope": round(best.slope, 4), "inner_loss": round(best.loss, 5)}
        return Base(best.oof, best.loss, node, facts)


def _beside(blocks: list[tuple[Array, Rows]], n: int) -> Array:
    """(n, sum of widths) blocks side by side; rows that lack one are at its mean, zero."""
    out = np.zeros((n, sum(b.shape[1] for b, _ in blocks)))
    at = 0
    for block, rows in blocks:
        out[rows, at : at + block.shape[1]] = block
        at += block.shape[1]
    return out
