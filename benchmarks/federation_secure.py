"""Secure aggregation: the same coefficients on Fed-TCGA-BRCA (six regions), and bytes and seconds a round beside those without.

usage: python benchmarks/federation_secure.py [--data ../shared/data/fed_tcga_brca] [--costs]   (needs pip install 'cohortium[secure]')
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from federation import FEW, STUDY, write

from cohortium.contracts.federation import FederationPlan, SecurePlan
from cohortium.federation_site import Feature, Site
from cohortium.study import simulate_federation
from cohortium.study.federating import Ask, asking, drive, keys_for


def real(data: Path) -> None:
    """Coefficients, standard errors, rounds, bytes, seconds; then the C-index of folds held out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(data, folder)
        for fit, columns, penalty in (("plain", f"columns: [{FEW}]", 0), ("ridge", "exclude: [E, T, region]", 1)):
            study = folder / f"{fit}.yaml"
            study.write_text(STUDY.format(columns=columns, penalty=penalty))
            open_, sealed = (simulate_federation(study, secure=s) for s in (False, True))
            pairs = list(zip(open_.coefficients, sealed.coefficients, strict=True))
            gap = max(abs(a.estimate - b.estimate) for a, b in pairs)
            errors = [abs(b.error / a.error - 1) for a, b in pairs if a.error]
            print(f"{fit}: {len(pairs)} columns, {sealed.secure.units} patients; largest difference {gap:.1e}"
                  + (f", of standard errors {max(errors):.1e} (relative)" if errors else "")
                  + f"; bound of a sum {sealed.secure.bound:.1e}")  # fmt: skip
            for what, r in (("without", open_), ("secure", sealed)):
                left = [m.size for m in r.messages if m.to == "coordinator"]
                asked = [m.size for m in r.messages if m.to == "site"]
                print(f"  {what}: {r.rounds} rounds, {sum(left):,} bytes from sites (largest {max(left):,}), {sum(asked):,} to them, "
                      f"{sum(r.seconds):.2f} s")  # fmt: skip
        study.write_text(study.read_text().replace("least_events: 1,", "least_events: 1, folds: 3,"))
        found = simulate_federation(study, evaluate=True, secure=True)
        for p in found.evaluation.across:
            print(f"  folds held out, {p.metric}: {p.value} ({p.low} to {p.high}) {p.reason}")


def site(name: str, rng: np.random.Generator, columns: int, n: int = 1500) -> Site:
    """Numbers of a logistic model."""
    x = rng.normal(size=(n, columns))
    features = tuple(Feature("clinical", f"x{j}", "numeric", (), "", "", x[:, j]) for j in range(columns))
    y = (rng.random(n) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    none = np.zeros(0)
    return Site(name, features, np.arange(n), np.ones(n), np.zeros(n, int), y, ("no", "yes"), none, none)


def costs() -> None:
    """Processor seconds and bytes of one sum (sealing and opening), sites in one process one after the other."""
    print("sites, parameters | without: bytes from a site, to it, its seconds, the coordinator's | the same, secure")
    for n in (3, 8, 32):
        for parameters in (10, 100, 1000):
            rng = np.random.default_rng(0)
            rows = max(200, 3 * parameters // n)
            sites = {f"s{i:02d}": site(f"s{i:02d}", rng, parameters - 1, rows) for i in range(n)}
            plan = FederationPlan("cost", "y", "binary", (), "", ("clinical",), 1.0, 5, 3, 3, 3, 50, False)
            secure = replace(plan, secure=SecurePlan())
            print(n, parameters, one_sum(plan, sites), one_sum(secure, sites), flush=True)


class EnoughError(Exception):
    """The first sums of a fit are there."""


def one_sum(plan: FederationPlan, sites: dict[str, Site]) -> str:
    """The first sums of a fit: bytes and seconds."""
    keys, log, begin = keys_for(plan, list(sites)), [], {}
    # Schema, two sums of columns, then the fit's first; of a sum one round or two.
    first, last = (6, 7) if plan.secure else (3, 3)

    def told(round_: int, phase: str) -> None:
        begin[round_] = time.process_time()
        if round_ == first:
            log.clear()
        if round_ > last:
            raise EnoughError

    def wrap(name: str) -> Ask:
        ask = asking(sites[name], plan, keys[name])

        def answer(data: bytes) -> bytes:
            start = time.process_time()
            said = ask(data)
            log.append((len(data), len(said), time.process_time() - start))
            return said

        return answer

    with contextlib.suppress(EnoughError):
        drive(plan, {s: wrap(s) for s in sites}, told)
    asked, left, spent = (sum(x[k] for x in log) / len(sites) for k in range(3))
    return f"| {left:,.0f} | {asked:,.0f} | {spent:.3f} | {begin[last + 1] - begin[first] - spent * len(sites):.3f} "


def main() -> None:
    """The figures of RESULTS 26b."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fed_tcga_brca"))
    parser.add_argument("--costs", action="store_true")
    given = parser.parse_args()
    if given.costs:
        costs()
    else:
        real(given.data)


if __name__ == "__main__":
    main()
