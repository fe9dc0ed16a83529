"""MOFA+ factors with a linear head, on a fold's folder. usage: python mofa.py <fold folder> <out>   (needs mofapy2)

Factors are fitted on training samples alone, without outcomes. MOFA has no map for new samples: a sample's factors are
their expectation given its values, the fitted weights and noise (Argelaguet 2020, Genome Biol 21:111, the update of Z),
for training and test samples alike. Features are standardised by training samples. Tables of fewer than 15 features, from
which MOFA says it learns nothing, stand beside the factors, missing values by the mean. Head: logistic regression, or Cox
regression of scikit-survival, with a ridge penalty that five inner folds of the training samples choose.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

FACTORS = 15  # the default of MOFA2
NARROW = 15  # features
PENALTIES = np.logspace(-3, 3, 13)


def read(folder: Path) -> tuple[list[pd.DataFrame], pd.DataFrame]:
    clin = pd.read_csv(folder / "clin.csv", index_col=0, dtype={0: str})
    files = sorted(f for f in folder.glob("*.csv") if f.name != "clin.csv")
    return [pd.read_csv(f, index_col=0).T.loc[clin.index] for f in files], clin


def factors(views: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights (features x factors) and noise precision (features,) of every view."""
    from mofapy2.run.entry_point import entry_point

    model = entry_point()
    model.set_data_options(scale_views=False)
    model.set_data_matrix([[v] for v in views])
    model.set_model_options(factors=FACTORS)
    model.set_train_options(iter=1000, convergence_mode="fast", seed=1, quiet=True)
    model.build()
    model.run()
    nodes = model.model.nodes
    tau = [np.asarray(n.getExpectation()).mean(axis=0) for n in nodes["Tau"].nodes]
    return [np.asarray(n.getExpectation()) for n in nodes["W"].nodes], tau


def project(views: list[np.ndarray], weights: list[np.ndarray], noise: list[np.ndarray]) -> np.ndarray:
    """Expected factors (samples x factors) under a standard normal prior; a missing value says nothing."""
    out = []
    for i in range(len(views[0])):
        a, b = np.eye(weights[0].shape[1]), np.zeros(weights[0].shape[1])
        for v, w, t in zip(views, weights, noise, strict=True):
            seen = ~np.isnan(v[i])
            scaled = w[seen] * t[seen, None]
            a, b = a + scaled.T @ w[seen], b + scaled.T @ v[i, seen]
        out.append(np.linalg.solve(a, b))
    return np.array(out)


def classify(z: np.ndarray, y: np.ndarray, new: np.ndarray) -> pd.DataFrame:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    inner = StratifiedKFold(5, shuffle=True, random_state=0)
    grid = GridSearchCV(LogisticRegression(max_iter=5000), {"C": 1 / PENALTIES}, scoring="neg_log_loss", cv=inner)
    grid.fit(z, y)
    return pd.DataFrame(grid.predict_proba(new), columns=[f"p_{c}" for c in grid.classes_])


def survive(z: np.ndarray, clin: pd.DataFrame, new: np.ndarray) -> pd.DataFrame:
    """Log hazards; the penalty by the concordance in inner folds, which is scikit-survival's own score."""
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.util import Surv

    event = clin["event"].to_numpy() == 1
    inner = list(StratifiedKFold(5, shuffle=True, random_state=0).split(z, event))
    grid = GridSearchCV(CoxPHSurvivalAnalysis(ties="efron"), {"alpha": PENALTIES}, cv=inner)
    grid.fit(z, Surv.from_arrays(event, clin["time"].to_numpy(float)))
    return pd.DataFrame({"risk": grid.predict(new)})


def main() -> None:
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    train, clin = read(folder / "train")
    test, others = read(folder / "test")
    views, new, beside, beside_new = [], [], [], []
    for a, b in zip(train, test, strict=True):
        b = b[a.columns]
        sd = a.std().to_numpy()
        keep = sd > 0
        made = [((t - a.mean()) / sd).to_numpy()[:, keep] for t in (a, b)]
        wide = a.shape[1] >= NARROW
        for part, to in zip(made, (views, new) if wide else (beside, beside_new), strict=True):
            to.append(part if wide else np.nan_to_num(part))
    weights, noise = factors(views)
    z = project(views, weights, noise)
    width = np.maximum(z.std(axis=0), 1e-8)
    z = np.hstack([z / width, *beside])
    z_new = np.hstack([project(new, weights, noise) / width, *beside_new])
    made = survive(z, clin, z_new) if "event" in clin else classify(z, clin["label"].to_numpy(), z_new)
    made.set_index(others.index).to_csv(out / "predictions.csv")


if __name__ == "__main__":
    main()
