"""A network from a design: plain numbers and words, so that it can be written down and made again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from cohortium.errors import did_you_mean
from cohortium.networks.graph import GraphModel
from cohortium.networks.joint import FUSIONS
from cohortium.networks.model import Both, JointModel
from cohortium.networks.sequences import EVENTS
from cohortium.networks.sets import BAGS
from cohortium.networks.tables import TABLES


@dataclass(frozen=True)
class Design:
    """dims: (M,) inputs of each modality. encoders: (M,) names in TABLES. fusion: name in FUSIONS. outputs: H.
    wide: a linear path beside the network. tokens: learn a token for absence. items: per modality None, or the encoder of
    its instances or events (name in BAGS or EVENTS) and how many features or codes they have; () for none at all.
    graph: units look at their neighbours too."""

    dims: tuple[int, ...]
    encoders: tuple[str, ...]
    fusion: str
    outputs: int
    width: int = 32
    dropout: float = 0.2
    modality_dropout: float = 0.2
    wide: bool = True
    tokens: bool = False
    items: tuple[tuple[str, int] | None, ...] = ()
    graph: bool = False

    def state(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @staticmethod
    def restore(state: dict[str, Any]) -> Design:
        items = tuple(None if i is None else (str(i[0]), int(i[1])) for i in state.get("items", ()))
        lists = {"dims": tuple(state["dims"]), "encoders": tuple(state["encoders"]), "items": items}
        return Design(**{**state, **lists})


def pick(name: str, choices: dict[str, type[nn.Module]], what: str) -> type[nn.Module]:
    """The class of that name. Raises ValueError with a suggestion."""
    if name not in choices:
        raise ValueError(f"No {what} called '{name}'.{did_you_mean(name, choices)}")
    return choices[name]


def build(design: Design) -> JointModel:
    """A fresh network; draws its weights from torch's global generator."""
    encoders: list[nn.Module] = []
    for d, kind, items in zip(design.dims, design.encoders, design.items or (None,) * len(design.dims), strict=True):
        encoder = pick(kind, TABLES, "table encoder")(d, design.width, design.dropout)
        if items is not None:
            many = pick(items[0], {**BAGS, **EVENTS}, "encoder of bags or events")
            encoder = Both(many(items[1], design.width, design.dropout), encoder)
        encoders.append(encoder)
    fusion = pick(design.fusion, FUSIONS, "fusion")(len(design.dims), design.width, design.dropout)
    return (GraphModel if design.graph else JointModel)(
        encoders,
        fusion,
        [d if design.wide else 0 for d in design.dims],
        design.width,
        design.outputs,
        design.modality_dropout,
        design.dropout,
        design.tokens,
    )
