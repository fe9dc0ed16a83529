"""Discovery on planted truth: share of false discoveries and power of knockoffs, beside lists that people make otherwise.

usage: python benchmarks/discovery.py [--cohorts 100] [--settings all|blocks:p<n:gaps:survival,…] [--part 0/1] [--out runs]
A setting is features : size : blocks missing : endpoint. Three modalities; 40 causal features (30 groups of 5 with one
causal feature each where features come in blocks); effects of equal size within 25%, random sign. Truth: a group is true
when it holds a causal feature. "given": the conditional test of each
group given all others, q < .10. Naive lists: the top 40 coefficients of a cross-validated lasso, all its non-zero ones, and
univariate q < .10 (Benjamini-Hochberg). A row for each cohort goes to <out>/discovery.csv, from which a stopped run goes on.
"""

from __future__ import annotations

import argparse
import csv
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from cohortium.contracts import ClassOutcome, Outcome, SurvivalOutcome, ValueOutcome
from cohortium.discovery import Features, discover, fit_null, univariate
from cohortium.discovery.contrast import lasso
from cohortium.discovery.finding import all_groups
from cohortium.schema import Endpoint, EndpointKind

SIZES = {
    ("independent", "p<n"): (600, (60, 50, 40)),
    ("heavy", "p<n"): (600, (60, 50, 40)),
    ("blocks", "p<n"): (600, (200, 125, 75)),
    ("independent", "p>n"): (700, (400, 250, 150)),
    ("heavy", "p>n"): (700, (400, 250, 150)),
    ("blocks", "p>n"): (700, (400, 250, 150)),
    ("independent", "p>>n"): (800, (1200, 600, 200)),
    ("blocks", "p>>n"): (800, (1200, 600, 200)),
}
"""Patients and features of the three modalities; p>>n is screened."""

SIGNAL = {"continuous": 1.5, "binary": 3.0, "survival": 2.0}
"""Standard deviation of the true score: of values against noise 1, of log odds, of log hazards."""

SETTINGS = [
    "independent:p<n:whole:binary",
    "independent:p<n:gaps:survival",
    "independent:p>n:whole:survival",
    "independent:p>n:gaps:continuous",
    "blocks:p<n:whole:survival",
    "blocks:p<n:gaps:binary",
    "blocks:p>n:whole:binary",
    "blocks:p>n:gaps:continuous",
    "heavy:p<n:whole:binary",
    "heavy:p<n:gaps:continuous",
    "heavy:p>n:whole:continuous",
    "heavy:p>n:gaps:survival",
    "independent:p>>n:whole:continuous",
    "blocks:p>>n:gaps:continuous",
]
FDR, GAPS = 0.10, 0.2


