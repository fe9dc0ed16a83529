"""Explanations of fitted learners: planted truth, null truth, outside truth, laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame
from cohortium.contracts import ValueOutcome, Values
from cohortium.explanation import FeatureGroup, FoldModel, Shown, deletion, explain_fold, group_features, target_of
from cohortium.explanation import held_out as room
from cohortium.explanation.deleting import steps_of
from cohortium.explanation.grouping import in_turn, leaned_on, leaned_on_encoded
from cohortium.explanation.shown import shuffled
from cohortium.explanation.summary import deletion_order
from cohortium.learners import LearnerConfig
from cohortium.learners.nodes import inputs_of
from cohortium.metrics import score
from cohortium.schema import Endpoint, EndpointKind
from tests.explanation.fitted import Fitted, fitted
from tests.marks import thorough_but

KINDS = ["binary", "multiclass", "ordinal", "continuous", "survival"]


def causal_of(f: Fitted) -> set[tuple[str, str]]:
    return {(m, x) for m, names in f.simulated.causal.items() for x in names}


@pytest.mark.parametrize("kind", thorough_but(KINDS, KINDS[0]))
def test_planted_features_and_modalities_come_first(kind: str) -> None:
    f = fitted(kind)
    v = explain_fold(f.model, f.target, f.items)
    order = [(g.modality, g.features[0]) for g in deletion_order(f.items, [v])]
    causal = causal_of(f)
    # Of a hundred features five are causal; those of a modality that a third lacks are harder to see.
    assert len(causal & set(order[:7])) >= 4 and order[0] in causal
    names = list(f.simulated.cohort.modalities)
    assert names[int(v.shapley.argmax())] == "a" and names[int(v.shapley.argmin())] == "noise"
    assert abs(v.shapley[2]) < 0.03 and v.given[2] < min(v.given[:2]) / 2
    np.testing.assert_allclose(v.shapley.sum(), v.full - v.nothing, atol=1e-9)
    assert v.exact and not v.error.any() and v.loss[0] > 0.03


@pytest.mark.thorough
def test_planted_features_come_first_with_trees() -> None:
    f = fitted("binary", learner="early:trees", config=LearnerConfig(probes=False, preset="quick"), missing={"b": 0.0})
    v = explain_fold(f.model, f.target, f.items)
    order = [(g.modality, g.features[0]) for g in deletion_order(f.items, [v])]
    assert set(order[:2]) <= causal_of(f) and len(causal_of(f) & set(order[:7])) >= 3


@pytest.mark.thorough
def test_deleting_in_order_beats_deleting_at_random() -> None:
    gaps = []
    for kind in ("binary", "survival", "continuous"):
        f = fitted(kind)
        found = deletion(f.model, deletion_order(f.items, [explain_fold(f.model, f.target, f.items)]))
        assert found.ordered[0] == pytest.approx(found.random[0]) and found.ordered[-1] == pytest.approx(
            found.random[-1]
        )
        gaps.append(found.gap)
    assert min(gaps) > 0.05


@pytest.mark.thorough
def test_a_model_of_permuted_labels_is_explained_by_nothing() -> None:
    """Adebayo 2018 (NeurIPS): an explanation that looks the same of a model that has learned nothing explains nothing."""
    real, worth, loss, rank, gap = fitted("binary"), [], [], [], []
    v = explain_fold(real.model, real.target, real.items)
    for seed in range(5):
        f = fitted("binary", seed=seed, permute=True)
        r = explain_fold(f.model, f.target, f.items)
        worth.append(r.shapley)
        single = [i for i, g in enumerate(f.items) if len(g.columns) == 1]
        loss.append(r.item_loss[single].max())
        order = deletion_order(f.items, [r])
        at = [k for k, g in enumerate(order) if (g.modality, g.features[0]) in causal_of(f)]
        rank.append(np.mean(at) / max(len(order) - 1, 1))
        gap.append(deletion(f.model, order).gap)
    assert np.abs(np.mean(worth, axis=0)).max() < 0.05 < v.shapley.max() / 2
    assert np.mean(loss) < v.item_loss.max() / 2
    assert 0.3 < np.mean(rank) < 0.7, "causal features stand nowhere in particular"
    assert abs(np.mean(gap)) < 0.04


class Linear:
    """A predictor of our own, without anything that this room could look into."""

    def __init__(self, coef: np.ndarray) -> None:
        self.coef = coef

    def predict(self, cohort: Cohort) -> Values:
        out = np.zeros(len(cohort))
        if "x" in cohort.modalities:
            t = cohort.modalities["x"]
            out[cohort.units.index.get_indexer(t.units)] = t.values @ self.coef
        return Values(cohort.ids, out)


def plain(n: int, coef: np.ndarray, seed: int = 0) -> tuple[FoldModel, np.ndarray, np.ndarray, list[FeatureGroup]]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(coef))) * np.array([1.0, 2.0, 0.5, 1.0])[: len(coef)]
    y = x @ coef + rng.normal(size=n)
    ids = pd.Index([f"u{i}" for i in range(n)], dtype=object, name="unit")
    table = Table(ids, x, feature_frame([f"f{j}" for j in range(len(coef))]))
    outcome = ValueOutcome(Endpoint("y", EndpointKind.CONTINUOUS), ids.to_numpy(object), y)
    cohort = Cohort(pd.DataFrame({"patient": ids}, index=ids), {"x": table})
    model = FoldModel(Linear(coef), cohort, lambda p: score("r2", outcome, p), None, 0, "y", n)
    items = [FeatureGroup("x", (f"f{j}",), (j,)) for j in range(len(coef))]
    return model, x, y, items


def test_shuffling_agrees_with_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.inspection import permutation_importance
    from sklearn.linear_model import LinearRegression

    coef = np.array([1.0, -0.7, 0.0, 0.4])
    model, x, y, items = plain(300, coef)
    monkeypatch.setattr(room, "DRAWS", 200)
    v = explain_fold(model, target_of(Endpoint("y", EndpointKind.CONTINUOUS)), items)
    theirs = LinearRegression().fit(x, y)
    theirs.coef_, theirs.intercept_ = coef, 0.0
    r = permutation_importance(theirs, x, y, scoring="r2", n_repeats=200, random_state=0)
    error = np.sqrt(2) * r.importances_std / np.sqrt(200)
    assert (np.abs(v.item_loss - r.importances_mean) <= 4 * error + 1e-12).all()
    assert v.item_loss[2] == v.item_moves[2] == 0.0
    # A prediction moves by |coefficient| times the difference of two units: 2 sd / sqrt(pi) of normal values.
    np.testing.assert_allclose(v.item_moves, 2 * np.abs(coef) * x.std(axis=0) / np.sqrt(np.pi), rtol=0.05)
    np.testing.assert_allclose(v.shapley, [v.full - v.nothing])


@pytest.mark.parametrize("learner", thorough_but(["auto", "early", "priority", "single:b", "late"], "auto", "early"))
def test_what_is_remembered_changes_no_prediction(learner: str) -> None:
    f = fitted(
        "binary",
        learner=learner,
        config=LearnerConfig(reference=("a",), probes=False, preset="quick", models=("linear", "trees")),
    )
    shown, cohort, ask = Shown(f.model.predictor, f.model.cohort), f.model.cohort, f.model.predictor.predict
    rng = np.random.default_rng(0)
    for keep in (["a"], ["b", "noise"], [], ["a", "b", "noise"], ["noise"], ["b"], ["a", "b"]):
        np.testing.assert_array_equal(shown.only(keep).p, ask(cohort.only(keep)).p)
    b = cohort.modalities["b"]
    for columns in ([0], [3, 7, 8]):
        source = rng.permutation(len(b.units))
        values = b.values.copy()
        values[:, columns] = b.values[np.ix_(source, columns)]
        other = Cohort(cohort.units, {**cohort.modalities, "b": replace(b, values=values)}, cohort.absent)
        np.testing.assert_array_equal(shown.with_columns("b", np.array(columns), source).p, ask(other).p)
        other = Cohort(cohort.units, {**cohort.modalities, "b": shuffled(b, source)}, cohort.absent)
        np.testing.assert_array_equal(shown.with_modalities({"b": shuffled(b, source)}).p, ask(other).p)
        np.testing.assert_array_equal(shown.all().p, ask(cohort).p)


def test_numbers_do_not_depend_on_order() -> None:
    f = fitted("survival")
    whole = explain_fold(f.model, f.target, f.items)
    some = explain_fold(f.model, f.target, f.items[::-1][:9])
    np.testing.assert_array_equal(whole.item_loss[::-1][:9], some.item_loss)
    c = f.model.cohort
    turned = Cohort(c.units, dict(reversed(c.modalities.items())), c.absent)
    other = explain_fold(replace(f.model, cohort=turned), f.target, f.items)
    np.testing.assert_array_equal(whole.item_moves, other.item_moves)
    np.testing.assert_array_equal(whole.loss, other.loss[::-1])
    np.testing.assert_allclose(whole.shapley, other.shapley[::-1], atol=1e-12)


def test_every_shape_is_explained_as_a_whole() -> None:
    f = fitted(
        "binary",
        {"a": 6, "b": 6, "c": 6},
        informative={"a": 2, "b": 2, "c": 2},
        shapes={"b": "bag", "c": "events"},
        missing=0.2,
    )
    v = explain_fold(f.model, f.target, f.items)
    assert (v.used).all() and (v.moves > 0).all() and {g.modality for g in f.items} == {"a"}
    np.testing.assert_allclose(v.shapley.sum(), v.full - v.nothing, atol=1e-9)


def test_encoded_features_of_other_shapes_are_looked_at() -> None:
    """Of a bag and of events what their features are encoded as: means of instances, counts of codes."""
    config = LearnerConfig(models=("linear", "trees"), probes=False, preset="quick")
    sizes = {"a": 6, "b": 6, "c": 6}
    f = fitted(
        "continuous",
        sizes,
        informative={"b": 2, "c": 2},
        shapes={"b": "bag", "c": "events"},
        missing=0.1,
        config=config,
    )
    items = []
    for name in ("b", "c"):
        found = in_turn(leaned_on_encoded(f.model.predictor, name), 60)
        assert len(found) == len(set(found)) > 6
        items += [FeatureGroup(name, (x,), (), True) for x in found]
    v = explain_fold(f.model, f.target, [*f.items, *items])
    order = deletion_order([*f.items, *items], [v])
    for name in ("b", "c"):
        first = next(g for g in order if g.modality == name).features[0]
        assert any(causal in first for causal in f.simulated.causal[name]), first
    assert order[0].encoded and deletion(f.model, order).gap > 0.05
    shown = Shown(f.model.predictor, f.model.cohort)
    whole = shown.all()
    assert shown.says_what_it_encodes("b") and not Shown(Linear(np.ones(2)), f.model.cohort).says_what_it_encodes("b")
    every = [n for g in items if g.modality == "b" for n in g.features]
    names = {str(n) for i in inputs_of(f.model.predictor.node) if i.modality == "b" for n in i.encoder.names_}
    source = np.random.default_rng(0).permutation(len(f.model.cohort.modalities["b"].units))
    together = shown.with_encoded("b", names, source)
    data = shuffled(f.model.cohort.modalities["b"], source)
    np.testing.assert_allclose(together.values, shown.with_modalities({"b": data}).values, atol=1e-9)
    assert set(every) <= names
    np.testing.assert_array_equal(shown.all().values, whole.values)


def test_features_that_tell_the_same_are_shuffled_together() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(200, 1))
    x = np.hstack([np.exp(z), -z + 0.1 * rng.normal(size=z.shape), rng.normal(size=(200, 3)), np.zeros((200, 1))])
    x[:20, 1] = np.nan
    kinds = ["numeric"] * 4 + ["nominal", "numeric"]
    x[:, 4] = rng.integers(0, 3, 200)
    levels = [None] * 4 + [("p", "q", "r"), None]
    table = Table(pd.Index(range(200)), x, feature_frame(list("uvwxyz"), kinds, levels))
    found = group_features("t", table, np.arange(6))
    assert [g.features for g in found] == [("u",), ("v",), ("w",), ("x",), ("y",), ("z",), ("u", "v")]
    assert [g.features for g in group_features("t", table, np.array([1, 4]))] == [("v",), ("y",)]


def test_of_wide_tables_the_features_that_models_lean_on_are_looked_at() -> None:
    f = fitted(
        "continuous",
        {"a": 200},
        informative={"a": 3},
        missing=0.0,
        config=LearnerConfig(probes=False, preset="quick", models=("linear", "trees")),
    )
    orders = leaned_on(f.model.predictor, "a")
    names = list(f.simulated.cohort.modalities["a"].features.index)
    assert len(orders) >= 2 and all({names[j] for j in o[:6]} & set(f.simulated.causal["a"]) for o in orders)
    assert set(f.simulated.causal["a"]) <= {names[j] for j in in_turn(orders, 30)}
    assert leaned_on(Linear(np.ones(2)), "a") == []
    assert list(in_turn([[5, 2], [2, 9, 1]], 3)) == [2, 5, 9]
    assert list(steps_of(0)) == [0] and list(steps_of(7)) == [0, 1, 2, 3, 5, 7]


def test_a_modality_that_nobody_of_the_test_part_has() -> None:
    f = fitted("binary")
    c = f.model.cohort
    gone = Cohort(c.units, {**c.modalities, "b": c.modalities["b"].take(np.zeros(0, dtype=np.intp))})
    v = explain_fold(replace(f.model, cohort=gone), f.target, f.items)
    i = list(c.modalities).index("b")
    assert v.shapley[i] == v.loss[i] == 0.0 and np.isnan(v.moves[i]) and np.isnan(v.given[i])
    order = deletion_order(f.items, [v])
    assert order[0].modality == "a" and np.isfinite(deletion(replace(f.model, cohort=gone), order).gap)
    assert deletion_order([], [explain_fold(f.model, f.target, [])]) == [] and list(deletion(f.model, []).steps) == [0]


def test_a_fold_in_which_the_metric_has_no_value() -> None:
    f = fitted("binary")
    v = explain_fold(replace(f.model, score=lambda p: float("nan")), f.target, f.items)
    assert np.isnan([v.full, v.nothing, *v.shapley, *v.loss, *v.item_loss]).all(), (
        "such a fold says nothing, of unused modalities neither"
    )
    assert np.isfinite([*v.moves, *v.given, *v.item_moves]).all()
