"""Scores of XGBoost's trees on the bins of a federated fit, as an oracle: writes trees.csv beside this file.

usage, where xgboost is installed (values are of 3.2.0): python -m tests.federation.oracle.trees_xgboost
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cohortium.federation_site.grouping import binned
from tests.federation import sites as cut
from tests.federation.test_trees import fit, for_xgboost, rows

OBJECTIVES = {"binary": "binary:logistic", "survival": "survival:cox"}


def main() -> None:
    import xgboost

    out = []
    for kind, objective in OBJECTIVES.items():
        made, found = for_xgboost(kind)
        state = fit(made, found)
        x, y, _, time, _ = rows(state, found)
        bins = binned(x, state.fit.edges).astype(float)
        bins[np.isnan(x)] = np.nan
        label = np.where(y > 0, time, -time) if kind == "survival" else y
        base = 1.0 if kind == "survival" else float(1 / (1 + np.exp(-state.fit.base[0])))
        t = made.trees
        how = {
            "objective": objective, "eta": t.learning_rate, "max_depth": t.depth, "lambda": t.ridge,
            "min_child_weight": t.least_curvature, "tree_method": "exact", "base_score": base, "nthread": 1,
        }  # fmt: skip
        data = xgboost.DMatrix(bins, label)
        f = xgboost.train(how, data, t.rounds).predict(data, output_margin=True)
        out.append(pd.DataFrame({"kind": kind, "score": f}))
    pd.concat(out).to_csv(cut.ORACLE / "trees.csv", index=False)


if __name__ == "__main__":
    main()
