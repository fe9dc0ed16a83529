"""Federated boosting: how well it predicts beside the linear model, each site alone, and boosting on all rows; and what it costs.

Fed-TCGA-BRCA by its six regions (survival, 39 columns), HANCOCK cut into four sites (recurrence, clinical, pathology and blood). Boosting on all rows is the
federated one with ``least_cell: 1``: without small counts the two are equal to rounding. Then bytes and seconds of a round
against sites and columns, and over the same protocol with one site that holds all rows.

usage: python benchmarks/federation_trees.py [--data ../shared/data] [--only brca,hancock,cost]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from federation import write
from federation_cost import sites, together
from federation_evaluation import text

from cohortium.contracts.federation import FederationPlan, TreesPlan
from cohortium.contracts.federation_results import FederatedResults
from cohortium.study import simulate_federation
from cohortium.study.federating import asking, drive

BRCA = """\
name: fed_tcga_brca
cohort:
  units: {{file: brca.csv, id: pid}}
  modalities: {{clinical: {{file: brca.csv, exclude: [E, T, region]}}}}
endpoints: {{os: {{kind: survival, time: T, event: E, time_unit: days, zero_times: exclude}}}}
design: {{site: region}}
federation: {{least_events: 1, folds: 3, {how}}}
"""
HANCOCK = """\
name: hancock_four
cohort:
  units: {{file: targets.csv, id: patient_id}}
  modalities:
    clinical: {{file: clinical.csv}}
    pathological: {{file: pathological.csv}}
    blood: {{file: blood.csv}}
endpoints: {{recurrence: {{kind: binary, column: recurrence, positive: "yes"}}}}
design: {{site: site}}
federation: {{modalities: [clinical, pathological, blood], least_events: 5, folds: 3, {how}}}
"""
TREES = "rounds: 20, depth: 2, learning_rate: 0.2, least_leaf: 10"
FITS = {
    "linear": "least_cell: {linear}, penalty: 3",
    "trees": f"method: trees, least_cell: 10, trees: {{{{{TREES}}}}}",
    "trees, all rows": f"method: trees, least_cell: 1, trees: {{{{{TREES}}}}}",
}


def hancock(data: Path, folder: Path) -> None:
    """Four sites by age and a draw (seed 1), so that they differ; one has no blood counts."""
    every = {
        n: pd.read_csv(data / f"{n}.csv", dtype={"patient_id": str})
        for n in ("targets", "clinical", "pathological", "blood")
    }
    targets = every["targets"]
    rng = np.random.default_rng(1)
    age = every["clinical"].set_index("patient_id").iloc[:, -1].reindex(targets.patient_id).rank(pct=True).fillna(0.5)
    mixed = age.to_numpy() + rng.uniform(-0.4, 0.4, len(targets))
    targets["site"] = pd.qcut(mixed, 4, labels=["north", "east", "south", "west"])
    gone = set(targets.patient_id[targets.site == "west"])
    every["blood"] = every["blood"][~every["blood"].patient_id.isin(gone)]
    for n, d in every.items():
        d.to_csv(folder / f"{n}.csv", index=False)


def row(name: str, r: FederatedResults, seconds: float) -> None:
    """A line of the table, and one for each site."""
    e = r.evaluation
    assert e is not None
    metric = "c_index" if r.kind == "survival" else "roc_auc"
    across = {p.design: p for p in e.across if p.metric == metric}
    cells = [text(across[d]) if d in across else "–" for d in ("leave_one_site_out", "folds", "own")]
    left = sum(m.size for m in r.messages if m.to == "coordinator")
    print(f"| {name} | {' | '.join(cells)} | {r.rounds} | {left / 1e6:.1f} | {seconds:.0f} |", flush=True)
    for p in across.values():
        if p.reason:
            print(f"  {p.design}: {p.reason}")
    for s in dict.fromkeys(x.site for x in e.sites):
        mine = {x.design: text(x) for x in e.sites if x.site == s and x.metric == metric}
        print(f"    {s}: {mine}", flush=True)
    if r.trees is not None:
        print(
            f"    pooled: {r.trees.pooled}; first: {[(i.column, round(i.gain, 3)) for i in r.trees.importance[:5]]}; off {r.trees.off:.4f}"
        )


def cohort(name: str, study: str, folder: Path, linear_cell: int) -> None:
    """Each fit of a cohort."""
    print(f"\n{name}: | fit | site held out | folds | own model | rounds | MB | CPU seconds |")
    for fit, how in FITS.items():
        (folder / "study.yaml").write_text(study.format(how=how.format(linear=linear_cell)))
        begin = time.process_time()
        r = simulate_federation(folder / "study.yaml", evaluate=True, compare=fit != "trees, all rows")
        row(fit, r, time.process_time() - begin)
        if fit == "linear":
            print("    left out:", {s.site: s.left for s in r.sites if s.left})


def cost() -> None:
    """Bytes and seconds against sites and columns."""
    print(
        "\ncost: | sites | columns | CPU s a round | largest answer, bytes | bytes a site and tree | over all rows in one place |"
    )
    how = TreesPlan(rounds=3)
    plan = FederationPlan(
        "cost", "os", "survival", (), "days", ("m",), 0.0, 10, 10, 10, 1, 50, False, method="trees", trees=how
    )
    drive(plan, {p.name: asking(p, plan) for p in sites(2, 2)})
    for n in (2, 8, 32):
        for q in (10, 40, 160):
            if n * q > 2000:
                continue
            parts, spent = sites(n, q), []
            for some in (parts, [together(parts)]):
                asks = {p.name: asking(p, plan) for p in some}
                begin = time.process_time()
                done = drive(plan, asks)
                spent.append(time.process_time() - begin)
                if some is parts:
                    found = done
            answers = [m.size for m in found.messages if m.kind == "SiteHistograms"]
            rounds = len(found.seconds)
            each = sum(answers) / n / 3
            print(
                f"| {n} | {q} | {spent[0] / rounds:.3f} | {max(answers):,} | {each:,.0f} | {spent[0] / spent[1]:.2f} |",
                flush=True,
            )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", default="cost,brca,hancock")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "cost" in asked.only:
            cost()
        if "brca" in asked.only:
            write(asked.data / "fed_tcga_brca", folder)
            cohort("Fed-TCGA-BRCA", BRCA, folder, 1)
        if "hancock" in asked.only:
            hancock(asked.data / "hancock", folder)
            cohort("HANCOCK", HANCOCK, folder, 10)


if __name__ == "__main__":
    main()
