"""Knockoffs: what the rate rests on (exchangeability, signs), planted and null truth, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from cohortium.contracts import SurvivalOutcome, ValueOutcome
from cohortium.discovery import Features, discover
from cohortium.discovery.clusters import LARGEST, cluster_features
from cohortium.discovery.contrast import contrast
from cohortium.discovery.filtering import e_benjamini_hochberg, e_values, threshold
from cohortium.discovery.finding import joint_sets
from cohortium.discovery.knockoffs import fit_knockoffs, normal_scores
from cohortium.schema import Endpoint, EndpointKind


def blocks(rng: np.random.Generator, n: int, p: int, size: int = 4) -> np.ndarray:
    shared = np.repeat(rng.standard_normal((n, p // size)), size, axis=1)
    return np.sqrt(0.7) * shared + np.sqrt(0.3) * rng.standard_normal((n, p))


def features_of(x: np.ndarray, sizes: tuple[int, ...]) -> Features:
    names = tuple(f"m{i}" for i in range(len(sizes)))
    modality = np.repeat(np.array(names, dtype=object), sizes)
    return Features(x, modality, np.array([f"f{j}" for j in range(x.shape[1])], dtype=object), names, {})


def values_of(y: np.ndarray) -> ValueOutcome:
    units = np.array([f"{i:04d}" for i in range(len(y))], dtype=object)
    return ValueOutcome(Endpoint("y", EndpointKind.CONTINUOUS), units, y)


def planted(seed: int, signal: float = 1.5, gaps: float = 0.2) -> tuple[Features, ValueOutcome, np.ndarray]:
    """400 units, 120 independent features in two modalities of which 30 are causal."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((400, 120))
    causal = rng.choice(120, 30, replace=False)
    y = x[:, causal] @ rng.choice([-1.0, 1.0], 30) * signal / np.sqrt(30) + rng.standard_normal(400)
    for block in (slice(0, 80), slice(80, 120)):
        x[rng.random(400) < gaps, block] = np.nan
    return features_of(x, (80, 40)), values_of(y), causal


def test_second_moments_are_those_of_a_swap() -> None:
    rng = np.random.default_rng(0)
    x = blocks(rng, 4000, 12)
    groups = np.repeat(np.arange(3), 4)
    m = normal_scores(x, rng)
    model = fit_knockoffs(m.latent, groups)
    k = model.sample(m.latent, rng)
    own, both, copies = (np.corrcoef(m.latent.T, k.T)[a, b] for a, b in ((slice(12), slice(12)), (slice(12), slice(12, 24)), (slice(12, 24), slice(12, 24))))  # fmt: skip
    assert np.abs(own - copies).max() < 0.08
    between = groups[:, None] != groups[None, :]
    assert np.abs((own - both)[between]).max() < 0.08
    assert np.abs(both[~between]).max() < 0.9


def test_what_a_unit_lacks_its_knockoff_lacks_and_values_are_those_of_the_column() -> None:
    rng = np.random.default_rng(1)
    x = np.column_stack([rng.binomial(1, 0.3, 300), rng.poisson(1.0, 300), rng.standard_t(2, 300)]).astype(float)
    x[:60, 2] = np.nan
    m = normal_scores(x, rng)
    k = m.seen(fit_knockoffs(m.latent, np.arange(3)).sample(m.latent, rng))
    assert (np.isnan(k) == np.isnan(x)).all()
    seen = m.seen(m.latent)
    for j in (0, 1):
        assert set(np.round(k[:, j], 9)) <= set(np.round(seen[:, j], 9))
    assert len(np.unique(seen[:, 0])) == 2 and np.corrcoef(seen[:, 0], x[:, 0])[0, 1] > 0.999


def test_swapping_a_group_turns_its_sign_and_nothing_else() -> None:
    rng = np.random.default_rng(2)
    x, k, y = rng.standard_normal((100, 8)), rng.standard_normal((100, 8)), rng.standard_normal((100, 1))
    y = y + x[:, :2].sum(axis=1, keepdims=True)
    groups = np.repeat(np.arange(4), 2)
    w = contrast(x, k, y, groups, np.random.default_rng(5))
    a, b = x.copy(), k.copy()
    a[:, :2], b[:, :2] = k[:, :2], x[:, :2]
    turned = contrast(a, b, y, groups, np.random.default_rng(5))
    assert turned[0] == pytest.approx(-w[0], abs=1e-6) and turned[1:] == pytest.approx(w[1:], abs=1e-6)


def test_filters_by_hand() -> None:
    w = np.array([9.0, 8, 7, 6, 5, -4, 3, 0])
    assert threshold(w, 0.2) == 5.0 and threshold(w, 0.1) == np.inf
    assert list(e_values(w, 0.2)) == [8.0] * 5 + [0.0] * 3
    # e-BH of one draw is knockoff+ itself.
    assert list(e_benjamini_hochberg(e_values(w, 0.2), 0.2)) == [True] * 5 + [False] * 3
    assert not e_benjamini_hochberg(np.zeros(3), 0.5).any()


def test_groups_are_those_planted_and_never_too_large() -> None:
    rng = np.random.default_rng(3)
    assert list(cluster_features(blocks(rng, 300, 12))) == list(np.repeat([0, 1, 2], 4))
    one = rng.standard_normal((50, 1)) + 0.01 * rng.standard_normal((50, 100))
    sizes = np.bincount(cluster_features((one - one.mean(0)) / one.std(0)))
    assert sizes.max() <= LARGEST and sizes.sum() == 100
    copies = np.repeat(rng.standard_normal((50, 1)), 90, axis=1)
    assert np.bincount(cluster_features((copies - copies.mean(0)) / copies.std(0))).max() <= LARGEST


