"""Networks under secure aggregation: the same weights on real cohorts, and what a round costs beside an open one.

usage: python benchmarks/federation_secure_networks.py brca|hancock [--data ../shared/data] [--rounds 30] [--strategies fedavg,scaffold]
       python benchmarks/federation_secure_networks.py costs [--sites 2,4,8,16,32] [--parameters 10,100,1000,10000]

brca, hancock: the cohorts, sites and settings of ``benchmarks/federation_networks.py``. costs: a round of training in which the site's steps are
replaced by drawn numbers, so that only the protocol is timed: all messages as bytes, all sites in one process one after the other.
Needs pip install 'cohortium[deep,secure]'.
"""

from __future__ import annotations

import argparse
import base64
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from federation_networks import LEAST, SETTINGS, STUDY, brca, hancock

from cohortium.contracts.federation import Column, FederationPlan, SecurePlan, SiteMoments, SiteSchema
from cohortium.contracts.federation_network import HEAD, SHARED, PartUpdate, SiteUpdate
from cohortium.contracts.federation_results import FederatedResults
from cohortium.contracts.federation_secure import SiteNames
from cohortium.contracts.federation_wire import decode, encode
from cohortium.contracts.network_plan import NetworkPlan
from cohortium.federation_coordinator import question, step
from cohortium.federation_coordinator.network_state import begun
from cohortium.federation_coordinator.secure_state import TOGETHER, Lane, SecureState
from cohortium.federation_coordinator.state import State
from cohortium.federation_site import Site, secure_network
from cohortium.federation_site.secure import Journal, SecureSite
from cohortium.masking import make_keys
from cohortium.study import simulate_federation

UNITS = 100


