"""Instances, codes and sentences left out; integrated gradients and attention of networks."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from cohortium.cohort import Bag, Cohort, Texts
from cohortium.cohort.table import feature_frame
from cohortium.contracts import ClassOutcome, Fold
from cohortium.errors import MissingExtra
from cohortium.explanation import randomised as room
from cohortium.explanation import target_of
from cohortium.explanation.instances import left_out, sentences
from cohortium.explanation.patient import Asked
from cohortium.explanation.randomised import alone, randomised, redrawn
from cohortium.learners import DeepSpec, LearnerConfig, fit_all
from cohortium.schema import Endpoint, EndpointKind
from tests.explanation.fitted import Fitted, fitted

ENDPOINT = Endpoint("y", EndpointKind.BINARY, ("no", "yes"))


def learned(data, y: np.ndarray, config: LearnerConfig, name: str):
    """A learner fitted on a single modality of all units, and their cohort."""
    cohort = Cohort(pd.DataFrame({"patient": data.units}, index=data.units), {"m": data})
    outcome = ClassOutcome(ENDPOINT, cohort.ids, y.astype(np.int64))
    at = np.arange(len(y)) % 3
    inner = tuple((np.flatnonzero(at != j), np.flatnonzero(at == j)) for j in range(3))
    fold = Fold(cohort, outcome, np.arange(len(y)), inner, 1, "y/0/0")
    return fit_all(config, fold, [name])[name], cohort


def ids(n: int) -> pd.Index:
    return pd.Index([f"u{i}" for i in range(n)], dtype=object, name="unit")


def rare(n: int = 240, seed: int = 0) -> tuple[Bag, np.ndarray, np.ndarray]:
    """Bags in which one instance of a sick unit lies far out; its position."""
    rng = np.random.default_rng(seed)
    sizes, y = rng.integers(8, 20, n), rng.random(n) < 0.5
    values, offsets = rng.normal(size=(int(sizes.sum()), 4)), np.concatenate([[0], np.cumsum(sizes)])
    at = np.array([rng.integers(0, s) for s in sizes])
    values[(offsets[:-1] + at)[y], 0] += 6.0
    return Bag(ids(n), values, offsets.astype(np.int64), feature_frame(["f0", "f1", "f2", "f3"])), y, at


def test_the_instance_that_matters_is_found() -> None:
    bag, y, at = rare()
    predictor, cohort = learned(bag, y, LearnerConfig(models=("linear",), probes=False), "auto")
    hits = 0
    for i in np.flatnonzero(y)[:30]:
        found = left_out(Asked(predictor, cohort.take(np.array([i])), cohort, target_of(ENDPOINT)), "m")
        assert found is not None and len(found.labels) == bag.sizes[i] and found.labels[0] == "instance 1"
        hits += int(found.change[:, 0].argmax()) == at[i]
    assert hits >= 28


def test_large_bags_are_cut_into_runs() -> None:
    bag, y, _ = rare(60)
    predictor, cohort = learned(bag, y, LearnerConfig(models=("linear",), probes=False), "auto")
    rng = np.random.default_rng(0)
    big = Bag(ids(1), rng.normal(size=(450, 4)), np.array([0, 450]), bag.features, np.array([9000]))
    one = Cohort(cohort.units.iloc[:1], {"m": big})
    found = left_out(Asked(predictor, one, cohort, target_of(ENDPOINT)), "m")
    assert found is not None and len(found.labels) == 200 and found.labels[0] == "instances 1 to 3"
    assert sum(map(len, found.groups)) == 450
    single = Cohort(cohort.units.iloc[:1], {"m": Bag(ids(1), rng.normal(size=(1, 4)), np.array([0, 1]), bag.features)})
    assert left_out(Asked(predictor, single, cohort, target_of(ENDPOINT)), "m") is None


def test_the_sentence_that_matters_is_found() -> None:
    rng = np.random.default_rng(0)
    usual = ["No fever.", "Walks well.", "Seen in clinic.", "Sleeps poorly.", "Eats well.", "Lives alone."]
    y = rng.random(200) < 0.5
    said = [
        " ".join([*rng.permutation(usual)[:4], "Tumour has spread to liver."] if sick else rng.permutation(usual)[:5])
        for sick in y
    ]
    texts = Texts(ids(200), np.array(said, dtype=object))
    predictor, cohort = learned(texts, y, LearnerConfig(models=("linear",), probes=False), "auto")
    for i in np.flatnonzero(y)[:10]:
        found = left_out(Asked(predictor, cohort.take(np.array([i])), cohort, target_of(ENDPOINT)), "m")
        assert found is not None and found.labels[int(found.change[:, 0].argmax())] == "Tumour has spread to liver."
    assert sentences(" One. Two?\n\nThree; four ") == ["One.", "Two?", "Three;", "four"]
    vectors = Texts(ids(1), texts.texts[:1], {}, np.zeros((1, 3), dtype=np.float32))
    assert (
        left_out(Asked(predictor, Cohort(cohort.units.iloc[:1], {"m": vectors}), cohort, target_of(ENDPOINT)), "m")
        is None
    )


def test_codes_of_a_history_that_matter_are_found() -> None:
    f = fitted("continuous", {"c": 10}, informative={"c": 2}, shapes={"c": "events"}, missing=0.0, n=450)
    causal, first = set(f.simulated.causal["c"]), 0
    for i in range(20):
        found = left_out(
            Asked(f.model.predictor, f.model.cohort.take(np.array([i])), f.simulated.cohort, f.target), "c"
        )
        assert found is not None and set(found.labels) <= {f"c_{j}" for j in range(10)}
        first += found.labels[int(np.abs(found.change[:, 0]).argmax())] in causal
    assert first >= 15  # of 20; two of ten codes are causal


@pytest.fixture(scope="module")
def deep() -> Fitted:
    pytest.importorskip("torch", reason="the extra 'deep' is not installed")
    specs = (DeepSpec("net", start="null", wide=False), DeepSpec("late"))
    config = LearnerConfig(models=("linear",), probes=False, preset="quick", deep=specs)
    return fitted(
        "binary", {"a": 6, "b": 8}, informative={"a": 2, "b": 1}, learner="deep:net", config=config, signal=3.0
    )


def test_integrated_gradients_are_complete_and_find_the_causal_features(deep: Fitted) -> None:
    pytest.importorskip("captum", reason="the extra 'deep' is not installed")
    from cohortium.explanation.gradients import integrated_gradients, network_of
    from cohortium.learners.nodes import inputs_of

    some = deep.model.cohort.take(np.arange(60))
    found = integrated_gradients(deep.model.predictor, some)
    node = network_of(deep.model.predictor)
    size = np.abs(found.change)
    assert size.mean() > 0.2 and np.abs(found.error).max() < 0.01 * size.mean()
    assert np.abs(integrated_gradients(deep.model.predictor, some, steps=4).error).mean() > np.abs(found.error).mean()
    # The change of the score is that of the node, from the training means: a unit whose encoded features are all 0.
    scores = node.scores(some, {})[:, 0]
    first = {(i.modality, id(i.encoder)): i for i in inputs_of(node)}
    memo = {
        ("x", m, k): (
            np.zeros((len(some.modalities[m].units), len(i.encoder.names_))),
            some.units.index.get_indexer(some.modalities[m].units),
        )
        for (m, k), i in first.items()
    }
    np.testing.assert_allclose(found.change, scores - node.scores(some, memo)[:, 0], atol=1e-9)
    lacks = ~some.presence()["b"].to_numpy()
    assert lacks.any() and np.isnan(found.values["b"][lacks]).all() and not np.isnan(found.values["a"]).any()
    mean = {
        (m, str(n)): v
        for m in found.values
        for n, v in zip(found.names[m], np.nanmean(np.abs(found.values[m]), axis=0), strict=True)
    }
    causal = {(m, x) for m, names in deep.simulated.causal.items() for x in names}
    assert len(causal & set(sorted(mean, key=mean.get)[-4:])) >= 2 and max(mean, key=mean.get) in causal


def test_with_random_weights_features_lose_their_order_and_the_network_its_worth(
    deep: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("captum", reason="the extra 'deep' is not installed")
    for name, value in (("UNITS", 6), ("STEPS", 8), ("DRAWS", 3)):
        monkeypatch.setattr(room, name, value)
    monkeypatch.setattr("cohortium.explanation.held_out.DRAWS", 2)
    found = randomised(deep.model, deep.target, deep.items)
    assert found is not None
    assert abs(found.shuffled) < 0.45 and abs(found.gradients) < 0.45
    assert found.full > 0.75 and abs(found.again - 0.5) < 0.25
    monkeypatch.setattr(room, "DRAWS", 1)
    # An explanation that weights have no say in is caught: the network stays as it was under "random" weights.
    monkeypatch.setattr(room, "redrawn", lambda predictor, rng: predictor)
    same = randomised(deep.model, deep.target, deep.items)
    assert same is not None and same.shuffled == pytest.approx(1) and same.gradients == pytest.approx(1)
    assert same.full == pytest.approx(same.again)


def test_every_tensor_is_drawn_as_large_as_it_was(deep: Fitted) -> None:
    network = alone(deep.model.predictor)
    assert network is not None and network.node.start is None
    other = redrawn(network, np.random.default_rng(0))
    for before, after in zip(network.node.members, other.node.members, strict=True):
        assert set(before) == set(after)
        for name, w in before.items():
            w, v = np.asarray(w), np.asarray(after[name])
            assert v.shape == w.shape and v.dtype == w.dtype
            if w.dtype.kind == "f" and w.size > 50 and np.any(w):
                assert not np.array_equal(v, w)
                assert np.sqrt(np.mean(v**2)) == pytest.approx(np.sqrt(np.mean(w**2)), rel=0.35)


def test_without_captum_the_extra_is_named(deep: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    from cohortium.explanation.gradients import integrated_gradients

    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(MissingExtra, match=r"cohortium\[deep\]"):
        integrated_gradients(deep.model.predictor, deep.model.cohort.take(np.arange(2)))


def test_plain_learners_have_no_network() -> None:
    from cohortium.explanation.gradients import attention, integrated_gradients, network_of

    f = fitted("binary")
    assert network_of(f.model.predictor) is None and attention(f.model.predictor, f.model.cohort, "a") is None
    with pytest.raises(ValueError, match="no network"):
        integrated_gradients(f.model.predictor, f.model.cohort)


def test_attention_is_a_share_of_the_instances() -> None:
    pytest.importorskip("torch", reason="the extra 'deep' is not installed")
    from cohortium.explanation.gradients import attention, network_of

    bag, y, at = rare(160)
    spec = DeepSpec("bags", bags="abmil", start="null", wide=False)
    predictor, cohort = learned(
        bag, y, LearnerConfig(models=("linear",), probes=False, preset="quick", deep=(spec,)), "deep:bags"
    )
    weights = attention(predictor, cohort, "m")
    assert weights is not None and [len(w) for w in weights] == list(bag.sizes)
    np.testing.assert_allclose([w.sum() for w in weights], 1.0)
    alone = attention(predictor, cohort.take(np.array([7])), "m")
    assert alone is not None
    np.testing.assert_allclose(alone[0], weights[7], atol=1e-9)
    assert network_of(predictor) is None  # its instances are no vector that gradients could be taken of
    sick = [weights[i][at[i]] * bag.sizes[i] for i in np.flatnonzero(y)]
    assert np.median(sick) > 1.0, "the rare instance is attended to more than others"
