"""Records of a study with secure aggregation: the fit as always, nothing by site, and measures of all sites together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.federation_results import (
    FederatedEvaluation,
    FederatedResults,
    MessageRow,
    Performance,
    SiteRecord,
)
from cohortium.contracts.federation_secure import SecureRecord
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_coordinator.methods import method_of
from cohortium.federation_coordinator.performance import SCALES, _interval
from cohortium.federation_coordinator.private_results import by_class
from cohortium.federation_coordinator.private_state import fit_of
from cohortium.federation_coordinator.secure_batches import preparing
from cohortium.federation_coordinator.secure_state import TOGETHER, SecureState
from cohortium.masking import resolution, threshold

Array = NDArray[np.float64]

MEASURES: dict[str, tuple[str, ...]] = {
    "survival": ("c_index",),
    "binary": ("roc_auc", "brier", "observed_expected", "observed_minus_expected"),
    "multiclass": ("roc_auc",),
    "continuous": ("r2", "mae"),
}
"""In the order in which sites send their sums; of several classes one AUC for each."""

PAIRS = ("c_index", "roc_auc")


def results(
    state: SecureState, messages: Sequence[MessageRow], seconds: Sequence[float], engine: str, version: str
) -> FederatedResults:
    """Everything that is reported of a study that is done."""
    model = replace(state.lanes[0].model, round=state.round, trials=())
    found = method_of(model).results(model, messages, seconds, engine, version)
    sites = [SiteRecord(s, None, None, (), state.left.get(s, "")) for s in state.sites]
    notices = [*state.notices, *model.notices, *_gone(state)]
    return replace(
        found, plan=state.plan, digest=digest(encode(state.plan)), sites=sites, notices=notices,
        secure=record(state), evaluation=evaluation(state), preparing=preparing(state),
    )  # fmt: skip


def record(state: SecureState) -> SecureRecord:
    """How sums were protected."""
    assert state.plan.secure is not None
    m = state.lanes[0].model
    if state.plan.privacy is None:
        s = m.schemas[TOGETHER]
        units, patients, counts = s.units, s.patients, s.counts
    else:  # noisy
        noisy = fit_of(m).counts[TOGETHER].counts
        counts, units = by_class(noisy, m), max(round(float(noisy.sum())), 0)
        patients = units
    bits = state.plan.secure.bits
    return SecureRecord(
        units, patients, counts, state.first, state.fewest, threshold(state.first), state.sums, bits,
        resolution(bits, state.first), state.dropped,
    )  # fmt: skip


def _gone(state: SecureState) -> list[str]:
    """What a drop-out in the middle of a study means."""
    if not state.dropped:
        return []
    who = ", ".join(f"'{s}'" for s in state.dropped)
    return [
        f"Dropped out after sums with them were opened: {who}. The difference between sums with and without a site shows about what the "
        "coordinator sees of it without secure aggregation. Declare all sites as quorum and a study ends instead."
    ]


def evaluation(state: SecureState) -> FederatedEvaluation | None:
    """Measures on folds held out at all sites; None where no evaluation was asked for."""
    plan = state.plan
    if not plan.folds:
        return None
    lanes = [n for n in state.lanes if n.fold >= 0]
    notices = [f"Evaluation, fit of fold {n.fold + 1}. There is no fit: {n.failed}" for n in lanes if n.failed]
    reason = state.evaluation or (notices[0] if notices else "")
    rows = []
    for k, name in enumerate(MEASURES[plan.kind]):
        if reason or not all(len(n.held) for n in lanes):
            rows.append(Performance("folds", name, 0, scale=SCALES[name], reason=reason or "there is no fit"))
        else:
            own = slice(None) if plan.kind == "multiclass" else slice(k, k + 1)
            rows.append(_over_folds(name, own, [n.held for n in lanes], len(state.opened)))
    notices.append(
        "Of all sites together: with secure aggregation nothing is said of single sites, of differences between them, or of a new one, and "
        "no site is held out, since sums with and without it would show its own."
    )
    return FederatedEvaluation(plan.folds, plan.seed, rows, [], notices)


def _over_folds(name: str, own: slice, held: Sequence[Array], sites: int) -> Performance:
    """The mean of the folds, each pair or patient counting once."""
    each = []
    for h in held:
        # Several classes: each against the others, and the mean of those that can be compared.
        found = [r for f in h[2:].reshape(-1, 5)[own] if (r := ratio(f, name in PAIRS)) is not None]
        if not found:
            return Performance("folds", name, sites, scale=SCALES[name], reason="no two units can be compared")
        each.append(np.mean(found, axis=0))
    value, error, weight = np.array(each).T
    w = weight / weight.sum()
    mean, spread = float(w @ value), float(np.sqrt(w**2 @ error**2))
    mean = 1 - mean if name == "r2" else mean
    low, high = _interval(name, mean, spread)
    return Performance("folds", name, sites, mean, low, high, scale=SCALES[name])


def ratio(five: Array, pairs: bool) -> tuple[float, float, float] | None:
    """Value, standard error and weight of a ratio of sums a and b over patients, from (Σa, Σb, Σa², Σab, Σb²); None without any.

    Error: infinitesimal jackknife over patients (Efron & Tibshirani 1993, 21.3). A patient is in one half of the pairs that are counted,
    since each is counted twice.
    """
    a, b, aa, ab, bb = five
    if b <= 0:
        return None
    r = a / b
    variance = max(aa - 2 * r * ab + r * r * bb, 0.0) / b**2
    return float(r), float(np.sqrt(variance)) * (2 if pairs else 1), float(b)