def real(cohort: str, data: Path, rounds: int, strategies: list[str], folds: int) -> None:
    """Largest difference of a weight, of a loss and of the C-index; bytes and seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        modalities = {"brca": brca, "hancock": hancock}[cohort](data, folder)
        if (
            cohort == "brca"
        ):  # of which too few sites have two levels: no column of sums, and the networks would differ in size
            pd.read_csv(folder / "clinical.csv").drop(columns="icd_10_code_C50.9").to_csv(
                folder / "clinical.csv", index=False
            )
        study = folder / "study.yaml"
        for strategy in strategies:
            more = f"quorum: 3, network: {{{SETTINGS[strategy]}, rounds: {rounds}, clip: 5}}"
            common = {"name": cohort, "modalities": modalities, "unit": "days", "folds": max(folds, 2), "least": LEAST}
            study.write_text(STUDY.format(method="network", more=more, **common))
            found, spent = {}, {}
            for secure in (False, True):
                begin = time.process_time()
                found[secure] = simulate_federation(study, secure=secure, evaluate=folds > 0)
                spent[secure] = time.process_time() - begin
            one, two = (weights(r) for r in found.values())
            gap = max(np.abs(one[n] - two[n]).max() for n in one) if set(one) == set(two) else float("nan")
            largest = max(np.abs(v).max() for v in one.values())
            losses = np.abs(np.subtract(found[False].network.losses, found[True].network.losses)).max()
            print(f"== {cohort} {strategy}: {found[True].network.parameters:,} weights (open {found[False].network.parameters:,}), largest "
                  f"difference {gap:.1e} (largest weight moved {largest:.2f}), of mean losses {losses:.1e}", flush=True)  # fmt: skip
            for secure, r in found.items():
                left = [m.size for m in r.messages if m.to == "coordinator"]
                asked = [m.size for m in r.messages if m.to == "site"]
                print(f"  {'secure' if secure else 'open'}: {r.rounds} rounds, {sum(left):,} bytes from sites (largest {max(left):,}), {sum(asked):,} "
                      f"to them, {spent[secure]:.1f} CPU s", flush=True)  # fmt: skip
                for p in r.evaluation.across if r.evaluation else []:
                    print(f"    {p.design} {p.metric}: {p.value} ({p.low} to {p.high}) {p.reason}")
            for n in found[True].notices:
                print("  !", n[:160])


def weights(r: FederatedResults) -> dict[str, np.ndarray]:
    """What was added to the start of each part."""
    assert r.network is not None
    return {p["name"]: np.frombuffer(base64.b64decode(p["change"]["float64"])) for p in r.network.model["parts"]}


def plan_of(parameters: int, secure: bool) -> tuple[FederationPlan, np.ndarray]:
    """A plan, and the numbers of each of its three parts."""
    sizes = np.array([parameters // 2, parameters - parameters // 2 - 3, 3], float)
    plan = FederationPlan(
        "cost", "y", "binary", (), "", ("x",), 0.0, 5, 3, 3, 2, 50, False, method="network",
        secure=SecurePlan() if secure else None, network=NetworkPlan(clip=1e9, width=4, rounds=3),
    )  # fmt: skip
    return plan, sizes


def training(plan: FederationPlan, sizes: np.ndarray, sites: tuple[str, ...]) -> Any:
    """The coordinator's state before a round of training."""
    names = ("modality:x", SHARED, HEAD)
    none = np.zeros(0)
    fit = replace(
        begun("train", np.zeros(1)), sizes=sizes, losses=np.zeros(1), inner=np.full(1, np.nan),
        change={n: np.zeros(int(k)) for n, k in zip(names, sizes, strict=True)}, centre={"modality:x": np.zeros(4)},
    )  # fmt: skip
    columns = (Column("x", "a", "numeric", "", ()),)

    def state(plan: FederationPlan, here: tuple[str, ...], of: int) -> State:
        schema = {s: SiteSchema(s, "", 1, of, of, ("no", "yes"), (of // 2, of - of // 2), ()) for s in here}
        moments = {s: SiteMoments(s, "", 2, np.ones(1), none, none, float(of), 0.0, 0.0) for s in here}
        return State(
            plan,
            here,
            4,
            "fit",
            schema,
            columns,
            moments,
            {},
            (),
            ("no", "yes"),
            columns,
            np.zeros(1),
            np.ones(1),
            (0.0, 1.0),
            fit,
        )

    if plan.secure is None:
        return state(plan, sites, UNITS)
    inner = state(replace(plan, secure=None, quorum=1), (TOGETHER,), UNITS * len(sites))
    # Nothing was agreed on by names here: no column is asked for by them.
    lane = Lane(-1, "sums", replace(inner, asked=()), False, "", none, none, {}, ())
    said = {s: SiteNames(s, "", 1, (), (), "") for s in sites}
    return SecureState(
        plan, sites, 4, "seal", said, (lane,), (), (), {}, (), 0, sites, len(sites), len(sites), 1, (), {}, (), ""
    )


def costs(sites: list[int], parameters: list[int], times: int) -> None:
    """Bytes and processor seconds of a round of training; a secure one seals and opens."""
    print(
        "sites, parameters | open: bytes from a site, to it, ms of a site, ms of the coordinator | secure | ratios of the four, and of all seconds"
    )
    for n in sites:
        for p in parameters:
            open_ = one_round(n, p, False, times)
            if n < 3:
                print(n, p, text(open_), "| refused: of a sum of two each knows the other's part", flush=True)
                continue
            secure = one_round(n, p, True, times)
            ratios = [b / max(a, 1e-9) for a, b in zip(open_, secure, strict=True)]
            whole = (n * secure[2] + secure[3]) / (n * open_[2] + open_[3])
            print(
                n, p, text(open_), text(secure), "|", " ".join(f"{x:.1f}" for x in ratios), f"| {whole:.1f}", flush=True
            )


def text(x: tuple[float, ...]) -> str:
    """Two numbers of bytes, two of milliseconds."""
    return f"| {x[0]:,.0f} {x[1]:,.0f} {1000 * x[2]:.2f} {1000 * x[3]:.2f}"


def one_round(n: int, parameters: int, secure: bool, times: int) -> tuple[float, ...]:
    """Bytes from a site and to it, seconds of a site and of the coordinator; the fastest of some repetitions."""
    plan, sizes = plan_of(parameters, secure)
    names = tuple(f"s{i:02d}" for i in range(n))
    rng = np.random.default_rng(0)
    none = np.zeros(0)
    updates = {}
    for s in names:
        parts = tuple(
            PartUpdate(name, UNITS, rng.normal(size=int(k)), none, rng.normal(size=4) if name == "modality:x" else none)
            for name, k in zip(("modality:x", SHARED, HEAD), sizes, strict=True)
        )
        updates[s] = SiteUpdate(s, "", 0, parts, sizes, 50.0, UNITS, 0.0, 0)
    secure_network.update = lambda site, plan, q, own: updates[site.name]  # type: ignore[assignment]
    keys = make_keys(list(names)) if secure else {}
    empty = Site(
        "",
        (),
        np.arange(UNITS),
        np.ones(UNITS),
        np.zeros(UNITS, int),
        np.arange(UNITS) % 2.0,
        ("no", "yes"),
        none,
        none,
    )
    found = []
    for _ in range(times):
        made = {s: SecureSite(replace(empty, name=s), plan, keys[s], Journal()) for s in names} if secure else {}
        state, left, sent, of_sites, of_lead = training(plan, sizes, names), 0, 0, 0.0, 0.0
        for _phase in range(2 if secure else 1):
            begin = time.process_time()
            asked = encode(question(state))
            of_lead += time.process_time() - begin
            begin = time.process_time()
            said = {}
            for s in names:
                q = decode(asked)
                a = made[s].answer(q) if secure else replace(updates[s], plan=q.plan, round=q.round)
                said[s] = encode(a)
            of_sites += time.process_time() - begin
            begin = time.process_time()
            state = step(state, {s: decode(b) for s, b in said.items()})
            of_lead += time.process_time() - begin
            left, sent = left + sum(map(len, said.values())), sent + n * len(asked)
        done = state.lanes[0].model if secure else state
        assert done.fit.done == 1 and not done.left  # type: ignore[union-attr]
        found.append((left / n, sent / n, of_sites / n, of_lead))
    return tuple(min(x) for x in zip(*found, strict=True))


def main() -> None:
    """The figures of RESULTS 26h."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["brca", "hancock", "costs"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--strategies", default="fedavg,scaffold")
    parser.add_argument("--sites", default="2,4,8,16,32")
    parser.add_argument("--parameters", default="10,100,1000,10000")
    parser.add_argument("--times", type=int, default=3, help="repetitions, of which the fastest counts")
    given = parser.parse_args()
    if given.what == "costs":
        costs([int(x) for x in given.sites.split(",")], [int(x) for x in given.parameters.split(",")], given.times)
    else:
        real(given.what, given.data.resolve(), given.rounds, given.strategies.split(","), given.folds)


if __name__ == "__main__":
    main()
