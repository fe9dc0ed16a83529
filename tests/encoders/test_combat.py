"""ComBat: against sva, on rows that it was not fitted on, and through a whole study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cohortium.cohort import Cohort, Table, from_mudata, read_stored_cohort, to_mudata, write_cohort
from cohortium.cohort.batches import Batches
from cohortium.cohort.table import feature_frame
from cohortium.encoders import Represented, TableEncoder, fit_encoder, restore_encoder
from cohortium.encoders.combat import ComBat, CombatRepresentation

ORACLE = Path(__file__).parent / "oracle"
Array = np.ndarray[Any, Any]


def oracle() -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_csv(ORACLE / "combat_data.csv"), pd.read_csv(ORACLE / "combat_values.csv")


def table(x: Array, batch: Any, covariates: dict[str, Any] | None = None, kinds: list[str] | None = None) -> Table:
    frame = pd.DataFrame(covariates or {}, index=range(len(x)))
    units = pd.Index([f"u{i}" for i in range(len(x))], dtype=object)
    features = feature_frame([f"f{j}" for j in range(x.shape[1])], kinds)
    return Table(units, x, features, Batches(np.array(batch, dtype=object), frame))


@pytest.mark.parametrize("case", ["plain", "covariates", "holes", "holes_covariates"])
@pytest.mark.parametrize(("how", "near"), [("converged", 1e-6), ("stock", 5e-3)])
def test_values_are_those_of_sva(case: str, how: str, near: float) -> None:
    data, values = oracle()
    part = values[(values["how"] == how) & (values["case"] == case)]
    wanted = part.pivot_table(index="row", columns="column", values="value", dropna=False).to_numpy()
    names = [c for c in data if c.startswith("holes." if "holes" in case else "f")]
    x = data[names].to_numpy(float)
    if case == "holes_covariates":
        x = np.delete(x, 4, axis=1)
    covariates = {"age": data["age"], "sex": data["sex"]} if "covariates" in case else None
    t = table(x, data["batch"], covariates)
    found = CombatRepresentation().fit(t).table(t).values
    np.testing.assert_allclose(found, wanted, rtol=0, atol=near)
    assert np.nanmax(np.abs(found - x)) > 0.5


def effects(n: int = 120, p: int = 40, seed: int = 0) -> tuple[Array, Array, Array]:
    """Values with batch effects, the values without, the batch."""
    rng = np.random.default_rng(seed)
    k = rng.integers(0, 3, n)
    clean = rng.normal(size=(n, p)) + rng.normal(size=(n, 2)) @ rng.normal(size=(2, p))
    x = clean * rng.uniform(0.5, 2, (3, 1))[k] + rng.normal(0, 4, (3, p))[k]
    return x, clean, np.array(["a", "b", "c"], dtype=object)[k]


def between(x: Array, batch: Array) -> float:
    """Share of variance between batches, a mean over features."""
    means = np.array([x[batch == b].mean(axis=0) for b in np.unique(batch)])
    weight = np.array([(batch == b).mean() for b in np.unique(batch)])
    return float(np.mean((weight @ (means - x.mean(axis=0)) ** 2) / x.var(axis=0)))


def test_new_rows_of_seen_batches_are_adjusted_by_the_training_rows() -> None:
    x, _, batch = effects()
    train, test = np.arange(80), np.arange(80, 120)
    fitted = ComBat().fit(x[train], batch[train])
    before, after = between(x[test], batch[test]), between(fitted.transform(x[test], batch[test]), batch[test])
    assert before > 0.4 and after < 0.12
    # One row at a time gives the same: nothing is learned from the rows that are adjusted.
    alone = np.vstack([fitted.transform(x[[i]], batch[[i]]) for i in test])
    np.testing.assert_array_equal(alone, fitted.transform(x[test], batch[test]))


def test_rows_of_other_batches_are_left_as_they_are() -> None:
    x, _, batch = effects()
    fitted = ComBat().fit(x, batch)
    for other in ("new", None):
        np.testing.assert_array_equal(fitted.transform(x[:3], np.array([other] * 3, dtype=object)), x[:3])
    encoder = fit_encoder(table(x, batch))
    plain = TableEncoder().fit(CombatRepresentation().fit(table(x, batch)).table(table(x, batch)))
    bare = Table(pd.Index(["v"]), x[:1], feature_frame([f"f{j}" for j in range(40)]))
    np.testing.assert_array_equal(encoder.transform(bare), plain.transform(bare))


def test_a_row_whose_batch_is_not_known_is_not_learned_from() -> None:
    x, _, batch = effects()
    some = batch.copy()
    some[:10] = None
    a, b = ComBat().fit(x, some), ComBat().fit(x[10:], batch[10:])
    np.testing.assert_array_equal(a.transform(x, batch), b.transform(x, batch))


def test_order_of_rows_and_names_of_batches_change_nothing() -> None:
    x, _, batch = effects()
    order = np.random.default_rng(1).permutation(len(x))
    a = ComBat().fit(x, batch).transform(x, batch)
    b = ComBat().fit(x[order], batch[order]).transform(x, batch)
    other = np.array([{"a": "z", "b": "m", "c": "0"}[v] for v in batch], dtype=object)
    c = ComBat().fit(x, other).transform(x, other)
    np.testing.assert_allclose(b, a, atol=1e-8)
    np.testing.assert_allclose(c, a, atol=1e-8)


def test_covariates_keep_what_batches_differ_in_by_right() -> None:
    rng = np.random.default_rng(3)
    n, p = 300, 30
    ill = rng.integers(0, 2, n)
    batch = np.where(rng.random(n) < np.where(ill == 1, 0.8, 0.2), "a", "b").astype(object)
    effect = rng.normal(1.5, 0.3, p)
    x = rng.normal(size=(n, p)) + np.outer(ill, effect) + np.where(batch == "a", 2.0, 0.0)[:, None]
    sex = np.where(ill == 1, "f", "m").astype(object)
    kept = CombatRepresentation().fit(t := table(x, batch, {"sex": sex})).table(t).values
    lost = CombatRepresentation().fit(t := table(x, batch)).table(t).values
    gap = [float((v[ill == 1].mean(axis=0) - v[ill == 0].mean(axis=0)).mean()) for v in (kept, lost)]
    assert gap[0] == pytest.approx(effect.mean(), abs=0.12) and gap[1] < 1.1
    # A covariate that is missing, or a level that training did not have, stands at the training mean.
    fitted = CombatRepresentation().fit(table(x, batch, {"sex": sex}))
    rows = [fitted.table(table(x[:1], batch[:1], {"sex": np.array([v], dtype=object)})).values for v in (None, "other")]
    rows.append(fitted.table(table(x[:1], batch[:1])).values)
    assert np.array_equal(rows[0], rows[1]) and np.array_equal(rows[0], rows[2])


def test_hard_cases_give_finite_values() -> None:
    x, _, batch = effects(30, 6)
    alone = batch.copy()
    alone[0] = "only"
    holes = x.copy()
    holes[batch == "a", 2] = np.nan
    holes[:, 3] = np.nan
    twin = np.repeat(x[:, :1], 4, axis=1)
    for values, label in (
        (x, alone),
        (holes, batch),
        (twin, batch),
        (x[:, :1], batch),
        (x[:4], batch[:4]),
        (x * 0, batch),
    ):
        fitted = ComBat().fit(values, label)
        out = fitted.transform(values, label)
        np.testing.assert_array_equal(np.isnan(out), np.isnan(values))
    np.testing.assert_array_equal(ComBat().fit(x, np.array(["a"] * 30, dtype=object)).transform(x, batch), x)
    # A covariate that the batch determines cannot be told from it, and is passed over.
    z = np.where(batch == "a", 1.0, 0.0)
    a = CombatRepresentation().fit(t := table(x, batch, {"z": z})).table(t).values
    np.testing.assert_allclose(a, ComBat().fit(x, batch).transform(x, batch), atol=1e-10)


def test_only_numbers_are_adjusted_and_the_encoder_is_restored(tmp_path: Path) -> None:
    x, _, batch = effects()
    x[:, 1] = np.random.default_rng(0).integers(0, 2, len(x))
    kinds = ["numeric", "binary", *["numeric"] * 38]
    age = np.arange(len(x)) * 1.0
    age[4] = np.nan
    t = table(x, batch, {"age": age, "sex": np.resize(np.array(["f", "m", None], dtype=object), len(x))}, kinds)
    np.testing.assert_array_equal(CombatRepresentation().fit(t).table(t).values[:, 1], x[:, 1])
    encoder = fit_encoder(t)
    assert isinstance(encoder, Represented)
    np.testing.assert_array_equal(restore_encoder(encoder.state()).transform(t), encoder.transform(t))
    cohort = Cohort(pd.DataFrame({"patient": t.units}, index=pd.Index(t.units, name="unit")), {"rna": t})
    write_cohort(cohort, tmp_path / "c")
    for again in (read_stored_cohort(tmp_path / "c"), from_mudata(to_mudata(cohort))):
        np.testing.assert_array_equal(encoder.transform(again.modalities["rna"]), encoder.transform(t))


def test_batches_go_with_the_rows() -> None:
    x, _, batch = effects(20, 4)
    t = table(x, batch)
    some = t.take(np.array([5, 2])).select_features(["f3"])
    assert some.batches is not None and list(some.batches.label) == [batch[5], batch[2]]
    other = Table(t.units, x, t.features, Batches(batch[::-1], t.batches.covariates if t.batches else pd.DataFrame()))
    assert dict(t.arrays())["batch"].tolist() != dict(other.arrays())["batch"].tolist()
    with pytest.raises(ValueError, match="batches of 20 rows"):
        Table(t.units[:3], x[:3], t.features, t.batches)


STUDY = """
name: batches
cohort:
  units: {file: units.csv, id: id}
  modalities:
    clinical: {file: clinical.csv}
    rna: {file: rna.csv, harmonise: HOW, harmonise_covariates: [COVARIATES]}
