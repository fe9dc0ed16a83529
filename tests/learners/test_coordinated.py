"""Learners on coordinated representations, canonical and contrastive: the laws, and what modalities share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohortium.learners import JointSpec, LearnerConfig, fit_all, load_predictor, restore, save_predictor
from cohortium.learners.suite import SuiteLearner
from cohortium.schema import EndpointKind
from cohortium.testing import check_learner
from cohortium.testing.laws import numbers, simulated_fold
from cohortium.testing.simulate import simulate_cohort
from tests.marks import thorough_but

from .test_joint import auc, factor_cohort

SPECS = (
    JointSpec("cca", model="cca", size=8),
    JointSpec("contrastive", model="contrastive", size=8, epochs=20),
    JointSpec("alone", model="contrastive", size=8, epochs=20, supervised=0.0, alignment="correlation"),
    JointSpec("sigmoid", model="contrastive", size=8, epochs=20, alignment="sigmoid", survival="discrete_time"),
)
CONFIG = LearnerConfig(models=("linear",), preset="quick", joint=SPECS)
NAMES = [s.name for s in SPECS]


def wanted(name: str) -> None:
    if name != "cca":
        pytest.importorskip("torch", reason="the extra 'deep' is not installed")


PAIRS = [
    *(("cca", kind) for kind in EndpointKind),
    ("contrastive", EndpointKind.BINARY),
    ("alone", EndpointKind.CONTINUOUS),
    ("sigmoid", EndpointKind.SURVIVAL),
]


@pytest.mark.parametrize(
    ("name", "kind"),
    thorough_but(PAIRS, *(p for p in PAIRS if p[0] == "cca"), ("contrastive", EndpointKind.BINARY)),
)
def test_coordinated_learners_keep_the_laws(name, kind):
    wanted(name)
    # Features of this cohort share nothing between modalities: nothing is there to agree on.
    config = replace(CONFIG, joint=tuple(s for s in SPECS if s.name == name))  # networks do not learn every kind
    learner = SuiteLearner(f"joint:{name}", "fusion", ("labs", "rna", "noise"), config)
    check_learner(learner, np.random.default_rng(1), [kind], restore=restore, finds_signal=False)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["cca", "contrastive"])
def test_nothing_is_found_where_nothing_is(name):
    wanted(name)
    learner = SuiteLearner(
        f"joint:{name}",
        "fusion",
        ("labs", "rna", "noise"),
        replace(CONFIG, joint=tuple(s for s in SPECS if s.name == name)),
    )
    rng = np.random.default_rng(1)
    check_learner(learner, rng, [EndpointKind.BINARY], finds_signal=False, null_draws=10)


@pytest.mark.parametrize("name", thorough_but(NAMES, "cca"))
def test_what_modalities_share_predicts_whatever_modality_a_unit_has(name):
    wanted(name)
    found = []
    for seed in range(2):
        s = factor_cohort(seed, 400, unknown=0.05)
        specs = tuple(replace(j, epochs=100) for j in SPECS)
        fold, test = simulated_fold(s, np.arange(250), inner=2), np.arange(250, 400)
        p = fit_all(replace(CONFIG, joint=specs), fold, [f"joint:{name}"])[f"joint:{name}"]
        found.append(auc(p, s, test))
        assert len(p.facts["modalities"]) > 1
        for m in p.facts["modalities"]:
            alone = p.predict(s.cohort.take(test).only([m]))
            have = s.cohort.take(test).presence()[m].to_numpy()
            assert np.corrcoef(alone.p[have, 1], s.score[test][have, 0])[0, 1] > 0.4
    assert np.mean(found) > 0.72, found


@pytest.mark.parametrize("name", thorough_but(["cca", "contrastive"], "cca"))
def test_having_a_modality_predicts_nothing(name):
    wanted(name)
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        s = simulate_cohort(rng, 450, {"a": 5, "b": 8}, EndpointKind.BINARY, informative={"a": 0, "b": 0}, missing={"b": 0.4})  # fmt: skip
        have = s.cohort.presence()["b"].to_numpy()
        codes = (rng.random(450) < np.where(have, 0.25, 0.75)).astype(np.int64)
        s = replace(s, outcome=replace(s.outcome, codes=codes))
        p = fit_all(CONFIG, simulated_fold(s, np.arange(300), inner=2), [f"joint:{name}"])[f"joint:{name}"]
        found.append(auc(p, s, np.arange(300, 450)))
    assert abs(np.mean(found) - 0.5) < 0.06, found


@pytest.mark.parametrize("name", NAMES)
def test_saved_to_disk_and_loaded_predicts_the_same(name, tmp_path):
    wanted(name)
    s = simulate_cohort(np.random.default_rng(3), 150, {"a": 6, "b": 150}, EndpointKind.MULTICLASS, missing={"b": 0.3}, missing_cells=0.1, nominal={"a": 1})  # fmt: skip
    p = fit_all(CONFIG, simulated_fold(s, np.arange(100), inner=2), [f"joint:{name}"])[f"joint:{name}"]
    for have in ([], ["a"], ["b"], ["a", "b"]):
        assert np.isfinite(numbers(p.predict(s.cohort.only(have)))).all()
    save_predictor(p, tmp_path)
    np.testing.assert_array_equal(numbers(load_predictor(tmp_path).predict(s.cohort)), numbers(p.predict(s.cohort)))
    assert not list(tmp_path.glob("*.p*kl*"))


def test_one_modality_alone_is_its_components():
    s = factor_cohort(2, 200)
    cohort = s.cohort.only(["a"])
    fold = simulated_fold(replace(s, cohort=cohort), np.arange(150))
    p = fit_all(CONFIG, fold, ["joint:cca"])["joint:cca"]
    assert p.facts["modalities"] == ["a"] and p.facts["latent_variables"] >= 1
