"""Fed-TCGA-BRCA, six regions: what the releases of a federated Cox model tell about who took part.

usage: python benchmarks/federation_attacks.py [--data ../shared/data/fed_tcga_brca] [--shadows 64] [--more "privacy: {epsilon: 1}"]
--more: further keys of ``federation``, such as a protection.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from federation import FEW, STUDY, write

from cohortium.report.federation_attacks import attack_table
from cohortium.study import simulate_federation


def main() -> None:
    """Print a row for each attack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fed_tcga_brca"))
    parser.add_argument("--shadows", type=int, default=64)
    parser.add_argument("--more", default="")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(asked.data, folder)
        for fit, columns, penalty in (
            ("5 columns", f"columns: [{FEW}]", 0),
            ("39 columns", "exclude: [E, T, region]", 1),
        ):
            text = STUDY.format(columns=columns, penalty=penalty)
            if asked.more:
                text = text.replace("least_cell: 1}", f"least_cell: 1, {asked.more}}}")
            study = folder / "study.yaml"
            study.write_text(text)
            begun = time.process_time()
            found = simulate_federation(study, shadows=asked.shadows)
            for row in attack_table(found).rows:
                print("|", fit, "|", " | ".join(f"{c.text} ({c.small})" if c.small else c.text for c in row), "|")
            print(f"{time.process_time() - begun:.0f} CPU s")


if __name__ == "__main__":
    main()
