"""What sums of a hazard that is constant within bins must be, before they are added; see :mod:`cohortium.federation_coordinator.checking`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation import SiteSums
from cohortium.contracts.federation_baseline import SiteBin
from cohortium.federation_coordinator.checking import SLACK, adjusted_moments, misshapen, not_convex
from cohortium.federation_coordinator.fitting import size
from cohortium.federation_coordinator.state import State


def wrong_bin(a: SiteBin, begin: float, times: NDArray[np.float64]) -> str:
    """Why the end of a bin is refused, or an empty text."""
    if not (np.isfinite(a.exposure) and a.exposure > 0):
        return "its time under observation is no number above 0"
    if a.until not in (0, -1) and not (a.until > begin and a.until in times):
        return f"its bin ends at no time after {begin:g} that it was asked about"
    return "it declares events, and has too few for a bin" if a.until < 0 and begin == 0 else ""


def wrong_binned(s: SiteSums, state: State) -> str:
    """Why sums are refused, or an empty text: shapes, events that are none, more than the declared moments allow."""
    return misshapen(s, state) or _beyond(s, state) or not_convex(s, state)


def _beyond(s: SiteSums, state: State) -> str:
    """Expected less observed events must give whole numbers of events, which add up to those declared."""
    k, _ = size(state)
    h = s.hessian
    expected = np.diag(h)[:k]
    events = expected - s.gradient[:k]
    m, schema = state.moments[s.site], state.schemas[s.site]
    slack = SLACK * (1 + float(np.abs(expected).sum()))
    if (expected < 0).any() or np.abs(h[:k, :k] - np.diag(expected)).max(initial=0.0) > slack:
        return "its Hessian is not that of a hazard by bins"
    if not state.plan.weighted:
        whole = np.round(events)
        if (np.abs(events - whole) > slack).any() or (whole < state.plan.least_events).any():
            return f"a bin of time holds fewer than {state.plan.least_events} events, or no whole number"
        if whole.sum() != schema.counts[-1]:
            return "its events by bin do not add up to those that it declared"
    elif (events < -slack).any() or events.sum() > m.weight + slack:
        return "its events by bin are more than its declared weight"
    count, mean, squares = adjusted_moments(state, s.site)
    largest = squares / state.sd**2 + count * ((mean - state.mean) / state.sd) ** 2
    # No unit's square is larger than the sum of all.
    bound = float(expected.sum()) * largest
    steep = (float(expected.sum()) + float(events.sum())) * np.sqrt(largest)
    tolerance = SLACK * (1 + m.weight)
    if (np.diag(h)[k:] > bound + tolerance).any() or (np.abs(s.gradient[k:]) > steep + tolerance).any():
        return "its sums are larger than its declared counts and variances allow"
    return ""
