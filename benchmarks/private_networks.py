"""Private networks: epsilon against utility beside the private linear model, and attacks with and without noise.

usage: python benchmarks/private_networks.py [--data ../shared/data] [--cohorts brca support2] [--seeds 10] [--attack] [--only 1] [--shadows 64] [--invert] [--tune]

Cohorts and splits are those of ``benchmarks/privacy.py``: each seed holds out other 30% of each site's patients and draws other noise; the metric is exact, on those
held out, since the question is what noise in the fit costs. Settings are the defaults of ``federation.privacy`` for networks, chosen by ``--tune`` on simulated
sites alone. ``none`` is the same steps without noise. --attack: membership (likelihood ratios) of fed_tcga_brca on the model and on all updates of the smallest site;
``not cut`` is plain gradient descent of the same network. --invert: rows of small simulated sites from one update.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from privacy import COHORTS, score

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.network_plan import NetworkPlan
from cohortium.contracts.private_plan import PrivacyPlan, PrivateColumn
from cohortium.errors import FederationError
from cohortium.federation_site import Feature, Site
from cohortium.federation_site.trials import take
from cohortium.study.attacking import _halves, _record, _statistic
from cohortium.study.attacking_private_network import rows_inverted, updates_told
from cohortium.study.data import load_data
from cohortium.study.federating import plan_of
from cohortium.study.fitting_together import fit_together
from cohortium.study.private_fitting import fit_private
from cohortium.study.private_network_plan import (
    NETWORK_CLIP,
    NETWORK_FUSION,
    NETWORK_ROUNDS,
    NETWORK_STEP,
    NETWORK_WIDTH,
)
from cohortium.study.simulating_federation import cut

EPSILONS = (None, 8.0, 3.0, 1.0)
DIMS = {"clinical": 4, "rna": 6, "images": 4}
LACKS = {1: "images", 2: "rna", 4: "images"}


def network(plan: FederationPlan, **changes) -> FederationPlan:
    """A private linear plan as one of a network, with the defaults of the study file but for changes."""
    said = {"rounds": NETWORK_ROUNDS, "clip": NETWORK_CLIP, "step": NETWORK_STEP, **changes}
    how = NetworkPlan(
        rounds=0, fusion=said.pop("fusion", NETWORK_FUSION), width=said.pop("width", NETWORK_WIDTH), seed=plan.seed
    )
    return replace(plan, method="private_network", network=how, privacy=replace(plan.privacy, **said))


def loaded(cohort: str, data: Path, folder: Path):
    """Plan of the private linear model, and sites."""
    study = COHORTS[cohort](data, folder)[0]
    plan = plan_of(study)
    return plan, cut(study, load_data(study), plan, "site")[0]


def utility(cohort: str, data: Path, seeds: int) -> None:
    """A row for each epsilon: network, and linear model."""
    with tempfile.TemporaryDirectory() as name:
        plan, sites = loaded(cohort, data, Path(name))
    found: dict[tuple[str, str], list[float]] = {}
    begun = time.process_time()
    for seed in range(seeds):
        held = {n: np.random.default_rng([seed, i]).random(len(s)) < 0.3 for i, (n, s) in enumerate(sites.items())}
        train = {n: take(s, np.flatnonzero(~held[n])) for n, s in sites.items()}
        test = [take(s, np.flatnonzero(held[n])) for n, s in sites.items()]
        for e in EPSILONS:
            for what, fit, made in (("network", fit_together, network(plan)), ("linear", fit_private, plan)):
                try:
                    model = fit(train, made, e, seed)
                    value = score(plan.kind, test, [model.scores(t) for t in test])
                except FederationError:  # noisy counts leave no site: a coin predicts
                    value = 0.5
                found.setdefault((what, "none" if e is None else f"{e:g}"), []).append(value)
        print(f"{cohort}: {sum(map(len, sites.values()))} patients, {len(sites)} sites, {seed + 1} splits", flush=True)
        told(found)
    print(f"{time.process_time() - begun:.0f} CPU s")


def told(found: dict[tuple[str, str], list[float]]) -> None:
    """Mean and range so far, and the difference from the linear model."""
    for (what, e), v in found.items():
        gap = np.array(v) - np.array(found["linear", e])
        error = gap.std(ddof=1) / math.sqrt(len(v)) if len(v) > 1 else math.nan
        print(
            f"  {what:8s} epsilon {e:5s} {np.mean(v):.3f} ({min(v):.3f} to {max(v):.3f}), less linear {gap.mean():+.3f} (se {error:.3f})",
            flush=True,
        )


def attacked(data: Path, shadows: int, only: list[str]) -> None:
    """Membership at several budgets. only: labels of some, or none for all."""
    with tempfile.TemporaryDirectory() as name:
        linear, sites = loaded("brca", data, Path(name))
    linear = replace(linear, quorum=1, least_patients=1)
    smallest = min(sites, key=lambda s: len(sites[s]))
    rng = np.random.default_rng(0)
    drawn = {n: _halves(s, shadows + 1, rng) for n, s in sites.items()}
    for label, epsilon, changes in (
        ("none, not cut", math.inf, {"clip": 1e6, "step": 1.0}), ("none", math.inf, {}), ("8", 8.0, {}), ("3", 3.0, {}), ("1", 1.0, {}),
    ):  # fmt: skip
        if only and label not in only:
            continue
        begun = time.process_time()
        plan = network(linear, epsilon=epsilon, **changes)
        rows = []
        for k in range(shadows + 1):
            halves = {n: take(s, np.flatnonzero(drawn[n][k])) for n, s in sites.items()}
            model = fit_together(halves, plan, epsilon, k + 1)
            rows.append(np.concatenate([_statistic(s, plan, model.scores(s), s.classes) for s in sites.values()]))
        told = updates_told(plan, sites, smallest, drawn[smallest])
        every = _record("model", "", rows, np.hstack(list(drawn.values())), plan)
        for a in (every, _record("gradients", smallest, told, drawn[smallest], plan)):
            print(
                f"| {label} | {a.surface} {a.site} | {a.tpr:.1%} ({a.tpr_low:.1%} to {a.tpr_high:.1%}) | {a.auc:.3f} ({a.auc_low:.3f} to {a.auc_high:.3f}) | {a.candidates} |"
            )
        print(f"{time.process_time() - begun:.0f} CPU s", flush=True)


def simulated(seed: int, sizes: tuple[int, ...], kind: str = "binary") -> tuple[FederationPlan, dict[str, Site]]:
    """Sites with three modalities, some of which lack one; the outcome is linear in five columns and a product of two."""
    rng, sites = np.random.default_rng(seed), {}
    for i, n in enumerate(sizes):
        x = {m: rng.standard_normal((n, d)) for m, d in DIMS.items()}
        have = {m: np.ones(n, bool) if m == "clinical" else rng.random(n) < 0.85 for m in DIMS}
        c, r, g = x["clinical"], x["rna"], x["images"]
        eta = (
            0.8 * c[:, 0]
            - 0.6 * c[:, 1]
            + have["rna"] * (0.6 * r[:, 0] + 0.5 * c[:, 2] * r[:, 1])
            + 0.5 * have["images"] * g[:, 0]
        )
        y = (rng.random(n) < 1 / (1 + np.exp(0.8 - eta))).astype(float)
        time_ = np.zeros(0)
        if kind == "survival":
            died, censored = rng.exponential(1500 * np.exp(-eta)), rng.exponential(2000, n)
            y, time_ = (died <= censored).astype(float), np.minimum(died, censored) + 0.5
        features = tuple(
            Feature(m, f"{m}{j}", "numeric", (), "", "", np.where(have[m], v, np.nan))
            for m in DIMS if m != LACKS.get(i) for j, v in enumerate(x[m].T)
        )  # fmt: skip
        sites[f"s{i}"] = Site(
            f"s{i}", features, np.arange(n), np.ones(n), np.zeros(n, int), y, ("no", "yes"), time_, 0 * time_
        )
    columns = tuple(PrivateColumn(m, f"{m}{j}", -3.0, 3.0) for m, d in DIMS.items() for j in range(d))
    plan = FederationPlan(
        "simulated", "y", kind, () if kind == "survival" else ("no", "yes"), "", tuple(DIMS), 0.0, 1, 1, 1, 1, 50, False, 0, seed, "private_linear",
        privacy=PrivacyPlan(8.0, 1e-5, columns, times=(300.0, 700.0, 1200.0, 2000.0) if kind == "survival" else ()),
    )  # fmt: skip
    return plan, sites


def inverted() -> None:
    """Rows of a small site from one update, with and without cutting and noise."""
    for n in (6, 12):
        plan, sites = simulated(0, (n, 60, 60, 60))
        for label, epsilon, changes in (
            ("none, not cut", math.inf, {"clip": 1e6, "step": 1.0}), ("none", math.inf, {}), ("8", 8.0, {}), ("1", 1.0, {}),
        ):  # fmt: skip
            a = rows_inverted(network(plan, epsilon=epsilon, **changes), sites, "s0")
            print(
                f"| {n} rows | {label} | found {a.share:.0%}, chance {a.chance:.0%}, median distance {a.distance:.2f}, misfit {a.misfit:.2g} |",
                flush=True,
            )


def tune(kind: str) -> None:
    """AUC or C-index of simulated patients who are in no site, by settings and epsilon."""
    cases = [simulated(s, (150,) * 6 + (1000,), kind) for s in range(3)]
    for changes in (
        {}, {"step": 4.0}, {"step": 2.0}, {"rounds": 25, "step": 4.0}, {"clip": 1.0, "step": 3.0}, {"fusion": "attention", "step": 4.0}, {"width": 4},
    ):  # fmt: skip
        out = []
        for e in EPSILONS:
            values = []
            for k, (plan, sites) in enumerate(cases):
                test = sites["s6"]
                model = fit_together({n: s for n, s in sites.items() if n != "s6"}, network(plan, **changes), e, k)
                values.append(score(kind, [test], [model.scores(test)]))
            out.append(float(np.mean(values)))
        print(kind, changes, [f"{v:.3f}" for v in out], flush=True)


def main() -> None:
    """The asked part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cohorts", nargs="*", default=list(COHORTS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--shadows", type=int, default=64)
    parser.add_argument("--only", nargs="*", default=[], help="of --attack, some of: 'none, not cut' none 8 3 1")
    parser.add_argument("--attack", action="store_true")
    parser.add_argument("--invert", action="store_true")
    parser.add_argument("--tune", action="store_true")
    asked = parser.parse_args()
    if asked.attack:
        attacked(asked.data, asked.shadows, asked.only)
    if asked.invert:
        inverted()
    if asked.tune:
        tune("survival")
        tune("binary")
    if not (asked.attack or asked.invert or asked.tune):
        for cohort in asked.cohorts:
            utility(cohort, asked.data, asked.seeds)


if __name__ == "__main__":
    main()
