"""Fed-TCGA-BRCA, six regions: what the releases of a federated Cox model tell about who took part.

usage: python benchmarks/federation_attacks.py [--data ../shared/data] [--shadows 64] [--private]
--private: the model of private fits instead, epsilon 1, 3, 8 and none (the same steps without noise), on the two cohorts of
``benchmarks/privacy.py``; of support2 2,000 patients.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from federation import FEW, STUDY, write

from cohortium.federation_site.trials import take
from cohortium.report.federation_attacks import attack_table
from cohortium.study import simulate_federation


def private(data: Path, shadows: int) -> None:
    """Private fits of two cohorts at several budgets."""
    from privacy import brca, support2

    from cohortium.study.attacking import attack
    from cohortium.study.data import load_data
    from cohortium.study.federating import asking, drive, plan_of
    from cohortium.study.simulating_federation import cut

    for cohort in (brca, support2):
        with tempfile.TemporaryDirectory() as name:
            study = cohort(data, Path(name))[0]
            plan = plan_of(study)
            sites, _ = cut(study, load_data(study), plan, "site")
            if cohort is support2:
                sites = {n: take(s, np.arange(400)) for n, s in sites.items()}
            for epsilon in (math.inf, 8.0, 3.0, 1.0):
                begun = time.process_time()
                made = replace(plan, privacy=replace(plan.privacy, epsilon=epsilon))
                free = replace(made, quorum=1, least_patients=1)
                state = drive(free, {n: asking(s, free) for n, s in sites.items()}).state
                for a in attack(made, sites, state, shadows):
                    where = f"{a.surface} {a.site}".strip()
                    print(
                        f"| {cohort.__name__} | {epsilon:g} | {where} | {a.tpr:.1%} ({a.tpr_low:.1%} to {a.tpr_high:.1%}) | {a.auc:.3f} ({a.auc_low:.3f} to {a.auc_high:.3f}) | {a.candidates} |"
                    )
                print(f"{time.process_time() - begun:.0f} CPU s", flush=True)


def main() -> None:
    """Print a row for each attack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--shadows", type=int, default=64)
    parser.add_argument("--private", action="store_true")
    asked = parser.parse_args()
    if asked.private:
        private(asked.data, asked.shadows)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(asked.data / "fed_tcga_brca", folder)
        for fit, columns, penalty in (
            ("5 columns", f"columns: [{FEW}]", 0),
            ("39 columns", "exclude: [E, T, region]", 1),
        ):
            study = folder / "study.yaml"
            study.write_text(STUDY.format(columns=columns, penalty=penalty))
            begun = time.process_time()
            found = simulate_federation(study, shadows=asked.shadows)
            for row in attack_table(found).rows:
                print("|", fit, "|", " | ".join(f"{c.text} ({c.small})" if c.small else c.text for c in row), "|")
            print(f"{time.process_time() - begun:.0f} CPU s")


if __name__ == "__main__":
    main()
