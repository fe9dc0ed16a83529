"""Fed-TCGA-BRCA, six regions: how well the federated Cox model predicts, by region held out and by folds held out, beside each
region's own model; without a penalty also against R's ``coxph`` and ``concordance``.

usage: python benchmarks/federation_evaluation.py [--data ../shared/data/fed_tcga_brca] [--folds 3]   (needs Rscript with survival)
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from federation import FEW, STUDY, write

from cohortium.contracts.federation_results import Performance, SitePerformance
from cohortium.study import simulate_federation


def text(r: SitePerformance | Performance) -> str:
    """``.71 (.60 to .80)``, or a dash."""
    if r.value is None:
        return "–"
    wide = "" if r.low is None or r.high is None else f" ({r.low:.2f} to {r.high:.2f})"
    return f"{r.value:.3f}{wide}".replace("0.", ".")


def main() -> None:
    """Print C-indices by region and design, means across regions, rounds and bytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fed_tcga_brca"))
    parser.add_argument("--folds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(asked.data, folder)
        for fit, columns, penalty in (
            ("5 columns", f"columns: [{FEW}]", 0),
            ("39 columns", "exclude: [E, T, region]", 1),
        ):
            study = folder / "study.yaml"
            said = STUDY.format(columns=columns, penalty=penalty)
            study.write_text(said.replace("least_cell: 1}", f"least_cell: 1, folds: {asked.folds}}}"))
            found = simulate_federation(study, compare=True, evaluate=True)
            e = found.evaluation
            assert e is not None
            left = sum(m.size for m in found.messages if m.to == "coordinator")
            print(
                f"{fit}, penalty {penalty}: {found.rounds} rounds of {np.mean(found.seconds):.2f} s, {left:,} bytes from all sites"
            )
            for site in dict.fromkeys(r.site for r in e.sites):
                mine = {r.design: r for r in e.sites if r.site == site}
                events = max(r.events for r in mine.values())
                cells = [text(mine[d]) if d in mine else "–" for d in ("leave_one_site_out", "folds", "own")]
                print(f"| {site} | {events} | {' | '.join(cells)} |")
            for p in e.across:
                more = (
                    p.reason
                    if p.value is None
                    else f"new site {p.next_low:.2f} to {p.next_high:.2f}, I2 {p.i2:.2f}, tau {p.tau:.2f}"
                )
                print(f"{p.design}: {p.sites} sites, {text(p)}; {more}")
            if not penalty:
                files = [str(folder / "brca.csv"), str(folder / "r.csv")]
                subprocess.run(["Rscript", str(Path(__file__).with_suffix(".R")), *files], check=True)
                r = pd.read_csv(files[1]).set_index("region").c
                mine = {s.site: s.value for s in e.sites if s.design == "leave_one_site_out"}
                print(
                    f"largest difference of held-out regions from R {max(abs(r[s] - c) for s, c in mine.items()):.1e}"
                )
            for n in e.notices:
                print("!", n)


if __name__ == "__main__":
    main()
