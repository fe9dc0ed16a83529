"""From the end of a study to records of what was done before its fit: which columns were chosen, what was taken out of sites."""

from __future__ import annotations

import numpy as np

from cohortium.contracts.federation_results import BatchEffect, Preparing, SelectedColumn, Shaping
from cohortium.federation_coordinator.harmonising import harmonised
from cohortium.federation_coordinator.state import State


def preparing(state: State) -> Preparing | None:
    """None where nothing was chosen and no table harmonised."""
    shaped = state.plan.prepare is not None and state.plan.stack is None
    if not state.chosen and not state.plan.harmonise and not shaped:
        return None
    fits = [t.state for t in state.trials if not t.failed]
    named = [{c.column for c in s.chosen} for s in fits]
    chosen = [
        SelectedColumn(c.column, c.score, c.freedom, c.p, sum(c.column in n for n in named)) for c in state.chosen
    ]
    by = state.plan.select.by if state.plan.select is not None and state.chosen else ""
    return Preparing(by, state.candidates, chosen, len(fits), _effects(state), _shaping(state))


def _shaping(state: State) -> Shaping | None:
    plan, p = state.plan.prepare, state.prepared
    if plan is None or state.plan.stack is not None:  # parts are prepared each by itself
        return None
    if p is None:
        return Shaping(plan.unknown, 0, {}, 0.0, plan.clip)
    numbers = [j for j, c in enumerate(state.columns) if c.kind == "numeric"]
    squashed = {state.columns[j].name: float(p.skewness[j]) for j in numbers if state.columns[j].compress}
    return Shaping(plan.unknown, sum(bool(c.fill) for c in state.columns), squashed, p.off, plan.clip)


def _effects(state: State) -> list[BatchEffect]:
    """Of all columns that were adjusted, whether they were chosen or not."""
    moments = {s: state.moments[s] for s in state.here}
    columns, after = harmonised(state.plan.harmonise, state.asked, moments)
    out = []
    for table in state.plan.harmonise:
        at = [j for j, c in enumerate(columns) if c.modality == table and c.batches]
        total = sum(n[at] for n, _, _ in after.values())
        sd = np.sqrt(sum(q[at] for _, _, q in after.values()) / np.maximum(total, 1))
        for i, site in enumerate(moments):
            if not at:
                out.append(BatchEffect(site, table, 0, 0.0, 1.0, 1.0, 1.0))
                continue
            moved = np.abs(after[site][1] - moments[site].mean)[at] / np.maximum(sd, 1e-300)
            factor = np.array([columns[j].batches[i][2] for j in at])
            low, middle, high = (float(v) for v in np.quantile(factor, [0.05, 0.5, 0.95]))
            out.append(BatchEffect(site, table, len(at), float(np.median(moved)), middle, low, high))
    return out
