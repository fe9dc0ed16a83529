"""Inputs of networks that are more than one vector a unit: instances of bags, events of histories."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from cohortium.cohort import Bag, Events, Modality
from cohortium.encoders.raw import RawEncoder
from cohortium.learners.config import DeepSpec
from cohortium.learners.views import Views
from cohortium.networks.batch import Rows
from cohortium.networks.ragged import Items, ItemsBeside


def items_of(spec: DeepSpec, views: Views, modality: str, s: int | None) -> tuple[str, RawEncoder] | None:
    """The name of the network's encoder of a modality's items on a split, and what makes numbers of them; None where it
    is seen by its summary alone."""
    data = views.fold.cohort.modalities[modality]
    kind = spec.bags if isinstance(data, Bag) else spec.events if isinstance(data, Events) else "summary"
    if kind == "summary":
        return None
    encoder = views.items(modality, s, spec.last if kind == "transformer" else None)
    return (kind, encoder) if encoder.size else None


def with_items(
    summary: Rows, encoder: RawEncoder, data: Modality, rows: NDArray[np.intp], most: int | None = None
) -> ItemsBeside:
    """The items of the units at the positions ``rows`` of a modality beside their summary, in its precision. most:
    instances that a training step draws of a unit."""
    assert isinstance(data, Bag | Events)
    stored, dtype = encoder.stored(data), summary.x.dtype

    def read(at: NDArray[np.int64], of: NDArray[np.int64]) -> tuple[torch.Tensor, ...]:
        found = (torch.as_tensor(a) for a in stored.read(at, of))
        return tuple(t.to(dtype) if t.is_floating_point() else t for t in found)

    bag = isinstance(data, Bag)
    items = Items(
        read,
        stored.begin[rows],
        stored.sizes[rows],
        rows.astype(np.int64),
        summary.where,
        most if bag else None,
        encoder.size if bag else 1,
    )
    return ItemsBeside(items, summary.x)
