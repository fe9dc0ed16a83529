"""Folds that others fixed, read from a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.errors import DataError, did_you_mean
from cohortium.resampling.designs import OuterSplit, label_key, same, sorted_labels


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
    fold saying on which side it is. units: (n,) ids of the cohort. Returns splits, numbered in the order of their
    labels, and notes for the report: units that only the file or only the cohort has, rows without a fold.

    Raises :class:`DataError` for a column that is not there, no unit in common, a unit in several folds of a repeat,
    a part that never equals ``test_value``.
    """
    named = {c: n for c, n in ((id, "id"), (fold, "fold"), (repeat, "repeat"), (part, "part")) if c is not None}
    for column in named:
        if column not in frame:
            raise DataError(f"The folds file has no column '{column}'.{did_you_mean(column, map(str, frame.columns))}")
    table = pd.DataFrame({n: [label_key(v) for v in frame[c]] for c, n in named.items() if n != "id"}, dtype=object)
    table["at"] = pd.Index(units).get_indexer(pd.Index(frame[id].astype(str).str.strip(), dtype=object))
    table["id"] = frame[id].to_numpy()
    notes = []
    blank = table[[n for n in named.values() if n != "id"]].isna().any(axis=1).to_numpy()
    if blank.any():
        notes.append(f"{int(blank.sum())} row(s) of the folds file have no {' or '.join(list(named.values())[1:])}")
    unknown = table.loc[table["at"] < 0, "id"].nunique()
    if unknown:
        notes.append(f"{unknown} unit(s) of the folds file are not in the cohort and were passed over")
    table = table[(table["at"] >= 0).to_numpy() & ~blank]
    if not len(table):
        raise DataError(f"No unit of the folds file's column '{id}' is in the cohort. Do the ids have the same form?")
    if "repeat" not in table:
        table["repeat"] = "0"
    if part is None:
        _one_fold_each(table, fold, repeat)
    else:
        table["tested"] = _tested(table["part"], part, test_value)
    splits, uncovered = _splits(table, len(units), notes)
    if uncovered:
        notes.append(f"{uncovered} unit(s) of the cohort are in no fold of some repeat and are left out there")
    return splits, notes


def _one_fold_each(table: pd.DataFrame, fold: str, repeat: str | None) -> None:
    once = table.drop_duplicates(["repeat", "at", "fold"])
    n = once.loc[once.duplicated(["repeat", "at"]), "at"].nunique()
    if n:
        hint = (
            "If the file holds several repeats, name their column with 'repeat'; if it has a row for each unit and fold that "
            "says train or test, name that column with 'part'."
            if repeat is None
            else "A unit is tested once in each repeat."
        )
        raise DataError(f"In the folds file {n} unit(s) have more than one '{fold}'. {hint}")


def _tested(side: pd.Series, part: str, test_value: str) -> NDArray[np.bool_]:
    tested = np.array([same(v, test_value) for v in side], dtype=bool)
    if not tested.any():
        known = sorted_labels(set(side))
        raise DataError(
            f"In the folds file no row of the cohort's units has '{part}' equal to '{test_value}'."
            f"{did_you_mean(str(test_value), known)}"
        )
    return tested


def _splits(table: pd.DataFrame, n: int, notes: list[str]) -> tuple[list[OuterSplit], int]:
    """The splits, and how many of n units are on neither side of some split."""
    splits, out, untested = [], np.zeros(n, dtype=bool), 0
    for r, rep in enumerate(sorted_labels(set(table["repeat"]))):
        these = table[table["repeat"] == rep]
        for f, label in enumerate(sorted_labels(set(these["fold"]))):
            here = (these["fold"] == label).to_numpy()
            at = these["at"].to_numpy(dtype=np.intp)
            if "tested" in these:
                tested = these["tested"].to_numpy(dtype=bool)
                train, test = np.unique(at[here & ~tested]), np.unique(at[here & tested])
            else:
                train, test = np.unique(at[~here]), np.unique(at[here])
            if not len(test):
                untested += 1
                continue
            splits.append(OuterSplit(r, f, train, test))
            inside = np.zeros(n, dtype=bool)
            inside[train] = inside[test] = True
            out |= ~inside
    if untested:
        notes.append(f"{untested} fold(s) of the folds file test no unit of the cohort and were passed over")
    return splits, int(out.sum())
