"""Study files: what a person gets wrong in them, and what YAML gets wrong for a person."""

from __future__ import annotations

import pytest

from cohortium.errors import StudyError
from cohortium.study.load import load_study, parse_study, study_schema
from cohortium.study.reading import parse

GOOD = """\
name: demo
cohort:
  units: {file: units.csv, id: patient_id}
  modalities:
    clinical: {file: clinical.csv}
    rna:
      file: rna.csv
endpoints:
  dead:
    kind: binary
    column: status
    positive: yes
  os: {kind: survival, time: t, event: {column: status, equals: deceased}, time_unit: days}
reference: [clinical]
"""


def complaint(text: str) -> str:
    with pytest.raises(StudyError) as e:
        parse_study(text, "study.yaml")
    return str(e.value)


def test_good_file_and_its_first_endpoint_is_primary() -> None:
    spec = parse_study(GOOD, "study.yaml")
    assert spec.primary_name == "dead"
    assert list(spec.cohort.modalities) == ["clinical", "rna"]


def test_yes_no_on_off_ids_and_dates_stay_texts() -> None:
    data = parse(
        "a: yes\nb: no\non: off\nid: 001\nd: 2015-01-01\nt: 12:30\nn: 1\nf: 1.5\ng: 1e3\nz: true\nq: \n", "x"
    ).data
    assert data == {
        "a": "yes", "b": "no", "on": "off", "id": "001", "d": "2015-01-01", "t": "12:30", "n": 1, "f": 1.5, "g": 1000.0,
        "z": True, "q": None,
    }  # fmt: skip
    assert parse_study(GOOD, "study.yaml").endpoints["dead"].positive == "yes"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("      file: rna.csv", "      fiel: rna.csv", ["line 7", "'fiel'", "Did you mean 'file'?"]),
        ("    kind: binary", "    kind: binery", ["line 10", "binery", "Did you mean 'binary'?"]),
        ("    kind: binary", "    kindd: binary", ["dead", "'kind'"]),
        ("reference: [clinical]", "reference: [clinicl]", ["clinicl", "Did you mean 'clinical'?"]),
        ("reference: [clinical]", "reference: clinical", ["line 14", "reference", "a list"]),
        ("reference: [clinical]", "refrence: [clinical]", ["line 14", "'refrence'", "Did you mean 'reference'?"]),
        ("name: demo", "name: 2024", ["line 1", "name", "quotes"]),
        ("name: demo", "title: demo", ["'name' is missing"]),
        ("time_unit: days", "time_unit: fortnights", ["line 13", "time_unit", "'days'"]),
        ("equals: deceased", "equal: deceased", ["line 13", "'equal'", "Did you mean 'equals'?"]),
        ("reference: [clinical]", "seed: -1", ["line 14", "seed"]),
        ("reference: [clinical]", "primary: osx", ["osx", "Did you mean 'os'?"]),
        ("reference: [clinical]", "evaluation: {design: file}", ["line 14", "folds_file"]),
        ("reference: [clinical]", "evaluation: {folds: five}", ["line 14", "evaluation.folds", "five"]),
        ("reference: [clinical]", "cost: {assays: {rna: 1}}", ["line 14", "Did you mean 'costs'?"]),
        ("reference: [clinical]", "costs: {assays: {clinical: 0, rnaa: 1}}", ["'rnaa'", "Did you mean 'rna'?"]),
        ("reference: [clinical]", "costs: {assays: {rna: 300}}", ["nothing for 'clinical'", "give 0"]),
        ("reference: [clinical]", "costs: {assays: {clinical: -1, rna: 3}}", ["line 14", "costs.assays.clinical"]),
        ("reference: [clinical]", "costs: {assays: {clinical: free, rna: 3}}", ["line 14", "free"]),
        ("reference: [clinical]", "costs: {assays: {clinical: {each: 1}, rna: 3}}", ["line 14", "'each'"]),
        ("reference: [clinical]", "costs: {assays: {clinical: .inf, rna: 3}}", ["line 14", "costs.assays.clinical"]),
        ("reference: [clinical]", "costs: {assays: [1, 2]}", ["line 14", "costs.assays"]),
    ],
)
def test_mistakes_are_told_with_line_and_remedy(old: str, new: str, expected: list[str]) -> None:
    assert old in GOOD
    message = complaint(GOOD.replace(old, new))
    for part in expected:
        assert part in message, message


