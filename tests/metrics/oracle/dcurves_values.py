"""Net benefit by dcurves. Run in this folder where dcurves is installed; reads classes.csv and data.csv, writes dcurves.csv."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from dcurves import dca

THRESHOLDS = [0.055, 0.155, 0.255, 0.355, 0.505, 0.705]
here = Path(__file__).parent
classes, data = pd.read_csv(here / "classes.csv"), pd.read_csv(here / "data.csv")
binary = dca(data=classes, outcome="y", modelnames=["p"], thresholds=np.array(THRESHOLDS))
data["p"] = 1 - np.exp(-0.08 * np.exp(0.8 * data["risk"]) * 8)
survival = dca(
    data=data, outcome="event", modelnames=["p"], thresholds=np.array(THRESHOLDS), time=8, time_to_outcome_col="time"
)
both = pd.concat([binary.assign(kind="binary"), survival.assign(kind="survival")])
kept = both.loc[both["model"].isin(["p", "all"]) & both["threshold"].isin(THRESHOLDS)]
kept = kept[["kind", "model", "threshold", "net_benefit"]].assign(dcurves=version("dcurves"))
kept.to_csv(here / "dcurves.csv", index=False)
