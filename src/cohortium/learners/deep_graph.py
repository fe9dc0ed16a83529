"""Learners on a network of similar patients: graph convolutions on the fused similarities of the training units.

As a deep learner is trained, with neighbours beside. Everybody who is read, of the training part or not, is attached to the
training units in the same way: by each modality he has, never to himself or to units of the same patient. No label enters
the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cohortium.fusion import similarity
from cohortium.fusion.similarity import Graph, Points, fit_graph
from cohortium.learners.config import DeepSpec, JointSpec
from cohortium.learners.deep import EPOCHS, NARROW, DeepFit, DeepFitter, InputsOf, _forms, _scale
from cohortium.learners.deep_node import DeepNode
from cohortium.learners.graph_node import GraphNode, graph_inputs
from cohortium.learners.views import SplitView
from cohortium.networks.batch import Inputs, Rows
from cohortium.networks.build import Design
from cohortium.training.loop import Trainer

Positions = NDArray[np.intp]

FURTHER = (130, 160, 200, 250, 300, 400, 500, 700, 1000)
"""Points of the path beyond those of other deep learners."""

FEWEST, UNITS_PER_NEIGHBOUR = 3, 8
"""Neighbours of a unit: no more than the units of the graph by so many, but so many at least."""


def deep_spec(spec: JointSpec) -> DeepSpec:
    """The network around the convolutions."""
    shared = ("width", "dropout", "batch", "rate", "decay", "balanced", "survival", "start")
    return DeepSpec(f"joint:{spec.name}", fusion="gated", **{k: getattr(spec, k) for k in shared})


class GraphFitter(DeepFitter):
    """Fits networks on graphs of a fold. spec: of the learner; the rest as for :class:`~cohortium.learners.deep.DeepFitter`."""

    def __init__(self, spec: JointSpec, *rest: Any) -> None:
        super().__init__(*rest)
        self.joint, self.graphs = spec, dict[tuple[tuple[str, ...], int | None], Graph]()
        self.epochs = (*(e for e in (*EPOCHS, *FURTHER) if e < spec.epochs), spec.epochs)

    def fit_best(self, sets: Sequence[tuple[str, ...]]) -> DeepFit:
        """On the set of modalities with the smallest inner loss."""
        fits = [self.fit(deep_spec(self.joint), modalities) for modalities in sets]
        best = min(fits, key=lambda f: f.loss)
        graph = self.graphs[tuple(best.facts["modalities"]), None]
        best.facts.update({"representation": "graph", "graph_units": graph.n, "neighbours": graph.k})
        return best

    def _design(self, *given: Any) -> Design:
        made = super()._design(*given)
        return replace(made, graph=True)

    def _inputs(self, spec: DeepSpec, modalities: tuple[str, ...], s: int | None) -> InputsOf:
        views = [self.views.split(m, s) for m in modalities]
        points = [_points(v) for v in views]
        nodes = self._nodes(views, s)
        place = np.full(self.family.n, -1, dtype=np.intp)
        place[nodes] = np.arange(len(nodes))
        key = (modalities, s)
        if key not in self.graphs:
            own = [_moved(p, place) for p in points]
            k = min(self.joint.neighbours, max(len(nodes) // UNITS_PER_NEIGHBOUR, FEWEST))
            self.graphs[key] = fit_graph(own, len(nodes), k, self.fold.groups[nodes])
        graph = self.graphs[key]
        near = [graph.near(j, p, (self.fold.groups[p.rows], self.fold.groups[nodes])) for j, p in enumerate(points)]
        where = [torch.as_tensor(p.rows) for p in points]
        units = Inputs(self.family.n, tuple(Rows(_single(p.x), w) for p, w in zip(points, where, strict=True)))
        return graph_inputs(graph, units, near, torch.float32)

    def _nodes(self, views: Sequence[SplitView], s: int | None) -> Positions:
        """Positions in the fold of the units of the graph: those trained on; of very many some, of every modality its share."""
        every = np.unique(np.concatenate([v.train for v in views]))
        most = similarity.LANDMARKS
        if len(every) <= most:
            return every
        rank = self.fold.rng(f"graph/{s}").permutation(self.family.n)
        kept = [v.train[np.argsort(rank[v.train])][: most // (2 * len(views))] for v in views]
        first = np.unique(np.concatenate(kept))
        rest = np.setdiff1d(every, first)
        return np.sort(np.concatenate([first, rest[np.argsort(rank[rest])][: most - len(first)]]))

    def _node(self, modalities: tuple[str, ...], design: Design, spec: DeepSpec, trainers: list[Trainer], slope: float, presence: Any) -> DeepNode:  # fmt: skip
        made = super()._node(modalities, design, spec, trainers, slope, presence)
        own = {f.name: getattr(made, f.name) for f in fields(made)}
        return GraphNode(**own, graph=self.graphs[modalities, None])


def _points(view: SplitView) -> Points:
    """Training and test rows as the network sees them, and the squared length of what it does not see."""
    where = np.concatenate([view.train, view.test])
    order = np.argsort(where)
    x = np.concatenate(_forms(view))[order]
    rest = np.zeros(len(x))
    if view.size > NARROW:
        square = np.concatenate(view.square)[order] * _scale(view) ** 2
        rest = np.maximum(square - np.square(x).sum(axis=1), 0.0)
    return Points(x, where[order], rest)


def _moved(points: Points, place: Positions) -> Points:
    """Those that have a place, at it."""
    kept = points.take(np.flatnonzero(place[points.rows] >= 0))
    return Points(kept.x, place[kept.rows], kept.rest)


def _single(x: NDArray[np.float64]) -> torch.Tensor:
    return torch.as_tensor(x, dtype=torch.float32)