def test_a_number_alone_is_the_cost_of_an_assay_and_features_of_texts_have_none() -> None:
    costs = "costs: {currency: EUR, assays: {clinical: 0, rna: {assay: 40, feature: 6}}}\n"
    read = parse_study(GOOD + costs, "study.yaml").costs
    assert read is not None and (read.assays["clinical"].assay, read.assays["rna"].feature) == (0, 6)
    notes = GOOD.replace(
        "    rna:\n      file: rna.csv", "    rna: {shape: texts, file: rna.csv, id: a, columns: [note]}"
    )
    assert "'rna': a cost per feature is of tables" in complaint(notes + costs)


def test_several_mistakes_are_told_together() -> None:
    message = complaint(
        GOOD.replace("fiel", "x").replace("column: status\n", "colum: status\n").replace("name: demo", "nam: demo")
    )
    assert "mistakes" in message and "'colum'" in message and "'nam'" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["empty"]),
        ("# only a comment\n", ["empty"]),
        ("- a\n- b\n", ["top level"]),
        ("name: a\nname: b\n", ["line 2", "'name'", "first on line 1"]),
        ("cohort:\n  units: {file: a, file: b}\n", ["line 2", "'file'", "twice"]),
        ("name: [a\nb: c", ["not valid YAML"]),
        ("name: a\n\tb: c\n", ["line 2", "not valid YAML"]),
        ("? [a]\n: b\n", ["line 1", "plain word"]),
    ],
)
def test_bad_yaml(text: str, expected: list[str]) -> None:
    message = complaint(text)
    for part in expected:
        assert part in message, message


def test_deep_alias_bombs_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "too large" in complaint("\n".join(lines))


def test_missing_and_undecodable_files(tmp_path) -> None:
    with pytest.raises(StudyError, match="No study file"):
        load_study(tmp_path / "none.yaml")
    bad = tmp_path / "study.yaml"
    bad.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(StudyError, match="UTF-8"):
        load_study(tmp_path)


def test_presets_fill_only_what_the_file_leaves_open(tmp_path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(GOOD + "evaluation: {repeats: 7}\n")
    study = load_study(file)
    assert (study.evaluation.repeats, study.evaluation.folds, study.models) == (7, 5, ("linear", "trees"))
    quick = study.having(preset="quick")
    assert (quick.evaluation.repeats, quick.models) == (7, ("linear",))
    file.write_text(GOOD + "models: [trees]\n")
    quick = load_study(file).having(preset="quick")
    assert (quick.evaluation.repeats, quick.models) == (1, ("trees",))
    assert load_study(file).having(preset="thorough").evaluation.repeats == 10
    with pytest.raises(StudyError, match="Did you mean 'quick'"):
        study.having(preset="quik")


def test_keys_of_later_versions_leave_the_hash_and_classes_of_declarations_count() -> None:
    from pydantic import BaseModel

    from cohortium.study.load import declared

    class One(BaseModel):
        file: str
        most: int = 3

    class Two(One):
        most: int = 3
        later: tuple[str, ...] = ()

    Two.__name__ = "One"  # the same declaration, a version later
    assert declared(One(file="a", most=3)) == declared(Two(file="a")) == {"": "One", "file": "a"}
    assert declared(Two(file="a", later=("x",))) != declared(One(file="a")) != declared(One(file="a", most=4))
    Two.__name__ = "Two"
    assert declared({"m": [Two(file="a")]}) != declared({"m": [One(file="a")]})


def test_hash_counts_what_is_asked_not_how_it_is_written(tmp_path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(GOOD)
    first = load_study(file).hash
    file.write_text("# a comment\n" + GOOD + "title: A title\n")
    assert load_study(file).hash == first
    file.write_text(GOOD + "seed: 1\n")
    assert load_study(file).hash != first


def test_schema_accepts_what_we_accept() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = study_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(parse(GOOD, "x").data, schema)
