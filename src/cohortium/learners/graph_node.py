"""A trained network on a graph of training units, as a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.fusion.similarity import Graph, Near, Points
from cohortium.learners.deep_node import DeepNode
from cohortium.learners.nodes import Memo

if TYPE_CHECKING:
    from torch import dtype

    from cohortium.networks.batch import Inputs
    from cohortium.networks.graph import GraphInputs


@dataclass(frozen=True, eq=False)
class GraphNode(DeepNode):
    """Mean score of networks that see a unit beside the units of a graph that are like it. graph: of training units; their
    encoded features are part of the model."""

    graph: Graph | None = None

    def _inputs(self, cohort: Cohort, memo: Memo) -> tuple[Any, NDArray[np.bool_]]:
        import torch

        assert self.graph is not None
        units, seen = super()._inputs(cohort, memo)
        near = []
        for j, (source, part) in enumerate(zip(self.inputs, units.parts, strict=True)):
            x, rest = part.x.numpy(), np.zeros(len(part.x))
            if source.basis is not None and len(x):
                # Columns of the basis are orthogonal and of one length: what it leaves out is the difference of squares.
                square = np.square(source.encoded(cohort, memo)[0]).sum(axis=1) * np.square(source.basis[:, 0]).sum()
                rest = np.maximum(square - np.square(x).sum(axis=1), 0.0)
            near.append(self.graph.near(j, Points(x, part.where.numpy(), rest)))
        return graph_inputs(self.graph, units, near, torch.float64), seen


def graph_inputs(graph: Graph, units: Inputs, near: Sequence[Near], precision: dtype) -> GraphInputs:
    """Units as networks see them, and the graph. near: neighbours of those that have each modality."""
    import torch

    from cohortium.networks.batch import Inputs, Rows
    from cohortium.networks.graph import Edges, GraphInputs

    index = torch.zeros(len(near), units.n, graph.k, dtype=torch.long)
    weight = torch.zeros(len(near), units.n, graph.k, dtype=precision)
    for j, (found, part) in enumerate(zip(near, units.parts, strict=True)):
        index[j, part.where] = torch.as_tensor(found.index)
        weight[j, part.where] = torch.as_tensor(found.weight).to(precision)
    nodes = tuple(Rows(torch.as_tensor(p.x).to(precision), torch.as_tensor(p.rows)) for p in graph.points)
    among = Edges(torch.as_tensor(graph.fused.index)[None], torch.as_tensor(graph.fused.weight).to(precision)[None])
    fused = among.matrix(graph.n, torch.ones(graph.n, 1, dtype=torch.bool))
    return GraphInputs(units, Inputs(graph.n, nodes), Edges(index, weight), fused)
