"""Stochastic gradient training of a module on an objective, in stretches of epochs that can be looked at between.

Whoever calls decides when to stop, from units that were not trained on. Everything random comes from one seed: the
global generators of torch are put back as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from cohortium.training.adamw import AdamW


class Data(Protocol):
    """Inputs of n units; see :class:`cohortium.networks.batch.Inputs`."""

    def batch(self, rows: Tensor, drawn: bool = False) -> Any: ...


@dataclass(frozen=True)
class Settings:
    """batch: units a step. rate: of learning, after a warm-up of ``warm_up`` steps. decay: of weights, decoupled
    (Loshchilov 2019). average: weight of the past in the moving average of the weights that predictions use (Polyak
    1992). clip: largest norm of a gradient."""

    batch: int = 128
    rate: float = 3e-3
    decay: float = 0.05
    warm_up: int = 10
    average: float = 0.9
    clip: float = 1.0


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread: numbers then do not depend on how many there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Trainer:
    """Trains ``build()`` on the given rows.

    build: makes the module, called with the seed set. data: of all units, the module sees those of ``rows`` (m,) only.
    objective: a module called with outputs and rows, with ``informative`` (n,) bool. averaged: the module that predicts.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        data: Data,
        objective: nn.Module,
        rows: Tensor,
        seed: int,
        settings: Settings | None = None,
    ) -> None:
        self.data, self.objective, self.rows = data, objective, rows
        self.settings = settings or Settings()
        self.epochs = self.steps = 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = build()
            self._rng = torch.get_rng_state()
        parameters = [*self.model.parameters(), *objective.parameters()]
        self._parameters = [p for p in parameters if p.requires_grad]
        decays = [self.settings.decay if p.ndim >= 2 else 0.0 for p in self._parameters]
        self._optimiser = AdamW(self._parameters, decays)
        self._mean = [p.detach().clone() for p in self._parameters]

    def advance(self, epochs: int) -> None:
        """Train for so many more epochs."""
        with one_thread(), torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._rng)
            self.model.train()
            for _ in range(epochs):
                for rows in self._batches():
                    self._step(rows)
                self.epochs += 1
            self._rng = torch.get_rng_state()

    def _batches(self) -> list[Tensor]:
        """Batches of one epoch; informative units are dealt evenly, so that no batch of survival lacks events."""
        count = max(math.ceil(len(self.rows) / self.settings.batch), 1)
        informative = self.objective.informative[self.rows]
        parts = [self.rows[informative], self.rows[~informative]]
        order = torch.cat([p[torch.randperm(len(p))] for p in parts])
        return [order[k::count] for k in range(count)]

    def _step(self, rows: Tensor) -> None:
        s = self.settings
        self._optimiser.clear()
        loss = self.objective(self.model(self.data.batch(rows, True)), rows)
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, s.clip)
        self._optimiser.step(s.rate * min(1.0, (self.steps + 1) / s.warm_up))
        self.steps += 1
        past = min(s.average, (self.steps - 1) / (self.steps + 9))
        torch._foreach_lerp_(self._mean, [p.detach() for p in self._parameters], 1 - past)

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The module with its averaged weights and settled means, in evaluation mode."""
        here = [p.detach().clone() for p in self._parameters]
        with one_thread(), torch.no_grad():
            try:
                self._put(self._mean)
                self.model.eval()
                settle = getattr(self.model, "settle", None)
                if settle is not None:
                    settle(self.data.batch(self.rows))
                yield self.model
            finally:
                self._put(here)

    def _put(self, values: list[Tensor]) -> None:
        for p, v in zip(self._parameters, values, strict=True):
            p.copy_(v)

    def checkpoint(self) -> dict[str, Any]:
        """All that :meth:`resume` needs to go on as if nothing had happened."""
        return {
            "parameters": [p.detach().clone() for p in self._parameters],
            "mean": [m.clone() for m in self._mean],
            "optimiser": self._optimiser.checkpoint(),
            "rng": self._rng,
            "epochs": self.epochs,
            "steps": self.steps,
        }

    @torch.no_grad()
    def resume(self, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint of a trainer that was made alike."""
        self._put(checkpoint["parameters"])
        self._mean = [m.clone() for m in checkpoint["mean"]]
        self._optimiser.resume(checkpoint["optimiser"])
        self._rng, self.epochs, self.steps = checkpoint["rng"], checkpoint["epochs"], checkpoint["steps"]
