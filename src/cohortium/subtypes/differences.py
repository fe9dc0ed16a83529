"""What differs between clusters that it did not help to form: endpoints, and what clusters should not be made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.contracts import ClassOutcome, CompetingOutcome, Outcome, SurvivalOutcome, TimeOutcome, ValueOutcome
from cohortium.contracts.subtypes import Curve, Difference, Group
from cohortium.metrics import holm, incidence_at, kaplan_meier, logrank, restricted_mean, wilson
from cohortium.schema import EndpointKind
from cohortium.subtypes.centroids import Labels

PERMUTATIONS = 4999
FEW = 5
"""Expected counts below this are too few for the chi-square distribution: labels are permuted instead."""


def first_of_each(groups: NDArray[np.int64], labels: Labels) -> NDArray[np.intp]:
    """Positions of one labelled unit of each patient: tests take units as independent."""
    rows = np.flatnonzero(labels >= 0)
    return np.sort(rows[np.unique(groups[rows], return_index=True)[1]])


def compare_outcome(
    name: str, outcome: Outcome, label: Mapping[str, int], names: Sequence[str], rng: np.random.Generator
) -> Difference:
    """One endpoint. label: cluster of the units to be compared."""
    rows = np.array([i for i, u in enumerate(outcome.units) if u in label], dtype=np.intp)
    outcome, code = outcome.take(rows), np.array([label[u] for u in outcome.units[rows]], dtype=np.int64)
    kind = outcome.endpoint.kind
    short = Difference(name, "endpoint", kind.value, "", "", len(code), [], unit=outcome.endpoint.time_unit)
    if len(np.unique(code)) < 2:
        return replace(short, reason="fewer than two clusters have units with this outcome")
    if isinstance(outcome, SurvivalOutcome):
        return _survival(short, outcome, code, names)
    if isinstance(outcome, CompetingOutcome):
        return _incidence(short, outcome, code, names)
    if isinstance(outcome, ClassOutcome) and kind is not EndpointKind.ORDINAL:
        return _classes(short, outcome.codes, outcome.endpoint.classes, code, names, rng)
    values = outcome.codes.astype(np.float64) if isinstance(outcome, ClassOutcome) else outcome.values
    assert isinstance(outcome, ClassOutcome | ValueOutcome)
    return _values(short, values, code, names)


def _values(short: Difference, values: NDArray[np.float64], code: Labels, names: Sequence[str]) -> Difference:
    from scipy.stats import kruskal

    each = [values[code == g] for g in range(len(names))]
    groups = [
        Group(m, len(x), None, *(float(q) for q in np.quantile(x, [0.5, 0.25, 0.75]))) if len(x) else Group(m, 0)
        for m, x in zip(names, each, strict=True)
    ]
    made = replace(short, test="Kruskal-Wallis", quantity="median and quartiles", groups=groups)
    if not np.ptp(values):
        return replace(made, reason="everybody has the same value")
    return replace(made, p=float(kruskal(*[x for x in each if len(x)]).pvalue))


def _classes(
    short: Difference,
    codes: NDArray[np.int64],
    classes: Sequence[str],
    code: Labels,
    names: Sequence[str],
    rng: np.random.Generator,
) -> Difference:
    """Chi-square test; by permutation where counts are few. The value shown is the share of the last of two classes, else that of the most
    frequent class of a cluster."""
    table = np.zeros((len(names), len(classes)))
    np.add.at(table, (code, codes), 1)
    n = table.sum(axis=1)
    last = len(classes) == 2
    pick = np.full(len(names), 1) if last else table.argmax(axis=1)
    quantity = f"share of {classes[1]}" if last else "share of its most frequent class"
    groups = [
        Group(
            name if last or not n[g] else f"{name} ({classes[pick[g]]})",
            int(n[g]),
            int(table[g, pick[g]]),
            *(wilson(table[g, pick[g]], n[g]) if n[g] else (None, None, None)),
        )
        for g, name in enumerate(names)
    ]
    made = replace(short, quantity=quantity, groups=groups)
    if (table.sum(axis=0) > 0).sum() < 2:
        return replace(made, reason="everybody has the same class")
    test, p = chi_square(code, codes, rng)
    return replace(made, test=test, p=p)


def chi_square(a: Labels, b: Labels, rng: np.random.Generator) -> tuple[str, float]:
    """Name and p-value of a test of two codes being independent."""
    from scipy.stats import chi2

    a, b = (np.unique(x, return_inverse=True)[1].ravel() for x in (a, b))
    expected = np.outer(np.bincount(a), np.bincount(b)) / len(a)
    width = expected.shape[1]

    def statistic(x: Labels) -> float:
        seen = np.bincount(x * width + b, minlength=expected.size).reshape(expected.shape)
        return float((np.square(seen - expected) / expected).sum())

    here = statistic(a)
    if expected.min() >= FEW:
        return "chi-square", float(chi2.sf(here, (expected.shape[0] - 1) * (width - 1)))
    more = sum(statistic(rng.permutation(a)) >= here - 1e-9 for _ in range(PERMUTATIONS))
    return "chi-square by permutation", (1 + more) / (1 + PERMUTATIONS)


def horizon_of(outcome: TimeOutcome, code: Labels) -> float:
    """Up to when survival is averaged, or incidence counted: the longest time that every cluster was followed for."""
    return float(min(outcome.time[code == g].max() for g in np.unique(code)))


def _survival(short: Difference, outcome: SurvivalOutcome, code: Labels, names: Sequence[str]) -> Difference:
    tau = horizon_of(outcome, code)
    entry = outcome.entry if outcome.entry.any() else None
    groups = []
    for g, name in enumerate(names):
        at = code == g
        n = int(at.sum())
        if not n:
            groups.append(Group(name, 0, 0))
            continue
        own = restricted_mean(outcome.time[at], outcome.event[at], tau, None if entry is None else entry[at])
        groups.append(Group(name, n, int(outcome.event[at].sum()), *own))
    quantity = f"mean time without the event, of the first {tau:.4g} {short.unit}".rstrip()
    made = replace(short, test="log-rank", quantity=quantity, groups=groups)
    if not outcome.event.any():
        return replace(made, reason="nobody had the event")
    return replace(made, p=logrank(outcome.time, outcome.event, code, entry))


def _incidence(short: Difference, outcome: CompetingOutcome, code: Labels, names: Sequence[str]) -> Difference:
    """Incidence of the cause of interest, with the log-rank test of its hazard (the others end follow-up)."""
    tau = horizon_of(outcome, code)
    groups = []
    for g, name in enumerate(names):
        at = code == g
        n = int(at.sum())
        own = incidence_at(outcome.time[at], outcome.cause[at], tau) if n else (None, None, None)
        groups.append(Group(name, n, int(outcome.event[at].sum()), *own))
    quantity = f"incidence of {outcome.endpoint.classes[0]} by {tau:.4g} {short.unit}".rstrip()
    made = replace(short, test="log-rank of its hazard", quantity=quantity, groups=groups)
    if not outcome.event.any():
        return replace(made, reason="nobody had the event")
    return replace(made, p=logrank(outcome.time, outcome.event, code))


def curves(name: str, outcome: Outcome, label: Mapping[str, int], names: Sequence[str]) -> list[Curve]:
    """Kaplan-Meier curves of the clusters; empty for another kind of endpoint."""
    if not isinstance(outcome, SurvivalOutcome):
        return []
    out = []
    for g, cluster in enumerate(names):
        o = outcome.take(np.array([i for i, u in enumerate(outcome.units) if label.get(u) == g], dtype=np.intp))
        if not len(o):
            continue
        t, s, low, high = kaplan_meier(o.time, o.event, o.entry if o.entry.any() else None)
        lists = [[float(x) for x in v] for v in (t, s, low, high)]
        out.append(Curve(name, cluster, len(o), *lists, float(o.time.max())))
    return out


def compare_design(
    cohort: Cohort, rows: NDArray[np.intp], code: Labels, names: Sequence[str], rng: np.random.Generator
) -> list[Difference]:
    """Site, batch, and who has which modality. code: cluster of the units at ``rows``."""
    out = []
    for column in ("site", "batch"):
        if column in cohort.units:
            seen = cohort.units[column].iloc[rows]
            known = seen.notna().to_numpy()
            codes, classes = pd.factorize(seen[known].astype(str), sort=True)
            out.append((column, code[known], codes.astype(np.int64), [str(c) for c in classes]))
    for name, have in cohort.presence().iloc[rows].items():
        out.append((f"presence of {name}", code, have.to_numpy(np.int64), ["no", "yes"]))
    made = []
    for name, own, codes, classes in out:
        short = Difference(name, "design", "classes", "", "", len(own), [])
        if len(classes) > 1 and len(np.unique(own)) > 1 and np.ptp(codes):
            made.append(_classes(short, codes, classes, own, names, rng))
    return made


def corrected(found: Sequence[Difference]) -> list[Difference]:
    """With p-values corrected for all of the same role (Holm 1979, Scand J Stat 6:65)."""
    out = list(found)
    for role in {d.role for d in found}:
        at = [i for i, d in enumerate(found) if d.role == role and d.p is not None]
        for i, p in zip(at, holm([float(found[i].p or 0.0) for i in at]), strict=True):
            out[i] = replace(found[i], p_holm=float(p))
    return out
