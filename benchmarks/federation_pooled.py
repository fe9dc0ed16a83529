"""Fed-TCGA-BRCA on all rows, as no federation may have them: a ridge Cox model stratified by region whose penalty is chosen by inner folds, scored on the
regions and folds that the federated fits are scored on.

usage: PYTHONPATH=.:src python benchmarks/federation_pooled.py [--data ../shared/data] [--folds 3]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from federation_networks import LEAST, STUDY, brca
from numpy.typing import NDArray

from cohortium.contracts.federation_results import SitePerformance
from cohortium.federation_coordinator.performance import across_sites
from cohortium.federation_site import Site
from cohortium.federation_site.cox import cox_sums
from cohortium.federation_site.scoring import pairs_by_patient
from cohortium.federation_site.trials import folds_of, parts_of
from cohortium.study.data import load_data
from cohortium.study.federating import plan_of
from cohortium.study.load import load_study
from cohortium.study.simulating_federation import cut

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
INNER = 5

Array = NDArray[np.float64]


class Rows:
    """All patients of all regions: x (n, q), and who is where."""

    def __init__(self, sites: dict[str, Site]) -> None:
        here = list(sites.values())
        self.x = np.vstack([np.column_stack([f.values for f in s.features]) for s in here])
        self.time, self.event = (np.concatenate([getattr(s, k) for s in here]) for k in ("time", "y"))
        self.site = np.repeat(np.arange(len(here)), [len(s) for s in here])

    def fit(self, rows: NDArray[np.intp], penalty: float) -> Array:
        """(n,) risks of everybody by a model of these rows."""
        mean, sd = self.x[rows].mean(0), self.x[rows].std(0)
        z = (self.x - mean) / np.where(sd > 0, sd, np.inf)
        b = np.zeros(z.shape[1])
        one = np.ones(len(rows))
        for _ in range(30):
            _, g, h = cox_sums(z[rows], self.time[rows], self.event[rows], 0 * one, one, self.site[rows], b)
            step = np.linalg.solve(h + penalty * np.eye(len(b)), g + penalty * b)
            b = b - step
            if np.abs(step).max() < 1e-9:
                break
        return np.asarray(z @ b)

    def pairs(self, risk: Array, rows: NDArray[np.intp]) -> tuple[float, float]:
        """Pairs within regions in the right order, and all that can be compared."""
        good = every = 0.0
        for s in np.unique(self.site[rows]):
            own = rows[self.site[rows] == s]
            if (self.event[own] > 0).any():
                _, _, right, n = pairs_by_patient(
                    self.time[own], self.event[own] > 0, np.zeros(len(own)), risk[own], own
                )
                good, every = good + right, every + n
        return good, every

    def tuned(self, rows: NDArray[np.intp], seed: int) -> tuple[Array, float]:
        """Risks by the penalty with the best C of inner folds, dealt by event."""
        rng = np.random.default_rng(seed)
        fold = np.empty(len(rows), int)
        for k in (0, 1):
            of = rng.permutation(np.flatnonzero((self.event[rows] > 0) == k))
            fold[of] = np.arange(len(of)) % INNER
        best = (-1.0, PENALTIES[0])
        for penalty in PENALTIES:
            found = [self.pairs(self.fit(rows[fold != k], penalty), rows[fold == k]) for k in range(INNER)]
            c = sum(g for g, _ in found) / sum(n for _, n in found)
            best = max(best, (c, penalty))
        return self.fit(rows, best[1]), best[1]


def concordance(time: Array, event: Array, parts: list[tuple[NDArray[np.intp], Array]]) -> tuple[float, float]:
    """C of pairs within parts (rows, risks), and its jackknife error over patients."""
    good, every = np.zeros(len(time)), np.zeros(len(time))
    total = pairs = 0.0
    for rows, risk in parts:
        g, e, right, n = pairs_by_patient(time[rows], event[rows] > 0, np.zeros(len(rows)), risk, np.arange(len(rows)))
        good[rows], every[rows], total, pairs = g, e, total + right, pairs + n
    each = (total - good) / (pairs - every)
    n = len(time)
    return total / pairs, float(np.sqrt((n - 1) / n * ((each - each.mean()) ** 2).sum()))


def main() -> None:
    """Print the mean C across regions of both designs, and the penalties that were chosen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--folds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        modalities = brca(asked.data.resolve(), folder)
        study = folder / "study.yaml"
        study.write_text(
            STUDY.format(name="brca", modalities=modalities, folds=asked.folds, least=LEAST, unit="days", method="linear", more="penalty: 1")
        )  # fmt: skip
        loaded = load_study(study)
        plan = plan_of(loaded, evaluate=True)
        sites, _ = cut(loaded, load_data(loaded), plan, "site")
    every = Rows(sites)
    designs: dict[str, list[SitePerformance]] = {"region held out": [], "folds held out": []}
    chosen = []
    folds = np.concatenate([folds_of(s, plan) for s in sites.values()])
    by_fold = []
    for k in range(plan.folds):
        risk, penalty = every.tuned(np.flatnonzero(folds != k), k)
        by_fold.append(risk)
        chosen.append(penalty)
    for j, (s, site) in enumerate(sites.items()):
        own = np.flatnonzero(every.site == j)
        risk, penalty = every.tuned(np.flatnonzero(every.site != j), j)
        chosen.append(penalty)
        found = {"region held out": [(np.arange(len(own)), risk[own])]}
        if not isinstance(parts_of(site, plan), str):
            found["folds held out"] = [
                (np.flatnonzero(folds[own] == k), by_fold[k][own][folds[own] == k]) for k in range(plan.folds)
            ]
        for design, parts in found.items():
            c, error = concordance(every.time[own], every.event[own], parts)
            designs[design].append(SitePerformance(design, "c_index", s, c, error=error))
    for design, rows in designs.items():
        p = across_sites(design, "c_index", rows)
        print(f"{design}: {p.value:.3f} ({p.low:.3f} to {p.high:.3f})", {r.site: round(r.value or 0, 3) for r in rows})
    print("penalties:", chosen)


if __name__ == "__main__":
    main()
