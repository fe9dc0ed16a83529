"""Secure aggregation: the same coefficients on Fed-TCGA-BRCA (six regions), and bytes and seconds a round beside those without.

usage: python benchmarks/federation_secure.py [--data ../shared/data/fed_tcga_brca] [--costs]   (needs pip install 'cohortium[secure]')
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.federation import FEW, STUDY, write
from cohortium.contracts.federation import FederationPlan, SecurePlan
from cohortium.federation_site import Feature, Site
from cohortium.study import simulate_federation
from cohortium.study.federating import asking, drive, keys_for


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
        study.write_text(STUDY.format(columns=f"columns: [{FEW}]", penalty=0).replace("{{", "{") + "")
        text = STUDY.format(columns="exclude: [E, T, region]", penalty=1)
        text = text.replace("least_events: 1,", "least_events: 1, folds: 3,")
        text = text.replace("REGION", "")
        study.write_text(text)
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
    """Seconds and bytes of one sum (sealing and opening), sites in one process one after the other."""
    print(
        "sites parameters | without: bytes from a site, s | secure: bytes from a site, to a site, s, of which sites (mean of one)"
    )
    for n in (3, 8, 32):
        for parameters in (10, 100, 1000):
            rng = np.random.default_rng(0)
            rows = max(200, 3 * parameters // n)
            sites = {f"s{i:02d}": site(f"s{i:02d}", rng, parameters - 1, rows) for i in range(n)}
            plan = FederationPlan("cost", "y", "binary", (), "", ("clinical",), 1.0, 5, 3, 3, 3, 50, False)
            secure = FederationPlan(*list(vars(plan).values())[:13], secure=SecurePlan())
            print(n, parameters, one_sum(plan, sites), one_sum(secure, sites), flush=True)


def one_sum(plan: FederationPlan, sites: dict[str, Site]) -> str:
    """The first sums of a fit: bytes and seconds."""
    keys, spent = keys_for(plan, list(sites)), []

    def timed(ask):  # type: ignore[no-untyped-def]
        def answer(data: bytes) -> bytes:
            begin = time.perf_counter()
            said = ask(data)
            spent.append(time.perf_counter() - begin)
            return said

        return answer

    class Enough(Exception):
        """The first sums of the fit are there."""

    last = (
        7 if plan.secure else 3
    )  # schema, two sums of columns (four rounds), and sealing and opening of the first of the fit
    log: list[tuple[int, int]] = []

    def tell(round_: int, phase: str) -> None:
        if round_ == last:
            spent.clear()
        if round_ == last - 1 and plan.secure:
            spent.clear()
        if round_ > last:
            raise Enough

    begin = {}

    def told(round_: int, phase: str) -> None:
        begin.setdefault(round_, time.perf_counter())
        if round_ == (last - 1 if plan.secure else last):
            spent.clear()
        if round_ > last:
            raise Enough

    def wrap(name: str):  # type: ignore[no-untyped-def]
        ask = timed(asking(sites[name], plan, keys[name]))

        def answer(data: bytes) -> bytes:
            said = ask(data)
            log.append((len(data), len(said)))
            return said

        return answer

    try:
        drive(plan, {s: wrap(s) for s in sites}, told)
    except Enough:
        pass
    rounds = 2 if plan.secure else 1
    n = len(sites)
    own = log[-n * rounds :]
    asked, left = (sum(x[k] for x in own) / n for k in (0, 1))
    seconds = begin[last + 1] - begin[last - rounds + 1]
    return f"from {left:,.0f} to {asked:,.0f} bytes, {seconds:.2f} s, of it {sum(spent) / n:.3f} at a site"


def main() -> None:
    """The figures of RESULTS 26b."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fed_tcga_brca"))
    parser.add_argument("--costs", action="store_true")
    given = parser.parse_args()
    real(given.data)
    if given.costs:
        costs()


if __name__ == "__main__":
    main()
