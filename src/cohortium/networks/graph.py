"""A network that looks at a unit and at the units like it: two layers of graph convolution with mean aggregation.

As GraphSAGE (Hamilton 2017, NeurIPS 30), on weighted edges. The nodes of the graph are training units. Any unit, of the graph or
not, is read through its edges to nodes and theirs among one another, never the other way round: what is said of it does
not depend on who else is asked about.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cohortium.networks.batch import Batch, Inputs
from cohortium.networks.model import JointModel


@dataclass(frozen=True, eq=False)
class Edges:
    """To nodes of the graph. index: (M, n, k) long, by each modality. weight: (M, n, k), 0 where there is none; those of a
    row add up to one or to nothing."""

    index: Tensor
    weight: Tensor

    def take(self, rows: Tensor) -> Edges:
        """Those of the units at the given positions."""
        return Edges(self.index[:, rows], self.weight[:, rows])

    def matrix(self, nodes: int, present: Tensor) -> Tensor:
        """(n, nodes) mean of the weights by the modalities that are present (n, M)."""
        share = present.to(self.weight.dtype) / present.sum(1, keepdim=True).clamp_min(1)
        weight = (self.weight * share.T.unsqueeze(-1)).transpose(0, 1).flatten(1)
        empty = torch.zeros(len(weight), nodes, dtype=weight.dtype)
        return empty.scatter_add(1, self.index.transpose(0, 1).flatten(1), weight)


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """units: those that are read. nodes: all of the graph. edges: of the units. fused: (l, l) weights among the nodes; those
    of a row add up to one or to nothing."""

    units: Batch
    nodes: Batch
    edges: Edges
    fused: Tensor


class GraphInputs:
    """All units of some modalities, the nodes, and edges."""

    def __init__(self, units: Inputs, nodes: Inputs, edges: Edges, fused: Tensor) -> None:
        self.units, self.nodes, self.edges, self.fused = units, nodes, edges, fused

    def present(self) -> Tensor:
        """(n, M) bool: who has which modality."""
        return self.units.present()

    def batch(self, rows: Tensor, drawn: bool = False) -> GraphBatch:
        """The units at the given positions, and the whole graph. drawn: for a training step."""
        nodes = self.nodes.batch(torch.arange(self.nodes.n), drawn)
        return GraphBatch(self.units.batch(rows, drawn), nodes, self.edges.take(rows), self.fused)


class Convolution(nn.Module):
    """A unit and the mean of its neighbours, added to the unit."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.own, self.near = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.norm, self.drop = nn.LayerNorm(width), nn.Dropout(dropout)

    def forward(self, unit: Tensor, near: Tensor) -> Tensor:
        return unit + self.drop(F.gelu(self.norm(self.own(unit) + self.near(near))))  # type: ignore[no-any-return]


class GraphModel(JointModel):
    """Outputs (n, H) from a :class:`GraphBatch`: embeddings of modalities fused, then two convolutions.

    A unit's neighbourhood is the mean of those by each modality that it has; one that is hidden in a training step, or
    absent, adds no neighbour. Parameters are those of :class:`~cohortium.networks.model.JointModel`.
    """

    def __init__(self, *args: object, **named: object) -> None:
        super().__init__(*args, **named)  # type: ignore[arg-type]
        self.first, self.second = (Convolution(self.width, self.drop.p) for _ in range(2))

    def joint(self, batch: GraphBatch) -> Tensor:  # type: ignore[override]
        """(n, width) what is known of the units and of those like them."""
        tokens, present = self.embed(batch.units)
        others, have = self.embed(batch.nodes)
        present = self._drop(present)
        unit, node = self.mix(tokens, present), self.mix(others, self._drop(have))
        near = batch.edges.matrix(len(node), present)
        seen = self.first(node, batch.fused @ node)
        return self.second(self.first(unit, near @ node), near @ seen)  # type: ignore[no-any-return]

    def read(self, joint: Tensor, batch: GraphBatch) -> Tensor:  # type: ignore[override]
        return super().read(joint, batch.units)

    def settle(self, batch: GraphBatch) -> None:
        super().settle(batch.units)
