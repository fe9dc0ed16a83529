"""Federated selection and ComBat on real data: kidney cancer (TCGA KIRC) of five groups of tissue source sites, 1,556 genes.

python benchmarks/federation_preparing.py    (needs ../shared/data and R with survival; two minutes of processor time)

50 genes of 1,556 are chosen by score tests stratified by site and fitted in a ridge Cox model with age and sex; the same on all rows
together in R. C-index of each site held out: choice, standardisation and fit without it. With and without ComBat.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from federation import STUDY as BREAST
from federation import write as write_breast

from cohortium.encoders.combat import ComBat
from cohortium.federation_coordinator import results
from cohortium.federation_coordinator.results import estimates
from cohortium.federation_coordinator.scaling import scaled, unlike_columns
from cohortium.federation_site.encoding import columns_of
from cohortium.study import load_study, simulate_federation
from cohortium.study.data import load_data
from cohortium.study.federating import asking, drive, plan_of
from cohortium.study.simulating_federation import cut

SITES, GENES, PENALTY = 5, 50, 50.0

STUDY = """\
name: {cohort}
cohort:
  units: {{file: units.csv, id: case_id}}
  modalities:
    clinical: {{file: units.csv, columns: [age, is_female], kinds: {{is_female: numeric}}}}
    rna: {{file: rna.csv, id_space: symbol{harmonise}}}
endpoints:
  os: {{kind: survival, time: survival_months, event: event, time_unit: months}}
