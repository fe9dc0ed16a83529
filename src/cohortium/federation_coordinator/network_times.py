"""Intervals of discrete-time survival from coarse counts of sites, and the hazards at which training starts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation_network import GRID, SiteTimes, on_grid
from cohortium.federation_coordinator.state import State

Array = NDArray[np.float64]

MOST = 10
"""Intervals."""


def wrong_times(a: SiteTimes, state: State) -> str:
    """Why counts by time are refused, or an empty text."""
    bins = len(a.events)
    if not bins or a.edges.shape != (bins + 1,) or a.exposure.shape != (bins,):
        return "its counts by time have other numbers of bins than edges"
    if not (np.isfinite(a.events).all() and np.isfinite(a.exposure).all() and np.isin(a.edges, GRID).all()):
        return "it sent NaN or infinite numbers, or edges that are not steps of the fixed grid"
    if a.edges[0] != 0 or (np.diff(a.edges) <= 0).any():
        return "its edges of time do not rise from 0"
    schema = state.schemas[a.site]
    if (a.events < state.plan.least_events).any() or (a.events != np.round(a.events)).any():
        return f"a bin of time holds fewer than {state.plan.least_events} events, or no whole number"
    if a.events.sum() != schema.counts[-1]:
        return "its counts by time do not add up to the events that it declared"
    if (a.exposure < 0).any() or (a.exposure > schema.units * np.diff(a.edges) * (1 + 1e-9)).any():
        return "it declares more time under observation than its units can have"
    return ""


def intervals(answers: Mapping[str, SiteTimes], least: int) -> tuple[Array, Array]:
    """(K + 1,) edges, steps of the fixed grid near quantiles of all events, at most ten with ``least`` events each; and (K,) logits of their hazards.

    Events and time under observation are taken as spread evenly within a site's bin.
    """
    events, exposure = np.zeros(len(GRID) - 1), np.zeros(len(GRID) - 1)
    for s in sorted(answers):
        n, x = on_grid(answers[s].edges, answers[s].events, answers[s].exposure)
        events, exposure = events + n, exposure + x
    return chosen(events, exposure, least)


def chosen(events: Array, exposure: Array, least: int) -> tuple[Array, Array]:
    """The same from events and exposure by step of the grid, of all sites together."""
    cumulative = np.concatenate([[0.0], np.cumsum(events)])
    total = cumulative[-1]
    end = int(np.flatnonzero(events > 0)[-1]) + 1
    k = max(1, min(MOST, int(total // max(least, 1))))
    found = [int(np.abs(cumulative - total * i / k).argmin()) for i in range(1, k)]
    at = [0]
    for g in [*found, end]:
        if g > at[-1] and cumulative[g] - cumulative[at[-1]] >= least * (1 - 1e-9):
            at.append(g)
    at = [*at[:-1], end] if len(at) > 1 else [0, end]
    rates = [
        np.clip((events[a:b].sum() + 0.5) / max(float(exposure[a:b].sum()), 1e-300) * (GRID[b] - GRID[a]), 1e-4, 5.0)
        for a, b in itertools.pairwise(at)
    ]
    hazard = 1 - np.exp(-np.array(rates))
    return GRID[at], np.log(hazard / (1 - hazard))