def draw_features(rng: np.random.Generator, n: int, p: int, kind: str) -> np.ndarray:
    """Standardised columns: normal; blocks of 5 that correlate by .8; or Student t(3), log-normal and yes/no in turn."""
    if kind == "independent":
        return rng.standard_normal((n, p))
    if kind == "blocks":
        return np.sqrt(0.8) * np.repeat(rng.standard_normal((n, p // 5)), 5, axis=1) + np.sqrt(0.2) * rng.normal(
            size=(n, p)
        )
    x = rng.standard_t(3, size=(n, p))
    x[:, ::3] = np.exp(0.8 * rng.standard_normal(x[:, ::3].shape))
    x[:, 1::3] = rng.binomial(1, 0.3, size=x[:, 1::3].shape)
    return (x - x.mean(axis=0)) / x.std(axis=0)


def draw_outcome(rng: np.random.Generator, score: np.ndarray, kind: str) -> Outcome:
    n = len(score)
    units = np.array([f"{i:04d}" for i in range(n)], dtype=object)
    if kind == "continuous":
        return ValueOutcome(Endpoint("y", EndpointKind.CONTINUOUS), units, score + rng.standard_normal(n))
    if kind == "binary":
        yes = (rng.random(n) < 1 / (1 + np.exp(-score))).astype(np.int64)
        return ClassOutcome(Endpoint("y", EndpointKind.BINARY, ("no", "yes")), units, yes)
    time_, censored = rng.exponential(size=n) * np.exp(-score), rng.exponential(size=n)
    censored *= 3 * np.median(time_)
    endpoint = Endpoint("y", EndpointKind.SURVIVAL, (), "years")
    return SurvivalOutcome(endpoint, units, np.minimum(time_, censored) + 1e-6, time_ <= censored, np.zeros(n))


def simulate(setting: str, seed: int) -> tuple[Features, Outcome, np.ndarray]:
    """Features as the encoders would give them, outcome, causal columns."""
    kind, size, blocks, endpoint = setting.split(":")
    rng = np.random.default_rng([seed, zlib.crc32(setting.encode())])
    n, sizes = SIZES[kind, size]
    x = np.hstack([draw_features(rng, n, p, kind) for p in sizes])
    p = x.shape[1]
    if kind == "blocks":
        causal = rng.choice(p // 5, 30, replace=False) * 5 + rng.integers(0, 5, 30)
    else:
        causal = rng.choice(p, 40, replace=False)
    effect = rng.choice([-1.0, 1.0], len(causal)) * rng.uniform(0.75, 1.25, len(causal))
    score = x[:, causal] @ effect
    outcome = draw_outcome(rng, SIGNAL[endpoint] * score / np.sqrt((effect**2).sum()), endpoint)
    names = ("rna", "protein", "labs")
    modality = np.repeat(np.array(names, dtype=object), sizes)
    if blocks == "gaps":
        have = rng.random((n, 3)) >= GAPS
        for m, name in enumerate(names):
            x[np.ix_(~have[:, m], modality == name)] = np.nan
    x = np.clip(x, -6, 6)  # as encoders do
    feature = np.array([f"{m}_{j}" for j, m in enumerate(modality)], dtype=object)
    return Features(x, modality, feature, names, {}), outcome, causal


def one(setting: str, seed: int) -> dict[str, object]:
    """False discovery proportion and power of every list in one cohort."""
    features, outcome, causal = simulate(setting, seed)
    begin = time.perf_counter()
    groups = all_groups(features)
    found = discover(outcome, features, np.random.default_rng([seed, 7]), fdr=FDR, again=0, groups=groups)
    seconds = time.perf_counter() - begin
    true = np.zeros(int(groups.max()) + 1, dtype=bool)
    true[groups[causal]] = True
    response = fit_null(outcome).residual[:, 0]
    x = np.nan_to_num(features.x)
    looked = np.sort(np.argsort(-np.abs(x.T @ response), kind="stable")[:1500])  # as people do when there are thousands
    size = np.zeros(len(features))
    size[looked] = np.abs(lasso(x[:, looked], response, np.random.default_rng([seed, 8])))
    best = np.zeros(len(true))
    np.maximum.at(best, groups, size)
    top = np.zeros(len(true), dtype=bool)
    top[np.argsort(-best, kind="stable")[: true.sum()]] = True
    q = np.full(len(true), np.inf)
    np.minimum.at(q, groups, np.nan_to_num(univariate(outcome, features).q, nan=1.0))
    lists = {
        "knockoffs": found.selected,
        "given": found.q < FDR,
        "top": top & (best > 0),
        "lasso": best > 0,
        "univariate": q < FDR,
    }
    row: dict[str, object] = {"setting": setting, "seed": seed, "groups": len(true), "seconds": round(seconds, 2)}
    for name, chosen in lists.items():
        row[f"{name}_n"] = int(chosen.sum())
        row[f"{name}_fdp"] = round(float((chosen & ~true).sum() / max(chosen.sum(), 1)), 5)
        row[f"{name}_power"] = round(float((chosen & true).sum() / true.sum()), 5)
    return row


def show(file: Path, settings: list[str]) -> None:
    frame = pd.read_csv(file)
    lists = ("knockoffs", "given", "top", "lasso", "univariate")
    print(
        "| setting | cohorts | knockoffs FDP (se) | power | "
        + " | ".join(f"{x} FDP, power" for x in lists[1:])
        + " | s |"
    )
    print("|---" * 9 + "|")
    for s in settings:
        own = frame[frame["setting"] == s]
        if not len(own):
            continue
        v = own["knockoffs_fdp"]
        rest = [f"{own[f'{x}_fdp'].mean():.2f}, {own[f'{x}_power'].mean():.2f}" for x in lists[1:]]
        cells = [
            s,
            str(len(own)),
            f"{v.mean():.3f} ({v.std() / np.sqrt(len(v)):.3f})",
            f"{own['knockoffs_power'].mean():.2f}",
        ]
        print("| " + " | ".join([*cells, *rest, f"{own['seconds'].mean():.1f}"]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohorts", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--settings", default="all")
    parser.add_argument("--part", default="0/1", help="which of how many shares of the cohorts")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    args = parser.parse_args()
    settings = SETTINGS if args.settings == "all" else args.settings.split(",")
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "discovery.csv"
    done = set(pd.read_csv(file)[["setting", "seed"]].itertuples(index=False, name=None)) if file.exists() else set()
    part, parts = map(int, args.part.split("/"))
    for seed in range(args.first, args.first + args.cohorts):
        for setting in settings:
            if seed % parts != part or (setting, seed) in done:
                continue
            row = one(setting, seed)
            new = not file.exists()
            with file.open("a", newline="") as f:
                writer = csv.DictWriter(f, list(row))
                if new:
                    writer.writeheader()
                writer.writerow(row)
    show(file, settings)


if __name__ == "__main__":
    main()
