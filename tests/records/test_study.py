"""A study with events, from its files to predictions of new patients; landmarks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cohortium
from cohortium.errors import EndpointError, StudyError

STUDY = """\
name: records
cohort:
  units: {file: units.csv, id: id}
  modalities:
    clinical: {file: units.csv, columns: [age]}
    records:
      shape: events
      tables: [{file: events.csv, id: id, time: time, code: [code], value: value}]
      windows: [30d, all]
endpoints:
  death: {kind: binary, column: dead, positive: 1}
design: {index_time: seen}
reference: [clinical]
preset: quick
evaluation: {repeats: 1, folds: 4, inner_folds: 3}
"""


def folder(path, n=160, seed=0, shuffled_future=False):
    """Patients whose dose of code ``bad`` before the index time tells the outcome; afterwards it tells all of it."""
    rng = np.random.default_rng(seed)
    burden = rng.poisson(2, n)
    dead = rng.random(n) < 1 / (1 + np.exp(-(burden - 2.0) * 1.2))
    rows = []
    for i in range(n):
        rows += [(f"p{i:03d}", f"2024-0{rng.integers(1, 6)}-{rng.integers(1, 28):02d}", "bad", None)] * burden[i]
        rows += [(f"p{i:03d}", f"2024-05-{rng.integers(1, 28):02d}", "lab", rng.normal())]
        coin = rng.random() < 0.5
        if coin if shuffled_future else dead[i]:
            rows += [(f"p{i:03d}", "2024-06-01T00:00:00", "terminal care", None)]
    path.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame({"id": [f"p{i:03d}" for i in range(n)], "age": rng.normal(60, 9, n).round(1)})
    frame.assign(dead=dead.astype(int), seen="2024-06-01T00:00:00").to_csv(path / "units.csv", index=False)
    pd.DataFrame(rows, columns=["id", "time", "code", "value"]).to_csv(path / "events.csv", index=False)
    (path / "study.yaml").write_text(STUDY)
    return path / "study.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("records")
    return cohortium.run(folder(root / "data"), root / "run", jobs=1)


def value(result, learner):
    row = next(r for r in result.results.leaderboard if r.learner == learner)
    return next(e.value for e in row.estimates if e.metric == "roc_auc")


def test_the_past_predicts_and_the_future_is_not_seen(finished):
    assert 0.7 < value(finished, "single:records") < 0.97, "what comes at the index time would give 1"
    assert value(finished, "auto") > value(finished, "reference") + 0.1


def test_what_happens_afterwards_changes_nothing(finished, tmp_path):
    other = cohortium.run(folder(tmp_path / "data", shuffled_future=True), tmp_path / "run", jobs=1)
    a = pd.read_parquet(finished.folder / "predictions.parquet")
    b = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    pd.testing.assert_frame_equal(a, b)
    assert (other.folder / "report.html").stat().st_size > 10_000


def test_new_patients_are_predicted_from_their_records(finished, tmp_path):
    new = folder(tmp_path / "new", n=60, seed=5)
    truth = pd.read_csv(new.parent / "units.csv")
    pd.read_csv(new.parent / "units.csv").drop(columns="dead").to_csv(new.parent / "units.csv", index=False)
    p = cohortium.predict(finished, new.parent)
    from sklearn.metrics import roc_auc_score

    assert roc_auc_score(truth["dead"], p["death.p_1"]) > 0.7
    (new.parent / "events.csv").unlink()
    alone = cohortium.predict(finished, new.parent)
    assert set(alone["modalities"]) == {"clinical"}
    assert alone["death.p_1"].between(0, 1).all()


def test_codes_of_test_patients_do_not_enter_the_vocabulary():
    from cohortium.encoders import fit_encoder

    from .test_windows import simulated

    e = simulated(0, n=60, events=3000)
    train = np.arange(0, len(e.units), 2)
    first = fit_encoder(e.take(train))
    code = e.code.copy()
    mine = np.zeros(len(code), dtype=bool)
    for i in train:
        mine[e.start[i] : e.stop[i]] = True
    code[~mine] = 5
    from dataclasses import replace

    again = fit_encoder(replace(e, code=code).take(train))
    assert list(first.names_) == list(again.names_)
    np.testing.assert_array_equal(first.transform(e.take(train)), again.transform(e.take(train)))


LANDMARKS = STUDY.replace(
    "kind: binary, column: dead, positive: 1", "kind: survival, time: years, event: dead, time_unit: years"
)
LANDMARKS = LANDMARKS.replace("index_time: seen", "landmarks: {at: [1, 2], time_unit: years}").replace(
    "windows: [30d, all]", "windows: [1y, all]\n      time_unit: years"
)


def visits(path, n=120):
    rng = np.random.default_rng(1)
    years = rng.exponential(3, n) + 0.3
    units = pd.DataFrame({"id": [f"p{i}" for i in range(n)], "age": rng.normal(60, 9, n), "dead": rng.random(n) < 0.7})
    units.assign(years=years).to_csv(path / "units.csv", index=False)
    rows = [(f"p{i}", t, "visit", rng.normal()) for i in range(n) for t in np.arange(0, years[i], 0.5)]
    pd.DataFrame(rows, columns=["id", "time", "code", "value"]).to_csv(path / "events.csv", index=False)
    (path / "study.yaml").write_text(LANDMARKS)
    return years


def test_landmarks_make_a_unit_per_patient_still_under_observation(tmp_path):
    years = visits(tmp_path)
    from cohortium.study.data import load_data

    data = load_data(cohortium.load_study(tmp_path))
    o = data.outcomes["death"]
    assert len(o) == (years > 1).sum() + (years > 2).sum()
    assert data.excluded["death"] == {
        "event or end of follow-up before the landmark": (years <= 1).sum() + (years <= 2).sum()
    }
    at = dict(zip(o.units, o.time, strict=True))
    who = int(np.flatnonzero(years > 2)[0])
    assert at[f"p{who}@2"] == pytest.approx(years[who] - 2)
    records = data.cohort.modalities["records"].frame()
    assert (records[records["unit"] == f"p{who}@1"]["code"] == "visit").sum() == 2, (
        "visits at 0 and 0.5; the one at 1 is not seen"
    )
    groups = data.cohort.units["patient"].to_numpy()
    assert len(set(groups)) == (years > 1).sum()


def test_landmarks_go_with_survival_only(tmp_path):
    visits(tmp_path)
    text = LANDMARKS.replace("kind: survival, time: years, event: dead, time_unit: years", "kind: binary, column: dead")
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(EndpointError, match="an endpoint is a survival time"):
        cohortium.check(cohortium.load_study(tmp_path))
    (tmp_path / "study.yaml").write_text(LANDMARKS.replace("design: {", "design: {index_after: 24h, "))
    with pytest.raises(StudyError, match="landmarks are index times"):
        cohortium.load_study(tmp_path)


def test_a_misspelt_shape_is_named_with_its_line(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY.replace("shape: events", "shape: event"))
    with pytest.raises(StudyError, match=r"line 7: .*shape is 'event'.*Did you mean 'events'"):
        cohortium.load_study(tmp_path)


def test_rows_of_one_unit_must_agree_on_what_is_predicted(tmp_path):
    from cohortium.errors import DataError

    visits(tmp_path)
    frame = pd.read_csv(tmp_path / "units.csv")
    twice = pd.concat([frame, frame.iloc[:1].assign(dead=~frame["dead"].iloc[0])])
    twice.to_csv(tmp_path / "units.csv", index=False)
    (tmp_path / "study.yaml").write_text(LANDMARKS.replace("id: id}", "id: id, duplicates: first}", 1))
    with pytest.raises(DataError, match="column 'dead': rows of one unit differ"):
        cohortium.check(cohortium.load_study(tmp_path))


def test_what_a_modality_lacks_is_said_of_it_by_its_name(tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY.replace("tables: [", "tables: [] #"))
    with pytest.raises(StudyError, match=r"cohort\.modalities\.records: format: tables needs"):
        cohortium.load_study(tmp_path)
