"""Studies with secure aggregation in one process, in which sites may be silent or change what they say."""

from __future__ import annotations

from collections.abc import Callable, Collection

from cohortium.contracts.federation import SecurePlan
from cohortium.contracts.federation_wire import decode, encode
from cohortium.federation_coordinator import begin, question, step
from cohortium.federation_coordinator.checking import read_answer
from cohortium.federation_site.secure import Journal, SecureSite
from cohortium.masking import make_keys
from tests.federation import sites as cut


def secure_plan(kind: str, bits: int = 64, **changes):
    return cut.plan(kind, secure=SecurePlan(3, bits), **{"quorum": 3, **changes})


def sites_of(plan, keys=None, found=None) -> dict[str, SecureSite]:
    """All sites of the oracle's table, or those given, with new keys."""
    found = cut.sites(plan.kind) if found is None else found
    keys = make_keys(list(found)) if keys is None else keys
    return {n: SecureSite(s, plan, keys[n], Journal()) for n, s in found.items()}


Silent = Callable[[int, str], Collection[str]]


def nobody(round_: int, phase: str) -> Collection[str]:
    return ()


def run(plan, sites, silent: Silent = nobody, change=None, stop: int = 0, stored: bool = False):
    """The state at the end, or before round ``stop``. silent: who says nothing in a round. change: (site, answer, question) -> the
    message that is sent instead. All goes through bytes; stored: the state too, as when the coordinator is restarted each round."""
    from cohortium.federation_coordinator import restore, store

    state = begin(plan, list(sites))
    while state.phase != "done" and state.round != stop:
        asked = encode(question(state))
        answers = {}
        for name in state.here:
            if name in silent(state.round, state.phase):
                continue
            said = sites[name].answer(decode(asked))
            if change is not None:
                said = change(name, said, decode(asked))
            answers[name] = read_answer(said if isinstance(said, bytes) else encode(said), name, state)
        state = step(state, answers)
        state = restore(store(state)) if stored else state
    return state
