"""Epsilons against dp-accounting's and Opacus' (stored), what is added to what, and what is refused."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from cohortium.privacy import Release, delta_of, epsilon_of, mu_of, refused, spent
from cohortium.privacy.accountant import EVERYONE, FITTED, HELD_OUT, spent_delta
from cohortium.privacy.gaussian import together

VALUES = list(csv.DictReader((Path(__file__).parent / "oracle" / "values.csv").open()))


def releases(text):
    parts = (c.split(":") for c in text.split("+"))
    return [Release("x", k, float(n), int(t), float(q)) for k, n, t, q in parts]


def quick(row):
    """Convolving takes a second: one delta of each in CI."""
    return row["delta"] == "1e-05" or {r.kind for r in releases(row["releases"])} == {"gaussian"}


@pytest.mark.parametrize(
    "row",
    [r if quick(r) else pytest.param(r, marks=pytest.mark.thorough) for r in VALUES],
    ids=[f"{r['releases']}@{r['delta']}" for r in VALUES],
)
def test_agrees_with_dp_accounting(row):
    made = releases(row["releases"])
    if any(r.kind != "gaussian" for r in made):
        pytest.importorskip("dp_accounting")
    mine, theirs = spent(made, float(row["delta"])), float(row["dp"])
    assert mine == pytest.approx(theirs, rel=1e-6)
    assert mine <= float(row["rdp"]) * (1 + 1e-6)  # never looser than the bound that is easier to have
    if row["opacus"]:
        assert abs(mine - float(row["opacus"])) < 0.02  # its own error bound is 0.01


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 1e-6), (1, 1e-5), (3, 1e-5), (8, 1e-3), (30, 1e-9)])
def test_noise_for_a_budget_spends_it_and_no_more(epsilon, delta):
    mu = mu_of(epsilon, delta)
    assert delta_of(mu, epsilon) <= delta and delta_of(mu * 1.001, epsilon) > delta
    assert epsilon * (1 - 1e-6) <= epsilon_of(mu, delta) <= epsilon
    # The classical Gaussian mechanism (Dwork & Roth 2014, theorem A.1) needs more noise wherever it holds.
    if epsilon < 1:
        assert 1 / mu < math.sqrt(2 * math.log(1.25 / delta)) / epsilon


def test_composition_is_exact_not_a_sum():
    many = [Release("x", "gaussian", 10.0)] * 25
    assert spent(many, 1e-5) == pytest.approx(spent([Release("x", "gaussian", 10.0, 25)], 1e-5), rel=1e-12)
    assert spent(many, 1e-5) == pytest.approx(spent([Release("x", "gaussian", 2.0)], 1e-5))
    assert spent(many, 1e-5) < 25 * spent(many[:1], 1e-5)
    assert together([3.0, 4.0]) == 5.0
    assert spent([], 1e-5) == 0 and spent([Release("x", "gaussian", 0.0)], 1e-5) == math.inf


def test_disjoint_patients_cost_the_larger_and_plans_add_up():
    def r(noise, part, plan):
        return Release("x", "gaussian", noise, 1, 1.0, part, plan)

    both = [r(4, EVERYONE, "a"), r(2, FITTED, "a"), r(3, HELD_OUT, "a")]
    assert spent(both, 1e-5) == spent([r(4, EVERYONE, "a"), r(2, EVERYONE, "a")], 1e-5)
    # Who was held out of one plan may have been in the fit of the other.
    more = [*both, r(3, FITTED, "b"), r(2, HELD_OUT, "b")]
    assert spent(more, 1e-5) == pytest.approx(spent([r(4, EVERYONE, ""), r(2, EVERYONE, ""), r(2, EVERYONE, "")], 1e-5))
    assert spent_delta(both, 3.0) == pytest.approx(delta_of(together([1 / 4, 1 / 2]), 3.0))


def test_more_than_the_budget_is_refused():
    one = Release("x", "gaussian", 1 / mu_of(3, 1e-5 * (1 - 1e-6)))
    assert refused([], [one], 3, 1e-5) == ""
    said = refused([one], [Release("y", "gaussian", 100.0)], 3, 1e-5)
    assert "budget is 3" in said and "epsilon 3" in said
    assert "no finite" in refused([], [Release("x", "gaussian", 0.0)], 3, 1e-5)


@pytest.mark.parametrize(
    "wrong", [{"kind": "none"}, {"noise": -1.0}, {"noise": math.nan}, {"times": 0}, {"rate": 0.0}, {"rate": 1.1}]
)
def test_what_is_no_release(wrong):
    with pytest.raises(ValueError, match="no release"):
        Release(**{"name": "x", "kind": "gaussian", "noise": 1.0, **wrong})