design: {{site: region, batch: region}}
reference: [clinical, rna]
federation: {{penalty: {penalty}, least_events: 3, least_cell: 1, evaluate: true, folds: 2, select: {select}}}
"""


def write(data: Path, folder: Path, cohort: str) -> None:
    """Units with their region, genes: whole tissue source sites, the largest first, each to the smallest group."""
    d = pd.read_csv(data / cohort / "clinical.csv", dtype={"site": str})
    groups: list[list[str]] = [[] for _ in range(SITES)]
    sizes = d.site.value_counts()
    for name in sorted(sizes.index, key=lambda s: (-sizes[s], s)):
        min(groups, key=lambda g: sum(sizes[s] for s in g)).append(name)
    d["region"] = d.site.map({s: f"group {i + 1}" for i, g in enumerate(groups) for s in g})
    d["is_female"] = d.is_female.fillna(0).astype(int)
    d = d[(d.survival_months > 0) & d.age.notna()]
    d.to_csv(folder / "units.csv", index=False)
    x = pd.read_csv(data / cohort / "rnaseq.csv.gz", index_col=0).loc[d.case_id]
    x.to_csv(folder / "rna.csv", index_label="case_id")


def fit(folder: Path, cohort: str, harmonise: bool, select: bool = True):
    """Seconds of the federated study, its state, its sites, its records."""
    chosen = f"{{features: {GENES}, modalities: [rna]}}" if select else "null"
    text = STUDY.format(
        cohort=cohort, penalty=PENALTY, select=chosen, harmonise=", harmonise: combat" if harmonise else ""
    )
    (folder / "study.yaml").write_text(text)
    study = load_study(folder / "study.yaml")
    plan = plan_of(study)
    sites, _ = cut(study, load_data(study), plan, "region")
    start = time.process_time()
    driven = drive(plan, {n: asking(s, plan) for n, s in sites.items()})
    return time.process_time() - start, driven, sites


def describe(name: str, seconds: float, driven, sites) -> None:
    """Lines for RESULTS.md."""
    e = results(driven.state, driven.messages, driven.seconds, "", "").evaluation
    sizes: dict[str, int] = {}
    for m in driven.messages:
        sizes[m.kind] = max(sizes.get(m.kind, 0), m.size)
    print(f"## {name}: {driven.state.round - 1} rounds, {seconds:.1f} s; largest messages {sizes}")
    for site in sites:
        mine = {r.metric: r for r in e.sites if r.site == site and r.design == "leave_one_site_out"}
        c, slope = mine["c_index"], mine["calibration_slope"]
        cells = [
            f"{c.value:.3f} ({c.low:.2f} to {c.high:.2f})",
            f"{slope.value:.2f} ({slope.low:.2f} to {slope.high:.2f})",
        ]
        print(f"| {site} | {c.units} | {c.events} | {' | '.join(cells)} |")
    for p in e.across:
        said = p.reason
        if p.value is not None:
            said = f"{p.value:.3f} ({p.low:.2f} to {p.high:.2f}), new site {p.next_low:.2f} to {p.next_high:.2f}, I2 {p.i2:.2f}"
        print(f"{p.design} {p.metric}, {p.sites} sites: {said}")
    for c in e.calibration:
        print(f"{c.design} slope of all {c.slope:.3f} ({c.slope_low:.2f} to {c.slope_high:.2f})")
    for n in e.notices:
        print("!", n)


def unused(s):
    """Which columns asked for are the same everywhere, or of another size at some site: R is not asked about them."""
    moments = {n: s.moments[n] for n in s.here}
    varies = scaled({n: (m.count, m.mean, m.squares) for n, m in moments.items()})[2]
    return ~varies | unlike_columns(moments, s.asked)


def against_r(folder: Path, driven, sites) -> None:
    """Choice, coefficients and held-out C-indices of R on all rows together."""
    state = driven.state
    x = np.vstack([columns_of(s, state.asked, 1) for s in sites.values()])
    frame = pd.DataFrame(x, columns=[c.name for c in state.asked])
    frame.insert(0, "region", np.repeat(list(sites), [len(s) for s in sites.values()]))
    frame.insert(0, "event", np.concatenate([s.y for s in sites.values()]))
    frame.insert(0, "time", np.concatenate([s.time for s in sites.values()]))
    frame.to_csv(folder / "r.csv", index=False, float_format="%.17g")
    fits = {"all": state, **{t.without: t.state for t in state.trials if t.without}}
    left_out = [(n, c.name) for n, s in fits.items() for c, u in zip(s.asked, unused(s), strict=True) if u]
    pd.DataFrame(left_out, columns=["fit", "name"]).to_csv(folder / "unused.csv", index=False)
    print("columns that are not used:", {n: sum(f == n for f, _ in left_out) for n in fits})
    script = Path(__file__).with_suffix(".R")
    subprocess.run(
        [
            "Rscript",
            str(script),
            str(folder / "r.csv"),
            str(folder / "out.csv"),
            str(folder / "unused.csv"),
            str(GENES),
            str(PENALTY),
        ],
        check=True,
    )
    r = pd.read_csv(folder / "out.csv")
    scores = r[r.what == "score"].set_index("name").value
    chosen = {c.column: c.score for c in state.chosen}
    print("chosen in R too:", len(set(chosen) & set(scores.nlargest(GENES).index)), "of", GENES)
    print(f"largest relative difference of their scores {max(abs(scores[n] / v - 1) for n, v in chosen.items()):.1e}")
    coef = r[r.what == "coef"].set_index("name").value
    mine = dict(zip([c.name for c in state.columns], estimates(state).coef[:, 0] * state.sd, strict=True))
    print(f"largest difference of coefficients {max(abs(coef[n] - v) for n, v in mine.items()):.1e}")
    c = r[r.what == "c"].set_index("name").value
    e = results(state, [], [], "", "").evaluation
    held = {s.site: s.value for s in e.sites if (s.design, s.metric) == ("leave_one_site_out", "c_index")}
    print(f"largest difference of held-out C {max(abs(c[n] - v) for n, v in held.items()):.1e}")
    slopes = r[r.what == "slope"].set_index("name").value
    lines = {s.site: s.value for s in e.sites if (s.design, s.metric) == ("leave_one_site_out", "calibration_slope")}
    lines["all"] = next(v.slope for v in e.calibration if v.design == "leave_one_site_out")
    print(f"largest difference of calibration slopes {max(abs(slopes[n] - v) for n, v in lines.items()):.1e}")


def against_combat(driven, sites) -> None:
    """The pooled ComBat of ``run`` on the same rows."""
    state = driven.state
    from cohortium.federation_coordinator.harmonising import harmonised

    columns, _ = harmonised(state.plan.harmonise, state.asked, {s: state.moments[s] for s in state.here})
    genes = [c for c in columns if c.batches]
    raw = [c for c in state.asked if (c.modality, c.feature) in {(g.modality, g.feature) for g in genes}]
    label = np.repeat(np.array(list(sites), dtype=object), [len(s) for s in sites.values()])
    x, mine = (np.vstack([columns_of(s, cs, 1) for s in sites.values()]) for cs in (raw, genes))
    pooled = ComBat().fit(x, label).transform(x, label)
    print(f"{len(genes)} columns; largest difference from pooled ComBat {np.abs(mine - pooled).max():.1e}; "
          f"it moved cells by {np.abs(mine - x).mean():.3f} on average")  # fmt: skip


def breast(data: Path, folder: Path) -> None:
    """Ten of 39 columns of the six regions of fed_tcga_brca, and how their scores are calibrated."""
    write_breast(data, folder)
    text = BREAST.format(columns="exclude: [E, T, region]", penalty=1)
    (folder / "study.yaml").write_text(text.replace("least_cell: 1}", "least_cell: 1, select: {features: 10}}"))
    found = simulate_federation(folder / "study.yaml", compare=True, evaluate=True)
    assert found.evaluation is not None and found.preparing is not None
    print(f"## fed_tcga_brca: {found.rounds} rounds; from the fit on all rows {found.largest_difference:.1e}")
    print([(c.column, round(c.score, 1), c.times) for c in found.preparing.chosen], found.preparing.fits)
    for p in found.evaluation.across:
        if p.value is not None and p.design != "own":
            print(f"{p.design} {p.metric}, {p.sites} sites: {p.value:.3f} ({p.low:.2f} to {p.high:.2f}), I2 {p.i2:.2f}")
    for c in found.evaluation.calibration:
        print(f"{c.design} slope of all {c.slope:.3f} ({c.slope_low:.2f} to {c.slope_high:.2f}), {c.sites} sites")


def main() -> None:
    """Print what stands in RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cohort", default="kirc")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        breast(asked.data / "fed_tcga_brca", Path(name))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(asked.data / "tcga_porpoise", folder, asked.cohort)
        plain = fit(folder, asked.cohort, harmonise=False)
        describe("selection", *plain)
        against_r(folder, *plain[1:])
        combat = fit(folder, asked.cohort, harmonise=True)
        describe("ComBat, selection", *combat)
        against_combat(*combat[1:])


if __name__ == "__main__":
    main()
