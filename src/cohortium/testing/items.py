"""Cohorts whose outcome lies where simple learners do not look: between modalities, or in few of a unit's many items."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Bag, Cohort, Events, Table
from cohortium.cohort.events import DAY
from cohortium.cohort.table import feature_frame
from cohortium.contracts import ClassOutcome
from cohortium.schema import Endpoint, EndpointKind
from cohortium.testing.simulate import CLASS_NAMES, Simulated

Codes = NDArray[np.int64]


def between_modalities(rng: np.random.Generator, n: int = 500, *, features: int = 4, sign: bool = True) -> Simulated:
    """Binary: the score is the product of the first feature of a table ``a`` with that of a table ``b``; neither tells
    anything alone. sign: three times the product of their signs (exclusive or), else 2.5 times the product."""
    a, b = rng.normal(size=(n, features)), rng.normal(size=(n, features))
    product = a[:, 0] * b[:, 0]
    score = 3.0 * np.sign(product) if sign else 2.5 * product
    units, outcome = _binary(rng, score + rng.logistic(size=n) > 0, 0.0)
    tables = {
        m: Table(units.index, x, feature_frame([f"{m}_{j}" for j in range(features)])) for m, x in (("a", a), ("b", b))
    }
    causal = {"a": ("a_0",), "b": ("b_0",)}
    return Simulated(Cohort(units, tables), outcome, causal, {}, score[:, None], {"a": a, "b": b})


def patient_communities(
    rng: np.random.Generator,
    n: int = 500,
    *,
    axes: int = 6,
    apart: float = 3.5,
    features: int = 20,
    missing: float = 0.2,
    wrong: float = 0.05,
) -> Simulated:
    """Binary: patients come in ``2 * axes`` communities, of which half are positive; linear models are at chance.

    In each of the tables ``a`` and ``b`` a community's centre lies ``apart`` standard deviations from the mean, at either end of one
    of ``axes`` orthogonal directions; both ends have the same outcome, so that no direction tells anything. missing: share of units
    that lack ``b``. wrong: share of labels that are turned. The score is 1 for units of positive communities, else 0.
    """
    axis, end = rng.integers(axes, size=n), rng.choice([-1.0, 1.0], size=n)
    positive = axis < axes // 2
    units, outcome = _binary(rng, positive, wrong)
    tables, complete = {}, {}
    for m in ("a", "b"):
        directions = np.linalg.qr(rng.normal(size=(features, axes)))[0].T
        complete[m] = apart * end[:, None] * directions[axis] + rng.normal(size=(n, features))
        rows = np.flatnonzero(rng.random(n) >= (missing if m == "b" else 0.0))
        names = feature_frame([f"{m}_{j}" for j in range(features)])
        tables[m] = Table(units.index[rows], complete[m][rows], names)
    return Simulated(Cohort(units, tables), outcome, {}, {}, positive[:, None].astype(float), complete)


def rare_instances(
    rng: np.random.Generator,
    n: int = 500,
    *,
    instances: tuple[int, int] = (100, 200),
    rare: int = 2,
    shift: float = 4.0,
    features: int = 16,
    wrong: float = 0.05,
) -> Simulated:
    """Binary: positives have ``rare`` instances that lie ``shift`` standard deviations away, all in one direction.

    Every unit's bag ``cells`` has mean 0 and standard deviation 1 in each feature, so that neither tells anything; a
    table ``labs`` of 4 features is noise. instances: fewest and most of a unit. wrong: share of labels that are turned.
    The score is 1 for units that have such instances, else 0.
    """
    direction = rng.normal(size=features)
    direction /= np.linalg.norm(direction)
    positive = rng.random(n) < 0.5
    sizes = rng.integers(instances[0], instances[1] + 1, size=n)
    parts = []
    for size, has in zip(sizes, positive, strict=True):
        x = rng.normal(size=(size, features))
        if has:
            x[rng.permutation(size)[:rare]] += shift * direction
        parts.append((x - x.mean(axis=0)) / x.std(axis=0))
    units, outcome = _binary(rng, positive, wrong)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    bag = Bag(units.index, np.concatenate(parts), offsets, feature_frame([f"cells_{j}" for j in range(features)]))
    return Simulated(_with_labs(rng, units, "cells", bag), outcome, {}, {}, positive[:, None].astype(float), {})


def asked_instances(
    rng: np.random.Generator, n: int = 500, *, instances: tuple[int, int] = (30, 60), features: int = 6
) -> Simulated:
    """Binary: which instances count is said by another modality.

    In the bag ``cells`` half of the instances are of a kind (its sign is feature 0), and feature 1 has a mean of m among
    one kind and of -m among the other, so that the bag's own mean tells nothing. A table ``labs`` of 4 features says by the
    sign of its first which kind counts: positives have m times that sign above zero. The score is 3 times that product's sign.
    """
    m, labs = rng.normal(size=n), rng.normal(size=(n, 4))
    sizes = rng.integers(instances[0], instances[1] + 1, size=n)
    parts = []
    for size, mean in zip(sizes, m, strict=True):
        x = rng.normal(size=(size, features))
        kind = np.where(rng.permutation(size) % 2, 1.0, -1.0)
        x[:, 0] = 2 * kind + 0.3 * x[:, 0]
        x[:, 1] = mean * kind + 0.5 * x[:, 1]
        parts.append(x)
    score = 3.0 * np.sign(m * labs[:, 0])
    units, outcome = _binary(rng, score + rng.logistic(size=n) > 0, 0.0)
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    bag = Bag(units.index, np.concatenate(parts), offsets, feature_frame([f"cells_{j}" for j in range(features)]))
    table = Table(units.index, labs, feature_frame([f"labs_{j}" for j in range(4)]))
    causal = {"labs": ("labs_0",), "cells": ("cells_0", "cells_1")}
    return Simulated(Cohort(units, {"labs": table, "cells": bag}), outcome, causal, {}, score[:, None], {})


def followed_codes(
    rng: np.random.Generator, n: int = 500, *, pairs: int = 3, others: float = 20.0, wrong: float = 0.05
) -> Simulated:
    """Binary: in positives the code A comes about a day before B, in the others a day after, ``pairs`` times in a year.

    Counts in every window are alike but for the few pairs that a window's end cuts. ``others``: mean number of events
    of ten further codes. A table ``labs`` of 4 features is noise. The score is 1 where A comes first, else 0.
    """
    positive = rng.random(n) < 0.5
    first = rng.uniform(2, 363, size=(n, pairs))
    second = first + np.where(positive, 1, -1)[:, None] * rng.uniform(0.2, 1.5, size=(n, pairs))
    number = rng.poisson(others, size=n)
    owner = np.concatenate([np.repeat(np.arange(n), k) for k in (pairs, pairs, number)])
    day = np.concatenate([first.ravel(), second.ravel(), rng.uniform(0, 365, size=int(number.sum()))])
    code = np.concatenate([np.repeat([0, 1], n * pairs), rng.integers(2, 12, size=int(number.sum()))])
    index = rng.integers(15_000, 20_000, size=n) * DAY
    time = index[owner] - 366 * DAY + (day * DAY).astype(np.int64)
    order = np.lexsort((time, owner))
    stop = np.cumsum(np.bincount(owner, minlength=n))
    units, outcome = _binary(rng, positive, wrong)
    names = np.array(["A", "B", *(f"other_{j}" for j in range(10))], dtype=object)
    value = np.full(len(order), np.nan)
    events = Events(units.index, names, owner[order], time[order], code[order].astype(np.int32), value, np.r_[0, stop[:-1]], stop, index)  # fmt: skip
    return Simulated(_with_labs(rng, units, "visits", events), outcome, {}, {}, positive[:, None].astype(float), {})


def _binary(rng: np.random.Generator, positive: NDArray[np.bool_], wrong: float) -> tuple[pd.DataFrame, ClassOutcome]:
    ids = [f"P{i:05d}" for i in range(len(positive))]
    units = pd.DataFrame({"patient": ids}, index=pd.Index(ids, dtype=object, name="unit"))
    codes: Codes = (positive ^ (rng.random(len(ids)) < wrong)).astype(np.int64)
    endpoint = Endpoint("y", EndpointKind.BINARY, CLASS_NAMES[EndpointKind.BINARY])
    return units, ClassOutcome(endpoint, units.index.to_numpy(dtype=object), codes)


def _with_labs(rng: np.random.Generator, units: pd.DataFrame, name: str, data: Bag | Events) -> Cohort:
    labs = Table(units.index, rng.normal(size=(len(units), 4)), feature_frame([f"labs_{j}" for j in range(4)]))
    return Cohort(units, {"labs": labs, name: data})
