"""Per-fold figures of a finished run, and their paired comparison with rivals on the same folds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd


def with_models(study, models: list[str]):
    """The study with the given model families inside its learners."""
    from dataclasses import replace

    return replace(study, spec=study.spec.model_copy(update={"models": models}))


def read_run(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions and outcomes of a run folder."""
    return pd.read_parquet(folder / "predictions.parquet"), pd.read_parquet(folder / "outcomes.parquet")


def per_fold(folder: Path, endpoint: str, value) -> pd.DataFrame:
    """``value(outcome rows, prediction rows)`` for every learner and outer fold: rows (repeat, fold), a column a learner."""
    predictions, outcomes = read_run(folder)
    predictions = predictions[predictions["endpoint"] == endpoint]
    outcomes = outcomes[outcomes["endpoint"] == endpoint].set_index("unit")
    out = {}
    for (learner, repeat, fold), p in predictions.groupby(["learner", "repeat", "fold"], sort=True):
        out.setdefault(learner, {})[(repeat, fold)] = value(outcomes.loc[p["unit"]], p)
    return pd.DataFrame(out).rename_axis(["repeat", "fold"]).sort_index()


def harrell(o: pd.DataFrame, p: pd.DataFrame) -> float:
    """Harrell's C of one fold's risks."""
    from cohortium.contracts import Survival, SurvivalOutcome
    from cohortium.metrics import score
    from cohortium.schema import Endpoint, EndpointKind

    units = p["unit"].to_numpy(dtype=object)
    entry = o["entry"].fillna(0.0).to_numpy(float)
    outcome = SurvivalOutcome(
        Endpoint("os", EndpointKind.SURVIVAL), units, o["time"].to_numpy(float), o["event"].to_numpy(bool), entry
    )
    prediction = Survival(units, p["risk"].to_numpy(float), np.ones(1), np.ones((len(p), 1)))
    return score("harrell_c", outcome, prediction)


def against(ours: pd.Series, rival: pd.Series, n_train: float, n_test: float) -> str:
    """Paired difference with its corrected interval, as text."""
    from cohortium.metrics import nadeau_bengio

    both = pd.concat([ours, rival], axis=1, join="inner").dropna()
    d = (both.iloc[:, 0] - both.iloc[:, 1]).to_numpy()
    value, low, high = nadeau_bengio(d, n_train, n_test)
    return f"{value:+.4f} ({low:+.4f} to {high:+.4f}), {len(d)} folds"


def cost(folder: Path) -> str:
    """Time and peak memory of a run, as text."""
    facts = json.loads((folder / "run.json").read_text())
    return f"{facts['seconds']:.0f} s, peak {facts['peak_memory_bytes'] / 2**20:.0f} MB over all processes"