endpoints: {ill: {kind: binary, column: ill, positive: 1}}
design: {batch: chip}
reference: [clinical]
learners: [reference, "single:rna", best_single]
models: [linear]
preset: quick
evaluation: {repeats: 1, folds: 3, inner_folds: 3}
"""


def write_study(folder: Path, how: str = "combat", covariates: str = "sex") -> Path:
    """Batches hide the signal: its direction varies less than they do. The label is no batch's."""
    x, clean, batch = effects(150, 30, seed=5)
    ids = [f"p{i:03d}" for i in range(len(x))]
    ill = (clean[:, :4].sum(axis=1) > 0).astype(int)
    sex = np.random.default_rng(6).choice(["f", "m"], len(x))
    pd.DataFrame({"id": ids, "ill": ill, "chip": batch, "sex": sex}).to_csv(folder / "units.csv", index=False)
    pd.DataFrame({"id": ids, "age": np.random.default_rng(7).normal(60, 9, len(x))}).to_csv(
        folder / "clinical.csv", index=False
    )
    pd.DataFrame(x, columns=[f"g{j}" for j in range(30)], index=pd.Index(ids, name="id")).to_csv(folder / "rna.csv")
    text = STUDY.replace("HOW", how).replace("COVARIATES", covariates)
    if how == "none":
        text = text.replace(", harmonise_covariates: [sex]", "")
    (folder / "study.yaml").write_text(text)
    return folder / "study.yaml"


