"""Split designs over labels and outcomes. All deterministic from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.contracts import Outcome, TimeOutcome, ValueOutcome
from cohortium.errors import EndpointError, StudyError
from cohortium.resampling.dealing import deal

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class OuterSplit:
    """One outer fold. train, test: disjoint positions, increasing."""

    repeat: int
    fold: int
    train: Rows
    test: Rows


def needed_strata(outcome: Outcome) -> list[int]:
    """Strata without which nothing can be learned: events (of interest) of survival and competing risks, every class that anybody has, none of values."""
    if isinstance(outcome, ValueOutcome):
        return []
    return [1] if isinstance(outcome, TimeOutcome) else [int(s) for s in np.unique(outcome.strata)]


def nested(outcome: Outcome, groups: NDArray[np.int64], repeats: int, folds: int, seed: int) -> list[OuterSplit]:
    """``repeats`` times ``folds`` outer folds, grouped by ``groups`` (n,) and stratified by ``outcome.strata``.

    Raises :class:`EndpointError` when there are fewer groups than folds.
    """
    n = len(np.unique(groups))
    if n < folds:
        raise EndpointError(f"There are {n} patients (or groups), too few for {folds} folds. Use fewer folds.")
    out = []
    for r in range(repeats):
        rng = np.random.default_rng([seed, 11, r])
        fold = deal(outcome.strata, groups, folds, needed_strata(outcome), rng)
        out += [OuterSplit(r, f, np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(folds)]
    return out


def inner(outcome: Outcome, groups: NDArray[np.int64], k: int, seed: int) -> tuple[tuple[Rows, Rows], ...]:
    """Inner folds (train, test) of a training part: positions 0..n-1, each tested once.

    Fewer than k when fewer groups have the rarest class (or events). Raises :class:`EndpointError` when that leaves
    fewer than two, or when the groups are such that a class cannot be on both sides.
    """
    needed = needed_strata(outcome)
    holders = [len(np.unique(groups[outcome.strata == s])) for s in needed]
    k = min([k, len(np.unique(groups)), *holders])
    if k >= 2:
        fold = deal(outcome.strata, groups, k, needed, np.random.default_rng([seed, 13]))
        if all(len(np.unique(fold[outcome.strata == s])) > 1 for s in needed):
            return tuple((np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in range(k))
    what = "events" if isinstance(outcome, TimeOutcome) else "a class"
    cause = (
        f"has {what} in fewer than two patients (or groups)" if needed else "has fewer than two patients (or groups)"
    )
    raise EndpointError(
        f"A training part {cause}, or in two that stay together: no inner folds can be made. "
        "Use fewer outer folds, merge rare classes or leave them out."
    )


def by_column(labels: Sequence[object]) -> list[OuterSplit]:
    """One outer fold per label, numbers in order of size and texts of the alphabet; units without a label are always
    trained on. Texts that differ in case or outer blanks are one label. Raises :class:`StudyError` below two labels."""
    keys = np.array([label_key(v) for v in labels], dtype=object)
    names = sorted_labels(set(keys) - {None})
    if len(names) < 2:
        raise StudyError(f"The fold column holds {len(names)} label(s); at least two are needed.")
    return [OuterSplit(0, f, np.flatnonzero(keys != n), np.flatnonzero(keys == n)) for f, n in enumerate(names)]


def leave_one_site_out(sites: Sequence[object]) -> list[OuterSplit]:
    """Each site tested once by what was learned at the others (and by units of no known site)."""
    if len({label_key(v) for v in sites} - {None}) < 2:
        raise StudyError("leave_one_site_out needs at least two sites in the site column.")
    return by_column(sites)


def fixed_test(labels: Sequence[object], test_value: object) -> list[OuterSplit]:
    """One split: units whose label equals ``test_value`` are tested, the others (without a label, too) trained on.

    1, 1.0, '1' and True are equal, and so are 'Test' and 'test '. Raises :class:`StudyError` when one side is empty.
    """
    test = np.array([same(v, test_value) for v in labels], dtype=bool)
    if not test.any() or test.all():
        raise StudyError(
            f"The test column equals {test_value!r} for {int(test.sum())} of {len(test)} units; some must be tested and "
            "some not. Is evaluation.test_value written as in the column?"
        )
    return [OuterSplit(0, 0, np.flatnonzero(~test), np.flatnonzero(test))]


def label_key(value: object) -> str | None:
    """A label by which cells are alike: 1, 1.0 and '1'; 'Ulm' and 'ulm '. None for a missing one."""
    if isinstance(value, str):
        return value.strip().casefold() or None
    if pd.isna(value):  # type: ignore[call-overload]
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip().casefold()


def sorted_labels(keys: set[str | None]) -> list[str]:
    """Numbers by size where all are numbers (10 follows 9), else by text."""
    names = [k for k in keys if k is not None]
    numbers = pd.to_numeric(pd.Series(names, dtype=object), errors="coerce")
    if len(names) and numbers.notna().all():
        return [n for _, n in sorted(zip(numbers, names, strict=True))]
    return sorted(names)


def same(cell: object, value: object) -> bool:
    """Tolerant equality of a cell and a value of the study file."""
    a, b = label_key(cell), label_key(value)
    if a is None or b is None:
        return False
    if isinstance(value, bool):
        return a in (("true", "1", "1.0", "yes") if value else ("false", "0", "0.0", "no"))
    try:
        number = float(b)
    except ValueError:
        return a == b
    try:
        return float({"true": "1", "false": "0"}.get(a, a)) == number
    except ValueError:
        return False
