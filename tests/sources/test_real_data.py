"""Real cohorts as they lie in ../shared/data. Figures are those of their READMEs, or counted by hand in the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.schema.declare import ModalitySource, MulticlassSpec, SurvivalSpec, UnitsSource
from cohortium.sources import propose, read_cohort, read_outcome
from cohortium.study import parse_study

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def folder(name: str) -> Path:
    path = DATA / name
    if not path.is_dir():
        pytest.skip(f"{path} is not on this machine")
    return path


def proposed(where: Path, endpoint: str | None = None):
    spec = parse_study(propose(where, endpoint), "study.yaml")
    spec = getattr(spec, "spec", spec)
    design = {"site": spec.design.site}
    got = read_cohort(spec.cohort.units, spec.cohort.modalities, where, design=design, endpoints=spec.endpoints)
    name = spec.primary_name
    return spec, got, *read_outcome(name, spec.endpoints[name], got.raw_units, where, spec.cohort.units.id)


def test_hancock() -> None:
    where = folder("hancock")
    _spec, got, outcome, excluded = proposed(where)
    cohort, targets = got.cohort, pd.read_csv(where / "targets.csv", dtype={"patient_id": str})
    assert len(cohort.modalities) == 13
    assert list(cohort.ids) == list(targets["patient_id"])
    assert cohort.ids[0] == "001"
    assert excluded == {}
    assert outcome.event.sum() == (targets["survival_status"] == "deceased").sum()
    np.testing.assert_array_equal(outcome.time, targets["days_to_last_information"])
    image = cohort.modalities["tma_tile_dtr_256_HE"]
    assert image.values.dtype == np.float32
    assert image.n_features == 512
    with np.load(where / "tma_tile_dtr_256_HE.npz") as z:
        assert len(image.units) == len(set(z.files) & set(cohort.ids))
        np.testing.assert_array_equal(image.values[0], z[image.units[0]])
    blood = pd.read_csv(where / "blood.csv", dtype={"patient_id": str}).set_index("patient_id")
    np.testing.assert_array_equal(
        cohort.modalities["blood"].values, blood.loc[cohort.modalities["blood"].units].to_numpy(float)
    )
    assert 0.85 < cohort.presence()["blood"].mean() < 0.95


@pytest.mark.parametrize("endpoint", ["rfs_event", "recurrence", "survival_status"])
def test_hancock_endpoints(endpoint: str) -> None:
    where = folder("hancock")
    spec, _got, outcome, excluded = proposed(where, endpoint)
    targets = pd.read_csv(where / "targets.csv")
    if endpoint == "rfs_event":
        assert spec.endpoints[endpoint].time == "days_to_rfs_event"
        assert sum(excluded.values()) == (targets["days_to_rfs_event"] <= 0).sum()
    elif endpoint == "recurrence":
        assert outcome.endpoint.classes == ("no", "yes")
        assert outcome.codes.sum() == (targets["recurrence"] == "yes").sum()
    assert len(outcome) + sum(excluded.values()) == len(targets)


@pytest.mark.parametrize(("cohort", "n", "events", "sizes"), [
    ("blca", 373, 169, {"rnaseq": 1554, "cnv": 256, "mut": 371}),
    ("lusc", 450, 192, {"rnaseq": 1556, "mut": 850}),
    ("ucec", 480, 75, {"cnv": 5, "mut": 1406}),
])  # fmt: skip
def test_tcga_porpoise(cohort: str, n: int, events: int, sizes: dict[str, int]) -> None:
    spec, got, outcome, _ = proposed(folder("tcga_porpoise") / cohort)
    assert (len(outcome), int(outcome.event.sum())) == (n, events)
    tables = got.cohort.modalities
    assert {k: t.n_features for k, t in tables.items() if k != "clinical"} == sizes
    assert spec.design.site == "site"
    assert not {"train", "site", "censorship", "event", "survival_months"} & set(tables["clinical"].features.index)
    assert set(tables["mut"].features["kind"]) <= {"binary", "numeric"}
    assert got.cohort.presence().all(axis=None)


def test_breast_tcga_and_its_test_set_without_protein() -> None:
    where = folder("breast_tcga_mixomics")
    units = UnitsSource(file="labels_train.csv", id="sample_id")
    sources = {k: ModalitySource(file=f"{k}_train.csv.gz") for k in ("mrna", "mirna", "protein")}
    spec = MulticlassSpec(kind="multiclass", column="subtype")
    got = read_cohort(units, sources, where, endpoints={"subtype": spec})
    assert [t.values.shape for t in got.cohort.modalities.values()] == [(150, 200), (150, 184), (150, 142)]
    outcome, _ = read_outcome("subtype", spec, got.raw_units, where)
    assert list(np.bincount(outcome.codes)) == [45, 30, 75]
    test = {k: ModalitySource(file=f"{k}_test.csv.gz") for k in sources}
    known = {k: t.features for k, t in got.cohort.modalities.items()}
    new = read_cohort(UnitsSource(file="labels_test.csv"), test, where, expected=known, units_optional=True)
    assert list(new.cohort.presence().sum()) == [70, 70, 0]
    assert new.notes["mrna"] == []


def test_support2() -> None:
    where = folder("support2")
    source = ModalitySource(file="support2.csv.gz", recorded_after_index=["hospdead", "slos", "dnrday"])
    spec = SurvivalSpec(kind="survival", time="d.time", event="death", time_unit="days")
    got = read_cohort(UnitsSource(file="support2.csv.gz", id="sno"), {"all": source}, where, endpoints={"os": spec})
    outcome, _ = read_outcome("os", spec, got.raw_units, where)
    assert len(outcome) == 9105
    assert round(outcome.event.mean(), 2) == 0.68
    features = got.cohort.modalities["all"].features
    assert not {"hospdead", "slos", "dnrday", "death", "d.time", "sno"} & set(features.index)
    assert features.loc["sex", "levels"] == ("female", "male")
    assert features.loc["dzgroup", "kind"] == "nominal"
    assert features.loc["age", "kind"] == "numeric"
    assert got.left_out["all"] == ["hospdead", "slos", "dnrday"]


def test_small_cohorts() -> None:
    _, mice, diet, _ = proposed(folder("nutrimouse"), "diet")
    assert {k: t.values.shape for k, t in mice.cohort.modalities.items() if k != "labels"} == {
        "gene": (40, 120),
        "lipid": (40, 21),
    }
    assert len(diet.endpoint.classes) == 5
    _, shen, healthy, _ = proposed(folder("covid_shen_proteomics_metabolomics"), "Y01")
    sizes = {k: t.values.shape for k, t in shen.cohort.modalities.items()}
    assert (sizes["proteomics"], sizes["metabolomics"]) == ((49, 791), (49, 933))
    assert healthy.codes.sum() == 18
    _, su, group, _ = proposed(folder("covid_su_metabolomics"), "Group")
    assert group.endpoint.classes[1] == "COVID19"
    assert su.cohort.modalities["metabolites_processed_chebi"].n_features == 333
