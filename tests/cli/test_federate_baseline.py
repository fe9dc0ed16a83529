"""``federate simulate`` with one baseline hazard for all sites, as a person types it."""

from __future__ import annotations

import json

import pytest

from tests.cli.test_federate import STUDY
from tests.federation.sites import ORACLE


@pytest.fixture
def study(tmp_path):
    (tmp_path / "data.csv").write_bytes((ORACLE / "data.csv").read_bytes())

    def write(said, more=""):
        (tmp_path / "study.yaml").write_text(STUDY.replace("{least_cell: 3}", f"{{least_cell: 3, {said}}}") + more)
        return tmp_path / "study.yaml"

    return write


def test_the_fit_equals_that_of_all_rows_on_the_same_bins(call, study, tmp_path):
    file = study("baseline: common, least_events: 5, folds: 2")
    done = call("federate", "simulate", file, "--out", tmp_path / "fed", "--compare", "--evaluate")
    assert done.code == 0, done.err
    assert "one baseline hazard for all sites, constant within" in done.out
    found = json.loads((tmp_path / "fed" / "federation.json").read_text())
    assert found["largest_difference"] < 1e-9 and found["cuts"] and len(found["intercepts"]) == len(found["cuts"]) + 1
    assert found["evaluation"]["across"][0]["value"] > 0.5
    page = (tmp_path / "fed" / "federation.html").read_text()
    assert "bins of time" in page and "hazard (per years)" in page and "SiteBin" in page
    declared = study(f"baseline: common, least_events: 5, baseline_times: {found['cuts']}")
    again = call("federate", "simulate", declared, "--out", tmp_path / "again", "--json").json["federation"]
    assert again["cuts"] == found["cuts"]
    assert again["coefficients"][0]["estimate"] == pytest.approx(found["coefficients"][0]["estimate"], abs=1e-12)


WRONG = {
    "baseline: shared": "'common'",
    "baseline_times: [1]": "of baseline: common",
    "baseline: common, baseline_times: [2, 1]": "rise",
    "baseline: common, method: trees": "of Cox models",
    "baseline: common, secure: true": "which secure aggregation hides",
}


@pytest.mark.parametrize("said", WRONG)
def test_what_does_not_go_is_said(call, study, tmp_path, said):
    done = call("federate", "simulate", study(said), "--out", tmp_path / "fed")
    assert done.code == 2 and WRONG[said] in " ".join(done.err.split()) and not (tmp_path / "fed").exists()


def test_other_endpoints_have_no_baseline(call, study, tmp_path):
    done = call("federate", "simulate", study("baseline: common", "primary: response\n"), "--out", tmp_path / "fed")
    assert done.code == 2 and "of Cox models" in " ".join(done.err.split())
