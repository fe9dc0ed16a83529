"""What is planted is there, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from cohortium.contracts import ClassOutcome, SurvivalOutcome, ValueOutcome
from cohortium.schema import EndpointKind
from cohortium.testing import simulate_cohort


def response(simulated, k: int = 0) -> np.ndarray:
    """(n,) something that grows with score k."""
    y = simulated.outcome
    if isinstance(y, ClassOutcome):
        return y.codes == k if y.endpoint.kind is EndpointKind.MULTICLASS else y.codes
    return y.values if isinstance(y, ValueOutcome) else y.event / y.time


@pytest.mark.parametrize("kind", list(EndpointKind))
def test_causal_features_carry_the_outcome_and_others_do_not(kind):
    s = simulate_cohort(np.random.default_rng(0), 3000, {"a": 6, "b": 20, "c": 5}, kind, informative={"a": 2, "b": 2})
    width = s.score.shape[1]
    for m, table in s.cohort.modalities.items():
        for j, feature in enumerate(table.features.index):
            from scipy.stats import spearmanr

            r = [spearmanr(table.values[:, j], response(s, k)).statistic for k in range(width)]
            if feature in s.causal.get(m, ()):
                effect = s.effects[m][s.causal[m].index(feature)]
                if kind is EndpointKind.MULTICLASS:  # only differences between classes matter
                    effect = effect - effect.mean()
                for a, b in zip(r, effect, strict=True):
                    assert abs(b) < 1e-9 or (np.sign(a) == np.sign(b) and abs(a) > 0.1), (m, feature)
            else:
                assert np.abs(r).max() < 0.08, (m, feature)
    assert set(s.causal) == {"a", "b"} and all(len(v) == 2 for v in s.causal.values())
    assert s.score.std(axis=0) == pytest.approx(np.full(width, 1.5), rel=0.1)


def test_same_generator_same_cohort_and_no_signal_means_none():
    one, two = (simulate_cohort(np.random.default_rng(3), 50, missing=0.3, missing_cells=0.1) for _ in range(2))
    for m in one.cohort.modalities:
        np.testing.assert_array_equal(one.cohort.modalities[m].values, two.cohort.modalities[m].values)
    np.testing.assert_array_equal(one.outcome.codes, two.outcome.codes)
    assert not simulate_cohort(np.random.default_rng(3), 50, signal=0.0).score.any()


def test_missing_modalities_cells_and_codes_are_as_asked():
    s = simulate_cohort(
        np.random.default_rng(1), 400, {"a": 10, "b": 50}, missing={"b": 0.25}, missing_cells=0.1, nominal={"a": 2}
    )
    assert s.cohort.presence().mean().tolist() == [1.0, 0.75]
    assert np.isnan(s.cohort.modalities["b"].values).mean() == pytest.approx(0.1, abs=0.01)
    features = s.cohort.modalities["a"].features
    coded = features[features["kind"] == "nominal"]
    assert len(coded) == 2 and not set(coded.index) & set(s.causal["a"])
    assert set(np.unique(s.complete["a"][:, features.index.get_indexer(coded.index)])) == {0, 1, 2}


def test_presence_can_be_made_to_tell_the_outcome():
    for effect, expected in ((0.0, False), (1.5, True)):
        s = simulate_cohort(np.random.default_rng(2), 1000, missing={"rna": 0.4}, presence_effect=effect)
        have = s.cohort.presence()["rna"].to_numpy()
        gap = s.outcome.codes[have].mean() - s.outcome.codes[~have].mean()
        assert (gap > 0.15) == expected


def test_several_units_of_a_patient_resemble_each_other_and_share_a_site():
    s = simulate_cohort(np.random.default_rng(4), 600, {"a": 40}, units_per_patient=3, sites=4)
    units = s.cohort.units
    assert 200 < s.cohort.n_patients < 400 and units["patient"].value_counts().max() == 3
    assert (units.groupby("patient")["site"].nunique() == 1).all() and units["site"].nunique() == 4
    x, same = s.complete["a"], units["patient"].to_numpy()
    pairs = np.flatnonzero(same[:-1] == same[1:])
    assert np.mean(x[pairs] * x[pairs + 1]) == pytest.approx(0.7, abs=0.05)


def test_survival_has_the_asked_share_of_events_and_valid_entries():
    for delayed in (False, True):
        s = simulate_cohort(
            np.random.default_rng(5), 500, kind="survival", prevalence=0.3, delayed_entry=delayed, name="os"
        )
        y = s.outcome
        assert isinstance(y, SurvivalOutcome) and y.endpoint.name == "os" and y.endpoint.time_unit == "years"
        assert y.event.mean() == pytest.approx(0.3, abs=0.005)
        assert (y.entry < y.time).all() and bool(y.entry.any()) == delayed


def test_binary_has_the_asked_prevalence():
    s = simulate_cohort(np.random.default_rng(6), 500, prevalence=0.1)
    assert s.outcome.codes.mean() == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"informative": {"rnaa": 1}}, "Did you mean 'rna'"),
        ({"informative": {"clinical": 9}}, "fewer than"),
        ({"missing": 1.0}, "missing share"),
        ({"prevalence": 0.0}, "prevalence"),
    ],
)
def test_what_cannot_be_simulated_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        simulate_cohort(np.random.default_rng(0), 50, **wrong)
