"""``federate simulate`` as a person types it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from tests.federation.sites import ORACLE, oracle, table

STUDY = """\
name: four
cohort:
  units: {file: data.csv, id: id}
  modalities:
    clinical: {file: data.csv, columns: [age, size, grade, node]}
endpoints:
  os: {kind: survival, time: time, event: status, time_unit: years}
  response: {kind: binary, column: resp, positive: 1}
  class: {kind: multiclass, column: cls}
  value: {kind: continuous, column: y}
design: {site: site}
federation: {least_cell: 3}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "data.csv").write_bytes((ORACLE / "data.csv").read_bytes())
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    return file


def test_the_command_gives_r_s_coefficients_and_says_what_left(call, study, tmp_path):
    done = call("federate", "simulate", study, "--by", "site", "--out", tmp_path / "fed", "--compare")
    assert done.code == 0, done.err
    assert "260 units of 4 sites" in done.out and "no row left a site" in done.out
    found = json.loads((tmp_path / "fed" / "federation.json").read_text())
    assert [c["estimate"] for c in found["coefficients"]] == pytest.approx(list(oracle("cox")), abs=1e-11)
    assert [c["error"] for c in found["coefficients"]] == pytest.approx(list(oracle("cox_se")), rel=1e-8)
    assert found["largest_difference"] < 1e-12
    assert set(found["coefficients"][0]["local"]) == {"east", "north", "south", "west"}
    rows = list(csv.DictReader((tmp_path / "fed" / "messages.csv").open()))
    assert len(rows) == 2 * 4 * found["rounds"] == len(found["messages"])
    assert {r["kind"] for r in rows if r["to"] == "coordinator"} == {"SiteSchema", "SiteMoments", "SiteSums"}
    page = (tmp_path / "fed" / "federation.html").read_text()
    assert "What left each site" in page and "gradient" in page and "http" not in re.sub(r"http-equiv", "", page)
    text = page + json.dumps(found) + done.out
    assert not [i for i in table().id if i in text]
    assert (tmp_path / "fed" / "federation.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("primary", "name"), [("response", "logistic"), ("value", "linear")])
def test_other_endpoints(call, study, tmp_path, primary, name):
    study.write_text(STUDY + f"primary: {primary}\n")
    found = call("federate", "simulate", study, "--out", tmp_path / "fed", "--json").json["federation"]
    assert [c["estimate"] for c in found["coefficients"]] == pytest.approx(list(oracle(name)[1:]), abs=1e-11)
    assert next(iter(found["intercepts"].values())) == pytest.approx(oracle(name)[0], abs=1e-11)


def test_multiclass_and_a_small_site(call, study, tmp_path):
    study.write_text(STUDY.replace("least_cell: 3", "least_events: 6") + "primary: class\n")
    d = table()
    d.loc[d.index[:7], "site"] = "village"
    d.to_csv(study.parent / "data.csv", index=False)
    done = call("federate", "simulate", study, "--out", tmp_path / "fed")
    assert "Levels that fewer than 10 patients of a site have are unknown there" in " ".join(done.out.split())
    assert done.code == 0 and "Site 'village' was left out in round 1: it has fewer than 10 patients" in " ".join(
        done.out.split()
    )


WRONG = {
    "no such column": ("", ["--by", "hospitl"], "no column 'hospitl'"),
    "a column of values": ("", ["--by", "age"], "sites are 2 to 100"),
    "no site": ("design: {}", [], "--by"),
    "ordinal": ("ordinal", [], "of kind ordinal"),
    "quorum": ("federation: {quorum: 9}", [], "quorum is 9"),
    "unknown key": ("federation: {quorom: 2}", [], "Did you mean 'quorum'"),
    "unknown modality": ("federation: {modalities: [clinicl]}", [], "Did you mean 'clinical'"),
    "secure": ("federation: {secure: maybe}", [], "secure"),
    "secure and selection": ("federation: {secure: true, select: {features: 2}}", [], "single sites"),
    "negative": ("federation: {penalty: -1}", [], "penalty"),
    "all too small": ("federation: {least_patients: 100000}", [], "0 of 4 sites are left"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_give_one_error_and_leave_nothing(call, study, tmp_path, name):
    more, options, said = WRONG[name]
    text = (STUDY.replace("federation: {least_cell: 3}\n", "") if "federation" in more else STUDY) + more + "\n"
    if more == "design: {}":
        text = STUDY.replace("design: {site: site}\n", "")
    if more == "ordinal":
        text = (
            STUDY.replace("{kind: multiclass, column: cls}", "{kind: ordinal, column: cls, classes: [a, b, c]}")
            + "primary: class\n"
        )
    study.write_text(text)
    done = call("federate", "simulate", study, "--out", tmp_path / "fed", *options)
    assert done.code == 2 and said in done.err, done.err
    assert not (tmp_path / "fed").exists() and {p.name for p in tmp_path.iterdir()} == {"data.csv", "study.yaml"}


def test_a_folder_that_is_in_use_is_left_alone(call, study, tmp_path):
    (tmp_path / "fed").mkdir()
    (tmp_path / "fed" / "mine.txt").write_text("mine")
    assert call("federate", "simulate", study, "--out", tmp_path / "fed").code == 2
    assert [p.name for p in (tmp_path / "fed").iterdir()] == ["mine.txt"]


def test_help_without_arguments(call):
    done = call("federate")
    assert "simulate" in done.out + done.err and "Example" in done.out + done.err


@pytest.mark.parametrize(("sites", "options", "said"), [
    ("north", [], "at least two sites"), ("north,North", [], "named twice"), ("a b,c", [], "cannot be a site's name"),
    ("lead,north", [], "cannot be a site's name"), ("../x,north", [], "cannot be a site's name"),
    ("a,b", ["--port", 0], "port"), ("a,b", ["--host", "x y"], "no name of a machine"),
])  # fmt: skip
def test_kits_of_wrong_names_are_not_made(call, tmp_path, sites, options, said):
    done = call("federate", "keys", "--sites", sites, "--out", tmp_path / "kits", *options)
    assert done.code == 2 and said in done.err
    assert not list(tmp_path.iterdir())


def test_what_is_no_kit_or_another_s(call, study, tmp_path):
    for arguments in (
        ["server", tmp_path],
        ["site", tmp_path, study],
        ["start", study, "--kit", tmp_path, "--out", tmp_path / "o"],
    ):
        done = call("federate", *arguments)
        assert done.code == 2 and "is no kit" in done.err
    about = {"role": "site", "name": "north", "host": "localhost", "port": 1, "sites": ["north"]}
    (tmp_path / "kit.json").write_text(json.dumps(about))
    done = call("federate", "server", tmp_path)
    assert done.code == 2 and "the kit of 'north' (a site), not of a server" in done.err


def test_without_the_engine_the_error_names_the_extra(call, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "nvflare", None)
    done = call("federate", "keys", "--sites", "a,b", "--out", tmp_path / "kits")
    assert done.code == 2 and "cohortium[federated]" in done.err and not list(tmp_path.iterdir())


def test_evaluation_is_asked_for_and_on_the_page(call, study, tmp_path):
    study.write_text(STUDY.replace("least_cell: 3", "least_cell: 3, folds: 2") + "primary: response\n")
    done = call("federate", "simulate", study, "--out", tmp_path / "fed", "--evaluate", "--compare")
    assert done.code == 0 and "ROC-AUC at sites that it was not fitted on" in " ".join(done.out.split())
    found = json.loads((tmp_path / "fed" / "federation.json").read_text())
    e = found["evaluation"]
    assert {r["design"] for r in e["sites"]} == {"leave_one_site_out", "folds", "own"} and e["folds"] == 2
    assert all((r["value"] is None) == bool(r["reason"]) for r in [*e["sites"], *e["across"]])
    assert all(r["bound"] > 0 for r in e["sites"] if r["metric"] == "roc_auc" and r["value"] is not None)
    page = (tmp_path / "fed" / "federation.html").read_text()
    assert "How well it predicts" in page and "SiteScores" in page and "bins ±" in page
    assert not [i for i in table().id if i in page + json.dumps(found)]
    study.write_text(study.read_text().replace("folds: 2", "folds: 2, evaluate: true"))
    again = call("federate", "simulate", study, "--out", tmp_path / "again", "--json").json["federation"]["evaluation"]
    assert again["sites"] == [r for r in e["sites"] if r["design"] != "own"]


def test_folds_are_some(call, study, tmp_path):
    study.write_text(STUDY.replace("least_cell: 3", "folds: 1"))
    done = call("federate", "simulate", study, "--out", tmp_path / "fed", "--evaluate")
    assert done.code == 2 and "folds" in done.err and not (tmp_path / "fed").exists()
    study.write_text(STUDY)
    assert (
        call("federate", "simulate", study, "--out", tmp_path / "fed", "--json").json["federation"]["evaluation"]
        is None
    )


def test_secure_aggregation_gives_the_same_and_nothing_by_site(call, study, tmp_path):
    for package in ("cryptography", "Crypto"):
        pytest.importorskip(package, reason="needs pip install 'cohortium[secure]'")
    done = call("federate", "simulate", study, "--out", tmp_path / "fed", "--secure")
    assert done.code == 0, done.err
    assert "260 units of 4 sites" in done.out and "nobody saw a single site's sums" in " ".join(done.out.split())
    text = (tmp_path / "fed" / "federation.json").read_text()
    found = json.loads(text)
    assert [c["estimate"] for c in found["coefficients"]] == pytest.approx(list(oracle("cox")), abs=1e-11)
    assert found["secure"]["fewest"] == 4 and {s["units"] for s in found["sites"]} == {None}
    rows = list(csv.DictReader((tmp_path / "fed" / "messages.csv").open()))
    assert {r["kind"] for r in rows if r["to"] == "coordinator"} == {"SiteNames", "SiteSealed", "SiteOpening"}
    page = (tmp_path / "fed" / "federation.html").read_text()
    assert "How sums were protected" in page and "SiteSealed" in page and "uniformly random" in page
    assert "seen by the coordinator one by one" not in page and "SiteMoments" not in page


def test_secure_aggregation_of_two_sites_is_refused(call, study, tmp_path):
    pytest.importorskip("Crypto", reason="needs pip install 'cohortium[secure]'")
    d = table()
    d["pair"] = ["one", "two"] * 130
    d.to_csv(study.parent / "data.csv", index=False)
    done = call("federate", "simulate", study, "--by", "pair", "--out", tmp_path / "fed", "--secure")
    assert done.code == 2 and "at least 3 sites, and there are 2" in done.err and not (tmp_path / "fed").exists()


@pytest.mark.parametrize("package", ["cryptography", "Crypto"])
def test_secure_aggregation_names_the_extra_it_needs(call, study, tmp_path, monkeypatch, package):
    import sys

    for name in [m for m in sys.modules if m.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    if package == "Crypto":
        pytest.importorskip("cryptography", reason="the first of the two is asked for first")
    study.write_text(STUDY.replace("{least_cell: 3}", "{least_cell: 3, secure: true}"))
    done = call("federate", "simulate", study, "--out", tmp_path / "fed")
    assert done.code == 2 and "pip install 'cohortium[secure]'" in done.err and not (tmp_path / "fed").exists()


PREPARED = STUDY.replace("[age, size, grade, node]}", "[age, size, grade, node], harmonise: combat}").replace(
    "{site: site}", "{site: site, batch: site}"
)


def test_choice_and_harmonising_are_on_the_page(call, study, tmp_path):
    study.write_text(PREPARED.replace("least_cell: 3", "least_cell: 3, select: {features: 2}") + "primary: value\n")
    done = call("federate", "simulate", study, "--out", tmp_path / "fed", "--compare")
    assert done.code == 0 and "2 of 5 columns were chosen by association" in " ".join(done.out.split())
    found = json.loads((tmp_path / "fed" / "federation.json").read_text())
    assert sorted(c["column"] for c in found["preparing"]["chosen"]) == sorted(
        c["column"] for c in found["coefficients"]
    )
    assert len(found["preparing"]["batches"]) == 4 and found["largest_difference"] < 1e-12
    page = (tmp_path / "fed" / "federation.html").read_text()
    assert "Before the fit" in page and "Effects of sites" in page and "SiteAssociation" in page


REFUSED = {
    "a misspelt key": (STUDY.replace("least_cell: 3", "select: {feature: 3}"), "Did you mean 'features'"),
    "no such way": (STUDY.replace("least_cell: 3", "select: {features: 3, by: varance}"), "varance"),
    "no column": (STUDY.replace("least_cell: 3", "select: {features: 0}"), "greater than or equal to 1"),
    "no such table": (STUDY.replace("least_cell: 3", "select: {features: 3, modalities: [rna]}"), "no table of the fit"),
    "covariates": (PREPARED.replace("combat}", "combat, harmonise_covariates: [age]}"), "harmonise_covariates"),
    "weights": (PREPARED.replace("batch: site", "batch: site, weight: w"), "design.weight"),
    "batches within sites": (
        PREPARED.replace("batch: site", "batch: node").replace("grade, node]", "grade]"),
        "has 2 values at site",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_prepared_is_refused(call, study, tmp_path, name):
    text, said = REFUSED[name]
    study.write_text(text)
    done = call("federate", "simulate", study, "--out", tmp_path / "fed")
    assert done.code == 2 and said in " ".join(done.err.split()), done.err
    assert not (tmp_path / "fed").exists()


def test_attacks_are_tried_and_too_few_shadows_refused(call, study, tmp_path):
    out = tmp_path / "fed"
    alone = call("federate", "simulate", study, "--out", out, "--shadows", "70")
    assert alone.code == 2 and "goes with --attack" in alone.err
    refused = call("federate", "simulate", study, "--out", out, "--attack", "--shadows", "10")
    assert refused.code == 2 and "at least 64" in refused.err and not out.exists()
    done = call("federate", "simulate", study, "--out", out, "--attack")
    assert done.code == 0 and "who took part" in done.out and "shadow models 65/65" in done.err
    page = (out / "federation.html").read_text()
    assert "Attacks that were tried" in page and "likelihood ratio" in page


def test_what_would_leave_is_shown_and_nothing_is_sent(call, study, tmp_path):
    done = call("federate", "preview", study, "--name", "north")
    assert done.code == 0 and "SiteMoments" in done.out and "5 x 5" in done.out
    assert "levels of grade: high, low, mid" in done.out
    found = call("federate", "preview", study, "--json").json["leaving"]
    assert found["units"] == 260 and found["messages"][0]["kind"] == "SiteSchema"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.csv", "study.yaml"]
    assert call("federate", "preview", tmp_path / "none.yaml").code == 2


def test_a_preview_with_secure_aggregation_shows_masked_numbers(call, study):
    for package in ("cryptography", "Crypto"):
        pytest.importorskip(package, reason="needs pip install 'cohortium[secure]'")
    study.write_text(STUDY.replace("{least_cell: 3}", "{least_cell: 3, secure: true}"))
    found = call("federate", "preview", study, "--name", "north", "--json").json["leaving"]
    assert [m["kind"] for m in found["messages"]] == ["SiteNames", "SiteSealed", "SiteOpening"] and not found["reason"]
    assert found["features"] == ["age", "size", "grade", "node"]
