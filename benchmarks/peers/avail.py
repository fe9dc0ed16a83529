"""AVAIL-omics on a fold's folder. usage: python avail.py <fold folder> <out>   (needs avail-omics; classes only)

The package predicts by leaving one out of everybody and has no call for new patients. This is its own protocol with its own
functions, on training samples alone: base forests by leave-one-out for the training samples, once more on all of them for
the test samples; its meta-learners, with its settings, on the former's probabilities. Without torch the package has four
meta-learners; each has its file of predictions.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd


def read(folder: Path) -> tuple[dict[str, dict[str, np.ndarray]], pd.DataFrame]:
    clin = pd.read_csv(folder / "clin.csv", index_col=0, dtype={0: str})
    clin.index = clin.index.astype(str)
    mods = {}
    for file in sorted(f for f in folder.glob("*.csv") if f.name != "clin.csv"):
        frame = pd.read_csv(file, index_col=0).T.fillna(0.0)  # as avail_omics.generic.load_generic does
        mods[file.stem] = dict(zip(frame.index.astype(str), frame.to_numpy(), strict=True))
    return mods, clin


def base_for_new(mods, new, ids, label, others, micro, classes: int) -> dict[str, dict[str, np.ndarray]]:
    """Probabilities of the test samples by every modality's forest, as ``base_predictions_loo`` fits it."""
    from avail_omics.preprocess import apply_preproc, preproc
    from sklearn.ensemble import RandomForestClassifier

    out: dict[str, dict[str, np.ndarray]] = {i: {} for i in others}
    y, none = np.array([label[i] for i in ids]), np.zeros((len(ids), 3))
    for m in mods:
        x = np.vstack([mods[m][i] for i in ids])
        sel, sel2, res, sc, made = preproc(x, y, none, m in micro)
        forest = RandomForestClassifier(n_estimators=300, random_state=42, n_jobs=-1).fit(made, y)
        x_new = apply_preproc(sel, sel2, res, sc, np.vstack([new[m][i] for i in others]), np.zeros((len(others), 3)))
        p = np.zeros((len(others), classes))
        p[:, forest.classes_.astype(int)] = forest.predict_proba(x_new)
        for i, row in zip(others, p, strict=True):
            out[i][m] = row
    return out


def meta(x: np.ndarray, y: np.ndarray, x_new: np.ndarray, n_mods: int, k: int) -> dict[str, np.ndarray]:
    """What ``run_meta_loo`` does for one left-out sample, for all test samples."""
    from avail_omics.learners import modality_weights, simple_mean_probs
    from avail_omics.meta_learners import augment
    from sklearn.linear_model import LogisticRegression
    from xgboost import XGBClassifier

    x, y = augment(x, y, n_mods, k)
    w = modality_weights(x, y, n_mods, k)
    blocks = x_new.reshape(len(x_new), n_mods, k + 1)
    weighted = (blocks[:, :, :k] * w[:, None] * blocks[:, :, k:]).sum(axis=1)
    net = LogisticRegression(
        penalty="elasticnet", solver="saga", l1_ratio=0.5, C=0.3, max_iter=5000, class_weight="balanced", random_state=0
    )
    trees = XGBClassifier(
        n_estimators=200,
        max_depth=2,
        learning_rate=0.05,
        subsample=0.8,
        colsample_bytree=0.8,
        random_state=0,
        n_jobs=-1,
    )
    return {
        "SimpleMean": simple_mean_probs(x_new, n_mods, k),
        "WSimpleMean": weighted / (w * blocks[:, :, k]).sum(axis=1, keepdims=True),
        "ElasticNetLR": net.fit(x, y).predict_proba(x_new),
        "XGBoost": trees.fit(x, y).predict_proba(x_new),
    }


def main() -> None:
    from avail_omics.generic import detect_compositional
    from avail_omics.learners import base_predictions_loo, build_meta_features

    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    mods, clin = read(folder / "train")
    new, borrowed = read(folder / "test")
    classes = list(clin["label"].value_counts().index)
    ids, others, k, order = sorted(clin.index), list(borrowed.index), len(classes), sorted(mods)
    label = {i: classes.index(c) for i, c in clin["label"].items()}
    micro = detect_compositional(None, mods, ids, verbose=False)
    left_out = base_predictions_loo(mods, ids, label, dict.fromkeys(ids, np.zeros(3)), k, micro)
    x, y = build_meta_features(left_out, ids, label, len(mods), order, k)
    base = base_for_new(mods, new, ids, label, others, micro, k)
    x_new, _ = build_meta_features(base, others, dict.fromkeys(others, 0), len(mods), order, k)
    for name, p in meta(x, y, x_new, len(mods), k).items():
        pd.DataFrame(p, index=others, columns=[f"p_{c}" for c in classes]).to_csv(out / f"predictions_{name}.csv")


if __name__ == "__main__":
    main()
