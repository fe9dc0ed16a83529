"""One unit: closed forms, planted truth, and whether what a missing modality might do is what it does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame
from cohortium.contracts import ClassOutcome, Fold
from cohortium.explanation import FeatureGroup, Shown, target_of
from cohortium.explanation.patient import (
    Asked,
    copies,
    donors_of,
    if_measured,
    players_of,
    shares_of_features,
    shares_of_modalities,
)
from cohortium.joint.similar import fit_peers
from cohortium.learners import LearnerConfig, fit_all
from cohortium.schema import Endpoint, EndpointKind
from tests.explanation.fitted import Fitted, fitted
from tests.explanation.test_held_out import Linear, plain
from tests.marks import thorough_but


def asked(f: Fitted, i: int) -> Asked:
    return Asked(f.model.predictor, f.model.cohort.take(np.array([i])), f.simulated.cohort.take(f.train), f.target)


def test_shares_of_features_of_a_linear_model_are_known() -> None:
    coef = np.array([1.0, -0.7, 0.0, 0.4])
    model, x, _, items = plain(80, coef)
    trained = model.cohort.take(np.arange(1, 51))
    one = Asked(
        Linear(coef), model.cohort.take(np.array([0])), trained, target_of(Endpoint("y", EndpointKind.CONTINUOUS))
    )
    value, error = shares_of_features(one, "x", items, np.random.default_rng(0), pairs=50)
    np.testing.assert_allclose(value[:, 0], coef * (x[0] - x[1:51].mean(axis=0)), atol=1e-12)  # every donor once
    np.testing.assert_allclose(error[:, 0], np.abs(coef) * x[1:51].std(axis=0, ddof=1) / np.sqrt(50), atol=1e-12)
    together = [FeatureGroup("x", ("f0", "f2"), (0, 2)), FeatureGroup("x", ("f1", "f3"), (1, 3))]
    pair, _ = shares_of_features(one, "x", together, np.random.default_rng(0), pairs=50)
    np.testing.assert_allclose(pair[:, 0], [value[0, 0] + value[2, 0], value[1, 0] + value[3, 0]], atol=1e-12)


@pytest.mark.parametrize("kind", thorough_but(["binary", "multiclass", "survival"], "binary", "survival"))
def test_shares_add_up_to_the_prediction(kind: str) -> None:
    f = fitted(kind)
    for i in (0, 1, 2):
        one = asked(f, i)
        names, found = shares_of_modalities(one, np.random.default_rng(0))
        assert names == [m for m, t in one.one.modalities.items() if len(t.units)]
        shown = Shown(one.predictor, one.one)
        np.testing.assert_allclose(found.nothing + found.values.sum(axis=0), f.target.of(shown.all())[0])
        np.testing.assert_allclose(found.nothing, f.target.of(shown.only([]))[0])
        players = players_of(f.items, one.one.modalities["a"], "a")
        value, _ = shares_of_features(one, "a", players, np.random.default_rng(0), pairs=len(one.trained))
        there = one.trained.modalities["a"]
        rows = Table(pd.Index(map(str, range(len(there.units)))), there.values, there.features)
        mean = f.target.of(Shown(one.predictor, copies(one.one, len(there.units))).with_modalities({"a": rows})).mean(
            axis=0
        )
        np.testing.assert_allclose(value.sum(axis=0), f.target.of(shown.all())[0] - mean, atol=1e-9)


def test_causal_features_moved_predictions_most() -> None:
    f, first = fitted("binary"), 0
    for i in range(20):
        players = players_of(f.items, f.model.cohort.modalities["a"], "a")
        value, _ = shares_of_features(asked(f, i), "a", players, np.random.default_rng(0), pairs=20)
        order = np.argsort(-np.abs(value[:, 0]))
        first += players[order[0]].features[0] in f.simulated.causal["a"]
    assert first >= 16  # of 20; three of eight features are causal


def test_players_hold_every_feature_once() -> None:
    table = Table(pd.Index(["u"]), np.zeros((1, 6)), feature_frame(list("uvwxyz")))
    groups = [
        FeatureGroup("t", ("u",), (0,)),
        FeatureGroup("t", ("v",), (1,)),
        FeatureGroup("t", ("u", "v"), (0, 1)),
        FeatureGroup("o", ("w",), (2,)),
    ]
    found = players_of(groups, table, "t")
    assert [p.columns for p in found] == [(0, 1), (2, 3, 4, 5)]


def test_a_unit_without_anything_is_given_the_base_rate() -> None:
    f = fitted("binary")
    c = f.model.cohort
    nobody = Cohort(c.units.iloc[:1], {m: t.take(np.zeros(0, dtype=np.intp)) for m, t in c.modalities.items()})
    names, found = shares_of_modalities(
        Asked(f.model.predictor, nobody, f.simulated.cohort, f.target), np.random.default_rng(0)
    )
    assert names == [] and found.values.shape == (0, 1)
    np.testing.assert_array_equal(found.nothing, found.everything)
    donors = donors_of(f.simulated.cohort, "b", None)
    assert 10 <= len(donors) <= 50
    p = if_measured(Asked(f.model.predictor, nobody, f.simulated.cohort, f.target), "b", donors)
    assert len(p) == len(donors) and np.ptp(f.target.of(p)) > 0


def alike(n: int, seed: int) -> tuple[Cohort, ClassOutcome]:
    """Modality a tells of b, which carries the outcome; a tenth lacks b."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 3))
    a, b = z + 0.4 * rng.normal(size=z.shape), z + 0.4 * rng.normal(size=z.shape)
    ids = pd.Index([f"u{i}" for i in range(n)], dtype=object, name="unit")
    rows = np.flatnonzero(rng.random(n) < 0.9)
    tables = {
        "a": Table(ids, a, feature_frame(["a0", "a1", "a2"])),
        "b": Table(ids[rows], b[rows], feature_frame(["b0", "b1", "b2"])),
    }
    y = (2.5 * b[:, 0] - 1.5 * b[:, 1] + rng.logistic(size=n) > 0).astype(np.int64)
    endpoint = Endpoint("y", EndpointKind.BINARY, ("no", "yes"))
    return Cohort(pd.DataFrame({"patient": ids}, index=ids), tables), ClassOutcome(endpoint, ids.to_numpy(object), y)


