"""Laws that every learner keeps, for every endpoint and every pattern of presence."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import combinations

import numpy as np
import pytest

from cohortium.cohort import Cohort, Table
from cohortium.contracts import ClassOutcome, SurvivalOutcome
from cohortium.errors import StudyError
from cohortium.learners import LearnerConfig, fit_all, learner, load_predictor, plan, predict_all, save_predictor
from cohortium.learners.suite import Suite
from cohortium.schema import EndpointKind
from tests.marks import thorough_but

from .simulated import fold_of, simulated

CONFIG = LearnerConfig(reference=("a",), preset="quick")


@lru_cache(maxsize=8)
def fitted(kind: EndpointKind):
    cohort, y = simulated(kind)
    fold = fold_of(cohort, y, np.arange(110))
    return cohort, y, fold, fit_all(CONFIG, fold)


def link(prediction) -> np.ndarray:
    """One number a unit, growing with the planted score (falling for survival risk is turned by the caller)."""
    if hasattr(prediction, "p"):
        return prediction.p @ np.arange(prediction.p.shape[1])
    return prediction.risk if hasattr(prediction, "risk") else prediction.values


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation; 0 for a constant prediction."""
    return 0.0 if np.ptp(a) < 1e-12 else float(np.corrcoef(a, b)[0, 1])


def raw(prediction) -> np.ndarray:
    return next(getattr(prediction, f) for f in ("p", "survival", "incidence", "values") if hasattr(prediction, f))


@pytest.mark.parametrize("kind", list(EndpointKind))
def test_every_learner_predicts_every_pattern_of_presence(kind):
    cohort, _, _, predictors = fitted(kind)
    test = np.arange(110, 160)
    for k in range(4):
        for names in combinations(["a", "b", "noise"], k):
            for p in predict_all(predictors, cohort.take(test).only(names)).values():
                assert len(p) == 50 and np.isfinite(raw(p)).all()


