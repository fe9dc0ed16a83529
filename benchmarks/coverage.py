"""Whether prediction sets, intervals and lower bounds hold as often as they say, on simulated cohorts.

usage: python benchmarks/coverage.py [--repeats 200] [--units 600] [--kinds binary,survival] [--learner auto] [--out runs]

Three modalities, two of which 30% and 40% of units lack; a cohort of fresh effects, fitted once, met by 3,000 new units of the
same population whose outcome is known whole. Survival: censoring depends on the score and on a feature of its own, about half
is censored. Patterns: those of at least 100 training units. Shards add to the same CSV and are resumed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cohortium.contracts import Intervals, LowerBounds, Sets, SurvivalOutcome
from cohortium.learners import LearnerConfig, fit_all
from cohortium.schema import Endpoint, EndpointKind
from cohortium.testing import simulate_cohort, simulated_fold

LEVEL, TESTED, LEAST = 0.9, 3000, 100
SIZES = {"clinical": 6, "rna": 60, "protein": 30}
KINDS = ("binary", "rare", "multiclass", "ordinal", "continuous", "survival", "survival_wrong")


def cohort(kind: str, rng: np.random.Generator, n: int):
    """A simulated cohort, and the whole times of survival. ``rare``: 15% positive. ``survival_wrong``: the hazards cross, so
    that no proportional hazards can be right."""
    asked = {"rare": "binary", "survival": "continuous", "survival_wrong": "continuous"}.get(kind, kind)
    s = simulate_cohort(
        rng, n, SIZES, asked, missing={"rna": 0.3, "protein": 0.4}, prevalence=0.15 if kind == "rare" else 0.5
    )
    if not kind.startswith("survival"):
        return s, None
    score, own = s.score[:, 0], s.complete["clinical"][:, -1]
    shape = np.exp(0.5 * np.clip(score, -1.5, 1.5)) if kind == "survival_wrong" else 1.2
    whole = (rng.exponential(size=n) * np.exp(-score)) ** (1 / shape)
    censored = rng.exponential(size=n) * np.exp(-0.5 * score - 0.7 * own) * 1.2
    time, event = np.minimum(whole, censored), whole <= censored
    endpoint = Endpoint("y", EndpointKind.SURVIVAL, time_unit="years")
    outcome = SurvivalOutcome(endpoint, s.outcome.units, time, event, np.zeros(n))
    return replace(s, outcome=outcome), whole


def one(kind: str, seed: int, n: int, learner: str) -> list[dict[str, object]]:
    """Rows of one cohort: everybody, and each pattern of at least 100 training units."""
    rng = np.random.default_rng([seed, KINDS.index(kind), n])
    s, whole = cohort(kind, rng, n + TESTED)
    config = LearnerConfig(models=("linear",), preset="quick", coverage=LEVEL, reference=("clinical",))
    predictor = fit_all(config, simulated_fold(s, np.arange(n), inner=5), [learner], learner)[learner]
    new = np.arange(n, n + TESTED)
    tested, outcome = s.cohort.take(new), s.outcome.take(new)
    prediction = predictor.predict(tested)
    made = predictor.bounds(tested, prediction)
    held = {}
    if isinstance(made, Sets):
        held["plain"] = made.inside[np.arange(TESTED), outcome.codes]
        have = tested.presence()[list(predictor.maker.patterns.modalities)].to_numpy()
        chance = predictor.maker.make(prediction, have, rng)
        held["randomised"] = chance.inside[np.arange(TESTED), outcome.codes]
        size = made.inside.sum(axis=1)
    elif isinstance(made, Intervals):
        held["interval"] = (outcome.values >= made.low) & (outcome.values <= made.high)
        size = made.high - made.low
    else:
        assert isinstance(made, LowerBounds)
        held["bound"] = whole[new] >= made.low
        held["bound, of observed times"] = outcome.time >= made.low
        size = made.low / np.median(whole)
    presence = s.cohort.presence().to_numpy()
    pattern = np.array(["+".join(n[0] for n, x in zip(SIZES, row, strict=True) if x) for row in presence])
    rows = []
    for name in ["everyone", *sorted(set(pattern[:n]))]:
        member = np.ones(TESTED, bool) if name == "everyone" else pattern[n:] == name
        if name != "everyone" and ((pattern[:n] == name).sum() < LEAST or not member.any()):
            continue
        for what, inside in held.items():
            rows.append({"kind": kind, "units": n, "seed": seed, "pattern": name, "what": what,
                         "covered": inside[member].mean(), "size": size[member].mean()})  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--units", type=int, default=600)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--learner", default="auto")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / f"coverage_{args.learner.replace(':', '_')}.csv"
    done = pd.read_csv(file) if file.is_file() else pd.DataFrame(columns=["kind", "units", "seed"])
    there = set(zip(done["kind"], done["units"], done["seed"], strict=True))
    for kind in args.kinds.split(","):
        for seed in range(args.repeats):
            if (kind, args.units, seed) not in there:
                pd.DataFrame(one(kind, seed, args.units, args.learner)).to_csv(
                    file, mode="a", header=not file.is_file(), index=False
                )
        print(f"{kind} done", flush=True)
    table = pd.read_csv(file).query("units == @args.units")
    groups = table.groupby(["kind", "what", "pattern"], sort=False)["covered"]
    out = groups.agg(cohorts="count", covered="mean", se=lambda x: x.std() / np.sqrt(len(x)))
    out["size"] = table.groupby(["kind", "what", "pattern"], sort=False)["size"].mean()
    print(out.round(4).to_string())


if __name__ == "__main__":
    main()
