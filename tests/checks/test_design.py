"""Events, columns, rows that do not meet, and what the study file acknowledges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohortium.cohort import Cohort
from cohortium.contracts import ClassOutcome

from .planted import changed, clean, findings, serious, with_column


@pytest.mark.parametrize("kind", ["binary", "survival"])
def test_few_events(kind):
    s = clean(kind, prevalence=0.1)  # 30 events
    assert findings(s, folds=5)["few_events_per_fold:y"].grade == "warning"
    assert "few_events_per_fold:y" not in findings(s, folds=2)
    rare = findings(clean(kind, prevalence=0.025), folds=2)
    assert serious(rare) == ["too_few_events:y"] and "few_events_per_fold:y" not in rare


def test_few_of_the_negatives_count_as_well_as_few_of_the_positives():
    assert serious(findings(clean(prevalence=0.975), folds=2)) == ["too_few_events:y"]


def test_a_class_that_nobody_has_is_too_few():
    s = clean("multiclass")
    y = replace(s.outcome, codes=np.minimum(s.outcome.codes, 1))
    assert "too_few_events:y" in serious(findings(s, folds=0, outcome=y))


def test_imbalance_is_noted():
    assert findings(clean(n=600, prevalence=0.08), folds=2)["class_imbalance:y"].grade == "note"
    assert "class_imbalance:y" not in findings(clean(n=600, prevalence=0.2))


def test_constant_empty_and_mostly_missing_columns():
    s = with_column(with_column(clean(), "flat", np.full(300, 4.0)), "empty", np.full(300, np.nan))
    sparse = np.random.default_rng(0).normal(size=300)
    sparse[:200] = np.nan
    found = findings(with_column(s, "sparse", sparse))
    assert found["constant_columns:labs"].columns == ["flat", "empty"]
    assert found["many_missing_cells:labs"].columns == ["empty", "sparse"]
    assert {found[n].grade for n in ("constant_columns:labs", "many_missing_cells:labs")} == {"note"}
    assert serious(found) == []


def test_empty_columns_of_a_rich_table_are_no_trouble():
    found = findings(changed(clean(), "rna", lambda x: x.__setitem__((slice(None), slice(0, 5)), np.nan)))
    assert found["constant_columns:rna"].columns == [f"rna_{j}" for j in range(5)]
    assert not [n for n in found if n.startswith("duplicate")]


def test_rows_that_meet_no_unit_and_units_that_lack_the_modality():
    s = clean(missing={"rna": 0.6})
    assert findings(s, unmatched={"rna": 2})["unmatched_rows:rna"].grade == "note"
    assert findings(s, unmatched={"rna": 60})["unmatched_rows:rna"].grade == "warning"
    found = findings(s)
    assert found["low_overlap:rna"].grade == "note" and "low_overlap:labs" not in found
    assert "unmatched_rows:rna" not in found
    few = s.cohort.modalities["rna"].take(np.arange(3))
    found = findings(replace(s, cohort=Cohort(s.cohort.units, {**s.cohort.modalities, "rna": few})))
    assert found["low_overlap:rna"].grade == "warning" and "not learnable" in found["low_overlap:rna"].message


def test_a_modality_that_nobody_has_is_no_trouble():
    s = clean()
    none = s.cohort.modalities["rna"].take(np.arange(0))
    s = replace(s, cohort=Cohort(s.cohort.units, {**s.cohort.modalities, "rna": none}))
    assert serious(findings(s)) == []


def test_acknowledged_by_name_or_pattern_and_misspelt():
    s = with_column(clean(), "verdict", clean().outcome.codes, ("no", "yes"))
    name = "outcome_in_disguise:labs.verdict"
    for asked, accepted in (([name], True), (["outcome_in_disguise:*"], True), (["*.verdict"], True), ([], False)):
        found = findings(s, acknowledge=asked)
        assert found[name].acknowledged is accepted and found[name].grade == "serious"
        assert not any(f.acknowledged for n, f in found.items() if n != name)
        assert not [n for n in found if n.startswith("unknown")]
    found = findings(s, acknowledge=["outcome_in_disguise:labs.verdicts"])
    assert found["unknown_acknowledgement:outcome_in_disguise:labs.verdicts"].grade == "warning"
    assert not found[name].acknowledged


def test_brackets_in_a_name_are_brackets():
    """Features such as 'CEA [ng/ml]' can be acknowledged as they are written."""
    s = with_column(clean(), "CEA [ng/ml]", clean().outcome.codes, ("no", "yes"))
    found = findings(s, acknowledge=["outcome_in_disguise:labs.CEA [ng/ml]"])
    assert found["outcome_in_disguise:labs.CEA [ng/ml]"].acknowledged


def test_units_without_a_label_are_passed_over():
    s = clean()
    some = np.random.default_rng(1).permutation(300)[:200]
    y: ClassOutcome = s.outcome.take(np.sort(some))
    position = s.cohort.units.index.get_indexer(y.units)
    told = np.random.default_rng(2).integers(0, 2, 300).astype(float)
    told[position] = y.codes
    assert serious(findings(with_column(s, "verdict", told, ("no", "yes")), folds=0, outcome=y)) == [
        "outcome_in_disguise:labs.verdict"
    ]


def test_checking_twice_says_the_same():
    s = with_column(clean("survival"), "death", clean("survival").outcome.event, ("no", "yes"))
    assert list(findings(s).values()) == list(findings(s).values())
