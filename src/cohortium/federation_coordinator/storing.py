"""States as bytes and back, and the records of one that is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cohortium.contracts.federation_results import FederatedResults, MessageRow
from cohortium.contracts.federation_wire import decode, encode
from cohortium.federation_coordinator.methods import METHODS, method_of
from cohortium.federation_coordinator.preparing import preparing
from cohortium.federation_coordinator.state import State


def store(state: State) -> bytes:
    """The state as bytes; equal states give equal bytes."""
    return encode(state)


def restore(data: bytes) -> State:
    """What :func:`store` gave. Raises :class:`cohortium.contracts.federation_wire.MessageError`."""
    found = decode(data, State, *(m.progress for m in METHODS.values()))
    assert isinstance(found, State)
    return found


def results(
    state: State, messages: Sequence[MessageRow], seconds: Sequence[float], engine: str, version: str
) -> FederatedResults:
    """Everything that is reported of a study that is done."""
    found = method_of(state).results(state, messages, seconds, engine, version)
    return replace(found, preparing=preparing(state))
