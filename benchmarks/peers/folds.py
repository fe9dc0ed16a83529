"""The folds that all sides share, and a fold as files: the folder that flexynesis reads, and our scores of what comes back.

A fold's folder has ``train`` and ``test``, each with ``<modality>.csv`` (features x samples) and ``clin.csv`` (samples x
outcome). The outcome of test samples is nowhere in it: ``test/clin.csv`` repeats outcomes of training samples, since
flexynesis asks for some.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SEED = 0
METRICS = ("roc_auc", "balanced_accuracy", "log_loss")


def read(study_file: Path):
    """Cohort and outcome (classes) of a primary endpoint: the units that have every modality, as peers drop the others."""
    import cohortium
    from cohortium.study import load_data

    study = cohortium.load_study(study_file)
    data = load_data(study)
    outcome = data.outcomes[study.spec.primary_name]
    cohort = data.cohort.select(outcome.units)
    whole = np.flatnonzero(cohort.presence().all(axis=1).to_numpy())
    return cohort.take(whole), outcome.take(whole)


def splits(cohort, outcome, repeats: int):
    """Five outer folds a repeat, stratified and grouped by patient."""
    from cohortium.resampling import nested

    return nested(outcome, cohort.groups(), repeats, 5, SEED)


def table(modality) -> pd.DataFrame:
    """Units x features, as numbers."""
    t = modality.as_table()
    return pd.DataFrame(np.asarray(t.values, float), index=t.units.astype(str), columns=t.features.index.astype(str))


def labels(outcome) -> pd.DataFrame:
    """Units x ``label``, the name of the class."""
    index = pd.Index(outcome.units.astype(str), name="sample")
    return pd.DataFrame({"label": np.asarray(outcome.endpoint.classes, object)[outcome.codes]}, index=index)


def write_fold(folder: Path, cohort, outcome, split) -> None:
    """The fold's folder. Values and ids are kept to the last digit; test outcomes are borrowed from training rows."""
    borrowed = labels(outcome.take(np.resize(split.train, len(split.test))))
    for part, rows in (("train", split.train), ("test", split.test)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        here = cohort.take(rows)
        for name, modality in here.modalities.items():
            # No name above the features: flexynesis stumbles over an index called 'feature'.
            table(modality).T.rename_axis(index=None, columns=None).to_csv(folder / part / f"{name}.csv")
        known = labels(outcome.take(rows)) if part == "train" else borrowed.set_index(pd.Index(here.ids, name="sample"))
        known.to_csv(folder / part / "clin.csv")


def scores(outcome, predicted: pd.DataFrame) -> dict[str, float]:
    """Our metrics of a side's predictions: rows are samples in any order, columns ``p_<class>``."""
    from cohortium.contracts import Probabilities
    from cohortium.metrics import score

    predicted = predicted.set_axis(predicted.index.astype(str)).loc[outcome.units.astype(str)]
    p = predicted[[f"p_{c}" for c in outcome.endpoint.classes]].to_numpy(float)
    made = Probabilities(outcome.units, outcome.endpoint.classes, p / p.sum(axis=1, keepdims=True))
    return {m: score(m, outcome, made) for m in METRICS}