def test_what_a_missing_modality_might_do_holds_what_it_does() -> None:
    cohort, y = alike(500, 0)
    train = np.arange(300)
    at = train % 3
    inner = tuple((np.flatnonzero(at != j), np.flatnonzero(at == j)) for j in range(3))
    fold = Fold(cohort.take(train), y.take(train), train, inner, 1, "y/0/0")
    predictor = fit_all(LearnerConfig(models=("linear",), probes=False), fold, ["late"])["late"]
    target, trained = target_of(y.endpoint), cohort.take(train)
    peers = fit_peers(trained, 0)
    inside, miss, far, n = 0, [], [], 0
    for i in range(300, 500):
        whole = cohort.take(np.array([i]))
        if not len(whole.modalities["b"].units):
            continue
        blind = Cohort(
            whole.units, {"a": whole.modalities["a"], "b": whole.modalities["b"].take(np.zeros(0, dtype=np.intp))}
        )
        one = Asked(predictor, blind, trained, target)
        truth = target.of(predictor.predict(whole))[0, 0]
        near = peers.like(blind)[""].similarity
        made = target.of(if_measured(one, "b", donors_of(trained, "b", near)))[:, 0]
        anyone = target.of(if_measured(one, "b", donors_of(trained, "b", None)))[:, 0]
        low, high = np.quantile(made, [0.1, 0.9])
        inside += low <= truth <= high
        miss.append(abs(made.mean() - truth))
        far.append(abs(anyone.mean() - truth))
        n += 1
    assert n > 150 and 0.7 < inside / n < 0.95, f"eight of ten were promised, {inside / n:.2f} held"
    assert np.mean(miss) < 0.8 * np.mean(far), "similar units tell more than any"


def test_donors_are_the_most_similar_who_have_it() -> None:
    cohort, _ = alike(60, 1)
    near = np.linspace(1, 0, 60)
    near[0] = np.nan  # the patient
    have = cohort.units.index.get_indexer(cohort.modalities["b"].units)
    chosen = have[donors_of(cohort, "b", near)]
    assert len(chosen) == len(have) // 2 and 0 not in chosen
    others = np.setdiff1d(have, [*chosen, 0])
    assert near[chosen].min() > near[others].max()
