"""k-means that allows for what is not known, clouds without clusters, and how many clusters there are."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from cohortium.subtypes.centroids import Points, fit_centres, nearest
from cohortium.subtypes.consensus import find_consensus
from cohortium.subtypes.deciding import find_evidence, valley
from cohortium.subtypes.unimodal import Cloud, nearest_unimodal
from tests.marks import thorough_but


def points(x: np.ndarray, rng: np.random.Generator, seen: np.ndarray | None = None) -> Points:
    """What a posterior says of latent variables x (variance about 1) of which ``seen`` is known."""
    b = np.ones_like(x) if seen is None else np.broadcast_to(seen, x.shape).copy()
    return Points(b * x + np.sqrt(b * (1 - b)) * rng.normal(size=x.shape), b)


def clusters(k: int, n: int, apart: float, rng: np.random.Generator, d: int = 5) -> tuple[np.ndarray, np.ndarray]:
    label = np.arange(n) % k
    return np.eye(k, d)[label] * apart / np.sqrt(2) + rng.normal(size=(n, d)), label


def test_it_is_k_means_where_everything_is_known() -> None:
    rng = np.random.default_rng(0)
    x, _ = clusters(4, 150, 4, rng)
    p = points(x, rng)
    centres, left = fit_centres(p, 4, 30, rng)
    other = KMeans(4, n_init=30, random_state=0).fit(x)
    assert left == pytest.approx(other.inertia_, rel=1e-3)
    assert adjusted_rand_score(nearest(p, centres), other.labels_) > 0.99


def test_units_of_which_little_is_known_are_no_cluster() -> None:
    rng = np.random.default_rng(1)
    x, label = clusters(2, 300, 6, rng, d=2)
    x = (x - x.mean(0)) / x.std(0)
    little = rng.random(300) < 0.4
    p = points(x, rng, np.where(little, 0.3, 0.95)[:, None])
    plain = KMeans(3, n_init=20, random_state=0).fit_predict(p.at)
    assert max(little[plain == g].mean() for g in range(3)) > 0.8, "plain k-means makes a cluster of them"
    mine = nearest(p, fit_centres(p, 2, 20, rng)[0])
    assert adjusted_rand_score(label[~little], mine[~little]) > 0.9
    assert adjusted_rand_score(label[little], mine[little]) > 0.2, "what is known of them still tells"
    assert abs(np.mean(mine[little] == 0) - np.mean(mine[~little] == 0)) < 0.15


@pytest.mark.parametrize("family", ["normal", "two", "skewed", "tied", "outlier"])
def test_the_nearest_unimodal_distribution_has_one_mode(family: str) -> None:
    rng = np.random.default_rng(2)
    x = {
        "normal": lambda: rng.normal(size=200),
        "two": lambda: np.r_[rng.normal(size=100) - 3, rng.normal(size=100) + 3],
        "skewed": lambda: rng.exponential(size=200),
        "tied": lambda: rng.integers(0, 4, size=200).astype(float),
        "outlier": lambda: np.r_[rng.normal(size=199), 50.0],
    }[family]()
    values, p = nearest_unimodal(x)
    slope = np.diff(p) / np.diff(values)
    top = slope.argmax()
    assert (np.diff(slope[: top + 1]) >= -1e-9 * slope.max()).all() and (
        np.diff(slope[top:]) <= 1e-9 * slope.max()
    ).all()
    ecdf = (np.arange(200) + 0.5) / 200
    gap = np.abs(np.interp(np.sort(x), values, p) - ecdf).max()
    assert gap < (0.3 if family in ("two", "tied") else 0.05)


def test_a_cloud_keeps_spread_tails_and_what_is_seen() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 3)) * [3.0, 1.0, 0.5] / np.sqrt(rng.chisquare(3, size=(400, 1)) / 3)
    seen = np.where(rng.random((400, 1)) < 0.5, 1.0, 0.4) * np.ones((1, 3))
    p = Points(x * np.sqrt(seen), seen)
    cloud = Cloud.of(p, x.std(axis=0), rng)
    drawn = [cloud.draw(rng) for _ in range(20)]
    np.testing.assert_allclose(
        np.mean([np.cov((d.at / np.sqrt(seen)).T) for d in drawn], axis=0), np.cov(x.T), atol=0.05
    )
    tails = np.mean([np.abs(d.at / np.sqrt(seen) / x.std(axis=0)).max() for d in drawn])
    assert tails > 4.5, "outliers are in it"
    assert all((d.seen == seen).all() for d in drawn)


def test_a_valley_is_seen_through_the_fog() -> None:
    rng = np.random.default_rng(4)
    for seen in (1.0, 0.8):
        x, _ = clusters(2, 300, 6, rng, d=2)
        apart, one = points(x, rng, np.array(seen)), points(rng.normal(size=(300, 2)), rng, np.array(seen))
        found = [valley(p, fit_centres(p, 2, 10, rng)[0]) for p in (apart, one)]
        assert found[0] > 1.0 > 0.5 > found[1]


@pytest.mark.parametrize("k", [2, 3, 4])
def test_planted_clusters_are_counted(k: int) -> None:
    rng = np.random.default_rng([5, k])
    x, label = clusters(k, 160, 6, rng)
    p = points(x, rng)
    found = find_evidence(p, x.std(axis=0), range(2, 7), rng, draws=59)
    assert found.chosen == k and found.p == pytest.approx(1 / 60)
    made = find_consensus(p, k, rng)
    assert adjusted_rand_score(label, made.labels) > 0.9
    assert (made.stability > 0.9).all() and (made.within > 0.9).all() and (made.between < 0.1).all()


@pytest.mark.slow
@pytest.mark.parametrize("family", thorough_but(["gradient", "heavy", "skewed", "flat"], "flat"))
def test_there_are_none_in_a_cloud_of_any_shape(family: str) -> None:
    found = []
    for i in range(12):
        rng = np.random.default_rng([6, i])
        x = rng.normal(size=(100, 4))
        if family == "gradient":
            x[:, 0] *= 4
        elif family == "heavy":
            x /= np.sqrt(rng.chisquare(3, size=(100, 1)) / 3)
        elif family == "skewed":
            x[:, :2] = 2 * rng.exponential(size=(100, 2))
        else:
            x[:, 0] = rng.uniform(-4, 4, size=100)
        found.append(find_evidence(points(x, rng), x.std(axis=0), range(2, 6), rng, draws=39).p)
    assert sum(p <= 0.05 for p in found) <= 2 and np.mean(found) > 0.25, found


def test_stability_tells_a_cluster_from_a_cut() -> None:
    rng = np.random.default_rng(7)
    x, _ = clusters(2, 150, 7, rng)
    made = find_consensus(points(x, rng), 3, rng)
    assert made.stability.max() > 0.95 and made.stability.min() < 0.8, "one of two clusters was cut in two"
    assert list(np.bincount(made.labels)) == sorted(np.bincount(made.labels), reverse=True)
