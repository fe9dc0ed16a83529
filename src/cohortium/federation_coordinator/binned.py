"""A Cox model with one baseline hazard for all sites, constant within bins of time, as a method of federated studies.

Cox's own risk sets would tell, by their differences, who left one: here sites add up time under observation and events in bins of
which each holds, at every site, the declared number of patients with an event. The fit is Newton's, with an intercept for each bin,
and equals that of all rows together on the same bins. Bins are chosen one after the other by what sites say, or declared.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import Answer, FitQuestion, LinearModel, SiteSums
from cohortium.contracts.federation_baseline import AskBin, AskBinnedSums, SiteBin
from cohortium.contracts.federation_network import GRID
from cohortium.contracts.federation_results import FederatedResults, MessageRow
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_coordinator import checking, fitting
from cohortium.federation_coordinator.checking_binned import wrong_bin, wrong_binned
from cohortium.federation_coordinator.results import estimates
from cohortium.federation_coordinator.results import results as newton_results
from cohortium.federation_coordinator.state import Fit, State, newton

Array = NDArray[np.float64]

MOST = 50
"""Bins."""


@dataclass(frozen=True)
class BinnedFit(Fit):
    """Newton's method with intercepts for bins. chosen: whether bins are known. cuts: (K - 1,) their ends but the last. times: where they may
    be."""

    chosen: int
    cuts: NDArray[np.float64]
    times: NDArray[np.float64]


progress = BinnedFit
restarts = True
"""A site that is left out takes its sums with it: the fit is that of the others."""


def start(state: State) -> BinnedFit:
    """No bins yet. After a site was left out they may end at the cuts of before only: of the same patients, counts by two sets of bins
    would tell by their differences how many are in smaller ones."""
    declared, before = state.plan.baseline, state.fit
    assert declared is not None
    if isinstance(before, BinnedFit) and before.chosen:
        times = before.cuts
    else:
        times = GRID[1:] if declared.times is None else np.array(declared.times)
    return BinnedFit(**vars(fitting.fresh(0)), chosen=0, cuts=np.zeros(0), times=times)


def _begun(state: State, cuts: Array, rate: float) -> BinnedFit:
    """Before the first sums: no effects, the same hazard in every bin."""
    k = len(cuts) + 1
    at = np.concatenate([np.full(k, np.log(rate)), np.zeros(len(state.columns))])
    return BinnedFit(**{**vars(fitting.fresh(len(at))), "asked": at}, chosen=1, cuts=cuts, times=cuts)


def binned(state: State) -> BinnedFit:
    """The progress of this method."""
    assert isinstance(state.fit, BinnedFit)
    return state.fit


def question(state: State) -> FitQuestion:
    """Where the next bin may end; then sums at the parameters that come next."""
    fit, plan = binned(state), digest(encode(state.plan))
    if not fit.chosen:
        return AskBin(plan, state.round, _begin(fit), fit.times)
    return AskBinnedSums(plan, state.round, state.columns, state.classes, state.mean, state.sd, fit.cuts, fit.asked)


def _begin(fit: BinnedFit) -> float:
    return float(fit.cuts[-1]) if len(fit.cuts) else 0.0


def answered_by(state: State) -> type:
    """What sites answer in this stage."""
    return SiteSums if binned(state).chosen else SiteBin


def check(state: State, answers: Mapping[str, Answer]) -> dict[str, str]:
    """Site -> why its answer is refused."""
    fit = binned(state)
    if not fit.chosen:
        return {s: reason for s, a in answers.items() if (reason := wrong_bin(a, _begin(fit), fit.times))}
    left = {s: reason for s, a in answers.items() if (reason := wrong_binned(a, state))}
    return left | checking.unlike_others({s: a for s, a in answers.items() if s not in left}, state)


def advance(state: State, answers: Any) -> State:
    """The state after a round."""
    fit, declared = binned(state), state.plan.baseline
    if fit.chosen:
        return fitting.advance(state, answers)
    ends = [a.until for a in answers.values()]
    if min(ends) > 0 and len(fit.cuts) < MOST - 1:
        # It ends where the last site has enough. Another may have too few left then, and says so when it is asked about the next.
        return replace(state, fit=replace(fit, cuts=np.append(fit.cuts, max(ends))))
    cuts = fit.cuts[:-1] if min(ends) < 0 else fit.cuts
    events = sum(state.schemas[s].counts[-1] for s in state.here)
    state = replace(state, fit=_begun(state, cuts, events / sum(answers[s].exposure for s in state.here)))
    gone = [t for t in (declared.times or () if declared else ()) if t not in cuts]
    if not gone:
        return state
    said = f"Declared bins of time were joined: at {', '.join(f'{t:g}' for t in gone)} a site would have too few events on one side."
    return replace(state, notices=(*state.notices, *({said} - set(state.notices))))


def model(state: State) -> LinearModel:
    """Risks: the fitted model without its baseline."""
    b = newton(state).accepted[len(binned(state).cuts) + 1 :]
    return LinearModel(state.columns, state.classes, state.mean, state.sd, state.outcome, b)


def grid(state: State, bins: int) -> Array:
    """No classes are scored."""
    return np.zeros(0)


def results(
    state: State, messages: Sequence[MessageRow], seconds: Sequence[float], engine: str, version: str
) -> FederatedResults:
    """As of a linear model; intercepts are logarithms of hazards, per unit of time, by bin."""
    found = newton_results(state, messages, seconds, engine, version)
    ends = [0.0, *map(float, binned(state).cuts)]
    names = [*(f"from {a:g} to {b:g}" for a, b in itertools.pairwise(ends)), f"from {ends[-1]:g}"]
    level = estimates(state).intercepts
    return replace(
        found, intercepts={n: float(x) for n, x in zip(names, level, strict=True)}, cuts=[float(c) for c in ends[1:]]
    )
