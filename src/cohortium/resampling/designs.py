"""Split designs. All deterministic from a seed; all keep groups (patients) whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.contracts import Outcome
from cohortium.errors import DataError, EndpointError, StudyError, did_you_mean

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class OuterSplit:
    """One outer fold. train, test: disjoint positions, increasing."""

    repeat: int
    fold: int
    train: Rows
    test: Rows


def _stratified_groups(
    strata: NDArray[np.int64], groups: NDArray[np.int64], k: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(n,) fold of each unit: groups dealt one by one, rare strata and large groups first, to the fold that is
    furthest below its share of that stratum (then of units). With one unit per group this is stratified K-fold."""
    _, codes = np.unique(groups, return_inverse=True)
    n_groups, n_strata = int(codes.max()) + 1, int(strata.max()) + 1
    table = np.zeros((n_groups, n_strata))
    np.add.at(table, (codes, strata), 1.0)
    total = table.sum(axis=0)
    rarity = np.where(total > 0, 1.0 / np.maximum(total, 1.0), 0.0)
    main = (table * (1.0 + rarity)).argmax(axis=1)
    shuffled = rng.permutation(n_groups)
    size = table.sum(axis=1)
    order = shuffled[np.lexsort((-size[shuffled], total[main[shuffled]]))]
    filled = np.zeros((k, n_strata))
    fold_of_group = np.zeros(n_groups, dtype=np.int64)
    tie = rng.permutation(k)
    for g in order:
        need = filled[:, main[g]]
        everything = filled.sum(axis=1)
        best = np.lexsort((tie, everything, need))[0]
        fold_of_group[g] = best
        filled[best] += table[g]
    return fold_of_group[codes]


def _require_groups(groups: NDArray[np.int64], k: int) -> None:
    n = len(np.unique(groups))
    if n < k:
        raise EndpointError(f"There are {n} patients (or groups), too few for {k} folds. Use fewer folds.")


