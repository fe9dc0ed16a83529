"""A study from its first question to its records, with secure aggregation where its plan says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_results import FederatedResults, MessageRow
from cohortium.contracts.federation_wire import decode, encode
from cohortium.federation_coordinator import evaluating, protocol, secure, secure_results
from cohortium.federation_coordinator.methods import METHODS, method_of
from cohortium.federation_coordinator.preparing import preparing
from cohortium.federation_coordinator.secure_state import SecureState
from cohortium.federation_coordinator.state import State

AnyState = State | SecureState


def begin(plan: FederationPlan, sites: Sequence[str]) -> AnyState:
    """The state before the first question. sites: names of all that may take part; their order does not matter."""
    return (protocol if plan.secure is None else secure).begin(plan, sites)


def question(state: AnyState) -> Any:
    """What all sites that are here are asked now."""
    return secure.question(state) if isinstance(state, SecureState) else evaluating.question(state)


def step(state: AnyState, answers: Mapping[str, Any]) -> AnyState:
    """The state after a round. answers: of the sites that answered; the others are left out.

    Raises :class:`cohortium.errors.FederationError` when fewer sites than the quorum are left, or the study has no answer.
    """
    return secure.step(state, answers) if isinstance(state, SecureState) else evaluating.step(state, answers)


def joined(state: AnyState, sites: Collection[str]) -> AnyState:
    """The state with sites that were silent at first and are there now; see :func:`cohortium.federation_coordinator.protocol.joined`. Under secure
    aggregation nobody comes late: sums of two sets of sites would tell that of one."""
    return state if isinstance(state, SecureState) else protocol.joined(state, sites)


def store(state: AnyState) -> bytes:
    """The state as bytes; equal states give equal bytes."""
    return encode(state)


def restore(data: bytes) -> AnyState:
    """What :func:`store` gave. Raises :class:`cohortium.contracts.federation_wire.MessageError`."""
    found = decode(data, State, SecureState, *(m.progress for m in METHODS.values()))
    assert isinstance(found, State | SecureState)
    return found


def results(
    state: AnyState, messages: Sequence[MessageRow], seconds: Sequence[float], engine: str, version: str
) -> FederatedResults:
    """Everything that is reported of a study that is done."""
    if isinstance(state, SecureState):
        return secure_results.results(state, messages, seconds, engine, version)
    found = method_of(state).results(state, messages, seconds, engine, version)
    return replace(found, preparing=preparing(state))