@pytest.mark.parametrize("kind", list(EndpointKind))
def test_row_order_and_absent_rows_do_not_change_a_prediction(kind):
    cohort, _, _, predictors = fitted(kind)
    order = np.random.default_rng(1).permutation(np.arange(110, 160))
    whole = predict_all(predictors, cohort.take(np.arange(110, 160)))
    for name, p in predict_all(predictors, cohort.take(order[:20])).items():
        np.testing.assert_allclose(raw(p), raw(whole[name])[order[:20] - 110], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("kind", list(EndpointKind))
def test_saved_and_loaded_predicts_the_same(kind, tmp_path):
    cohort, _, _, predictors = fitted(kind)
    for name in ("auto", "priority"):
        (tmp_path / name).mkdir()
        save_predictor(predictors[name], tmp_path / name)
        again = load_predictor(tmp_path / name).predict(cohort)
        np.testing.assert_array_equal(raw(again), raw(predictors[name].predict(cohort)))
        assert not list((tmp_path / name).glob("*.pkl"))


def test_refit_equals_fit_and_each_learner_alone_equals_the_suite():
    cohort, y, _, predictors = fitted(EndpointKind.BINARY)
    again = fit_all(CONFIG, fold_of(cohort, y, np.arange(110)))
    fold = fold_of(cohort, y, np.arange(110))
    for name in ("auto", "late", "early", "single:b"):
        expected = raw(predictors[name].predict(cohort))
        np.testing.assert_array_equal(raw(again[name].predict(cohort)), expected)
        np.testing.assert_array_equal(raw(learner(name, CONFIG, fold).fit(fold).predict(cohort)), expected)


@pytest.mark.parametrize("kind", [EndpointKind.BINARY, EndpointKind.SURVIVAL])
def test_garbage_in_test_rows_leaves_the_fit_unchanged_to_the_bit(kind):
    cohort, y, _, predictors = fitted(kind)
    rng = np.random.default_rng(9)
    rows = np.arange(110)
    tables = {}
    for name, t in cohort.modalities.items():
        values = t.values.copy()
        values[np.isin(t.units, cohort.ids[110:])] = rng.normal(
            0, 1e6, (np.isin(t.units, cohort.ids[110:]).sum(), t.n_features)
        )
        tables[name] = Table(t.units, values, t.features)
    spoilt = Cohort(cohort.units, tables)
    if isinstance(y, ClassOutcome):
        codes = y.codes.copy()
        codes[110:] = 1 - codes[110:]
        bad = ClassOutcome(y.endpoint, y.units, codes)
    else:
        assert isinstance(y, SurvivalOutcome)
        time = y.time.copy()
        time[110:] = 999.0
        bad = SurvivalOutcome(y.endpoint, y.units, time, ~y.event, y.entry)
        bad.event[:110] = y.event[:110]
    again = fit_all(CONFIG, fold_of(spoilt, bad, rows))
    for name, p in predictors.items():
        np.testing.assert_array_equal(raw(again[name].predict(cohort)), raw(p.predict(cohort)), err_msg=name)


@pytest.mark.parametrize("kind", thorough_but(list(EndpointKind), EndpointKind.BINARY, EndpointKind.SURVIVAL))
def test_fusion_finds_the_planted_signal_and_noise_does_not_hurt(kind):
    cohort, y = simulated(kind, n=500, seed=2)
    fold = fold_of(cohort, y, np.arange(350))
    predictors = fit_all(CONFIG, fold)
    test = cohort.take(np.arange(350, 500))
    truth = cohort.modalities["a"].values[350:, 0].copy()
    b = cohort.modalities["b"]
    zb = np.full(500, np.nan)
    zb[cohort.units.index.get_indexer(b.units)] = b.values[:, 5]
    both = np.isfinite(zb[350:])
    truth[both] += zb[350:][both]
    scores = {n: agreement(link(p)[both], truth[both]) for n, p in predict_all(predictors, test).items()}
    for name in ("early", "late", "priority", "auto"):
        assert scores[name] > 0.75, (name, scores[name])
        assert scores[name] > scores["reference"] + 0.05
    assert predictors["best_single"].chosen in ("a", "b")
    assert abs(scores["single:noise"]) < 0.3
    assert scores["late"] > scores["without:b"]


def test_learners_by_chance_are_at_chance():
    """Permuted labels: over repeated draws the mean AUC is a half, for each learner."""
    from sklearn.metrics import roc_auc_score

    values: dict[str, list[float]] = {}
    for seed in range(12):
        cohort, y = simulated(EndpointKind.BINARY, n=150, seed=seed, signal=0.0)
        fold = fold_of(cohort, y, np.arange(90))
        predictors = fit_all(LearnerConfig(reference=("a",), preset="quick", models=("linear",)), fold)
        for name, p in predict_all(predictors, cohort.take(np.arange(90, 150))).items():
            values.setdefault(name, []).append(roc_auc_score(y.codes[90:], link(p)))
    for name, v in values.items():
        assert abs(np.mean(v) - 0.5) < 0.07, (name, np.mean(v))


def test_plan_names_the_learners_and_refuses_unknown_ones():
    cohort, y = simulated(EndpointKind.BINARY)
    names = [i.name for i in plan(CONFIG, y.endpoint, list(cohort.modalities))]
    assert names[0] == "reference" and "auto" in names and "with:b" in names and "without:a" in names
    with pytest.raises(StudyError, match="Did you mean 'late'"):
        plan(LearnerConfig(learners=("lates",)), y.endpoint, ["a", "b"])
    one = [i.name for i in plan(LearnerConfig(), y.endpoint, ["a"])]
    assert one == ["single:a", "auto"]


def test_presence_is_no_predictor_unless_asked_for():
    rng = np.random.default_rng(4)
    cohort, y = simulated(EndpointKind.BINARY, n=300, seed=3, signal=0.0)
    have = y.codes == 1
    keep = np.flatnonzero(np.where(have, rng.random(300) < 0.9, rng.random(300) < 0.3))
    t = cohort.modalities["a"]
    tables = {**cohort.modalities, "b": Table(t.units[keep], rng.normal(size=(len(keep), 4)), t.features.iloc[:4])}
    told = Cohort(cohort.units, tables)
    rows = np.arange(200)
    found = {}
    for asked in (False, True):
        config = LearnerConfig(preset="quick", models=("linear",), presence_as_predictor=asked, probes=False)
        p = fit_all(config, fold_of(told, y, rows), ["auto"])["auto"].predict(told.take(np.arange(200, 300)))
        found[asked] = np.corrcoef(p.p[:, 1], y.codes[200:])[0, 1]
    assert found[True] > 0.4 > abs(found[False]) + 0.1


def test_blocks_without_evidence_can_be_left_out_and_the_reference_never_is():
    cohort, y = simulated(EndpointKind.BINARY, n=400, seed=5)
    fold = fold_of(cohort, y, np.arange(400))
    everything = ("a", "b", "noise")
    plain = Suite(LearnerConfig(preset="quick", models=("linear",)), fold)
    assert plain.gated(everything) == ("a", "b")
    routine = LearnerConfig(reference=("noise",), preset="quick", models=("linear",))
    assert Suite(routine, fold_of(cohort, y, np.arange(400))).gated(everything) == everything
    assert plain.gated(("noise",)) == ("noise",), "somebody has to stay"


def test_a_joint_model_is_not_asked_about_a_gap_that_it_was_not_fitted_on(tmp_path):
    """Every training unit has the strongest modality, no test unit has it: early fusion is then as good as without it."""
    from cohortium.testing.laws import agreement as agree
    from cohortium.testing.laws import simulated_fold
    from cohortium.testing.simulate import simulate_cohort

    config = LearnerConfig(preset="quick", models=("linear",), probes=False)
    gaps = []
    for seed in range(5):
        s = simulate_cohort(
            np.random.default_rng(seed), 400, {"a": 6, "b": 6, "strong": 6}, EndpointKind.BINARY,
            signal=2.0, informative={"a": 2, "b": 2, "strong": 6},
        )  # fmt: skip
        # What the strong modality says is partly said by b: a joint model leaves b out.
        b, strong = s.cohort.modalities["b"], s.cohort.modalities["strong"]
        values = b.values.copy()
        values[:, 2:] = strong.values[:, :4] + 0.7 * np.random.default_rng(seed + 50).normal(size=(400, 4))
        tables = {**s.cohort.modalities, "b": Table(b.units, values, b.features)}
        whole = Cohort(s.cohort.units, tables)
        test = whole.take(np.arange(200, 400)).only(["a", "b"])
        found = {}
        for kept in (("a", "b", "strong"), ("a", "b")):
            fold = simulated_fold(replace(s, cohort=whole.only(kept)), np.arange(200), inner=4)
            p = fit_all(config, fold)
            found[len(kept)] = {n: agree(p[n].predict(test), s.score[200:]) for n in ("early", "auto")}
            if len(kept) == 3 and seed == 0:
                save_predictor(p["early"], tmp_path)
                again = load_predictor(tmp_path).predict(test)
                np.testing.assert_array_equal(again.p, p["early"].predict(test).p)
        gaps.append([found[3][n] - found[2][n] for n in ("early", "auto")])
    assert (np.mean(gaps, axis=0) > -0.03).all(), gaps


def test_priority_is_not_lost_where_the_reference_is_gone_that_all_training_units_had(tmp_path):
    """The reference says nearly all, so the others were hardly fitted; without it they have to speak for themselves."""
    from cohortium.testing.laws import agreement as agree
    from cohortium.testing.laws import simulated_fold
    from cohortium.testing.simulate import simulate_cohort

    config = LearnerConfig(reference=("strong",), preset="quick", models=("linear",), probes=False)
    lost = []
    for seed in range(3):
        s = simulate_cohort(np.random.default_rng(seed), 400, {"copy": 6, "strong": 6}, EndpointKind.BINARY, signal=2.0, informative={"copy": 0, "strong": 6})  # fmt: skip
        copy, strong = s.cohort.modalities["copy"], s.cohort.modalities["strong"]
        values = strong.values + 0.5 * np.random.default_rng(seed + 50).normal(size=strong.values.shape)
        whole = Cohort(s.cohort.units, {"copy": Table(copy.units, values, copy.features), "strong": strong})
        p = fit_all(config, simulated_fold(replace(s, cohort=whole), np.arange(200)))
        test = whole.take(np.arange(200, 400)).only(["copy"])
        found = {n: agree(p[n].predict(test), s.score[200:]) for n in ("priority", "late")}
        lost.append(found["late"] - found["priority"])
        if seed == 0:
            save_predictor(p["priority"], tmp_path)
            np.testing.assert_array_equal(load_predictor(tmp_path).predict(test).p, p["priority"].predict(test).p)
    assert np.mean(lost) < 0.05, lost
