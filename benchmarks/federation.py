"""Fed-TCGA-BRCA, six regions: the federated Cox model stratified by site against R's ``coxph`` on all rows together.

usage: python benchmarks/federation.py [--data ../shared/data/fed_tcga_brca]   (needs Rscript with the package survival)
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from cohortium.study import simulate_federation

STUDY = """\
name: fed_tcga_brca
cohort:
  units: {{file: brca.csv, id: pid}}
  modalities:
    clinical: {{file: brca.csv, {columns}}}
endpoints:
  os: {{kind: survival, time: T, event: E, time_unit: days, zero_times: exclude}}
design: {{site: region}}
federation: {{penalty: {penalty}, least_events: 1, least_cell: 1}}
"""
REGIONS = ("Northeast", "South", "West", "Midwest", "Europe", "Canada")
FEW = "age_at_index, ajcc_pathologic_t_T2, ajcc_pathologic_t_T3, ajcc_pathologic_n_N2, treatment_or_therapy_yes"


def write(data: Path, folder: Path) -> None:
    """The table with the region of the authors' split; times of nought are left out, as the study says."""
    table = pd.read_csv(data / "brca.csv").merge(pd.read_csv(data / "train_test_split.csv"), on="pid")
    table["region"] = [REGIONS[int(f[-1])] for f in table.fold2]
    table.drop(columns=["fold", "fold2"]).query("T > 0").to_csv(folder / "brca.csv", index=False)


def main() -> None:
    """Print the largest difference of each fit, rounds, bytes and seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fed_tcga_brca"))
    data = parser.parse_args().data
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(data, folder)
        script = Path(__file__).with_suffix(".R")
        done = subprocess.run(
            ["Rscript", str(script), str(folder / "brca.csv"), str(folder / "r.csv")],
            capture_output=True,
            text=True,
            check=True,
        )
        print(done.stdout.strip())
        r = pd.read_csv(folder / "r.csv")
        for fit, columns, penalty in (("plain", f"columns: [{FEW}]", 0), ("ridge", "exclude: [E, T, region]", 1)):
            study = folder / f"{fit}.yaml"
            study.write_text(STUDY.format(columns=columns, penalty=penalty))
            found = simulate_federation(study, compare=True)
            theirs = r[r.fit == fit].set_index("column")
            mine = {c.column: c for c in found.coefficients}
            gap = max(abs(mine[c].estimate - theirs.coef[c]) for c in theirs.index)
            errors = [abs(mine[c].error / theirs.se[c] - 1) for c in theirs.index] if not penalty else []
            units = sum(s.units for s in found.sites)
            left = [m.size for m in found.messages if m.to == "coordinator"]
            print(
                f"{fit}: {len(theirs)} columns, {units} patients, {len(found.sites)} sites; largest difference from R {gap:.1e}"
                + (f", of standard errors {max(errors):.1e} (relative)" if errors else "")
                + f", from our own pooled fit {found.largest_difference:.1e}; {found.rounds} rounds, "
                f"{np.mean(found.seconds):.3f} s a round, {max(left):,} bytes the largest message, {sum(left):,} in all"
            )
            if found.heterogeneity is not None or not penalty:
                print("  I2:", {c.column: None if c.i2 is None else round(c.i2, 2) for c in found.coefficients})


if __name__ == "__main__":
    main()
