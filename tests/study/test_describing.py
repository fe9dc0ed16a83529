"""Table one: against R and another library, and that no small count can be read or worked out."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cohortium.contracts.description import Description, Summary
from cohortium.metrics import level_difference, mean_difference
from cohortium.study import load_study
from cohortium.study.data import load_data
from cohortium.study.describing import describe, describe_new, in_parts
from cohortium.study.plan import make_plan
from cohortium.study.summarising import over_folds
from cohortium.study.withholding import withheld
from tests.study import cohort_files

ORACLE = Path(__file__).parent / "oracle"
STUDY = """\
name: one
cohort:
  units: {file: units.csv, id: id}
  modalities: {clinical: {file: clinical.csv}}
endpoints: {os: {kind: survival, time: days, event: event, time_unit: days}}
design: {site: site}
reference: [clinical]
evaluation: {design: fixed_test, column: part, test_value: test}
"""


def described(folder: Path, text: str) -> Description:
    file = folder / "study.yaml"
    file.write_text(text)
    study = load_study(file)
    data = load_data(study)
    return describe(study, data, make_plan(study, data))[0]


def of(d: Description, group: str, variable: str) -> Summary:
    names = [v.name for v in d.variables]
    return next(g for g in d.groups if g.name == group).summaries[names.index(variable)]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Description:
    folder = tmp_path_factory.mktemp("one")
    data = pd.read_csv(ORACLE / "table_one_data.csv", dtype={"id": str})
    data[["id", "site", "days", "event", "part"]].to_csv(folder / "units.csv", index=False)
    data[["id", "age", "stage", "sex"]].to_csv(folder / "clinical.csv", index=False)
    return described(folder, STUDY)


def test_numbers_are_those_of_r(known: Description) -> None:
    truth = pd.read_csv(ORACLE / "table_one.csv").set_index("name")["value"]
    for group in ("everyone", "north", "south", "west", "test part"):
        age, stage, event = (of(known, group, v) for v in ("age", "stage", "os"))
        assert next(g.n_units for g in known.groups if g.name == group) == truth[f"{group}_n"]
        assert age.missing == truth[f"{group}_missing"] and age.absent == 0
        for name in ("q1", "median", "q3"):
            assert getattr(age, name) == pytest.approx(truth[f"{group}_{name}"], abs=1e-9)
        assert stage.counts == [truth[f"{group}_stage_{s}"] for s in ("I", "II", "III", "IV")]
        assert event.counts[0] == truth[f"{group}_events"]
        assert of(known, group, "follow-up").median == pytest.approx(truth[f"{group}_follow_up"], abs=1e-9)
        for v in ("age", "stage", "sex") if group != "everyone" else ():
            assert of(known, group, v).difference == pytest.approx(truth[f"{group}_smd_{v}"], abs=1e-12)


def test_differences_are_those_of_tableone(known: Description) -> None:
    for row in pd.read_csv(ORACLE / "table_one_smd.csv").itertuples():
        column, group, variable = str(row.name).split("_")
        made = of(known, "test part" if column == "part" else group, variable).difference
        assert made == pytest.approx(row.value, abs=5.1e-4)


def test_differences_at_the_edges() -> None:
    assert mean_difference(5.0, 0.0, 5.0, 0.0) == 0.0
    assert mean_difference(5.0, 0.0, 6.0, 0.0) is None
    assert mean_difference(5.0, float("nan"), 6.0, 1.0) is None
    assert level_difference(np.array([9, 0, 0]), np.array([7, 0, 0])) == 0.0
    assert level_difference(np.array([9, 0]), np.array([0, 7])) is None
    assert level_difference(np.array([0, 0]), np.array([3, 7])) is None
    # Two levels: Austin's formula of shares; a level that nobody has changes nothing.
    p, q = 0.3, 0.6
    plain = abs(p - q) / np.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    assert level_difference(np.array([14, 0, 6]), np.array([12, 0, 18])) == pytest.approx(plain)


@pytest.mark.parametrize(
    ("evaluation", "kind", "names"),
    [
        ("repeats: 2, folds: 3", "test_folds", ["range over 6 test folds"]),
        ("design: leave_one_site_out", "partition", ["test part north", "test part south", "test part west"]),
        ("design: column, column: site", "partition", ["test part north", "test part south", "test part west"]),
    ],
)
def test_partitions_are_shown_as_they_are(tmp_path: Path, evaluation: str, kind: str, names: list[str]) -> None:
    text = cohort_files.STUDY.replace(
        "evaluation: {folds: 3, ", f"design: {{site: hospital}}\nevaluation: {{{evaluation}, "
    )
    text = text.replace("column: site", "column: hospital")
    cohort_files.write(tmp_path)
    d = described(tmp_path, text)
    own = [g for g in d.groups if g.kind == kind]
    assert sorted(g.name for g in own) == names
    # A site left out is the site's column: it is not shown twice.
    assert any(g.kind == "site" for g in d.groups) == ("leave" not in evaluation)
    assert d.groups[0].n_units == 116 and {v.source for v in d.variables} == {"outcome", "clinical"}
    if kind == "partition":
        assert sum(g.n_units for g in own) == 116


def test_a_site_that_is_a_subgroup_too_is_shown_as_a_site(tmp_path: Path) -> None:
    asked = "design: {site: hospital}\nevaluation: {subgroups: [hospital, clinical.sex, part], "
    cohort_files.write(tmp_path)
    d = described(tmp_path, cohort_files.STUDY.replace("evaluation: {", asked))
    assert sorted(g.name for g in d.groups if g.kind == "site") == ["north", "south", "west"]
    assert [(v.name, v.source) for v in d.variables if v.kind == "levels"] == [
        ("response", "outcome"), ("part", "unit table"), ("sex", "clinical"),
    ]  # fmt: skip


def test_ranges_are_those_of_the_folds(tmp_path: Path) -> None:
    file = cohort_files.write(tmp_path)
    study = load_study(file)
    data = load_data(study)
    plan = make_plan(study, data)
    d = describe(study, data, plan)[1]
    assert d.endpoint == "os"
    clinical = pd.read_csv(tmp_path / "clinical.csv", dtype={"patient_id": str}).set_index("patient_id")
    units = plan.endpoints["os"].outcome.units
    frames = [clinical.loc[units[s.test]] for s in plan.endpoints["os"].splits]
    group = next(g for g in d.groups if g.kind == "test_folds")
    assert (group.n_units, group.most_units) == (min(map(len, frames)), max(map(len, frames)))
    at = {v.name: k for k, v in enumerate(d.variables)}
    medians = [f["age"].median() for f in frames]
    assert group.summaries[at["age"]].median == pytest.approx(min(medians))
    assert group.most[at["age"]].median == pytest.approx(max(medians))
    women = [(f["sex"] == "f").sum() for f in frames]
    assert (group.summaries[at["sex"]].counts[0], group.most[at["sex"]].counts[0]) == (min(women), max(women))


def test_who_lacks_a_modality_is_told_from_what_is_unknown(tmp_path: Path) -> None:
    file = cohort_files.write(tmp_path, study=cohort_files.STUDY.replace("[clinical]", "[rna]"))
    d = described(tmp_path, file.read_text())
    has = len(pd.read_csv(tmp_path / "rna.csv"))
    everyone = of(d, "everyone", "g0")
    assert (everyone.n + everyone.absent, everyone.missing) == (116, 0) and everyone.n <= has
    alone = of(d, "clinical", "g0")
    assert alone.n == 0 and alone.absent == next(g.n_units for g in d.groups if g.name == "clinical")


def test_names_of_rare_levels_are_not_shown(tmp_path: Path) -> None:
    cohort_files.write(tmp_path)
    clinical = pd.read_csv(tmp_path / "clinical.csv", dtype=str)
    who = [f"Mrs {i}" if i < 6 else "x" if i % 2 else "y" for i in range(len(clinical))]
    clinical.assign(who=who).to_csv(tmp_path / "clinical.csv", index=False)
    text = cohort_files.STUDY.replace("{file: clinical.csv}", "{file: clinical.csv, kinds: {who: nominal}}")
    d = described(tmp_path, text)
    variable = next(v for v in d.variables if v.name == "who")
    assert variable.levels[:2] == ["x", "y"] and variable.levels[2].startswith("others (") and variable.rare >= 2
    assert "Mrs" not in repr(d)


def test_new_data_are_put_beside_the_study(tmp_path: Path) -> None:
    file = cohort_files.write(tmp_path / "a")
    d = described(tmp_path / "a", file.read_text())
    new = load_study(cohort_files.write(tmp_path / "b", n=60, seed=9, first=500))
    data = load_data(new)
    made = describe_new(
        d, new, SimpleNamespace(cohort=data.cohort, raw_units=data.raw_units), data.outcomes["response"], "b"
    )
    age = [v.name for v in d.variables].index("age")
    old, own = (
        pd.read_csv(tmp_path / x / "clinical.csv", dtype={"patient_id": str}).set_index("patient_id")["age"]
        for x in "ab"
    )
    own = own.loc[data.outcomes["response"].units]
    old = old.loc[old.index[4:]]  # four have no response
    assert made.kind == "external" and made.n_units == len(own) == 56
    assert made.summaries[age].median == pytest.approx(own.median())
    gap = abs(own.mean() - old.mean()) / np.sqrt((own.var() + old.var()) / 2)
    assert made.summaries[age].difference == pytest.approx(gap)


def test_no_small_count_can_be_worked_out() -> None:
    """Every way to fill the withheld cells that agrees with all that is shown: a small count has at least two values."""
    from itertools import product

    rng = np.random.default_rng(4)
    seen = 0
    for _ in range(40):
        level, group = rng.choice(2, 24, p=[0.7, 0.3]), rng.choice(3, 24, p=[0.5, 0.3, 0.2])
        parts = [np.bincount(level[group == g], minlength=2) for g in range(3)]
        counts = np.stack([np.bincount(level, minlength=2), *parts], axis=1)
        hidden, few = withheld(counts, [[1, 2, 3]])
        known = counts.sum(axis=0)
        assert not (~hidden & (counts > 0) & (counts < 5)).any(), "it stands there"
        if (known < 5).any():
            continue
        possible = []
        for first in product(*(range(k + 1) if hidden[0, g] else [counts[0, g]] for g, k in enumerate(known))):
            table = np.stack([np.array(first), known - np.array(first)])
            fits = table[0, 0] == table[0, 1:].sum() and (table[~hidden] == counts[~hidden]).all()
            if fits and ((table[few] > 0) & (table[few] < 5)).all():
                possible.append(table)
        values = np.array(possible)
        for k, g in np.argwhere((counts > 0) & (counts < 5)):
            assert len(np.unique(values[:, k, g])) > 1
            seen += 1
    assert seen > 20


def test_what_need_not_be_withheld_is_not() -> None:
    counts = np.array([[30, 20, 10], [40, 25, 15], [0, 0, 0]])
    hidden, few = withheld(counts, [[1, 2]])
    assert not hidden.any() and not few.any()


def test_differences_that_tell_a_count_are_withheld(tmp_path: Path) -> None:
    data = pd.read_csv(ORACLE / "table_one_data.csv", dtype={"id": str})
    data.loc[data["site"] == "west", "stage"] = ["IV", "IV", *["I"] * ((data["site"] == "west").sum() - 2)]
    data[["id", "site", "days", "event", "part"]].to_csv(tmp_path / "units.csv", index=False)
    data[["id", "age", "stage", "sex"]].to_csv(tmp_path / "clinical.csv", index=False)
    d = described(tmp_path, STUDY)
    west = of(d, "west", "stage")
    assert None in west.counts and west.difference is None and of(d, "west", "age").difference is not None


def test_small_groups_join_the_others() -> None:
    made = in_parts(["a"] * 9 + ["b"] * 6 + ["c"] * 3 + ["d"] * 3, 5, "others")
    assert [(name, len(rows)) for name, rows in made] == [("a", 9), ("b", 6), ("others", 6)]
    made = in_parts(["a"] * 9 + ["b"] * 6 + ["c"] * 3, 5, "others")
    assert [(name, len(rows)) for name, rows in made] == [("a", 9), ("others", 9)], "three alone would be too few"
    assert [name for name, _ in in_parts(list("aaaaaabbb"), 5, "others")] == ["others"]


def test_of_two_folds_neither_is_shown_where_one_is_small() -> None:
    low, high = over_folds([Summary(20, counts=[3, 17]), Summary(20, counts=[9, 11])], np.zeros(2, bool))
    assert low.counts == high.counts == [None, None] and low.few == [0] and low.difference is None
    three = [Summary(20, counts=[6, 14]), Summary(20, counts=[9, 11]), Summary(20, counts=[8, 12])]
    low, high = over_folds(three, np.zeros(2, bool))
    assert (low.counts, high.counts) == ([6, 11], [9, 14])
