"""What is left after fitting: a tree of nodes that gives link-scale scores for any cohort.

A node gives NaN rows for units that lack all of its modalities; a stack completes them. ``memo`` shares
encoded blocks and node scores between the learners of one ``predict_all``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.calibration import Maker, Recalibration, prior_shift, shifted
from cohortium.cohort import Cohort
from cohortium.contracts import Bounds, LowerBounds, Prediction, Probabilities, Survival
from cohortium.encoders import Encoder
from cohortium.encoders.block import tree_view
from cohortium.fusion import StackFit
from cohortium.heads.families import to_prediction
from cohortium.heads.trees import Boosted, Forest
from cohortium.schema import COVERAGE_GROUP, Endpoint

Array = NDArray[np.float64]
Memo = dict[Any, Any]


@dataclass(frozen=True, eq=False)
class Input:
    """One modality as a head sees it: encoder, and for trees the columns and components used."""

    modality: str
    encoder: Encoder
    columns: NDArray[np.intp] | None = None
    basis: Array | None = None

    def encoded(self, cohort: Cohort, memo: Memo) -> tuple[Array, NDArray[np.intp]]:
        """(m, q) features of the units that have the modality, and their positions in the cohort."""
        key = ("x", self.modality, id(self.encoder))
        if key not in memo:
            table = cohort.modalities.get(self.modality)
            if table is None or not len(table.units):
                memo[key] = (np.zeros((0, len(self.encoder.names_))), np.zeros(0, dtype=np.intp))
            else:
                memo[key] = (self.encoder.transform(table), cohort.units.index.get_indexer(table.units))
        return memo[key]  # type: ignore[no-any-return]


class Node:
    """Base: scores with a memo."""

    n_scores: int

    def scores(self, cohort: Cohort, memo: Memo) -> Array:
        """(n, K) scores, NaN rows where the node has nothing to say."""
        key = ("node", id(self))
        if key not in memo:
            memo[key] = self._scores(cohort, memo)
        return memo[key]  # type: ignore[no-any-return]

    def _scores(self, cohort: Cohort, memo: Memo) -> Array:
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class LinearNode(Node):
    """Sum over modalities of encoded features times coefficients (q, K); an absent modality adds nothing."""

    inputs: tuple[Input, ...]
    coefs: tuple[Array, ...]
    n_scores: int
    kind: str = "ridge"

    def _scores(self, cohort: Cohort, memo: Memo) -> Array:
        out = np.zeros((len(cohort), self.n_scores))
        seen = np.zeros(len(cohort), dtype=bool)
        for source, coef in zip(self.inputs, self.coefs, strict=True):
            x, rows = source.encoded(cohort, memo)
            if len(rows):
                out[rows] += (x if source.columns is None else x[:, source.columns]) @ coef
                seen[rows] = True
        out[~seen] = np.nan
        return out


@dataclass(frozen=True, eq=False)
class TreeNode(Node):
    """Trees on the features of one or several modalities; an absent modality stands at its mean."""

    inputs: tuple[Input, ...]
    model: Forest | Boosted
    n_scores: int

    def _scores(self, cohort: Cohort, memo: Memo) -> Array:
        parts = []
        seen = np.zeros(len(cohort), dtype=bool)
        for source in self.inputs:
            assert source.columns is not None and source.basis is not None
            x, rows = source.encoded(cohort, memo)
            full = np.zeros((len(cohort), len(source.columns) + source.basis.shape[1]))
            if len(rows):
                full[rows] = tree_view(x, source.columns, source.basis)
                seen[rows] = True
            parts.append(full)
        out = np.full((len(cohort), self.n_scores), np.nan)
        if seen.any():
            out[seen] = self.model.scores(np.hstack(parts)[seen])
        return out


@dataclass(frozen=True, eq=False)
class StackNode(Node):
    """Late fusion of child nodes. complete: also for units that lack every child."""

    children: tuple[Node, ...]
    stack: StackFit
    complete: bool

    @property
    def n_scores(self) -> int:  # type: ignore[override]
        return self.children[0].n_scores

    def _scores(self, cohort: Cohort, memo: Memo) -> Array:
        z = np.stack([c.scores(cohort, memo) for c in self.children], axis=1)
        out = self.stack.combine(z)
        if not self.complete:
            out[np.isnan(z).all(axis=(1, 2))] = np.nan
        return out


@dataclass(frozen=True, eq=False)
class Guarded(Node):
    """Says nothing of units that lack one of the modalities."""

    node: Node
    needs: tuple[str, ...]

    @property
    def n_scores(self) -> int:  # type: ignore[override]
        return self.node.n_scores

    def _scores(self, cohort: Cohort, memo: Memo) -> Array:
        out = self.node.scores(cohort, memo).copy()
        out[(presence_matrix(cohort, self.needs) == 0).any(axis=1)] = np.nan
        return out


@dataclass(frozen=True, eq=False)
class ZeroFill(Node):
    """A step of priority fusion: adds nothing where its modality is absent."""

    node: Node

    @property
    def n_scores(self) -> int:  # type: ignore[override]
        return self.node.n_scores

    def _scores(self, cohort: Cohort, memo: Memo) -> Array:
        return np.nan_to_num(self.node.scores(cohort, memo))


def modalities_of(node: Node) -> set[str]:
    """What a linear, tree or stacked node looks at."""
    if isinstance(node, StackNode):
        return set().union(*(modalities_of(c) for c in node.children))
    if isinstance(node, Guarded | ZeroFill):
        return modalities_of(node.node)
    if isinstance(node, ZeroNode):
        return set()
    assert isinstance(node, LinearNode | TreeNode)
    return {i.modality for i in node.inputs}


def walk(node: Node) -> list[Node]:
    """A node and all below it, each once."""
    found, todo = dict[int, Node](), [node]
    while todo:
        at = todo.pop()
        if id(at) not in found:
            found[id(at)] = at
            below = [*getattr(at, "children", ()), getattr(at, "node", None), getattr(at, "start", None)]
            todo += [b for b in below if b is not None]
    return list(found.values())


def inputs_of(node: Node) -> list[Input] | None:
    """Everything that a tree of nodes looks at, each encoder once; None where a part does not say."""
    out: dict[int, Input] = {}
    for at in walk(node):
        if not isinstance(at, StackNode | Guarded | ZeroFill | ZeroNode) and not hasattr(at, "inputs"):
            return None
        out |= {id(i.encoder): i for i in getattr(at, "inputs", ())}
    return list(out.values())


def carried(memo: Memo, modalities: Collection[str]) -> Memo:
    """What a memo holds that stays true when other modalities of the same units change: the encoded features of these."""
    return {k: v for k, v in memo.items() if k[0] == "x" and k[1] in modalities}


@dataclass(frozen=True, eq=False)
class PresenceNode(Node):
    """The fact of having each modality as a predictor (only where the study asks for it)."""

    modalities: tuple[str, ...]
    mean: Array
    coef: Array
    n_scores: int

    def _scores(self, cohort: Cohort, memo: Memo) -> Array:
        return (presence_matrix(cohort, self.modalities) - self.mean) @ self.coef


def presence_matrix(cohort: Cohort, modalities: tuple[str, ...]) -> Array:
    """(n, M) 1.0 where the unit has the modality."""
    have = cohort.presence()
    return np.column_stack([have[m].to_numpy(float) if m in have else np.zeros(len(cohort)) for m in modalities])


def coverage_groups(cohort: Cohort) -> NDArray[np.object_] | None:
    """(n,) the declared group of each unit within which bounds are calibrated, "" where unknown; None where none is declared."""
    return cohort.units[COVERAGE_GROUP].to_numpy(dtype=object) if COVERAGE_GROUP in cohort.units else None


@dataclass(frozen=True, eq=False)
class ZeroNode(Node):
    """Score 0 for everybody: where a priority fusion without reference starts."""

    n_scores: int

    def _scores(self, cohort: Cohort, memo: Memo) -> Array:
        return np.zeros((len(cohort), self.n_scores))


@dataclass(frozen=True, eq=False)
class ScorePredictor:
    """A fitted learner: node, and what turns its scores into the endpoint's prediction.

    threshold: on the positive class's probability, chosen on inner predictions (binary only). chosen: what
    the learner chose inside. facts: settings for people. maker: of sets, intervals or lower bounds, where they were
    asked for. censoring: predicts how long a unit is followed; not saved. recalibration: of class probabilities. shift: of
    the log odds of two classes, to another prevalence.
    """

    name: str
    endpoint: Endpoint
    node: Node
    finish: dict[str, Any]
    threshold: float | None = None
    chosen: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    maker: Maker | None = None
    censoring: ScorePredictor | None = None
    recalibration: Recalibration | None = None
    shift: float = 0.0

    def predict(self, cohort: Cohort, memo: Memo | None = None) -> Prediction:
        """Predict every unit of the cohort, whatever modalities it has."""
        made = self._as_sampled(cohort, {} if memo is None else memo)
        if not self.shift:
            return made
        assert isinstance(made, Probabilities)
        p = shifted(made.p[:, 1], self.shift)
        return replace(made, p=np.column_stack([1 - p, p]))

    def _as_sampled(self, cohort: Cohort, memo: Memo) -> Prediction:
        """Predictions for a population like the one that was trained on."""
        made = to_prediction(self.endpoint, cohort.ids, np.nan_to_num(self.node.scores(cohort, memo)), self.finish)
        if self.recalibration is None:
            return made
        assert isinstance(made, Probabilities)
        return replace(made, p=self.recalibration.apply(made.p))

    def for_prevalence(self, prevalence: float, sampled: float) -> ScorePredictor:
        """The same for a population in which ``prevalence`` are positive, where ``sampled`` of the training units are."""
        by = prior_shift(prevalence, sampled)
        threshold = None if self.threshold is None else float(shifted(np.array([self.threshold]), by)[0])
        return replace(self, shift=by, threshold=threshold)

    def bounds(self, cohort: Cohort, prediction: Prediction) -> Bounds | None:
        """What the prediction of these units is sure of; None where it was not asked for."""
        if self.maker is None:
            return None
        if self.shift:  # what is calibrated are the probabilities as sampled
            assert isinstance(prediction, Probabilities)
            p = shifted(prediction.p[:, 1], -self.shift)
            prediction = replace(prediction, p=np.column_stack([1 - p, p]))
        presence = presence_matrix(cohort, self.maker.patterns.modalities) > 0
        made: Bounds = self.maker.make(prediction, presence, groups=coverage_groups(cohort))  # type: ignore[arg-type]
        if self.censoring is not None and isinstance(made, LowerBounds):
            free = self.censoring.predict(cohort)
            assert isinstance(free, Survival)
            made = replace(made, free=free)
        return made

    def settings(self) -> dict[str, Any]:
        """JSON-able facts on how the learner was set."""
        return self.facts

    def state(self) -> dict[str, Any]:
        """JSON-able structure with arrays as leaves; ``learners.restore`` makes the predictor again."""
        from cohortium.learners.saving import predictor_state

        return predictor_state(self)
