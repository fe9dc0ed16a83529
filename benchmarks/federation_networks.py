"""Networks across sites on real cohorts: federated against the same network on all rows, and against each site alone, paired.

usage: python benchmarks/federation_networks.py brca|kirc|blca|hancock [--data ../shared/data] [--folds 3] [--rounds 30]
       [--strategies fedavg,fedprox,scaffold,fedadam,personal]

brca: Fed-TCGA-BRCA, the authors' six regions, 39 columns. kirc, blca: PORPOISE's tables, tissue source sites dealt to five sites by size. hancock:
patients dealt to four sites at random (seed 0), of which ``second`` has no blood counts and ``third`` no image embeddings. Settings are the
defaults of the study file; nothing is chosen on these data.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from cohortium.contracts.federation_results import FederatedResults, Paired, Performance, SitePerformance
from cohortium.study import simulate_federation

LEAST = "least_patients: 5, least_events: 2, least_cell: 3"
STUDY = """\
name: {name}
cohort:
  units: {{file: units.csv, id: id}}
  modalities:
{modalities}
endpoints:
  os: {{kind: survival, time: time, event: event, time_unit: {unit}, zero_times: exclude}}
design: {{site: site}}
federation: {{method: {method}, folds: {folds}, {more}, {least}}}
"""
SETTINGS = {
    "fedavg": "strategy: fedavg",
    "fedprox": "strategy: fedprox",
    "scaffold": "strategy: scaffold",
    "fedadam": "strategy: fedadam",
    "personal": "strategy: fedavg, personal: true",
}


def brca(data: Path, folder: Path) -> str:
    from federation import REGIONS

    d = pd.read_csv(data / "fed_tcga_brca/brca.csv").merge(
        pd.read_csv(data / "fed_tcga_brca/train_test_split.csv"), on="pid"
    )
    d = d[d["T"] > 0]
    d["site"] = [REGIONS[int(f[-1])] for f in d.fold2]
    d[["pid", "site", "T", "E"]].set_axis(["id", "site", "time", "event"], axis=1).to_csv(
        folder / "units.csv", index=False
    )
    x = d.drop(columns=["site", "T", "E", "fold", "fold2"]).rename(columns={"pid": "id"})
    x.to_csv(folder / "clinical.csv", index=False)
    return "    clinical: {file: clinical.csv, id: id}"


def porpoise(cancer: str, data: Path, folder: Path) -> str:
    here = data / "tcga_porpoise" / cancer
    d = pd.read_csv(here / "clinical.csv")
    load = np.zeros(5)
    group = {}
    for s, n in d.site.astype(str).value_counts().sort_index().sort_values(ascending=False, kind="stable").items():
        k = int(load.argmin())
        group[s], load[k] = f"group{k + 1}", load[k] + n
    d["hospital"] = d.site.astype(str).map(group)
    d[["case_id", "hospital", "survival_months", "event"]].set_axis(["id", "site", "time", "event"], axis=1).to_csv(
        folder / "units.csv", index=False
    )
    sexes = d.is_female.nunique()
    columns = "age, is_female" if sexes > 1 else "age"
    first = f"{{file: {here}/clinical.csv, id: case_id, columns: [{columns}]}}"
    said = [f"    clinical: {first}"]
    said += [
        f"    {m}: {{file: {here}/{m}.csv.gz, id: case_id}}"
        for m in ("rnaseq", "cnv", "mut")
        if (here / f"{m}.csv.gz").exists()
    ]
    return "\n".join(said)


def hancock(data: Path, folder: Path) -> str:
    here = data / "hancock"
    d = pd.read_csv(here / "targets.csv", dtype={"patient_id": str})
    names = np.array(["first", "second", "third", "fourth"])
    site = names[np.random.default_rng(0).permutation(np.arange(len(d)) % 4)]
    event = (d.survival_status == "deceased").astype(int)
    pd.DataFrame({"id": d.patient_id, "site": site, "time": d.days_to_last_information, "event": event}).to_csv(
        folder / "units.csv", index=False
    )
    of = dict(zip(d.patient_id, site, strict=True))
    blood = pd.read_csv(here / "blood.csv", dtype={"patient_id": str})
    blood[blood.patient_id.map(of) != "second"].to_csv(folder / "blood.csv", index=False)
    images = np.load(here / "tma_tile_dtr_256_HE.npz")
    rows = [(k, *images[k]) for k in images.files if of.get(k, "third") != "third"]
    pd.DataFrame(rows, columns=["patient_id", *(f"e{i}" for i in range(512))]).to_csv(folder / "he.csv", index=False)
    return "\n".join([
        f"    clinical: {{file: {here}/clinical.csv, id: patient_id, kinds: {{smoking_status: nominal}}}}",
        f"    pathological: {{file: {here}/pathological.csv, id: patient_id, kinds: {{primary_tumor_site: nominal, "
        "histologic_type: nominal, hpv_association_p16: nominal}}",
        "    blood: {file: blood.csv, id: patient_id}",
        "    he: {file: he.csv, id: patient_id}",
    ])  # fmt: skip


def text(r: SitePerformance | Performance | Paired) -> str:
    """``.71 (.60 to .80)``, or a dash."""
    if r.value is None:
        return "–"
    sign = "+" if isinstance(r, Paired) else ""
    wide = "" if r.low is None or r.high is None else f" ({r.low:{sign}.3f} to {r.high:{sign}.3f})"
    return f"{r.value:{sign}.3f}{wide}"


def show(name: str, found: FederatedResults, seconds: float) -> None:
    """Means across sites of each design, paired differences, bytes and seconds."""
    e = found.evaluation
    assert e is not None
    left = [m.size for m in found.messages if m.to == "coordinator"]
    print(f"== {name}: {found.rounds} rounds, {sum(left):,} bytes left all sites, {seconds:.0f} CPU s", flush=True)
    for p in e.across:
        print(f"  {p.design}: {p.sites} sites, {text(p)} {p.reason}", flush=True)
    for p in found.network.paired if found.network else []:
        print(f"  {p.design} less {p.against}: {p.sites} sites, {text(p)}", flush=True)
    for s in dict.fromkeys(r.site for r in e.sites):
        print("   ", s, {r.design: text(r) for r in e.sites if r.site == s}, flush=True)
    for n in [*found.notices, *e.notices]:
        print("  !", n[:200], flush=True)


def main() -> None:
    """Print a block for the linear model, and one for each strategy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", choices=["brca", "kirc", "blca", "hancock"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--strategies", default="fedavg,fedprox,scaffold,fedadam,personal")
    parser.add_argument("--no-linear", action="store_true")
    asked = parser.parse_args()
    data = asked.data.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = {"brca": brca, "hancock": hancock}.get(asked.cohort)
        modalities = made(data, folder) if made else porpoise(asked.cohort, data, folder)
        common = {
            "name": asked.cohort, "modalities": modalities, "folds": asked.folds, "least": LEAST,
            "unit": "months" if not made else "days",
        }  # fmt: skip
        study = folder / "study.yaml"
        if asked.cohort == "brca" and not asked.no_linear:
            study.write_text(STUDY.format(method="linear", more="penalty: 1", **common))
            begun = time.process_time()
            show(
                "linear, ridge 1", simulate_federation(study, compare=True, evaluate=True), time.process_time() - begun
            )
        for k, strategy in enumerate(asked.strategies.split(",")):
            more = f"network: {{{SETTINGS[strategy]}, rounds: {asked.rounds}}}"
            study.write_text(STUDY.format(method="network", more=more, **common))
            begun = time.process_time()
            found = simulate_federation(
                study, compare=k == 0, evaluate=True
            )  # rivals are the same but for the optimiser
            show(strategy, found, time.process_time() - begun)


if __name__ == "__main__":
    main()
