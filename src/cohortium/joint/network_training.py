"""Training of :class:`~cohortium.joint.network.JointNetwork` on a cohort, in stretches that can be looked at between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from cohortium.cohort import Cohort
from cohortium.joint.model import fit_encoders
from cohortium.joint.network import NARROW, JointNetwork, NetworkSettings, Views, fit_view
from cohortium.training.loop import Settings, Trainer

EPOCHS = (3, 6, 10, 15, 20, 30, 40, 60, 80, 100, 130, 160, 200, 250, 300, 400, 500, 700, 1000)
"""Points at which training is looked at."""

LEAST, PATIENCE = 30, 2
"""After LEAST epochs training stops when so many further points were no better."""


class NetworkRun:
    """A network in training on the units of a cohort that have any of the modalities.

    names: modalities; those without a unit or a feature that varies are left out. objective: of the units of the cohort, made
    with their positions; None: the representation is found without outcomes. weight: of the objective. Raises ValueError
    when no modality is left.
    """

    def __init__(
        self,
        cohort: Cohort,
        names: Sequence[str],
        settings: NetworkSettings,
        seed: int,
        objective: Any = None,
        weight: float = 1.0,
    ) -> None:
        self.cohort, self.objective = cohort, objective
        self.views = fit_views(cohort, names, settings.counts)
        self.inputs, known = self.views.inputs(cohort, double=False)
        self.common = {
            "dims": tuple(part.x.shape[1] for part in self.inputs.parts),
            "encoders": tuple("mlp" if len(e.names_) <= NARROW else "lowrank" for e in self.views.encoders),
            "latent": settings.latent,
            "outputs": 0 if objective is None else objective.n_outputs,
            "width": settings.width,
            "dropout": settings.dropout,
        }
        rows = torch.as_tensor(np.flatnonzero(known))
        how = Settings(batch=settings.batch, rate=settings.rate, decay=settings.decay)
        self.criterion = self._criterion(settings, weight)
        self.trainer = Trainer(lambda: self._begin(settings), self.inputs, self.criterion, rows, seed, how)

    def _begin(self, settings: Any) -> nn.Module:
        """A fresh network."""
        raise NotImplementedError

    def _criterion(self, settings: Any, weight: float) -> Any:
        """What it is trained for: a module with ``informative``."""
        raise NotImplementedError

    def evidence(self, inputs: Any, rows: torch.Tensor) -> float:
        """Loss of further units, without outcomes (in single precision)."""
        raise NotImplementedError

    def frozen(self, others: Sequence[NetworkRun] = (), explain: bool = False) -> JointNetwork:
        """The network as it is now, and further ones of the same design and units. explain: also what each latent variable
        explains, in whose order they then stand."""
        raise NotImplementedError

    def weights(self) -> dict[str, np.ndarray]:
        """Averaged weights, in double precision."""
        with self.trainer.averaged() as model:
            return {k: v.double().numpy().copy() for k, v in model.state_dict().items()}

    def outputs(self, inputs: Any, rows: torch.Tensor) -> torch.Tensor:
        """Of the head, or the representation, of further units (in single precision)."""
        with self.trainer.averaged() as model:
            made: torch.Tensor = model(inputs.batch(rows))
        return made


def fit_views(cohort: Cohort, names: Sequence[str], counts: Sequence[str] = ()) -> Views:
    """Encoders and views of the units of a cohort. Raises ValueError when no modality is left."""
    encoders = fit_encoders(cohort, names)
    views = (fit_view(name, encoder, cohort.modalities[name], name in counts) for name, encoder in encoders.items())
    return Views(tuple(encoders), tuple(encoders.values()), tuple(views))


def walk(runs: Sequence[NetworkRun], most: int, look: Callable[[], tuple[float, Any]]) -> tuple[int, float, Any]:
    """Train networks together; epochs, loss and whatever else ``look`` gives at the best point of the path."""
    best: tuple[int, float, Any] | None = None
    waited = 0
    for epochs in [e for e in EPOCHS if e < most] + [most]:
        for run in runs:
            run.trainer.advance(epochs - run.trainer.epochs)
        loss, found = look()
        if best is None or loss < best[1] - 1e-9:
            best, waited = (epochs, loss, found), 0
        else:
            waited += 1
        if waited >= PATIENCE and epochs >= LEAST:
            break
    assert best is not None
    return best


Make = Callable[[Cohort], NetworkRun]
"""A network without outcomes, about to be trained on units."""


def fit_network(
    make: Make, cohort: Cohort, most: int, folds: Sequence[tuple[Any, Any]], each: Callable[[], None]
) -> tuple[JointNetwork, int]:
    """A representation of all modalities, and its epochs: by the loss of units that were not trained on.

    folds: positions of training and other units. each: called at every point of the path, and at the end. Raises ValueError
    when no modality is left.
    """
    runs, held = [], []
    for train, test in folds:
        runs.append(make(cohort.take(train)))
        inputs, known = runs[-1].views.inputs(cohort.take(test), double=False)
        held.append((inputs, torch.as_tensor(np.flatnonzero(known))))

    def look() -> tuple[float, None]:
        each()
        found = [r.evidence(i, rows) for r, (i, rows) in zip(runs, held, strict=True) if len(rows)]
        return float(np.mean(found)), None

    epochs, _, _ = walk(runs, most, look)
    final = make(cohort)
    final.trainer.advance(epochs)
    each()
    return final.frozen(explain=True), epochs
