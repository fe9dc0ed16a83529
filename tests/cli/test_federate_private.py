"""``federate simulate`` with ``federation: {privacy: ...}`` as a person types it, rightly and wrongly."""

from __future__ import annotations

import json

import pytest

from tests.federation.sites import ORACLE, table

STUDY = """\
name: four
cohort:
  units: {{file: data.csv, id: id}}
  modalities:
    clinical: {{file: data.csv, columns: [age, size, grade, node]}}
endpoints:
  os: {{kind: survival, time: time, event: status, time_unit: years}}
  response: {{kind: binary, column: resp, positive: 1}}
  class: {{kind: multiclass, column: cls}}
  value: {{kind: continuous, column: y}}
primary: {primary}
design: {{site: site}}
federation:
  privacy:
    {budget}
    {bounds}
    levels: {{grade: [low, mid, high]}}
    binary: [node]
    {more}
"""
FINE = {
    "primary": "response",
    "budget": "{epsilon: 3, delta: 1.0e-5}",
    "bounds": "bounds: {age: [20, 90], size: [0, 6]}",
    "more": "rounds: 5",
}


@pytest.fixture
def study(tmp_path):
    (tmp_path / "data.csv").write_bytes((ORACLE / "data.csv").read_bytes())

    def write(**changes):
        said = FINE | {"budget": "epsilon: 3\n    delta: 1.0e-5"} | changes
        file = tmp_path / "study.yaml"
        file.write_text(STUDY.format(**said))
        return file

    return write


def test_the_page_holds_the_privacy_statement_and_nothing_exact(call, study, tmp_path):
    done = call("federate", "simulate", study(), "--out", tmp_path / "fed", "--evaluate")
    assert done.code == 0, done.err
    assert "epsilon 3 at delta 1e-05" in done.out and "no exact number of patients left a site" in done.out
    page = (tmp_path / "fed" / "federation.html").read_text()
    for said in (
        "Privacy statement",
        "the patient with all his units",
        "add or remove",
        "What it does not cover",
        "from the study&#39;s seed",
        "20 to 90",
    ):
        assert said in page, said
    found = json.loads((tmp_path / "fed" / "federation.json").read_text())
    assert found["privacy"]["spent"] == pytest.approx(3, rel=1e-6) and found["privacy"]["source"] == "seed"
    assert {m["kind"] for m in found["messages"] if m["to"] == "coordinator"} == {
        "SitePrivateCounts",
        "SitePrivateGradient",
        "SitePrivateScores",
    }
    sizes = table().groupby("site").size()
    assert any(s["units"] != sizes[s["site"]] for s in found["sites"])
    again = call("federate", "simulate", study(), "--out", tmp_path / "again", "--evaluate")
    assert again.code == 0
    assert json.loads((tmp_path / "again" / "federation.json").read_text())["coefficients"] == found["coefficients"]


WRONG = {
    "epsilon 0": ({"budget": "epsilon: 0\n    delta: 1.0e-5"}, "greater than 0"),
    "epsilon below 0": ({"budget": "epsilon: -1\n    delta: 1.0e-5"}, "greater than 0"),
    "no delta": ({"budget": "epsilon: 1"}, "delta"),
    "delta above 1/n": ({"budget": "epsilon: 1\n    delta: 0.01"}, "give one of them away"),
    "delta of one": ({"budget": "epsilon: 1\n    delta: 1"}, "less than 1"),
    "no bounds": ({"bounds": ""}, "no bounds of 'age', 'size'"),
    "one without bounds": ({"bounds": "bounds: {age: [20, 90]}"}, "no bounds of 'size'"),
    "bounds reversed": ({"bounds": "bounds: {age: [90, 20], size: [0, 6]}"}, "the lower comes first"),
    "bounds of nothing": ({"bounds": "bounds: {age: [20, 90], size: [0, 6], ages: [0, 1]}"}, "Did you mean 'age'"),
    "declared twice": ({"bounds": "bounds: {age: [20, 90], size: [0, 6], node: [0, 1]}"}, "declared twice"),
    "bounds of levels": (
        {"bounds": "bounds: {age: [20, 90], size: [0, 6], grade: [0, 1]}", "more": ""},
        "declared twice",
    ),
    "no intervals": ({"primary": "os"}, "Cox partial likelihood"),
    "intervals that fall": ({"primary": "os", "more": "times: [2, 1]"}, "rise"),
    "no classes": ({"primary": "class"}, "Declare classes"),
    "no bounds of the endpoint": ({"primary": "value"}, "Declare outcome"),
    "nothing left": ({"more": "moments: 0.96"}, "nothing is left"),
    "selection by exact sums": ({"more": "rounds: 5\n  select: {features: 2}"}, "exact sums"),
    "unknown key": ({"more": "epsilonn: 2"}, "epsilonn"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gives_one_clear_error_and_writes_nothing(call, study, tmp_path, name):
    changes, said = WRONG[name]
    done = call("federate", "simulate", study(**changes), "--out", tmp_path / "fed")
    assert done.code == 2 and said in " ".join(done.err.split()), done.err
    assert "Traceback" not in done.err and not (tmp_path / "fed").exists()


def test_a_comparison_with_exact_fits_is_refused(call, study, tmp_path):
    done = call("federate", "simulate", study(), "--out", tmp_path / "fed", "--compare")
    assert done.code == 2 and "nothing exact leaves" in " ".join(done.err.split()) and not (tmp_path / "fed").exists()