def nested(outcome: Outcome, groups: NDArray[np.int64], repeats: int, folds: int, seed: int) -> list[OuterSplit]:
    """``repeats`` times ``folds`` outer folds, grouped by ``groups`` (n,) and stratified by ``outcome.strata``."""
    _require_groups(groups, folds)
    out = []
    for r in range(repeats):
        fold = _stratified_groups(outcome.strata, groups, folds, np.random.default_rng([seed, 11, r]))
        out += [OuterSplit(r, f, np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(folds)]
    return out


def inner(outcome: Outcome, groups: NDArray[np.int64], k: int, seed: int) -> tuple[tuple[Rows, Rows], ...]:
    """Inner folds of a training part; fewer than k when the rarest class has fewer members, at least 2."""
    counts = np.bincount(outcome.strata)
    if not hasattr(outcome, "values"):
        k = min(k, int(counts[counts > 0].min()))
    k = min(k, len(np.unique(groups)))
    if k < 2:
        raise EndpointError(
            "A training fold has a class (or events) in one unit only: no inner folds can be made. "
            "Use fewer outer folds, merge rare classes or leave them out."
        )
    fold = _stratified_groups(outcome.strata, groups, k, np.random.default_rng([seed, 13]))
    return tuple((np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(k))


def by_column(labels: Sequence[object]) -> list[OuterSplit]:
    """One outer fold per label, in sorted order; the units without a label are always trained on."""
    values = pd.Series(list(labels), dtype=object)
    names = sorted(values.dropna().unique(), key=str)
    if len(names) < 2:
        raise StudyError(f"The fold column holds {len(names)} label(s); at least two are needed.")
    return [
        OuterSplit(0, f, np.flatnonzero((values != name).to_numpy()), np.flatnonzero((values == name).to_numpy()))
        for f, name in enumerate(names)
    ]


def leave_one_site_out(sites: Sequence[object]) -> list[OuterSplit]:
    """Each site tested once by what was learned at the others."""
    if pd.Series(list(sites), dtype=object).dropna().nunique() < 2:
        raise StudyError("leave_one_site_out needs at least two sites in the site column.")
    return by_column(sites)


def temporal(index_time: Sequence[object], test_from: str | None, folds: int) -> list[OuterSplit]:
    """Forward in time: train strictly before, test from then on.

    test_from: one split at that date. None: the units in order of time are cut into folds+1 parts, and each
    part after the first is tested by all before it.
    """
    time = pd.to_datetime(pd.Series(list(index_time)), errors="coerce")
    if time.isna().any():
        raise DataError(
            f"index_time is missing or no date for {int(time.isna().sum())} units; a temporal split needs it for all."
        )
    if test_from is not None:
        cut = pd.Timestamp(test_from)
        train, test = np.flatnonzero(time < cut), np.flatnonzero(time >= cut)
        if not len(train) or not len(test):
            raise StudyError(
                f"test_from leaves {len(train)} units to train and {len(test)} to test; index times run "
                f"from {time.min().date()} to {time.max().date()}."
            )
        return [OuterSplit(0, 0, train, test)]
    cuts = np.quantile(time.astype("int64"), np.linspace(0, 1, folds + 2)[1:-1])
    part = np.searchsorted(cuts, time.astype("int64"), side="left")
    out = []
    for f in range(1, folds + 1):
        test = np.flatnonzero(part == f)
        if len(test):
            first = time.iloc[test].min()
            out.append(OuterSplit(0, f - 1, np.flatnonzero(time < first), test))
    return out


def fixed_test(labels: Sequence[object], test_value: object) -> list[OuterSplit]:
    """One split: units whose label equals ``test_value`` are tested, the others trained on."""
    values = pd.Series(list(labels), dtype=object)
    test = np.array([_same(v, test_value) for v in values])
    if not test.any() or test.all():
        raise StudyError(
            f"The test column equals {test_value!r} for {int(test.sum())} of {len(test)} units; some must be tested and some not."
        )
    return [OuterSplit(0, 0, np.flatnonzero(~test), np.flatnonzero(test))]


def _same(a: object, b: object) -> bool:
    try:
        return float(a) == float(b)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(a) == str(b)


def from_file(
    frame: pd.DataFrame,
    units: NDArray[np.object_],
    *,
    id: str,
    fold: str,
    repeat: str | None = None,
    part: str | None = None,
    test_value: str = "test",
) -> tuple[list[OuterSplit], list[str]]:
    """Folds fixed elsewhere.

    frame: one row per unit (and repeat) with the fold that tests it; or, with ``part``, one row per unit and
    fold saying on which side it is. units: (n,) ids of the cohort. Returns splits and notes for the report.
    """
    for column in filter(None, (id, fold, repeat, part)):
        if column not in frame:
            raise DataError(f"The folds file has no column '{column}'.{did_you_mean(column, map(str, frame.columns))}")
    where = pd.Index(units).get_indexer(frame[id].astype(str))
    notes = []
    unknown = frame.loc[where < 0, id].nunique()
    if unknown:
        notes.append(f"{unknown} unit(s) of the folds file are not in the cohort and were passed over")
    frame, where = frame[where >= 0], where[where >= 0]
    if not len(frame):
        raise DataError(f"No unit of the folds file's column '{id}' is in the cohort. Do the ids have the same form?")
    repeats = frame[repeat] if repeat is not None else pd.Series(0, index=frame.index)
    splits, uncovered = [], set()
    for r, rep in enumerate(sorted(repeats.unique())):
        these = (repeats == rep).to_numpy()
        for f, label in enumerate(sorted(frame.loc[these, fold].unique())):
            at = these & (frame[fold] == label).to_numpy()
            if part is None:
                test, train = np.unique(where[at]), np.unique(where[these & ~at])
            else:
                tested = (frame[part].astype(str) == str(test_value)).to_numpy()
                if not (at & tested).any():
                    raise DataError(f"In the folds file no row of fold {label} has '{part}' equal to '{test_value}'.")
                test, train = np.unique(where[at & tested]), np.unique(where[at & ~tested])
            splits.append(OuterSplit(r, f, train, test))
            uncovered |= set(range(len(units))) - set(train.tolist()) - set(test.tolist())
    if uncovered:
        notes.append(f"{len(uncovered)} unit(s) of the cohort are in no fold of some repeat and are left out there")
    return splits, notes
