"""Deep learners on a fold: networks on each inner split side by side, the number of epochs by their inner loss.

As for every other learner, a point of a path is chosen by out-of-fold scores: here the path is training itself. The
networks of the inner splits advance together, and stop when further epochs do not pay; then the same number of epochs
is given to networks trained on the whole training part, whose scores are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cohortium.contracts import ClassOutcome, Fold, Outcome, SurvivalOutcome, ValueOutcome
from cohortium.fusion import fit_slope
from cohortium.heads.families import Family
from cohortium.heads.newton import fit_theta
from cohortium.learners.config import DeepSpec
from cohortium.learners.deep_node import DeepNode
from cohortium.learners.deep_parts import items_of, with_items
from cohortium.learners.nodes import Input, Node
from cohortium.learners.views import SplitView, Views
from cohortium.networks import objectives
from cohortium.networks.batch import Inputs, Part, Rows
from cohortium.networks.build import Design, build
from cohortium.schema import EndpointKind
from cohortium.training.loop import Settings, Trainer

Array = NDArray[np.float64]

NARROW = 128
"""Tables of up to so many features are seen as they are, wider ones in the span of their training units."""

MOST_TOKENS = 48
"""Features of a table whose encoder makes a token of each; wider tables have the plain encoder."""

COMPONENTS = 256
"""Leading directions of that span that a network sees."""

LEAST_LABELS = 10
"""Another endpoint is trained beside the main one when so many training units have it."""

EPOCHS = (0, 2, 4, 6, 9, 12, 16, 20, 25, 30, 40, 50, 65, 80, 100)
"""Points of the path."""

LEAST, PATIENCE = 40, 3
"""After LEAST epochs training stops when so many further points did not improve the inner loss: what lies in the
interaction of modalities shows late, after a stretch in which nothing seems to be learned."""


@dataclass(frozen=True, eq=False)
class DeepFit:
    """oof: (n, K) out-of-fold scores, NaN where no modality is there. loss: their inner loss, absent ones at the null
    score."""

    oof: Array
    loss: float
    node: DeepNode
    facts: dict[str, Any]


class InputsOf(Protocol):
    """All modalities of n units, and what else a network looks at."""

    def batch(self, rows: Tensor, drawn: bool = False) -> Any: ...
    def present(self) -> Tensor: ...


class DeepFitter:
    """Fits networks on a fold.

    late: out-of-fold scores (n, K) and node of the plain late fusion. Networks may start at them; and as presence is
    nothing to them, they tell what presence does to a network's scores from what its features say. presence: it may
    predict. As in priority fusion, the start of an inner split's training rows comes from models that saw other rows of
    its test part: in one number a row.
    """

    def __init__(
        self, fold: Fold, views: Views, family: Family, seeds: int, late: tuple[Array, Node], presence: bool = False
    ) -> None:
        self.fold, self.views, self.family, self.seeds = fold, views, family, seeds
        self.guide, self.late, self.tokens = np.nan_to_num(late[0]), late[1], presence
        self.epochs: tuple[int, ...] = EPOCHS

    def fit(self, spec: DeepSpec, modalities: tuple[str, ...]) -> DeepFit:
        """Choose the number of epochs on the inner splits, then train on the whole training part."""
        tag = f"{spec.name}/{'+'.join(modalities)}"
        inner = [self._trainer(spec, modalities, s, tag) for s in range(len(self.fold.inner))]
        best, found = np.inf, (self.epochs[0], 0.0, np.zeros((self.family.n, self.family.n_scores)), None)
        have = np.zeros((self.family.n, len(modalities)))
        for j, m in enumerate(modalities):
            have[self.views.rows(m), j] = 1.0
        waited = 0
        for epochs in self.epochs:
            oof = np.full((self.family.n, self.family.n_scores), np.nan)
            for trainer, inputs, test in inner:
                trainer.advance(epochs - trainer.epochs)
                oof[test] = _scores(trainer, inputs, test)
            presence = None if self.tokens else presence_effect(oof, have, self.guide)
            if presence is not None:
                oof -= (have - presence[0]) @ presence[1]
            slope, _ = fit_slope(np.nan_to_num(oof), self.family)
            eta = np.nan_to_num(slope * oof)
            loss = float(self.family.unit_loss(eta, fit_theta(self.family, eta)).mean())
            if loss < best - 1e-9:
                best, found, waited = loss, (epochs, slope, slope * oof, presence), 0
            else:
                waited += 1
            if waited >= PATIENCE and epochs >= LEAST:
                break
        del inner
        epochs, slope, oof, presence = found
        if presence is not None:
            presence = (presence[0], slope * presence[1])
        trainers = [self._trainer(spec, modalities, None, f"{tag}/{k}")[0] for k in range(self.seeds)]
        for trainer in trainers:
            trainer.advance(epochs)
        outputs = trainers[0].objective.n_outputs
        node = self._node(modalities, self._design(spec, modalities, None, outputs), spec, trainers, slope, presence)
        facts = {
            "fusion": spec.fusion,
            "modalities": list(modalities),
            "epochs": epochs,
            "networks": self.seeds,
            "parameters": sum(v.size for v in node.members[0].values()),
            "slope": round(slope, 4),
            "inner_loss": round(best, 5),
        }
        many = {m: i[0] for m, i in zip(modalities, node.design["items"], strict=False) if i is not None}
        return DeepFit(oof, best, node, facts | ({"items": many} if many else {}))

    def _design(self, spec: DeepSpec, modalities: tuple[str, ...], s: int | None, outputs: int) -> Design:
        views = [self.views.split(m, s) for m in modalities]
        dims = tuple(_dim(v) for v in views)
        kinds = tuple(_encoder(spec.tables, v.size) for v in views)
        found = [items_of(spec, self.views, m, s) for m in modalities]
        items = tuple(None if i is None else (i[0], i[1].size) for i in found)
        return Design(
            dims,
            kinds,
            spec.fusion,
            outputs,
            spec.width,
            spec.dropout,
            spec.modality_dropout,
            spec.wide,
            self.tokens,
            items if any(items) else (),
        )

    def _part(self, spec: DeepSpec, modality: str, s: int | None) -> Part:
        """A modality on a split as a network sees it."""
        summary, items = _part(self.views.split(modality, s)), items_of(spec, self.views, modality, s)
        if items is None:
            return summary
        data = self.fold.cohort.modalities[modality]
        rows = np.searchsorted(self.views.rows(modality), summary.where.numpy())
        return with_items(summary, items[1], data, rows, spec.instances)

    def _inputs(self, spec: DeepSpec, modalities: tuple[str, ...], s: int | None) -> InputsOf:
        """All units of the fold as a network on a split sees them."""
        return Inputs(self.family.n, tuple(self._part(spec, m, s) for m in modalities))

    def _trainer(
        self, spec: DeepSpec, modalities: tuple[str, ...], s: int | None, tag: str
    ) -> tuple[Trainer, InputsOf, NDArray[np.intp]]:
        """A network on an inner split (or everyone, None), all its inputs, and the test rows it can say something of."""
        views = [self.views.split(m, s) for m in modalities]
        inputs = self._inputs(spec, modalities, s)
        train = np.unique(np.concatenate([v.train for v in views]))
        test = np.unique(np.concatenate([v.test for v in views]))
        objective = self._objective(spec, train)
        if spec.start == "late":
            objective.start_at(self.guide)
        design = self._design(spec, modalities, s, objective.n_outputs)
        seed = self.fold.seed_of(f"deep/{tag}/{s}")
        settings = Settings(batch=spec.batch, rate=spec.rate, decay=spec.decay)
        trainer = Trainer(lambda: build(design), inputs, objective, torch.as_tensor(train), seed, settings)
        return trainer, inputs, test

    def _objective(self, spec: DeepSpec, train: NDArray[np.intp]) -> objectives.Objective:
        """Of the fold's outcome, and of the study's others beside it where asked for."""
        main = objective_of(self.fold.outcome, spec, train)
        if not spec.multitask or not self.fold.others:
            return main
        others, positions = [], []
        for outcome in self.fold.others:
            where = pd.Index(outcome.units).get_indexer(pd.Index(self.fold.outcome.units))
            known = where[train][where[train] >= 0]
            if len(known) >= LEAST_LABELS:
                others.append(objective_of(outcome, spec, known))
                positions.append(where.astype(np.int64))
        return objectives.Together(main, others, positions, spec.multitask)

    def _node(
        self,
        modalities: tuple[str, ...],
        design: Design,
        spec: DeepSpec,
        trainers: list[Trainer],
        slope: float,
        presence: Any,
    ) -> DeepNode:
        inputs, members, biases = [], [], []
        for m in modalities:
            view = self.views.split(m, None)
            assert view.block is not None
            inputs.append(Input(m, view.block.encoder, None, _basis(view)))
        for trainer in trainers:
            with trainer.averaged() as model:
                members.append({k: v.double().numpy().copy() for k, v in model.state_dict().items()})
                biases.append(trainer.objective.bias.detach().double().numpy().copy())
        link = trainers[0].objective.link
        return DeepNode(
            tuple(inputs),
            design.state(),
            tuple(members),
            link,
            tuple(biases),
            slope,
            self.family.n_scores,
            presence,
            self.late if spec.start == "late" else None,
            trainers[0].objective.main_outputs,
            tuple(i[1] if i else None for i in (items_of(spec, self.views, m, None) for m in modalities)),
        )


def presence_effect(scores: Array, have: Array, guide: Array) -> tuple[Array, Array]:
    """(M,) mean of presence and (M, K) its effect on scores (n, K) beside the guide's scores (n, K), by least squares.

    A network learns from presence whatever stands for an absent modality: it sees less where there is less. What the
    guide's features say stays, so that patients who lack a modality because they are ill are still told to be ill.
    """
    rows = np.flatnonzero(~np.isnan(scores).any(axis=1))
    mean, known = have.mean(axis=0), np.nan_to_num(guide)[rows]
    x = np.column_stack([np.ones(len(rows)), known - known.mean(0), have[rows] - mean])
    penalty = np.diag(np.r_[np.zeros(x.shape[1] - have.shape[1]) + 1e-6, np.ones(have.shape[1])])
    effect = np.linalg.solve(x.T @ x + penalty, x.T @ scores[rows])
    return mean, effect[-have.shape[1] :]


def objective_of(outcome: Outcome, spec: DeepSpec, train: NDArray[np.intp] | None = None) -> objectives.Objective:
    """What a network is trained for, on the units at positions ``train``."""
    if isinstance(outcome, SurvivalOutcome):
        make = objectives.DiscreteTime if spec.survival == "discrete_time" else objectives.CoxEfron
        return make(outcome.time, outcome.event, outcome.entry, train)
    if isinstance(outcome, ValueOutcome):
        return objectives.SquaredError(outcome.values, train)
    assert isinstance(outcome, ClassOutcome)
    kind, k = outcome.endpoint.kind, len(outcome.endpoint.classes)
    if kind is EndpointKind.BINARY:
        return objectives.Bernoulli(outcome.codes, spec.balanced, train)
    if kind is EndpointKind.ORDINAL:
        return objectives.Corn(outcome.codes, k, train)
    return objectives.Softmax(outcome.codes, k, spec.balanced, train)


def _scores(trainer: Trainer, inputs: InputsOf, rows: NDArray[np.intp]) -> Array:
    with trainer.averaged() as model:
        outputs = model(inputs.batch(torch.as_tensor(rows)))
        scores: Array = trainer.objective.scores(outputs, torch.as_tensor(rows)).double().numpy()
    return scores


def _encoder(asked: str, size: int) -> str:
    if asked == "tokens" and size > MOST_TOKENS:
        asked = "mlp"
    return "lowrank" if size > NARROW and asked != "mlp" else asked


def _dim(view: SplitView) -> int:
    return view.size if view.size <= NARROW else min(view.z[0].shape[1], COMPONENTS)


def _forms(view: SplitView) -> tuple[Array, Array]:
    """What a network sees of training and test rows: the features, or leading directions with unit mean square."""
    if view.size <= NARROW:
        return view.net
    c = _dim(view)
    return view.z[0][:, :c] * _scale(view), view.z[1][:, :c] * _scale(view)


def _scale(view: SplitView) -> float:
    return float(1.0 / np.sqrt(max(np.square(view.z[0][:, : _dim(view)]).mean(), 1e-12)))


def _basis(view: SplitView) -> Array | None:
    """(q, c) from encoded features to what a network sees; None when it sees them all."""
    if view.size <= NARROW:
        return None
    assert view.block is not None
    c, r = _dim(view), view.z[0].shape[1]
    return view.block.to_features(np.eye(r)[:, :c]) * _scale(view)


def _part(view: SplitView) -> Rows:
    where = np.concatenate([view.train, view.test])
    order = np.argsort(where)
    x = np.concatenate(_forms(view))[order]
    return Rows(torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(where[order]))
