"""Who is in which subgroup, from study files; columns that are no groups stop before anything is fitted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from cohortium.errors import StudyError
from cohortium.study import check, load_study
from cohortium.study.data import load_data
from cohortium.study.grouping import groupings
from tests.study import cohort_files


def grouped(folder: Path, evaluation: str, design: str = "", change=None) -> dict[str, dict[str, str]]:
    text = cohort_files.STUDY.replace("evaluation: {", f"{design}evaluation: {{{evaluation}, ")
    file = cohort_files.write(folder, study=text)
    if change is not None:
        units = pd.read_csv(folder / "units.csv", dtype=str, keep_default_na=False)
        change(units).to_csv(folder / "units.csv", index=False)
    study = load_study(file)
    return groupings(study, load_data(study))


def test_site_and_availability_are_there_unasked(tmp_path: Path) -> None:
    made = grouped(tmp_path, "repeats: 1", "design: {site: hospital}\n")
    assert set(made) == {"site", "availability"} and all(len(of) == 120 for of in made.values())
    assert set(made["site"].values()) == {"north", "south", "west"}
    sizes = Counter(made["availability"].values())
    assert (
        set(sizes) == {"all modalities", "clinical"} and next(iter(made["availability"].values())) == "all modalities"
    )


def test_columns_of_the_unit_table_and_of_a_modality(tmp_path: Path) -> None:
    def change(units: pd.DataFrame) -> pd.DataFrame:
        years = [str(40 + i % 40) for i in range(len(units))]
        years[5] = ""
        return units.assign(years=years, ward=["1", "2"] * 60)

    asked = "subgroups: [hospital, years, ward, clinical.sex, clinical.age], subgroup_cuts: {years: [50, 70]}"
    made = grouped(tmp_path, asked, change=change)
    assert list(dict.fromkeys(made["years"].values())) == ["below 50", "50 to below 70", "70 and above", "unknown"]
    assert made["years"]["0010"] == "50 to below 70" and made["years"]["0005"] == "unknown"
    assert set(made["ward"].values()) == {"1", "2"} and set(made["clinical.sex"].values()) == {"f", "m"}
    thirds = Counter(made["clinical.age"].values())
    assert len(thirds) == 3 and max(thirds.values()) - min(thirds.values()) <= 2


def test_many_sites_are_the_largest_and_the_others(tmp_path: Path) -> None:
    change = lambda units: units.assign(hospital=[f"h{min(i // 4, 25)}" for i in range(len(units))])  # noqa: E731
    made = grouped(tmp_path, "repeats: 1", "design: {site: hospital}\n", change)
    sizes = Counter(made["site"].values())
    assert len(sizes) == 8 and sizes["h25"] == 20 and list(dict.fromkeys(made["site"].values()))[-1] == "other sites"


@pytest.mark.parametrize(
    ("evaluation", "says"),
    [
        ("subgroups: [hospitl]", "Did you mean 'hospital'"),
        ("subgroups: [clinical.sx]", "Did you mean 'clinical.sex'"),
        ("subgroups: [family]", "60 different values, more than 20"),
        ("subgroups: [hospital], subgroup_cuts: {hospital: [1]}", "other values than numbers"),
        ("subgroup_cuts: {hospital: [1]}", "not in subgroups"),
        ("subgroups: [days], subgroup_cuts: {days: [70, 50]}", "numbers that grow"),
        ("subgroups: [days], subgroup_cuts: {days: []}", "numbers that grow"),
        ("thresholds: [0.2, 1.5]", "less than 1"),
    ],
)
def test_what_is_no_group_stops_before_anything_is_fitted(tmp_path: Path, evaluation: str, says: str) -> None:
    text = cohort_files.STUDY.replace("evaluation: {", f"evaluation: {{{evaluation}, ")
    file = cohort_files.write(tmp_path, study=text)
    with pytest.raises(StudyError, match=says):
        check(load_study(file))
