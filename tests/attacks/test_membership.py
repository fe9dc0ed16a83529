"""Membership inference: right where the answer is known, at chance where nothing is released."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from cohortium.attacks import likelihood_ratios, membership


def halves(rng, models, n):
    return np.array([rng.permutation(n) < n // 2 for _ in range(models)])


def test_ratios_are_those_of_normal_laws_and_tell_as_much_as_these_can():
    rng = np.random.default_rng(0)
    member = halves(rng, 129, 300)
    x = rng.normal(size=300) + rng.normal(size=member.shape) + 1.5 * member
    found = membership(x, member, 0)
    assert found.auc == pytest.approx(norm.cdf(1.5 / np.sqrt(2)), abs=0.012)
    assert found.tpr == pytest.approx(norm.sf(norm.isf(0.01) - 1.5), abs=0.02)
    assert found.auc_low < found.auc < found.auc_high and found.tpr_low <= found.tpr <= found.tpr_high
    target, i = 5, 7
    others = np.arange(129) != target
    inside, outside = (x[others & (member[:, i] == w), i] for w in (True, False))
    by_hand = norm.logpdf(x[target, i], inside.mean(), inside.std(ddof=1)) - norm.logpdf(
        x[target, i], outside.mean(), outside.std(ddof=1)
    )
    assert likelihood_ratios(x, member)[target, i] == pytest.approx(by_hand, abs=1e-9)


def test_rates_are_those_of_scikit_learn():
    from sklearn.metrics import roc_auc_score, roc_curve

    rng = np.random.default_rng(1)
    member = halves(rng, 65, 40)
    x = np.round(rng.normal(size=member.shape) + 0.5 * member, 1)  # ties
    found, score = membership(x, member, 0), likelihood_ratios(x, member)
    assert found.auc == pytest.approx(roc_auc_score(member.ravel(), score.ravel()), abs=1e-12)
    fpr, tpr, _ = roc_curve(member.ravel(), score.ravel(), drop_intermediate=False)
    assert found.tpr == pytest.approx(tpr[fpr <= 0.01].max(), abs=1e-12)


def test_what_says_nothing_gives_chance_and_a_mean_of_many_columns_tells_its_members():
    rng = np.random.default_rng(2)
    rows, member = rng.normal(size=(80, 40)), halves(rng, 65, 80)
    nothing = membership(rng.normal(size=member.shape), member, 0)
    assert abs(nothing.auc - 0.5) < 0.04 and nothing.tpr < 0.03
    means = np.array([rows[m].mean(0) for m in member])
    assert membership(means @ rows.T, member, 0).auc > 0.75  # Homer 2008, PLoS Genet 4:e1000167
    noisy = membership((means + rng.normal(size=means.shape)) @ rows.T, member, 0)
    assert noisy.auc < 0.56


@pytest.mark.parametrize(("models", "change"), [(5, None), (65, "nan"), (65, "all"), (65, "shape")])
def test_what_cannot_be_told_is_refused(models, change):
    rng = np.random.default_rng(3)
    member = halves(rng, models, 20)
    x = rng.normal(size=member.shape)
    if change == "nan":
        x[0, 0] = np.nan
    if change == "all":
        member[:, 3] = True
    if change == "shape":
        x = x[:, 1:]
    with pytest.raises(ValueError):
        membership(x, member, 0)
