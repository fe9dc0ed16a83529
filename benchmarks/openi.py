"""Open-i reports: plain scikit-learn on the texts of the study, on the very folds of a finished run.

    cohortium run benchmarks/studies/openi.yaml --out RUN --preset quick
    python benchmarks/openi.py RUN DATA/indiana_reports.csv

Prints ROC-AUC (mean over folds) of TF-IDF with logistic regression (its strength chosen inside the training part) and
with ridge, on findings and indication joined, and of the run's learners beside them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegressionCV, RidgeClassifierCV
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline


def peers() -> dict[str, object]:
    """Pipelines that a careful person writes in five lines."""

    def words() -> TfidfVectorizer:
        return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=3)

    logistic = LogisticRegressionCV(
        Cs=10, cv=3, scoring="neg_log_loss", max_iter=2000, l1_ratios=(0,), use_legacy_attributes=False
    )
    return {
        "TF-IDF + logistic": make_pipeline(words(), logistic),
        "TF-IDF + ridge": make_pipeline(words(), RidgeClassifierCV(np.logspace(-2, 2, 9))),
    }


def main(run: Path, reports: Path) -> None:
    """Fit the peers fold by fold and print both sides."""
    data = pd.read_csv(reports, dtype=str, keep_default_na=False).set_index("uid")
    key = pd.read_csv(run / "units.csv", dtype=str).set_index("pseudonym")["unit"]
    made = pd.read_parquet(run / "predictions.parquet")
    y = (data["MeSH"] == "normal").astype(int)
    sources = {"findings + indication": ["findings", "indication"], "findings": ["findings"]}
    for learner, part in made.groupby("learner"):
        if not str(learner).startswith(("with", "without")):
            aucs = [roc_auc_score(y[key[g["unit"]]], g["p_normal"]) for _, g in part.groupby(["repeat", "fold"])]
            print(f"{learner:40s} {np.mean(aucs):.4f}")
    first = made[made["learner"] == made["learner"].iloc[0]]
    for what, columns in sources.items():
        text = data[columns].agg("\n".join, axis=1)
        for name, model in peers().items():
            aucs = []
            for _, g in first.groupby(["repeat", "fold"]):
                test = pd.Index(key[g["unit"]])
                train = data.index.difference(test)
                model.fit(text[train], y[train])  # type: ignore[attr-defined]
                aucs.append(roc_auc_score(y[test], model.decision_function(text[test])))  # type: ignore[attr-defined]
            print(f"{name + ', ' + what:40s} {np.mean(aucs):.4f}  per fold {np.round(aucs, 3)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
