"""The methods by which a study can be answered, each with a state of its own; the plan names one.

A state has ``plan``, ``sites``, ``here``, ``round``, ``phase`` (``done`` at the end), ``left`` and ``notices``: engines and
runners know no more of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cohortium.contracts.federation import Answer, FederationPlan, Question
from cohortium.contracts.federation_results import FederatedResults, MessageRow
from cohortium.contracts.federation_wire import decode, encode
from cohortium.federation_coordinator import evaluating, private, protocol
from cohortium.federation_coordinator.private_results import private_results
from cohortium.federation_coordinator.results import results as linear_results
from cohortium.federation_coordinator.state import State


class AnyState(Protocol):
    """What is known of the state of any method."""

    @property
    def plan(self) -> FederationPlan: ...
    @property
    def sites(self) -> tuple[str, ...]: ...
    @property
    def here(self) -> tuple[str, ...]: ...
    @property
    def round(self) -> int: ...
    @property
    def phase(self) -> str: ...
    @property
    def left(self) -> dict[str, str]: ...
    @property
    def notices(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Method:
    """state: class of its states, of a name that no other has. The rest are pure functions of it."""

    state: type
    begin: Callable[[FederationPlan, Sequence[str]], Any]
    question: Callable[[Any], Question]
    step: Callable[[Any, Mapping[str, Answer]], Any]
    results: Callable[[Any, list[MessageRow], list[float], str, str], FederatedResults]


METHODS: dict[str, Method] = {
    "linear": Method(State, protocol.begin, evaluating.question, evaluating.step, linear_results),
    "private_linear": Method(
        private.PrivateState, private.begin, private.question, private.step, private_results
    ),
}


def begin(plan: FederationPlan, sites: Sequence[str]) -> Any:
    """The state before the first question. sites: names of all that may take part; their order does not matter."""
    return METHODS[plan.method].begin(plan, sites)


def question(state: AnyState) -> Question:
    """What all sites that are here are asked now."""
    return METHODS[state.plan.method].question(state)


def step(state: AnyState, answers: Mapping[str, Answer]) -> Any:
    """The state after a round. answers: of the sites that answered; the others are left out.

    Raises :class:`cohortium.errors.FederationError` when the study has no answer.
    """
    return METHODS[state.plan.method].step(state, answers)


def results(
    state: AnyState, messages: list[MessageRow], seconds: list[float], engine: str, version: str
) -> FederatedResults:
    """Records of a study that is done."""
    return METHODS[state.plan.method].results(state, messages, seconds, engine, version)


def store(state: AnyState) -> bytes:
    """A state as bytes; equal states give equal bytes."""
    return encode(state)


def restore(data: bytes) -> Any:
    """What :func:`store` gave. Raises :class:`cohortium.contracts.federation_wire.MessageError`."""
    return decode(data, *(m.state for m in METHODS.values()))