def test_planted_features_are_found_with_a_third_of_a_modality_missing() -> None:
    wrong, power = [], []
    for seed in range(12):
        features, outcome, causal = planted(seed)
        found = discover(outcome, features, np.random.default_rng(seed), again=0)
        truth = np.zeros(120, dtype=bool)
        truth[found.groups[causal]] = True
        wrong.append((found.selected & ~truth).sum() / max(found.selected.sum(), 1))
        power.append((found.selected & truth).sum() / 30)
    assert np.mean(wrong) < 0.1 + 2 * np.std(wrong) / np.sqrt(12) and np.mean(power) > 0.5


def test_nothing_is_found_in_nothing() -> None:
    hits = 0
    for seed in range(25):
        features, _, _ = planted(seed)
        y = np.random.default_rng([seed, 9]).standard_normal(400)
        hits += bool(discover(values_of(y), features, np.random.default_rng(seed), again=0).selected.any())
    assert hits <= 7  # at most 10% of the cohorts, 2.5 of 25, plus three standard errors


def test_order_of_features_of_other_modalities_and_seed() -> None:
    features, outcome, _ = planted(1)
    a = discover(outcome, features, np.random.default_rng(4), again=3)
    b = discover(outcome, features, np.random.default_rng(4), again=3)
    assert (a.selected == b.selected).all() and (a.w == b.w).all()
    assert a.again is not None and a.again[a.selected].mean() > a.again[~a.selected].mean()


def test_averaged_e_values_are_stricter() -> None:
    features, outcome, _ = planted(2, signal=2.0, gaps=0.0)
    many = discover(outcome, features, np.random.default_rng(4), draws=9, again=0)
    one = discover(outcome, features, np.random.default_rng(4), again=0)
    assert 0 < many.selected.sum() <= one.selected.sum() + 3


def test_covariates_take_their_share() -> None:
    rng = np.random.default_rng(8)
    c = rng.standard_normal((500, 20))
    x = np.hstack([c + rng.standard_normal((500, 20)), rng.standard_normal((500, 40))])
    y = values_of(c.sum(axis=1) + x[:, 20:40].sum(axis=1) * 0.6 + rng.standard_normal(500))
    features = features_of(x, (60,))
    alone = discover(y, features, np.random.default_rng(0), again=0)
    beyond = discover(y, features, np.random.default_rng(0), covariates=c, again=0)
    assert alone.selected[:20].mean() > 0.7  # they stand for the covariates
    assert beyond.selected[:20].mean() < 0.2 and beyond.selected[20:40].mean() > 0.7


def test_modalities_without_common_units_are_judged_apart() -> None:
    features, outcome, causal = planted(3, signal=3.0, gaps=0.0)
    x = features.x.copy()
    x[:200, :80], x[200:, 80:] = np.nan, np.nan
    apart = features_of(x, (80, 40))
    assert joint_sets(apart) == [("m0",), ("m1",)] and joint_sets(features) == [("m0", "m1")]
    found = discover(outcome, apart, np.random.default_rng(0), again=0)
    assert found.sets == (("m0",), ("m1",)) and found.tested.all()
    assert not set(np.flatnonzero(found.selected)) - set(found.groups[causal]) or found.selected.sum() >= 10


def test_screened_when_features_outnumber_units_more_than_twice() -> None:
    rng = np.random.default_rng(6)
    x = rng.standard_normal((200, 500))
    y = values_of(x[:, :25].sum(axis=1) / 2 + rng.standard_normal(200))
    found = discover(y, features_of(x, (500,)), rng, again=0)
    assert found.screening == 100 and found.tested.sum() == 100 and np.isnan(found.w[~found.tested]).all()
    assert found.tested[:25].mean() > 0.5 and not found.selected[~found.tested].any()


def test_refusals_say_why() -> None:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((100, 30))
    units = np.array([str(i) for i in range(100)], dtype=object)
    event = np.zeros(100, dtype=bool)
    event[:6] = True
    rare = SurvivalOutcome(
        Endpoint("y", EndpointKind.SURVIVAL, (), "years"), units, rng.exponential(size=100) + 0.1, event, np.zeros(100)
    )
    assert "6 events are too few" in discover(rare, features_of(x, (30,)), rng).refused
    y = values_of(rng.standard_normal(100))
    assert "no list shorter than 10" in discover(y, features_of(x[:, :8], (8,)), rng).refused
    assert "50 units are too few" in discover(y.take(np.arange(50)), features_of(x[:50], (30,)), rng).refused


def test_given_all_others_a_few_strong_features_are_found_and_what_follows_them_is_not() -> None:
    rng = np.random.default_rng(11)
    x = rng.standard_normal((300, 40))
    x[:, 3] = 0.45 * x[:, 0] + np.sqrt(1 - 0.45**2) * x[:, 3]  # follows a causal one
    x[rng.random(300) < 0.2, 20:] = np.nan
    y = values_of(np.nan_to_num(x)[:, [0, 1, 25]].sum(axis=1) + rng.standard_normal(300))
    found = discover(y, features_of(x, (20, 20)), rng, again=0, groups=np.arange(40))
    assert set(np.flatnonzero(found.q < 0.05)) == {0, 1, 25} and found.p[3] > 0.01 and not found.selected.any()


def test_p_values_given_all_others_are_uniform_where_nothing_matters() -> None:
    p = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x = blocks(rng, 150, 80)
        x[rng.random(150) < 0.2, :40] = np.nan
        p.append(discover(values_of(rng.standard_normal(150)), features_of(x, (40, 40)), rng, again=0).p)
    p = np.concatenate(p)
    for level in (0.05, 0.2, 0.5):
        assert abs((p < level).mean() - level) < 4 * np.sqrt(level * (1 - level) / len(p))
