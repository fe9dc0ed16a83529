"""Networks across sites from a study file: keys, the comparison, the page."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from cohortium.errors import StudyError
from cohortium.study import simulate_federation
from tests.federation.network_sites import DIMS, sites

STUDY = """\
name: trial
cohort:
  units: {file: units.csv, id: id}
  modalities:
    clinical: {file: clinical.csv, id: id}
    rna: {file: rna.csv, id: id}
    images: {file: images.csv, id: id}
endpoints:
  os: {kind: survival, time: time, event: event, time_unit: days}
design: {site: hospital}
federation: {FEDERATION}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("study")
    found = sites("survival", (24, 24, 24, 24))
    units, tables = [], {m: [] for m in DIMS}
    for s, x in found.items():
        ids = [f"{s}{i}" for i in range(len(x))]
        units.append(pd.DataFrame({"id": ids, "hospital": s, "time": x.time, "event": x.y.astype(int)}))
        for m, rows in tables.items():
            d = pd.DataFrame({f.name: f.values for f in x.features if f.modality == m})
            d.insert(0, "id", ids)
            rows.append(d.dropna())
    pd.concat(units).to_csv(made / "units.csv", index=False)
    for m, rows in tables.items():
        pd.concat(rows).to_csv(made / f"{m}.csv", index=False)
    return made


def study(folder, said):
    path = folder / "study.yaml"
    path.write_text(STUDY.replace("{FEDERATION}", "{" + said + "}"))
    return path


@pytest.mark.parametrize(("said", "why"), [
    ("method: netwrk", "expected 'linear', 'trees', 'network' or 'stack'"),
    ("method: network, network: {strategy: scaffold, optimiser: adam}", "plain gradients"),
    ("method: network, network: {width: 10}", "multiple of 4"),
    ("method: network, network: {inner: 0.01}", "0.05 to 0.5"),
    ("method: network, penalty: 1", "network.decay"),
    ("method: network, select: {features: 3}", "of linear models"),
    ("method: network, lacks: [rna], modalities: [clinical, rna]", "is a modality of this study file"),
    ("method: network, lacks: [ct]", "lists those of all sites"),
    ("method: network, modalities: [clinical, ct]", "no modality"),
    ("lacks: [ct], modalities: [clinical, ct]", "of methods network and stack"),
])  # fmt: skip
def test_keys_that_do_not_fit(folder, said, why):
    with pytest.raises(StudyError, match=why):
        simulate_federation(study(folder, said), by="hospital", out=folder / "never")
    assert not (folder / "never").exists()


def test_the_page_says_who_has_what_and_how_it_compares(folder):
    pytest.importorskip("torch", reason="needs pip install 'cohortium[deep]'")
    small = "least_patients: 5, least_events: 2, least_cell: 2, folds: 2"
    path = study(folder, f"method: network, {small}, network: {{rounds: 1, batch: 0, width: 8}}")
    found = simulate_federation(path, by="hospital", out=folder / "out", evaluate=True, compare=True)
    assert found.network.have["east"]["images"] == 0 and found.network.have["west"]["rna"] == 0
    assert len(found.network.losses) == 3 and np.isfinite(found.network.losses).all()
    designs = {r.design for r in found.evaluation.sites}
    assert designs == {"leave_one_site_out", "folds", "own", "pooled_site", "pooled"}
    mine = {r.site: r.value for r in found.evaluation.sites if (r.design, r.metric) == ("folds", "c_index")}
    theirs = {r.site: r.value for r in found.evaluation.sites if (r.design, r.metric) == ("pooled", "c_index")}
    both = [s for s in mine if mine[s] is not None and theirs[s] is not None]
    pair = next(p for p in found.network.paired if (p.design, p.against) == ("folds", "pooled"))
    assert pair.sites == len(both) and pair.value == pytest.approx(np.mean([mine[s] - theirs[s] for s in both]))
    text = (folder / "out" / "federation.html").read_text()
    for said in (
        "lacks it",
        "Loss by round",
        "the same network on all rows",
        "SiteUpdate",
        "Do not take updates for anonymous",
    ):
        assert said in text
    records = json.loads((folder / "out" / "federation.json").read_text())
    from cohortium.contracts.federation_wire import decode

    model = decode(json.dumps(records["network"]["model"]).encode())
    assert {p.name for p in model.parts} == {"modality:clinical", "modality:rna", "modality:images", "shared", "head"}


def test_a_site_without_a_modality_has_the_same_plan(folder):
    from cohortium.contracts.federation_wire import encode
    from cohortium.study.federating import plan_of, site_of_study
    from cohortium.study.load import load_study

    pytest.importorskip("torch", reason="needs pip install 'cohortium[deep]'")
    names = "method: network, modalities: [clinical, rna, images]"
    whole = load_study(study(folder, names))
    lacking = folder / "lacking.yaml"
    text = STUDY.replace("{FEDERATION}", "{" + names + ", lacks: [images]}")
    lacking.write_text(text.replace("    images: {file: images.csv, id: id}\n", ""))
    own = load_study(lacking)
    assert encode(plan_of(whole)) == encode(plan_of(own))
    site = site_of_study("east", own, plan_of(own))
    assert {f.modality for f in site.features} == {"clinical", "rna"}
