"""Bounds within declared groups: coverage in a group whose noise is larger holds with them and only with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohortium.calibration import SetMaker, fit_intervals, fit_lower_bounds, fit_sets
from cohortium.calibration.patterns import Patterns, fit_patterns
from cohortium.contracts import ClassOutcome, Probabilities, Survival, SurvivalOutcome, ValueOutcome, Values
from cohortium.errors import StudyError
from cohortium.schema import Endpoint, EndpointKind
from cohortium.study import predict, run
from tests.study import cohort_files

BOTH = ("labs", "rna")
LEVEL = 0.9


def ids(n):
    return np.array([f"u{i}" for i in range(n)], dtype=object)


def people(rng, n):
    """A third are of the noisy group; half of each lack rna."""
    groups = np.where(rng.random(n) < 1 / 3, "noisy", "calm").astype(object)
    return groups, np.column_stack([np.ones(n, bool), rng.random(n) < 0.5])


def test_intervals_hold_within_a_noisier_group_only_when_calibrated_within_it() -> None:
    rng, endpoint = np.random.default_rng(0), Endpoint("y", EndpointKind.CONTINUOUS)
    held: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(40):
        drawn = []
        for n in (600, 600):
            groups, presence = people(rng, n)
            noise = np.where(groups == "noisy", 3.0, 1.0) * rng.normal(size=n)
            drawn.append((groups, presence, ValueOutcome(endpoint, ids(n), noise), Values(ids(n), np.zeros(n))))
        (g, have, outcome, predicted), (new_g, new_have, new, new_predicted) = drawn
        for within in held:
            maker = fit_intervals(outcome, predicted, BOTH, have, LEVEL, g if within else None)
            made = maker.make(new_predicted, new_have, groups=new_g if within else None)
            inside = (new.values >= made.low) & (new.values <= made.high)
            held[within].append(float(inside[new_g == "noisy"].mean()))
    assert LEVEL - 0.01 <= np.mean(held[True]) < 0.93  # counting rounds to the safe side
    assert np.mean(held[False]) < 0.8


def test_sets_hold_within_a_group_of_which_the_model_knows_less() -> None:
    rng, endpoint = np.random.default_rng(1), Endpoint("y", EndpointKind.BINARY, ("no", "yes"))
    held: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(40):
        drawn = []
        for n in (900, 600):
            groups, presence = people(rng, n)
            y = rng.integers(0, 2, n)
            score = rng.normal(size=n) + y * np.where(groups == "noisy", 0.3, 3.0)
            p = 1 / (1 + np.exp(-2 * (score - 1.5)))
            drawn.append((groups, presence, ClassOutcome(endpoint, ids(n), y), Probabilities(ids(n), ("no", "yes"), np.column_stack([1 - p, p]))))  # fmt: skip
        (g, have, outcome, predicted), (new_g, new_have, new, new_predicted) = drawn
        for within in held:
            maker = fit_sets(outcome, predicted, BOTH, have, LEVEL, g if within else None)
            made = maker.make(new_predicted, new_have, groups=new_g if within else None)
            held[within].append(float(made.inside[np.arange(600), new.codes][new_g == "noisy"].mean()))
    assert LEVEL - 0.01 <= np.mean(held[True]) < 0.94
    assert np.mean(held[False]) < 0.87


def test_lower_bounds_hold_within_a_group_that_dies_sooner_than_predicted() -> None:
    rng, endpoint = np.random.default_rng(2), Endpoint("os", EndpointKind.SURVIVAL)
    grid = np.linspace(0.05, 4, 80)
    held: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(12):
        drawn = []
        for n in (600, 600):
            groups, presence = people(rng, n)
            time = rng.exponential(np.where(groups == "noisy", 0.4, 2.0))
            curve = Survival(ids(n), np.zeros(n), grid, np.tile(np.exp(-grid), (n, 1)))
            outcome = SurvivalOutcome(endpoint, ids(n), time, np.ones(n, bool), np.zeros(n))
            drawn.append((groups, presence, outcome, curve))
        free = Survival(ids(600), np.zeros(600), grid, np.ones((600, len(grid))))
        (g, have, outcome, predicted), (new_g, new_have, new, new_predicted) = drawn
        for within in held:
            maker = fit_lower_bounds(outcome, predicted, free, BOTH, have, LEVEL, g if within else None)
            made = maker.make(new_predicted, new_have, groups=new_g if within else None)
            held[within].append(float((new.time > made.low)[new_g == "noisy"].mean()))
    assert np.mean(held[True]) > LEVEL - 0.02 and np.mean(held[False]) < 0.85


def test_small_and_unknown_groups_fall_back_to_the_patterns_of_everybody() -> None:
    rng = np.random.default_rng(3)
    presence = np.column_stack([np.ones(300, bool), rng.random(300) < 0.5])
    groups = np.array(["big"] * 200 + ["small"] * 20 + [""] * 80, dtype=object)
    patterns, members = fit_patterns(BOTH, presence, lambda rows: len(rows) >= 60, groups)
    plain, plain_members = fit_patterns(BOTH, presence, lambda rows: len(rows) >= 60)
    assert [g for g, _ in patterns.inside] == ["big"]
    assert patterns.names == (*plain.names, "within big, labs", "within big, labs + rna", "within big")
    assert len(members) == len(patterns.names)
    for rows in members[len(plain_members) : -1]:
        assert (groups[rows] == "big").all() and len({tuple(presence[i]) for i in rows}) == 1
    labels = patterns.labels(presence, groups)
    assert all(str(x).startswith("within big, ") for x in labels[:200])
    assert (labels[200:] == plain.labels(presence)[200:]).all()
    # A group that nobody had in training, and new units without any: as everybody.
    other = np.full(300, "new", dtype=object)
    assert (patterns.labels(presence, other) == plain.labels(presence)).all()
    assert (patterns.labels(presence) == plain.labels(presence)).all()
    assert Patterns.restore(patterns.state()) == patterns and "inside" not in plain.state()
    one, _ = fit_patterns(BOTH, presence, lambda rows: len(rows) >= 60, np.full(300, "all", dtype=object))
    assert one == plain


STUDY = (
    cohort_files.STUDY.replace(
        "evaluation: {folds: 3,", "evaluation: {coverage: 0.5, coverage_by: clinical.sex, folds: 2,"
    )
    .replace(
        "  response: {kind: binary, column: response, positive: yes}\n", "  score: {kind: continuous, column: days}\n"
    )
    .replace(", metrics: [roc_auc, brier, harrell_c, auc_t]", "")
)
STUDY = "\n".join(line for line in STUDY.splitlines() if not line.startswith("  os:")) + "\n"


def test_a_study_says_who_has_a_calibration_of_its_own_and_predict_does_for_each_unit(tmp_path: Path) -> None:
    study = cohort_files.write(tmp_path / "cohort", 110, study=STUDY)
    found = run(study, tmp_path / "run", jobs=1)
    rows = [r for r in found.results.coverage if r.variable == "clinical.sex"]
    assert {r.group for r in rows} == {"f", "m"} and all(r.own == 1.0 for r in rows)
    assert all(r.own is None for r in found.results.coverage if r.variable != "clinical.sex")
    assert "Calibrated within clinical.sex: f and m." in (tmp_path / "run" / "report.html").read_text().replace(
        "<wbr>", ""
    )
    sex = pd.read_csv(tmp_path / "cohort" / "clinical.csv", dtype=str).set_index("patient_id")["sex"]
    made = predict(found, tmp_path / "cohort").set_index("unit")
    cells = made["score.calibrated_50"]
    assert all(str(c).startswith(f"within {sex[u]}") for u, c in cells.items())
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "rna.csv").write_text((tmp_path / "cohort" / "rna.csv").read_text())
    assert not predict(found, tmp_path / "new")["score.calibrated_50"].astype(str).str.startswith("within").any()


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("clinical.sx", "Did you mean 'clinical.sex'"),
        ("clinical.age", "subgroup_cuts"),
        ("patient_id", "subgroup_cuts|different values"),
    ],
)
def test_a_column_that_is_not_of_groups_is_refused(tmp_path: Path, by: str, said: str) -> None:
    from cohortium.study import load_cohort

    study = cohort_files.write(tmp_path / "cohort", study=STUDY.replace("clinical.sex", by))
    with pytest.raises(StudyError, match=said):
        load_cohort(study)


def test_groups_without_a_level_are_refused(tmp_path: Path) -> None:
    from cohortium.study import load_study

    study = cohort_files.write(tmp_path / "cohort", study=STUDY.replace("coverage: 0.5", "coverage: null"))
    with pytest.raises(StudyError, match="coverage_by needs a level"):
        load_study(study)


def test_a_maker_with_groups_is_stored_and_restored() -> None:
    rng = np.random.default_rng(4)
    n, endpoint = 400, Endpoint("y", EndpointKind.BINARY, ("no", "yes"))
    groups, presence = people(rng, n)
    p = rng.random(n)
    predicted = Probabilities(ids(n), ("no", "yes"), np.column_stack([1 - p, p]))
    outcome = ClassOutcome(endpoint, ids(n), (rng.random(n) < p).astype(int))
    maker = fit_sets(outcome, predicted, BOTH, presence, 0.8, groups)
    again = SetMaker.restore(maker.state())
    a, b = (m.make(predicted, presence, groups=groups) for m in (maker, again))
    assert (a.inside == b.inside).all() and (a.groups == b.groups).all() and len(maker.patterns.inside) == 2
