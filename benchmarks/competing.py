"""What treating competing risks as what they are changes: one run, the same event by competing risks and by Cox on censored times.

usage: cohortium run benchmarks/studies/hancock_cause.yaml --out RUN
       python benchmarks/competing.py RUN [--truth cause] [--learner auto]

Every endpoint of the run is scored against the competing-risks outcome of the endpoint ``truth``, fold by fold, with the
censoring of its own training part: Wolbers' C, AUC and Brier score at the horizons, and expected over observed events
(Aalen-Johansen). Survival s of a ``kind: survival`` endpoint is read as an incidence of 1 - s, which is what people do.
Differences to ``truth`` are paired where folds are the same.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from cohortium.contracts import CompetingOutcome, CumulativeIncidence
from cohortium.metrics import NotEstimable, censoring_distribution, incidence_at, nadeau_bengio, score
from cohortium.schema import Endpoint, EndpointKind
from cohortium.study.files import read_grid


def outcome_of(rows: pd.DataFrame) -> CompetingOutcome:
    """The competing-risks outcome of rows of ``outcomes.parquet``."""
    endpoint = Endpoint("y", EndpointKind.COMPETING_RISKS, ("of interest", "other"))
    units = rows.index.to_numpy(dtype=object)
    return CompetingOutcome(endpoint, units, rows["time"].to_numpy(float), rows["code"].to_numpy(np.int64))


def fold_values(
    folder: Path, of: str, truth: str, learner: str, horizons: list[float], tau: float
) -> tuple[pd.DataFrame, pd.Series]:
    """Metrics (rows: repeat and fold) of one endpoint's learner, and the units of each test fold as one text."""
    filters = [("endpoint", "=", of), ("learner", "=", learner)]
    predictions = pd.read_parquet(folder / "predictions.parquet", filters=filters)
    outcomes = pd.read_parquet(folder / "outcomes.parquet", filters=[("endpoint", "=", truth)]).set_index("unit")
    times = np.asarray(read_grid(folder / "predictions.parquet")[of])
    made, tested = {}, {}
    for key, p in predictions.groupby(["repeat", "fold"]):
        y = outcome_of(outcomes.loc[p["unit"]])
        g = censoring_distribution(outcome_of(outcomes[~outcomes.index.isin(p["unit"])]).any_cause)
        rising = p["incidence"].notna().all() if "incidence" in p else False
        curves = np.stack(p["incidence"] if rising else 1 - np.stack(p["survival"]))
        prediction = CumulativeIncidence(y.units, p["risk"].to_numpy(float), times, np.asarray(curves, float))
        row: dict[str, float] = {}
        for metric, h in [("wolbers_c", None), *((m, h) for h in horizons for m in ("auc_t", "brier_t"))]:
            try:
                row[metric if h is None else f"{metric} {h:g}"] = score(
                    metric, y, prediction, censoring=g, horizon=h, tau=tau
                )
            except NotEstimable:
                continue
        for h in horizons:
            observed = incidence_at(y.time, y.cause, h)[0]
            if observed > 0 and (y.time > h).any():
                row[f"log E/O {h:g}"] = float(np.log(prediction.at(np.array([h])).mean() / observed))
        made[key], tested[key] = row, " ".join(sorted(p["unit"]))
    return pd.DataFrame(made).T, pd.Series(tested)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--truth", help="competing-risks endpoint; default: the first of that kind")
    parser.add_argument("--learner", default="auto")
    asked = parser.parse_args()
    records = json.loads((asked.run / "results.json").read_text())["cohort"]["endpoints"]
    truth = asked.truth or next(e["name"] for e in records if e["kind"] == "competing_risks")
    of_truth = next(e for e in records if e["name"] == truth)
    horizons, tau = of_truth["horizons"], of_truth["tau"]
    print(f"{truth}: {of_truth['n_units']} units, {of_truth['classes']}; learner {asked.learner}, tau {tau:g}\n")
    first, folds = fold_values(asked.run, truth, truth, asked.learner, horizons, tau)
    n_test = of_truth["n_units"] / (len(folds) / folds.index.get_level_values(0).nunique())
    sizes = of_truth["n_units"] - n_test, n_test
    for e in records:
        own, tested = fold_values(asked.run, e["name"], truth, asked.learner, horizons, tau)
        paired = e["name"] != truth and folds.equals(tested)
        kind = "minus " + truth if paired else "folds of its own" if e["name"] != truth else ""
        print(f"{e['name']} ({e['kind']}) {kind}")
        for column in own:
            text = "E/O {:.3f} ({:.3f} to {:.3f})" if column.startswith("log") else "{:.4f} ({:.4f} to {:.4f})"
            turn = np.exp if column.startswith("log") else np.asarray
            line = f"  {column.removeprefix('log '):14s} " + text.format(*turn(nadeau_bengio(own[column], *sizes)))
            if paired:
                difference = nadeau_bengio(own[column] - first[column], *sizes)
                line += "   " + "{:+.4f} ({:+.4f} to {:+.4f})".format(*difference)
            print(line)


if __name__ == "__main__":
    main()
