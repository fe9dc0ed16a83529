"""Is a feature the outcome in disguise?

What separates disguise from biology is not strength alone: a gene may tell a tumour subtype with an AUC of
.97. A disguise *determines*: a level after which the event is certain in many units, a copy of the outcome,
a value of few that splits the classes without exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Table
from cohortium.contracts import ClassOutcome, CompetingOutcome, Outcome, TimeOutcome, ValueOutcome
from cohortium.contracts.results import Finding

Floats = NDArray[np.float64]

AFTERWARDS = re.compile(
    r"surviv|death|dead|deceas|(^|[._ ])died|recurr|relapse|progression|follow.?up|outcome|discharge|days_to|time_to|"
    r"(^|[._ ])(los|surv\d*[a-z]?)($|[._ ])|length.of.stay|slos|(charge|cost|cst)s?($|[._ ])|(^|[._ ])dnr|hospice|autopsy|censor|last.contact|vital.?status", re.I,
)  # fmt: skip

CERTAIN = 30
"""Units that a level must hold, all with the same outcome, to be called determining."""


def binary_views(outcome: Outcome) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """(what, (n,) bool) yes/no readings of an outcome."""
    if isinstance(outcome, TimeOutcome):
        yield "the event", outcome.event
        if isinstance(outcome, CompetingOutcome):
            yield "an event of any cause", outcome.cause > 0
    elif isinstance(outcome, ClassOutcome):
        classes = outcome.endpoint.classes
        for k in [1] if len(classes) == 2 else range(len(classes)):
            yield f"class '{classes[k]}'", outcome.codes == k


@dataclass(frozen=True, eq=False)
class Sight:
    """One modality beside one outcome: the units that have both.

    x: (n, p). y: their outcome. strength: yes/no reading of the outcome -> (p,) AUC of each feature, turned to be
    at least a half.
    """

    name: str
    table: Table
    x: Floats
    y: Outcome
    strength: dict[str, Floats]


def look(name: str, table: Table, rows: NDArray[np.intp], outcome: Outcome) -> Sight:
    """What the searches below look at. rows: (n_present,) position in the outcome of each table row, -1 without a label."""
    use = rows >= 0
    x, y = table.values[use].astype(np.float64), outcome.take(rows[use])
    views = list(binary_views(y))
    aucs = column_auc(x, [event for _, event in views])
    return Sight(name, table, x, y, {what: np.abs(a - 0.5) + 0.5 for (what, _), a in zip(views, aucs, strict=True)})


def find_disguises(sight: Sight) -> list[Finding]:
    """Features of one modality that are the outcome by another name."""
    name, table, x, y = sight.name, sight.table, sight.x, sight.y
    outcome = y
    if len(y) < 20:
        return []
    out: dict[str, Finding] = {}
    for j, reason in _copies(x, y):
        _put(out, name, table, j, outcome, reason)
    for j, reason in _determining(x, y):
        _put(out, name, table, j, outcome, reason)
    for j, reason in _telling_gaps(x, y):
        _put(out, name, table, j, outcome, reason)
    for j, reason in _separating(sight):
        _put(out, name, table, j, outcome, reason)
    return list(out.values())


def _put(out: dict[str, Finding], name: str, table: Table, j: int, outcome: Outcome, reason: str) -> None:
    feature = str(table.features.index[j])
    key = f"outcome_in_disguise:{name}.{feature}"
    out.setdefault(
        key,
        Finding(
            key,
            "serious",
            f"'{feature}' of {name} {reason}. A model would read the outcome off it and look far better than it is. If it "
            "is recorded after the prediction, list it under recorded_after_index; if it is a true predictor, acknowledge this finding.",
            name,
            [feature],
            outcome.endpoint.name,
        ),
    )


def _copies(x: Floats, y: Outcome) -> Iterator[tuple[int, str]]:
    """Copies and monotone images of a number: the time of a survival outcome, a continuous value."""
    if isinstance(y, ClassOutcome):
        return
    target = y.time if isinstance(y, TimeOutcome) else y.values
    what = "time" if isinstance(y, TimeOutcome) else "value"
    r = rank_correlation(x, target)
    varied = _distinct_enough(x)
    limit = 0.98 if isinstance(y, ValueOutcome) else 0.95
    for j in np.flatnonzero((np.abs(r) > limit) & varied):
        yield int(j), f"is the outcome's {what} up to order (rank correlation {abs(r[j]):.2f})"


def rank_correlation(x: Floats, y: Floats) -> Floats:
    """(p,) Spearman correlation of each column with y, over the cells that are known; 0 below 20 of them."""
    from scipy.stats import rankdata

    known = ~np.isnan(x)
    out = np.zeros(x.shape[1])
    whole = known.all(axis=0)
    if whole.any():
        out[whole] = _pearson(rankdata(x[:, whole], axis=0), rankdata(y))
    for j in np.flatnonzero(~whole & (known.sum(axis=0) >= 20)):
        k = known[:, j]
        out[j] = _pearson(rankdata(x[k, j])[:, None], rankdata(y[k]))[0]
    return out


def _pearson(a: Floats, b: Floats) -> Floats:
    a, b = a - a.mean(axis=0), b - b.mean()
    norm = np.sqrt((a**2).sum(axis=0) * (b @ b))
    return np.divide(b @ a, norm, out=np.zeros(a.shape[1]), where=norm > 0)


def _distinct_enough(x: Floats) -> NDArray[np.bool_]:
    return (
        np.array([len(np.unique(c[~np.isnan(c)][:500])) > 20 for c in x.T])
        if x.shape[1] < 2000
        else np.ones(x.shape[1], bool)
    )


def _determining(x: Floats, y: Outcome) -> Iterator[tuple[int, str]]:
    """Levels of features with few values after which the outcome is certain."""
    # That a level rules out one of several classes does not yet tell which of the others it is: biology does so.
    several = isinstance(y, ClassOutcome) and len(y.endpoint.classes) > 2
    for what, event in binary_views(y):
        rate = event.mean()
        for j in range(x.shape[1]):
            column = x[:, j]
            head = np.unique(column[:200][~np.isnan(column[:200])])
            if len(head) > 12:
                continue
            values, inverse = np.unique(column[~np.isnan(column)], return_inverse=True)
            if not 1 < len(values) <= 12:
                continue
            e = event[~np.isnan(column)]
            n = np.bincount(inverse)
            hits = np.bincount(inverse, weights=e)
            for k in range(len(values)):
                certain = hits[k] == n[k] or (hits[k] == 0 and not several)
                # By chance alone a level of n units is all one way with probability rate^n: beyond doubt only.
                p = rate ** n[k] if hits[k] == n[k] else (1 - rate) ** n[k]
                if certain and n[k] >= CERTAIN and p * x.shape[1] * len(values) < 1e-6:
                    yield (
                        j,
                        f"has a level, of {int(n[k])} units, in which {what} is {'certain' if hits[k] else 'never seen'}",
                    )
                    break


def _telling_gaps(x: Floats, y: Outcome) -> Iterator[tuple[int, str]]:
    """Features that are known, or unknown, only where the outcome is certain: a date or a cause of death."""
    known = ~np.isnan(x)
    if known.all():
        return
    for what, event in binary_views(y):
        rate = event.mean()
        for state, cells in (("known", known), ("unknown", ~known)):
            n, hits = cells.sum(axis=0), event.astype(np.float64) @ cells
            for j in np.flatnonzero((n >= CERTAIN) & (n < len(y)) & ((hits == n) | (hits == 0))):
                p = (rate if hits[j] else 1 - rate) ** float(n[j])
                if p * x.shape[1] < 1e-6 and (hits[j] or len(y.endpoint.classes) <= 2):
                    seen = "certain" if hits[j] else "never seen"
                    yield int(j), f"is {state} in {int(n[j])} units, in which {what} is {seen}"


def _separating(sight: Sight) -> Iterator[tuple[int, str]]:
    """Numbers that part the classes without exception, or nearly so in a large sample."""
    x = sight.x
    for what, event in binary_views(sight.y):
        m, strong = int(event.sum()), sight.strength[what]
        for j in np.flatnonzero(strong > 0.995):
            # Many-valued measurements part subtypes nearly perfectly by right; codes and copies do so exactly.
            few = len(np.unique(x[~np.isnan(x[:, j]), j])) <= 12
            if few or (strong[j] >= 0.9999 and min(m, len(event) - m) >= 50):
                yield int(j), f"parts {what} from the others almost without exception (AUC {strong[j]:.3f})"


def column_auc(x: Floats, events: Sequence[NDArray[np.bool_]]) -> list[Floats]:
    """For each event (n,) the (p,) AUC of each column, over known cells; 0.5 where fewer than 10 of either side are known."""
    out = [np.full(x.shape[1], 0.5) for _ in events]
    for start in range(0, x.shape[1], 5000):  # ranks of a wide table, all at once, would double its memory
        part = x[:, start : start + 5000]
        ranks = pd.DataFrame(part).rank().to_numpy()
        known = ~np.isnan(part)
        ranks[~known] = 0.0
        n = known.sum(axis=0)
        for auc, event in zip(out, events, strict=True):
            m = (known & event[:, None]).sum(axis=0)
            enough = (m >= 10) & (n - m >= 10)
            wins = event.astype(np.float64) @ ranks - m * (m + 1) / 2
            np.divide(wins, m * (n - m), out=auc[start : start + 5000], where=enough)
    return out


def find_strong(sight: Sight, skip: set[str]) -> list[Finding]:
    """Warnings: suspiciously strong single features, and names that suggest recording afterwards; not those in ``skip``."""
    name, table = sight.name, sight.table
    out = []
    names = [str(f) for f in table.features.index]
    endpoint = sight.y.endpoint.name
    for what, strong in sight.strength.items():
        hits = [j for j in np.flatnonzero(strong > 0.9) if names[j] not in skip]
        if hits:
            top = sorted(hits, key=lambda j: -strong[j])[:5]
            out.append(
                Finding(
                    f"strong_single_feature:{name}.{endpoint}" + (f".{what.split(chr(39))[1]}" if "'" in what else ""),
                    "warning",
                    f"{len(hits)} feature(s) of {name} tell {what} alone with an AUC above .9, {', '.join(names[j] for j in top)} among "
                    "them. That can be biology; make sure that they are measured before the outcome is known.",
                    name,
                    [names[j] for j in top],
                    endpoint,
                )
            )
    if table.n_features < 1000:
        late = [n for n in names if AFTERWARDS.search(n) and n not in skip]
        if late:
            out.append(
                Finding(
                    f"recorded_afterwards:{name}",
                    "warning",
                    f"By their names, these features of {name} may be recorded after the prediction is made: {', '.join(late[:8])}. If so, "
                    "list them under recorded_after_index.",
                    name,
                    late,
                )
            )
    return out
