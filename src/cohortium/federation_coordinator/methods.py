"""The methods by which a study can be answered; the plan names one.

A method takes over when sites have agreed on columns and their moments (:mod:`cohortium.federation_coordinator.protocol`), and
asks questions of its own until the phase is ``done``. Its part of the state is a :class:`Progress` of its own. What it gives here
serves the study's fit and every fit of the evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Answer, FitQuestion, Model
from cohortium.contracts.federation_results import FederatedResults, MessageRow
from cohortium.federation_coordinator import binned, linear, network, private, private_network, stack, trees
from cohortium.federation_coordinator.state import State


class Method(Protocol):
    """A module with these functions. progress: class of ``State.fit``. restarts: whether the fit begins anew without a site
    that is left out; else it goes on with the others. A method may have ``forgives(state, site)``: whether a site that was silent in a round of
    it stays, and may answer a later one."""

    progress: type
    restarts: bool

    def start(self, state: State) -> Any:
        """Progress before the first question."""

    def question(self, state: State) -> FitQuestion:
        """What all sites that are here are asked now."""

    def answered_by(self, state: State) -> type:
        """The kind of answer to it."""

    def check(self, state: State, answers: Mapping[str, Answer]) -> dict[str, str]:
        """Site -> why its answer is refused."""

    def advance(self, state: State, answers: Any) -> State:
        """The state after a round: with another question, or done. Raises :class:`FederationError`."""

    def model(self, state: State) -> Model:
        """The fitted model, as it is sent to be scored."""

    def grid(self, state: State, bins: int) -> NDArray[np.float64]:
        """(bins - 1,) edges of scores on the scale of log odds, for classes; else empty."""

    def results(
        self, state: State, messages: Sequence[MessageRow], seconds: Sequence[float], engine: str, version: str
    ) -> FederatedResults:
        """Records of a study that is done."""


METHODS: dict[str, Method] = {
    "linear": linear,
    "trees": trees,
    "private_linear": private,
    "network": network,
    "private_network": private_network,
    "binned": binned,
    "stack": stack,
}


def method_of(state: State) -> Method:
    """The method that a state's plan names."""
    return METHODS[state.plan.method]
