"""Looking into a network: integrated gradients of its score, and what its attention attends to.

Attention is shown as attention. It says which instances the network weighed, not what they did to the prediction, and is
never called importance (Jain & Wallace 2019, NAACL).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.learners.nodes import ScorePredictor, walk

Array = NDArray[np.float64]

STEPS = 64
"""Points of the integral."""


@dataclass(frozen=True, eq=False)
class Gradients:
    """n units. values: modality -> (n, q) what each encoded feature did to the network's score, of the training mean (where every
    encoded feature is 0) to the unit's values; NaN where a unit lacks the modality. names: modality -> (q,). change: (n,)
    score less that at the means. error: (n,) completeness error: sum of values less ``change``, 0 for an exact integral."""

    values: dict[str, Array]
    names: dict[str, NDArray[np.object_]]
    change: Array
    error: Array


def network_of(predictor: Any) -> Any | None:
    """The first network of a fitted deep learner; None where there is none that sees one vector a modality."""
    from cohortium.learners.deep_node import DeepNode
    from cohortium.learners.graph_node import GraphNode

    for node in walk(predictor.node) if isinstance(predictor, ScorePredictor) else ():
        if isinstance(node, DeepNode) and not isinstance(node, GraphNode) and not any(node.items):
            return node
    return None


def integrated_gradients(predictor: Any, cohort: Cohort, column: int = 0, steps: int = STEPS) -> Gradients:
    """Integrated gradients (Sundararajan 2017, ICML) of the network's score along its encoded features, by captum.

    The mean over the networks of the learner, in double precision, by Gauss-Legendre quadrature. Where the network starts
    from late fusion, that start is no part of it. column: of the score. Raises ValueError without a network, and
    :class:`MissingExtra` without captum.
    """
    from cohortium._optional import require

    captum = require("captum.attr", extra="deep", purpose="Integrated gradients")
    node = network_of(predictor)
    if node is None:
        raise ValueError(f"'{predictor.name}' has no network that sees one vector a modality")
    names = {i.modality: np.asarray(i.encoder.names_, dtype=object) for i in node.inputs}
    values = {i.modality: np.full((len(cohort), len(names[i.modality])), np.nan) for i in node.inputs}
    change, error = np.zeros(len(cohort)), np.zeros(len(cohort))
    encoded = [source.encoded(cohort, {}) for source in node.inputs]
    for i in range(len(cohort)):
        own = {j: x[rows == i] for j, (x, rows) in enumerate(encoded) if (rows == i).any()}
        if own:
            made, change[i], error[i] = _one(captum, node, own, column, steps)
            for j, v in made.items():
                values[node.inputs[j].modality][i] = v
    return Gradients(values, names, change, error)


def _one(
    captum: Any, node: Any, own: dict[int, Array], column: int, steps: int
) -> tuple[dict[int, Array], float, float]:
    """Values of one unit's modalities (by position), change and error; the mean over networks."""
    import torch

    from cohortium.training.loop import one_thread

    x = tuple(torch.as_tensor(v, dtype=torch.float64) for v in own.values())
    zero = tuple(torch.zeros_like(v) for v in x)
    total, change = [np.zeros(v.shape[1]) for v in x], 0.0
    with one_thread(), torch.random.fork_rng(devices=[]):
        for score in scores_of(node, list(own), column):
            made = captum.IntegratedGradients(score).attribute(x, zero, n_steps=steps, method="gausslegendre")
            total = [t + m.detach().numpy()[0] for t, m in zip(total, made, strict=True)]
            with torch.no_grad():
                change += float((score(*x) - score(*zero))[0])
    scale = node.slope / len(node.members)
    found = {j: scale * t for j, t in zip(own, total, strict=True)}
    return found, scale * change, float(sum(v.sum() for v in found.values()) - scale * change)


def scores_of(node: Any, present: list[int], column: int) -> list[Callable[..., Any]]:
    """For each network (rows of present modalities, (b, q) each) -> (b,) its score, before the slope."""
    import torch

    from cohortium.networks.batch import Inputs, Rows
    from cohortium.networks.build import Design, build
    from cohortium.networks.objectives import score_of

    bases = [None if i.basis is None else torch.as_tensor(i.basis, dtype=torch.float64) for i in node.inputs]
    nobody = torch.zeros(0, dtype=torch.long)

    def of(model: Any, bias: Any) -> Callable[..., Any]:
        def score(*x: Any) -> Any:
            b, parts = len(x[0]), []
            for j, basis in enumerate(bases):
                if j in present:
                    z = x[present.index(j)]
                    parts.append(Rows(z if basis is None else z @ basis, torch.arange(b)))
                else:
                    parts.append(Rows(torch.zeros(0, node.design["dims"][j], dtype=torch.float64), nobody))
            outputs = model(Inputs(b, tuple(parts)).batch(torch.arange(b)))[:, : node.used]
            return score_of(node.link, outputs, bias)[:, column]

        return score

    out = []
    for weights, bias in zip(node.members, node.biases, strict=True):
        model = build(Design.restore(node.design)).double()
        model.load_state_dict({k: torch.as_tensor(np.asarray(v)) for k, v in weights.items()})
        model.eval()
        out.append(of(model, torch.as_tensor(bias)))
    return out


def attention(predictor: Any, cohort: Cohort, name: str) -> list[Array] | None:
    """Per unit that has a bag (k,) weights of its instances, which add up to 1: the mean over heads and networks of gated
    attention (``bags: abmil``). None where the learner has no such network."""
    from cohortium.learners.deep_node import DeepNode

    for node in walk(predictor.node) if isinstance(predictor, ScorePredictor) else ():
        if isinstance(node, DeepNode):
            for j, source in enumerate(node.inputs):
                kind = (node.design.get("items") or [None] * len(node.inputs))[j]
                if source.modality == name and kind is not None and kind[0] == "abmil":
                    return _attended(node, j, cohort.modalities[name])
    return None


def _attended(node: Any, j: int, bag: Any) -> list[Array]:
    import torch

    from cohortium.networks.build import Design, build
    from cohortium.training.loop import one_thread

    stored = node.items[j].stored(bag)
    out = [np.zeros(n) for n in stored.sizes]
    with one_thread(), torch.no_grad(), torch.random.fork_rng(devices=[]):
        for weights in node.members:
            model = build(Design.restore(node.design)).double()
            model.load_state_dict({k: torch.as_tensor(np.asarray(v)) for k, v in weights.items()})
            pool: Any = model.eval().encoders[j].items
            for i, (begin, size) in enumerate(zip(stored.begin, stored.sizes, strict=True)):
                at = np.arange(begin, begin + size)
                (x,) = stored.read(at, np.full(size, i))
                h = pool.instance(torch.as_tensor(x, dtype=torch.float64)[None])
                scores = pool.scores(h, torch.ones(1, size, dtype=torch.bool))  # (1, heads, 1, k)
                out[i] += torch.softmax(scores, dim=-1).mean(1).ravel().numpy() / len(node.members)
    return out
