"""Learners on autoencoders: the laws of every learner, with and without outcomes in training, and likelihoods of counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.marks import thorough_but

pytest.importorskip("torch", reason="the extra 'deep' is not installed")

from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame
from cohortium.errors import DataError
from cohortium.learners import JointSpec, LearnerConfig, fit_all, load_predictor, restore, save_predictor
from cohortium.learners.suite import SuiteLearner
from cohortium.schema import EndpointKind
from cohortium.testing import check_learner
from cohortium.testing.laws import numbers, simulated_fold
from cohortium.testing.simulate import simulate_cohort

from .test_joint import auc, factor_cohort

# Short: what is looked at here holds after any number of epochs.
SPECS = (
    JointSpec("vae", model="vae", size=6, epochs=20),
    JointSpec("alone", model="vae", size=6, epochs=20, supervised=0.0, posterior="poe"),
    JointSpec("hazard", model="vae", size=6, epochs=20, posterior="moe", survival="discrete_time"),
)
CONFIG = LearnerConfig(models=("linear",), preset="quick", joint=SPECS)
PAIRS = [("vae", EndpointKind.BINARY), ("vae", EndpointKind.SURVIVAL), ("alone", EndpointKind.CONTINUOUS)]


@pytest.mark.parametrize(("name", "kind"), thorough_but(PAIRS, ("vae", EndpointKind.BINARY)))
def test_autoencoders_keep_the_laws(name, kind):
    learner = SuiteLearner(f"joint:{name}", "fusion", ("labs", "rna", "noise"), CONFIG)
    check_learner(learner, np.random.default_rng(1), [kind], restore=restore, finds_signal=False)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["vae"])
def test_nothing_is_found_where_nothing_is(name):
    learner = SuiteLearner(f"joint:{name}", "fusion", ("labs", "rna", "noise"), CONFIG)
    rng = np.random.default_rng(1)
    check_learner(learner, rng, [EndpointKind.BINARY], finds_signal=False, null_draws=10)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("vae", k) for k in EndpointKind if k is not EndpointKind.COMPETING_RISKS] + [("hazard", EndpointKind.SURVIVAL)],
)
def test_every_endpoint_and_pattern_is_predicted_and_stored(name, kind, tmp_path):
    s = simulate_cohort(np.random.default_rng(3), 150, {"a": 6, "b": 150}, kind, missing={"b": 0.3}, missing_cells=0.1, nominal={"a": 1})  # fmt: skip
    short = replace(CONFIG, joint=tuple(replace(j, epochs=10) for j in SPECS))
    p = fit_all(short, simulated_fold(s, np.arange(100), inner=2), [f"joint:{name}"])[f"joint:{name}"]
    for have in ([], ["a"], ["b"], ["a", "b"]):
        assert np.isfinite(numbers(p.predict(s.cohort.only(have)))).all()
    save_predictor(p, tmp_path)
    np.testing.assert_array_equal(numbers(load_predictor(tmp_path).predict(s.cohort)), numbers(p.predict(s.cohort)))
    assert not list(tmp_path.glob("*.p*kl*"))


@pytest.mark.thorough
def test_what_modalities_share_predicts_with_and_without_outcomes_in_training():
    s = factor_cohort(0, 400, unknown=0.05)
    specs = tuple(replace(j, epochs=100, size=8) for j in SPECS[:2])
    fold = simulated_fold(s, np.arange(250), inner=2)
    p = fit_all(replace(CONFIG, joint=specs), fold, ["joint:vae", "joint:alone"])
    for name in ("joint:vae", "joint:alone"):
        assert auc(p[name], s, np.arange(250, 400)) > 0.72, name
        assert p[name].facts["epochs"] >= 6


@pytest.mark.thorough
def test_having_a_modality_predicts_nothing():
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        s = simulate_cohort(rng, 450, {"a": 5, "b": 8}, EndpointKind.BINARY, informative={"a": 0, "b": 0}, missing={"b": 0.4})  # fmt: skip
        have = s.cohort.presence()["b"].to_numpy()
        codes = (rng.random(450) < np.where(have, 0.25, 0.75)).astype(np.int64)
        s = replace(s, outcome=replace(s.outcome, codes=codes))
        p = fit_all(CONFIG, simulated_fold(s, np.arange(300), inner=2), ["joint:vae"])["joint:vae"]
        found.append(auc(p, s, np.arange(300, 450)))
    assert abs(np.mean(found) - 0.5) < 0.07, found


def count_cohort(n: int = 200, seed: int = 0) -> Cohort:
    """Counts of 30 genes and five proteins of two factors; libraries differ tenfold."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    library = np.exp(rng.normal(0, 0.7, n))
    genes = rng.negative_binomial(5, 5 / (5 + library[:, None] * np.exp(1.5 + 0.7 * z @ rng.normal(size=(2, 30)))))
    protein = z @ rng.normal(size=(2, 5)) + 0.5 * rng.normal(size=(n, 5))
    ids = pd.Index([f"u{i:03d}" for i in range(n)], dtype=object, name="unit")
    tables = {
        "rna": Table(ids, genes.astype(float), feature_frame([f"g{j}" for j in range(30)])),
        "protein": Table(ids, protein, feature_frame([f"p{j}" for j in range(5)])),
    }
    return Cohort(pd.DataFrame({"patient": list(ids)}, index=ids), tables)


