"""Every problem that is planted is found, graded and named; and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohortium.cohort import Cohort, Table
from cohortium.contracts import ClassOutcome, SurvivalOutcome, TimeOutcome, ValueOutcome
from cohortium.schema import EndpointKind

from .planted import changed, clean, findings, serious, with_column

RNG = 7


def event_of(s) -> np.ndarray:
    return s.outcome.event if isinstance(s.outcome, SurvivalOutcome) else s.outcome.codes == 1


@pytest.mark.parametrize("kind", ["binary", "survival"])
def test_a_level_after_which_the_event_is_certain(kind):
    """Like hospdead: half of the events have it, nobody else."""
    s = clean(kind)
    rng = np.random.default_rng(RNG)
    told = event_of(s) & (rng.random(300) < 0.5)
    found = findings(with_column(s, "hospdead", told, ("no", "yes")))
    assert serious(found) == ["outcome_in_disguise:labs.hospdead"]
    f = found["outcome_in_disguise:labs.hospdead"]
    assert f.modality == "labs" and f.columns == ["hospdead"] and f.endpoint == "y"
    assert "certain" in f.message and "recorded_after_index" in f.message


@pytest.mark.parametrize("kind", list(EndpointKind))
def test_a_copy_of_the_outcome_in_other_units_and_with_gaps(kind):
    s = clean(kind)
    y = s.outcome
    rng = np.random.default_rng(RNG)
    if isinstance(y, ClassOutcome):
        column, levels = y.codes.astype(float), y.endpoint.classes
        column[rng.random(300) < 0.2] = np.nan
        s = with_column(s, "verdict", column, levels)
    else:
        value = y.time if isinstance(y, TimeOutcome) else y.values
        column = np.log(value) * 30.4 + 2
        column[rng.random(300) < 0.2] = np.nan
        s = with_column(s, "verdict", column)
    assert serious(findings(s)) == ["outcome_in_disguise:labs.verdict"]


@pytest.mark.parametrize("kind", ["binary", "survival"])
def test_a_score_that_parts_the_classes_without_exception(kind):
    s = clean(kind)
    score = event_of(s) * 5 + np.random.default_rng(RNG).uniform(0, 1, 300)
    assert serious(findings(with_column(s, "verdict", score))) == ["outcome_in_disguise:labs.verdict"]


@pytest.mark.parametrize("kind", ["binary", "survival", "multiclass"])
@pytest.mark.parametrize("turned", [False, True])
def test_a_column_that_is_filled_in_only_after_the_event(kind, turned):
    """A cause of death is known of the dead, the next appointment of the living."""
    s = clean(kind)
    column = np.random.default_rng(RNG).normal(size=300)
    column[event_of(s) if turned else ~event_of(s)] = np.nan
    found = findings(with_column(s, "remark", column))
    assert serious(found) == ["outcome_in_disguise:labs.remark"]


def test_names_that_suggest_recording_afterwards():
    s = clean()
    rng = np.random.default_rng(RNG)
    for name in ("days_to_last_contact", "vital_status", "los", "age", "costa_rica"):
        s = with_column(s, name, rng.normal(size=300))
    f = findings(s)["recorded_afterwards:labs"]
    assert f.grade == "warning" and set(f.columns) == {"days_to_last_contact", "vital_status", "los"}


def test_direct_identifiers_by_name_and_by_content():
    s = clean()
    names = tuple(f"text {i}" for i in range(300))
    s = with_column(s, "remark", np.arange(300), names)
    for name in ("mrn", "patient_name", "e-mail", "date_of_birth", "phone"):
        s = with_column(s, name, np.random.default_rng(RNG).normal(size=300))
    expected = ["date_of_birth", "e-mail", "mrn", "patient_name", "phone", "remark"]
    assert serious(findings(s)) == sorted(f"direct_identifier:labs.{n}" for n in expected)
    assert not any("text 1" in f.message for f in findings(s).values())


def double(s, pairs: int, noise: float, both: bool) -> object:
    """The first ``pairs`` units of ``rna`` are those behind them again, nearly; in ``labs`` too if asked."""
    rng = np.random.default_rng(RNG)

    def copy(x: np.ndarray) -> None:
        x[:pairs] = x[pairs : 2 * pairs] + noise * rng.normal(size=(pairs, x.shape[1]))

    s = changed(s, "rna", copy)
    return changed(s, "labs", copy) if both else s


@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_one_person_under_two_ids(noise):
    s = double(clean(missing=0.0, missing_cells=0.0), 4, noise, both=True)
    y = s.outcome
    agree = replace(y, codes=np.r_[y.codes[4:8], y.codes[4:]])
    found = findings(s, outcome=agree)["duplicate_patients"]
    assert found.grade == "warning" and found.message.startswith("4 pair(s)")
    differ = replace(y, codes=np.r_[1 - y.codes[4:5], y.codes[5:8], y.codes[4:]])
    assert findings(s, outcome=differ)["duplicate_patients"].grade == "serious"


def test_many_doubles_are_serious_even_with_the_same_outcome():
    s = double(clean(missing=0.0, missing_cells=0.0), 20, 0.0, both=True)
    y = s.outcome
    agree = replace(y, codes=np.r_[y.codes[20:40], y.codes[20:]])
    assert serious(findings(s, outcome=agree)) == ["duplicate_patients"]


def test_a_sample_copied_in_one_of_two_rich_modalities():
    s = clean(missing=0.0)
    rng = np.random.default_rng(RNG)
    table = s.cohort.modalities["rna"]
    other = Table(table.units, rng.normal(size=(300, 40)), table.features)
    s = replace(s, cohort=Cohort(s.cohort.units, {**s.cohort.modalities, "protein": other}))
    found = findings(double(s, 3, 0.0, both=False))
    assert found["duplicate_samples:rna"].grade == "warning"
    assert "duplicate_patients" not in found


def test_presence_that_tells_the_outcome():
    found = findings(clean(presence_effect=3.0, missing={"rna": 0.4}))
    f = found["presence_predicts_outcome:rna.y"]
    assert f.grade == "warning" and f.modality == "rna"
    assert "presence_predicts_outcome:labs.y" not in found


@pytest.mark.parametrize("role", ["site", "batch"])
def test_sites_and_batches_confounded_with_the_outcome(role):
    s = clean(sites=0)
    rng = np.random.default_rng(RNG)
    units = s.cohort.units
    lean = np.where(rng.random(300) < 0.7, s.outcome.codes, rng.integers(0, 2, 300))
    told = replace(s, cohort=Cohort(units.assign(**{role: [f"s{i}" for i in lean]}), s.cohort.modalities))
    assert findings(told)[f"{role}_confounded:y"].grade == "warning"
    sure = replace(s, cohort=Cohort(units.assign(**{role: [f"s{i}" for i in s.outcome.codes]}), s.cohort.modalities))
    assert f"{role}_confounded:y" in serious(findings(sure))


@pytest.mark.parametrize("kind", ["continuous", "survival"])
def test_sites_confounded_with_a_time_or_a_value(kind):
    s = clean(kind, sites=0)
    value = s.outcome.values if isinstance(s.outcome, ValueOutcome) else s.outcome.time
    where = np.where(value > np.median(value), "north", "south")
    s = replace(s, cohort=Cohort(s.cohort.units.assign(site=where), s.cohort.modalities))
    assert findings(s)["site_confounded:y"].grade == "warning"
