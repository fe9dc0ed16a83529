"""Writes data.csv (test fold), train.csv, sksurv.json: outside truth of scikit-survival. Run before survival.R."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import sksurv
from sksurv.metrics import (
    brier_score,
    concordance_index_censored,
    concordance_index_ipcw,
    cumulative_dynamic_auc,
    integrated_brier_score,
)
from sksurv.util import Surv


def cohort(n, rng):
    """Times rounded to halves, so that events, censorings and risks are tied."""
    risk = np.round(rng.standard_normal(n), 1)
    t = np.ceil(2 * 12 * rng.exponential(size=n) * np.exp(-0.7 * risk)) / 2
    c = np.ceil(2 * rng.uniform(2, 30, n)) / 2
    time = np.minimum(t, c)
    entry = np.where(rng.random(n) < 0.4, np.floor(rng.random(n) * time * 2) / 2, 0.0)
    entry = np.where(entry < time, entry, 0.0)
    return pd.DataFrame({"time": time, "event": (t <= c).astype(int), "entry": entry, "risk": risk,
                         "group": (risk > 0.3) + 0})  # fmt: skip


rng = np.random.default_rng(7)
train, test = cohort(300, rng), cohort(160, rng)
test = test[test.time <= train.time.max() - 0.5].reset_index(drop=True)
train.to_csv("train.csv", index=False)
test.to_csv("data.csv", index=False)
# scikit-survival weights by G(t), we and R by G(t-): they agree where no event is tied with a censoring.
a, b = (Surv.from_arrays(d.event == 1, d.time + 0.25 * (d.event == 0)) for d in (train, test))
grid = np.linspace(0.75, 20, 100)
s = np.exp(-(grid[None, :] / 12) * np.exp(0.7 * test.risk.to_numpy())[:, None])
at = [5.1, 10.1, 15.1]
curve = lambda ts: np.exp(-(np.array(ts)[None, :] / 12) * np.exp(0.7 * test.risk.to_numpy())[:, None])  # noqa: E731
out = {
    "version": sksurv.__version__,
    "harrell": concordance_index_censored(b["event"], b["time"], test.risk)[0],
    "uno_tau12.1": concordance_index_ipcw(a, b, test.risk, tau=12.1)[0],
    "at": at,
    "auc_t": [cumulative_dynamic_auc(a, b, test.risk, t)[0][0] for t in at],
    "brier_t": list(brier_score(a, b, curve(at), at)[1]),
    "integrated_brier_0.75_to_20": integrated_brier_score(a, b, s, grid),
}
Path("sksurv.json").write_text(json.dumps(out, indent=1, default=float))
