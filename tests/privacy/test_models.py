"""Gradients against numerical ones, cells of survival against a direct count, moments against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from cohortium.privacy import models
from cohortium.privacy.models import Outcomes
from cohortium.privacy.statistics import by_patient, means, moment_bound, moment_rows

TIMES = (1.0, 2.0, 4.0)


def outcomes(kind, n, rng):
    none = np.zeros(n)
    if kind == "survival":
        entry = np.where(rng.random(n) < 0.3, rng.uniform(0, 1.5, n), 0.0)
        time = entry + rng.exponential(2.0, n)
        time[:3], entry[:3] = (1.0, 2.0, 4.0), 0.0  # on the edges
        return Outcomes(kind, (rng.random(n) < 0.6).astype(float), time, entry, TIMES, 0)
    y = {"binary": rng.integers(0, 2, n), "multiclass": rng.integers(0, 3, n), "continuous": rng.uniform(-1, 1, n)}
    return Outcomes(kind, y[kind].astype(float), none, none, (), {"binary": 2, "multiclass": 3}.get(kind, 0))


def loss(z, o, b, i):
    """Of one unit, term by term."""
    if o.kind == "multiclass":
        m = np.r_[1.0, z[i]] @ b.reshape(-1, o.classes)
        return np.log(np.exp(m).sum()) - m[int(o.y[i])]
    eta = z[i] @ b[-z.shape[1] :]
    if o.kind == "binary":
        return np.log1p(np.exp(eta + b[0])) - o.y[i] * (eta + b[0])
    if o.kind == "continuous":
        return 0.5 * (eta + b[0] - o.y[i]) ** 2
    total = 0.0
    for k, (start, end) in enumerate(zip((0.0, *TIMES), TIMES, strict=False)):
        p = expit(b[k] + eta)
        if o.entry[i] > start:
            continue
        if o.y[i] and start < o.time[i] <= end:
            total -= np.log(p)
        elif o.time[i] >= end:
            total -= np.log(1 - p)
    return total


@pytest.mark.parametrize("kind", ["survival", "binary", "multiclass", "continuous"])
def test_gradients_are_those_of_the_loss(kind):
    rng = np.random.default_rng(0)
    o, z = outcomes(kind, 30, rng), rng.standard_normal((30, 4))
    b = rng.standard_normal(models.size(kind, 4, o.times, o.classes)) * 0.5
    found = models.unit_gradients(z, o, b)
    for i in range(30):
        step = 1e-6 * np.eye(len(b))
        numeric = [(loss(z, o, b + s, i) - loss(z, o, b - s, i)) / 2e-6 for s in step]
        np.testing.assert_allclose(found[i], numeric, atol=1e-6)


def test_cells_and_those_at_risk():
    o = outcomes("survival", 300, np.random.default_rng(1))
    o = Outcomes(o.kind, o.y, o.time, np.zeros(300), TIMES, 0)
    counts = np.bincount(models.unit_cell(o), minlength=7).astype(float)
    risk, events = models.at_risk(counts, 3)
    for k, (start, end) in enumerate(zip((0.0, *TIMES), TIMES, strict=False)):
        event = (o.y > 0) & (o.time > start) & (o.time <= end)
        assert (
            events[k] == event.sum()
            and risk[k]
            == (event | (o.time >= end) & (o.time > start)).sum() - ((o.time == end) & (o.y > 0) & ~event).sum()
        )
    found, curvature, n = models.start("survival", 2, TIMES, 0, counts)
    np.testing.assert_allclose(expit(found[:3]), events / risk)
    assert n == 300 and curvature == pytest.approx((risk * events / risk * (1 - events / risk)).sum() / 300)


def test_moments_are_those_of_numpy_and_within_their_bound():
    rng = np.random.default_rng(2)
    x = np.column_stack(
        [rng.normal(50, 10, 4000), rng.integers(0, 3, 4000) == 1, rng.integers(0, 3, 4000) == 5]
    ).astype(float)
    x[rng.random(4000) < 0.1, 0] = np.nan
    low, high, coded = np.array([0.0, 0, 0]), np.array([100.0, 1, 1]), [False, True, True]
    rows = moment_rows(x, low, high, coded)
    assert np.sqrt((rows**2).sum(1)).max() <= moment_bound([(False, 1), (True, 2)]) + 1e-12
    mean, sd = means(rows.sum(0), low, high, coded)
    assert mean[:2] == pytest.approx(np.nanmean(x[:, :2], axis=0)) and sd[0] == pytest.approx(np.nanstd(x[:, 0]))
    assert sd[2] == pytest.approx(0.1)  # no variance by chance of noise
    far, _ = means(rows.sum(0) * [1, 1, 1, 9, 9, 9, 1, 1, 1], low, high, coded)
    assert (far <= high).all() and (far >= low).all()


def test_a_patient_counts_once():
    rows, patient = np.array([[1.0, 0], [0, 1], [0, 1], [1, 0]]), np.array([5, 5, 5, 2])
    np.testing.assert_allclose(by_patient(rows, patient), [[1, 0], [1 / 3, 2 / 3]])