def test_counts_are_decoded_as_counts_and_what_is_none_is_refused():
    from cohortium.joint.vae import COUNTS, VaeSettings
    from cohortium.joint.vae_training import VaeRun

    cohort = count_cohort(seed=1)
    settings = VaeSettings(latent=4, counts=("rna",))
    run = VaeRun(cohort.take(np.arange(150)), ["rna", "protein"], settings, 3)
    assert (run.views.views[0].kinds == COUNTS).all()
    run.trainer.advance(150)
    joint = run.frozen(explain=True)
    tested = cohort.take(np.arange(150, 200))
    value, sd = joint.predict(tested, "rna")
    truth = run.views.encoders[0].transform(tested.modalities["rna"])
    assert value.shape == truth.shape and (sd > 0).all()
    # Genes of a unit from its proteins: the library is unknown, so only part of the variance can be told.
    assert np.median([np.corrcoef(a, b)[0, 1] for a, b in zip(value.T, truth.T, strict=True)]) > 0.3
    protein, _ = joint.predict(tested, "protein")
    measured = run.views.encoders[1].transform(tested.modalities["protein"])
    assert np.median([np.corrcoef(a, b)[0, 1] for a, b in zip(protein.T, measured.T, strict=True)]) > 0.7
    assert joint.explained.shape == (2, joint.size) and joint.loadings[0].shape == (30, joint.size) and joint.size >= 2
    assert (np.diff(joint.explained.sum(axis=0)) <= 0).all()
    with pytest.raises(DataError, match="'protein' is named under counts"):
        VaeRun(cohort, ["rna", "protein"], replace(settings, counts=("protein",)), 3)


def test_numbers_of_a_unit_are_its_own_and_levels_are_probabilities():
    from cohortium.joint.vae import BERNOULLI, VaeSettings
    from cohortium.joint.vae_training import VaeRun

    s = simulate_cohort(np.random.default_rng(5), 120, {"a": 6, "b": 140}, missing={"b": 0.4}, nominal={"a": 2}, missing_cells=0.1)  # fmt: skip
    run = VaeRun(s.cohort, ["a", "b"], VaeSettings(latent=4), 1)
    run.trainer.advance(5)
    joint = run.frozen()
    whole, some = joint.embed(s.cohort), joint.embed(s.cohort.take(np.array([50, 3, 99])))
    np.testing.assert_allclose(some.mean, whole.mean[[50, 3, 99]], rtol=1e-9, atol=1e-12)
    kinds, encoder = run.views.views[0].kinds, run.views.encoders[0]
    assert (kinds == BERNOULLI).sum() == 6
    probability = encoder.decode(joint.predict(s.cohort, "a")[0])[:, kinds == BERNOULLI]
    assert (probability > 0).all() and (probability < 1).all()
    nobody = joint.embed(s.cohort.only([]))
    assert not nobody.mean.any() and (nobody.sd == 1).all() and not nobody.known.any()
