"""One baseline hazard for all sites: the federated fit by bins of time against R's Poisson regression on the same bins, and against ``coxph``
without strata, which no federation may fit. Fed-TCGA-BRCA, six regions; SUPPORT2 dealt to five sites at random (seed 0).

usage: PYTHONPATH=src python benchmarks/federation_baseline.py [--data ../shared/data]   (needs Rscript with the package survival)
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from federation import FEW, STUDY, write

from cohortium.study import simulate_federation

R = """
suppressMessages(library(survival))
a <- commandArgs(TRUE); d <- read.csv(a[1]); d <- d[!d$region %in% strsplit(a[3], ",")[[1]], ]
x <- strsplit(a[2], ", ")[[1]]; cuts <- as.numeric(strsplit(a[4], ",")[[1]])
if (length(cuts)) { s <- survSplit(Surv(T, E) ~ ., d, cut = cuts, episode = "bin"); s$bin <- factor(s$bin) } else { s <- d; s$tstart <- 0; s$bin <- 1 }
s$under <- s$T - s$tstart
f <- glm(reformulate(c(if (length(cuts)) c("0", "bin"), x, "offset(log(under))"), "E"), poisson, s, control = glm.control(epsilon = 1e-15, maxit = 100))
cox <- function(strata) coxph(reformulate(c(x, if (strata) "strata(region)"), "Surv(T, E)"), d, control = coxph.control(eps = 1e-9, iter.max = 50))
write.csv(data.frame(column = x, bins = coef(f)[x], se = summary(f)$coefficients[x, 2], cox = coef(cox(FALSE)), stratified = coef(cox(TRUE)),
  cox_se = sqrt(diag(vcov(cox(FALSE))))), a[5], row.names = FALSE)
"""


PHYSIOLOGY = "age, meanbp, hrt, resp, temp, sod"


def brca(data: Path, folder: Path) -> tuple[str, tuple[int, ...]]:
    """Columns, and smallest numbers of events in a bin."""
    write(data / "fed_tcga_brca", folder)
    return FEW, (3, 5, 10)


def support2(data: Path, folder: Path) -> tuple[str, tuple[int, ...]]:
    """The same, of the complete cases."""
    d = pd.read_csv(data / "support2/support2.csv.gz").dropna(subset=PHYSIOLOGY.split(", "))
    names = np.array(["one", "two", "three", "four", "five"])
    d["region"] = names[np.random.default_rng(0).permutation(np.arange(len(d)) % 5)]
    d = d.assign(pid=[f"P{i}" for i in range(len(d))], T=d["d.time"], E=d["death"]).query("T > 0")
    d[["pid", "region", "T", "E", *PHYSIOLOGY.split(", ")]].to_csv(folder / "cohort.csv", index=False)
    return PHYSIOLOGY, (10, 50, 200)


def main() -> None:
    """Print a row for each smallest number of events in a bin."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    data = parser.parse_args().data
    for cohort in (brca, support2):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            columns, several = cohort(data, folder)
            (folder / "bins.R").write_text(R)
            for least in several:
                show(cohort.__name__, folder, columns, least)


def show(cohort: str, folder: Path, columns: str, least: int) -> None:
    """Print the differences of one fit."""
    study = folder / "study.yaml"
    text = STUDY.format(columns=f"columns: [{columns}]", penalty=0)
    study.write_text(
        text.replace("file: brca.csv", "file: cohort.csv" if cohort == "support2" else "file: brca.csv").replace(
            "least_events: 1", f"least_events: {least}, baseline: common"
        )
    )
    found = simulate_federation(study, compare=True)
    gone = [s.site for s in found.sites if s.left]
    subprocess.run(
        ["Rscript", "bins.R", "cohort.csv" if cohort == "support2" else "brca.csv", columns, ",".join(gone), ",".join(map(repr, found.cuts)), "r.csv"],
        cwd=folder, check=True,
    )  # fmt: skip
    r = pd.read_csv(folder / "r.csv").set_index("column")
    mine = {c.column: c for c in found.coefficients}
    b = np.array([mine[c].estimate for c in r.index])
    errors = np.array([mine[c].error for c in r.index])
    p = found.heterogeneity
    print(
        f"{cohort}, at least {least} events a bin and site: without {', '.join(gone) or 'nobody'}, {len(found.cuts) + 1} bins (until "
        f"{', '.join(f'{c:.0f}' for c in found.cuts) or 'the end'} days); from R's Poisson regression {np.abs(b - r.bins).max():.1e}, of standard errors "
        f"{np.abs(errors / r.se - 1).max():.1e} (relative), from our own fit on all rows {found.largest_difference:.1e}; in standard errors, from coxph "
        f"without strata {np.abs((b - r.cox) / r.cox_se).max():.3f}, from coxph with strata {np.abs((b - r.stratified) / r.cox_se).max():.3f}; "
        f"{found.rounds} rounds; one set of coefficients and hazards: p {'-' if p is None else round(p, 3)}"
    )


if __name__ == "__main__":
    main()
