"""``federate simulate`` with ``method: network`` and a budget, as a person types it, rightly and wrongly."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")

STUDY = """\
name: four
cohort:
  units: {{file: patients.csv, id: id}}
  modalities:
    clinical: {{file: patients.csv, columns: [age, grade]}}
    rna: {{file: rna.csv, id: id}}
endpoints:
  os: {{kind: survival, time: days, event: died, time_unit: days}}
  resp: {{kind: binary, column: resp, positive: 1}}
primary: {primary}
design: {{site: site}}
federation:
  method: network
  least_patients: 5
  {more}
  network: {network}
  privacy:
    epsilon: 8
    delta: 1.0e-5
    bounds: {bounds}
    levels: {{clinical.grade: [low, mid, high]}}
    {privacy}
"""
FINE = {
    "primary": "resp",
    "more": "quorum: 2",
    "network": "{width: 4}",
    "bounds": "{clinical.age: [20, 100], rna.g1: [-4, 4], rna.g2: [-4, 4]}",
    "privacy": "rounds: 2",
}


@pytest.fixture
def study(tmp_path):
    rng = np.random.default_rng(0)
    n = 160
    table = pd.DataFrame({"id": [f"P{i:03d}" for i in range(n)], "site": np.array(["a", "b", "c"])[np.arange(n) % 3]})
    table["age"] = rng.uniform(30, 90, n).round()
    table["grade"] = rng.choice(["low", "mid", "high"], n)
    table["resp"] = (rng.random(n) < 0.4).astype(int)
    table["days"], table["died"] = rng.integers(1, 1000, n), (rng.random(n) < 0.6).astype(int)
    table.to_csv(tmp_path / "patients.csv", index=False)
    have = (rng.random(n) < 0.8) & (table.site != "c")
    genes = pd.DataFrame(rng.standard_normal((n, 2)), columns=["g1", "g2"]).assign(id=table.id)
    genes[have].to_csv(tmp_path / "rna.csv", index=False)

    def write(**changes):
        file = tmp_path / "study.yaml"
        file.write_text(STUDY.format(**FINE | changes))
        return file

    return write


def test_the_page_is_whole_and_holds_nothing_exact(call, study, tmp_path):
    done = call("federate", "simulate", study(), "--out", tmp_path / "fed", "--evaluate")
    assert done.code == 0, done.err
    assert "A network of 2 modalities" in done.out and "epsilon 8 at delta 1e-05" in done.out
    page = (tmp_path / "fed" / "federation.html").read_text()
    for said in (
        "The network", "lacks it", "Privacy statement", "SitePrivateUpdate", "over all numbers of the network", "Rounding of a network",
        "The network is the mean of those of the second half",
    ):  # fmt: skip
        assert said in page, said
    assert "Loss by round" not in page and "training units" not in page
    found = json.loads((tmp_path / "fed" / "federation.json").read_text())
    assert found["privacy"]["spent"] == pytest.approx(8, rel=1e-6) and found["privacy"]["network"]
    assert found["network"]["have"]["c"] == {"clinical": 1, "rna": 0} and not found["network"]["losses"]
    assert {m["kind"] for m in found["messages"] if m["to"] == "coordinator"} == {
        "SitePrivateCounts",
        "SitePrivateUpdate",
        "SitePrivateScores",
    }
    again = call("federate", "simulate", study(), "--out", tmp_path / "again", "--evaluate")
    assert again.code == 0
    same = json.loads((tmp_path / "again" / "federation.json").read_text())
    assert same["network"]["model"] == found["network"]["model"]


def test_a_preview_shows_what_would_leave(call, study):
    done = call("federate", "preview", study())
    assert done.code == 0, done.err
    assert "SitePrivateUpdate" in done.out and "ended early" not in done.out + done.err
    assert "4 rounds at most" in " ".join((done.out + done.err).split())


WRONG = {
    "rounds of the network": ({"network": "{rounds: 5}"}, "federation.privacy.rounds"),
    "adam": ({"network": "{optimiser: adam}"}, "plain noisy steps"),
    "dropout": ({"network": "{dropout: 0.1}"}, "nothing is dropped"),
    "clip of updates": ({"network": "{clip: 1}"}, "federation.privacy.clip"),
    "scaffold": ({"network": "{strategy: scaffold}"}, "control variates"),
    "personal heads": ({"network": "{personal: true}"}, "one patient would change"),
    "a chosen round": ({"network": "{inner: 0.2}"}, "exact losses"),
    "cox": ({"primary": "os", "network": "{survival: cox}", "privacy": "times: [300]"}, "no sum over patients"),
    "no intervals": ({"primary": "os"}, "Declare times"),
    "a ridge": ({"more": "penalty: 1"}, "linear models"),
    "columns by exact sums": ({"more": "select: {features: 2}"}, "exact sums"),
    "without bounds": ({"bounds": "{clinical.age: [20, 100], rna.g1: [-4, 4]}"}, "no bounds of 'g2'"),
    "of which table": ({"bounds": "{age: [20, 100], rna.g1: [-4, 4], rna.g2: [-4, 4]}"}, "of which table is 'age'"),
    "a site that lacks what it has": ({"more": "modalities: [clinical, rna]\n  lacks: [rna]"}, "which is a modality"),
    "no such chance": ({"privacy": "sampled: 1.5"}, "less than or equal to 1"),
    "secure sums": ({"more": "secure: true"}, "go together for linear models"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gives_one_clear_error_and_writes_nothing(call, study, tmp_path, name):
    changes, said = WRONG[name]
    done = call("federate", "simulate", study(**changes), "--out", tmp_path / "fed")
    assert done.code == 2 and said in " ".join(done.err.split()), done.err
    assert "Traceback" not in done.err and not (tmp_path / "fed").exists()


def test_a_site_without_a_table_of_the_others_says_so(study):
    from cohortium.study.federating import plan_of, site_of_study
    from cohortium.study.load import load_study

    whole = study(more="modalities: [clinical, rna]")
    plan = plan_of(load_study(whole))
    text = whole.read_text().replace("    rna: {file: rna.csv, id: id}\n", "").replace("  quorum", "  quorum")
    text = text.replace("modalities: [clinical, rna]", "modalities: [clinical, rna]\n  lacks: [rna]")
    (whole.parent / "lacking.yaml").write_text(text)
    lacking = load_study(whole.parent / "lacking.yaml")
    assert plan_of(lacking) == plan
    site = site_of_study("c", lacking, plan)
    assert {f.modality for f in site.features} == {"clinical"}


def test_linear_fits_know_no_steps(call, study, tmp_path):
    file = study(privacy="steps: 2")
    file.write_text(file.read_text().replace("  method: network\n", "  modalities: [clinical, rna]\n"))
    done = call("federate", "simulate", file, "--out", tmp_path / "fed")
    assert done.code == 2 and "of networks" in " ".join(done.err.split())
