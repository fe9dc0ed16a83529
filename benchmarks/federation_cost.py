"""Seconds and bytes of a federated Cox fit against the number of sites and columns, in one process, with the ratio over one site
that holds all rows (the same strata, so that the answer is the same).

usage: python benchmarks/federation_cost.py
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from cohortium.contracts.federation import FederationPlan
from cohortium.federation_site import Feature, Site
from cohortium.study.federating import Driven, asking, drive

UNITS = 200


def sites(n: int, q: int) -> list[Site]:
    """n sites of UNITS units with q numeric columns, a quarter of them predictive, two thirds of units with the event."""
    out = []
    for k in range(n):
        rng = np.random.default_rng([7, k])
        x = rng.normal(size=(UNITS, q))
        t = rng.exponential(np.exp(-x[:, : max(q // 4, 1)].sum(1) * 0.2))
        c = rng.exponential(2.0, UNITS)
        columns = tuple(Feature("m", f"x{j}", "numeric", (), "", "", x[:, j]) for j in range(q))
        ones, codes = np.ones(UNITS), np.arange(UNITS)
        event = (t <= c).astype(float)
        out.append(
            Site(
                f"s{k:02d}",
                columns,
                codes,
                ones,
                codes * 0,
                event,
                ("censored", "event"),
                np.minimum(t, c) + 1e-9,
                ones * 0,
            )
        )
    return out


def together(parts: list[Site]) -> Site:
    """All rows as one site, a stratum for each."""
    x = [np.concatenate([p.features[j].values for p in parts]) for j in range(len(parts[0].features))]
    features = tuple(replace(f, values=v) for f, v in zip(parts[0].features, x, strict=True))
    n, every = len(parts) * UNITS, np.concatenate
    return Site("all", features, np.arange(n), np.ones(n), np.repeat(np.arange(len(parts)), UNITS), every([p.y for p in parts]),
                parts[0].classes, every([p.time for p in parts]), every([p.entry for p in parts]))  # fmt: skip


def timed(parts: list[Site]) -> tuple[Driven, float]:
    """The fit, and the seconds that it took."""
    plan = FederationPlan("cost", "os", "survival", (), "days", ("m",), 0.0, 10, 10, 10, 1, 50, False)
    begin = time.perf_counter()
    return drive(plan, {p.name: asking(p, plan) for p in parts}), time.perf_counter() - begin


def main() -> None:
    """Print a table."""
    timed(sites(2, 2))  # what is imported on first use is no part of it
    print("sites columns rounds s/round largest-answer-bytes bytes-per-site over-pooled difference")
    for n in (2, 8, 32):
        for q in (10, 40, 160):
            parts = sites(n, q)
            federated, seconds = timed(parts)
            pooled, alone = timed([together(parts)])
            answers = [m.size for m in federated.messages if m.to == "coordinator"]
            fit, other = federated.state.fit, pooled.state.fit
            assert fit is not None and other is not None
            gap = np.abs(fit.accepted / federated.state.sd - other.accepted / pooled.state.sd).max()
            rounds = len(federated.seconds)
            print(
                n,
                q,
                rounds,
                f"{seconds / rounds:.3f}",
                max(answers),
                sum(answers) // n,
                f"{seconds / alone:.1f}",
                f"{gap:.0e}",
            )


if __name__ == "__main__":
    main()