def test_a_study_harmonises_in_its_folds_and_predicts_new_units(tmp_path: Path) -> None:
    from cohortium.report import from_json
    from cohortium.study import predict, run

    values = {}
    for how in ("combat", "none"):
        (tmp_path / how).mkdir()
        folder = run(write_study(tmp_path / how, how), tmp_path / how / "run", jobs=1).folder
        results = from_json((folder / "results.json").read_text(encoding="utf-8"))
        row = next(r for r in results.leaderboard if r.learner == "single:rna")
        values[how] = float(next(e.value for e in row.estimates if e.metric == "roc_auc" and e.value is not None))
        if how == "combat":
            assert any("harmonised (ComBat)" in note for m in results.cohort.modalities for note in m.notes)
    assert values["combat"] > values["none"] and values["combat"] > 0.9
    folder = tmp_path / "combat" / "run"
    whole = predict(folder, tmp_path / "combat").set_index("unit")["ill.p_1"]
    new = tmp_path / "new"
    new.mkdir()
    for name in ("rna.csv", "clinical.csv"):
        pd.read_csv(tmp_path / "combat" / name).iloc[:20].to_csv(new / name, index=False)
    unknown = predict(folder, new).set_index("unit")["ill.p_1"]
    units = pd.read_csv(tmp_path / "combat" / "units.csv").iloc[:20]
    units.drop(columns=["ill", "chip", "sex"]).to_csv(new / "units.csv", index=False)
    pd.testing.assert_series_equal(predict(folder, new).set_index("unit")["ill.p_1"], unknown)
    assert (unknown - whole[:20]).abs().max() > 0.01
    units.drop(columns="ill").to_csv(new / "units.csv", index=False)
    pd.testing.assert_series_equal(predict(folder, new).set_index("unit")["ill.p_1"], whole[:20])


def test_declarations_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    from cohortium.errors import DataError, StudyError
    from cohortium.study import load_cohort, load_study

    study = write_study(tmp_path)
    for covariates, said in (
        ("ill", "what is predicted"),
        ("chip", "the batch itself"),
        ("sexx", "Did you mean 'sex'"),
    ):
        write_study(tmp_path, covariates=covariates)
        with pytest.raises(DataError, match=said):
            load_cohort(study)
    text = write_study(tmp_path).read_text(encoding="utf-8")
    for old, new, said in (
        ("design: {batch: chip}", "", "needs design"),
        ("harmonise: combat, ", "", "harmonise_covariates need"),
        ("combat", "combatt", "combat"),
    ):
        study.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(StudyError, match=said):
            load_study(study)


def test_test_rows_change_nothing_that_was_fitted() -> None:
    x, _, batch = effects()
    t = table(x, batch)
    spoilt = table(np.vstack([x[:80], 1e6 * x[80:]]), np.concatenate([batch[:80], batch[80:][::-1]]))
    train = np.arange(80)
    a, b = fit_encoder(t.take(train)), fit_encoder(spoilt.take(train))
    np.testing.assert_array_equal(a.transform(t), b.transform(t))
