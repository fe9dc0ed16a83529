"""A clean cohort is not accused; biology, however strong, is not taken for a disguise."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

from cohortium.checks import run_checks
from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame
from cohortium.schema import EndpointKind

from .planted import changed, clean, findings, serious, with_column


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", list(EndpointKind))
def test_clean_cohorts_have_no_serious_finding_and_hardly_a_warning(kind, seed):
    found = findings(clean(kind, seed=seed))
    assert serious(found) == []
    assert [n for n, f in found.items() if f.grade == "warning" and "presence" not in n] == []


def test_presence_by_chance_is_rarely_called_informative():
    named = [n for seed in range(40) for n in findings(clean(n=150, seed=seed), folds=0) if "presence" in n]
    assert len(named) <= 5


def test_several_units_of_a_patient_are_no_duplicates():
    s = clean(units_per_patient=3)
    s = changed(s, "rna", lambda x: x.__setitem__(slice(1, None, 2), x[: len(x[1::2]) * 2 : 2]))
    s.cohort.units["patient"] = ["same"] * len(s.cohort)
    assert not [n for n in findings(s, folds=0) if n.startswith("duplicate")]


def test_a_gene_that_marks_a_subtype_is_a_warning_and_no_more():
    s = clean("multiclass")
    rng = np.random.default_rng(0)
    gene = 3.2 * (s.outcome.codes == 1) + rng.normal(size=300)
    found = findings(with_column(s, "ESR1", gene))
    assert serious(found) == []
    assert found["strong_single_feature:labs.y.B"].columns == ["ESR1"]


def test_a_strong_stage_is_biology():
    """Four levels, from hardly any event to nearly all: strong, but no level is certain."""
    s = clean(n=600)
    rng = np.random.default_rng(1)
    stage = np.clip(np.round(1.5 * s.outcome.codes + rng.normal(1, 0.9, 600)), 0, 3)
    assert serious(findings(with_column(s, "stage", stage, ("I", "II", "III", "IV")))) == []


def test_a_marker_that_rules_out_one_of_several_subtypes_is_biology():
    s = clean("multiclass", n=900)
    rng = np.random.default_rng(1)
    receptor = np.where(s.outcome.codes == 0, 0, rng.integers(0, 2, 900))
    assert serious(findings(with_column(s, "receptor", receptor, ("negative", "positive")))) == []
    verdict = np.where(s.outcome.codes == 0, rng.integers(0, 2, 900), 0)
    assert serious(findings(with_column(s, "verdict", verdict, ("no", "yes")))) == ["outcome_in_disguise:labs.verdict"]


def test_genes_named_like_identifiers_in_wide_tables_are_genes():
    rng = np.random.default_rng(2)
    s = clean()
    names = ["NHS", "NAME", "MRN", *(f"g{i}" for i in range(200))]
    table = Table(s.cohort.units.index, rng.normal(size=(300, 203)), feature_frame(names))
    cohort = Cohort(s.cohort.units, {"rna": table})
    assert [f.name for f in run_checks(cohort, {"y": s.outcome}) if f.grade == "serious"] == []


def test_messages_hold_no_id_and_the_order_is_by_grade_then_name():
    s = with_column(clean(), "died", clean().outcome.codes, ("no", "yes"))
    s = changed(s, "rna", lambda x: x.__setitem__(slice(0, 20), x[20:40]))
    found = list(findings(s, folds=20).values())
    grades = ["serious", "warning", "note"]
    assert [(grades.index(f.grade), f.name) for f in found] == sorted((grades.index(f.grade), f.name) for f in found)
    assert {f.grade for f in found} >= {"serious", "warning"}
    for f in found:
        assert not re.search(r"\bP\d{4}\b", f.message + f.name)
        assert len(f.message.split(". ")) >= 2 or f.grade == "note", f.message


def test_wide_cohorts_are_checked_in_seconds():
    rng = np.random.default_rng(3)
    s = clean(n=500)
    table = Table(s.cohort.units.index, rng.normal(size=(500, 20_000)).astype(np.float32), feature_frame([f"g{i}" for i in range(20_000)]))  # fmt: skip
    start = time.process_time()
    found = run_checks(Cohort(s.cohort.units, {"rna": table}), {"y": s.outcome})
    assert time.process_time() - start < 20  # 60,000 features: about 15 on a busy core
    assert not [f for f in found if f.grade == "serious"]
