"""The folds that all sides share, and a fold as files: the folder that flexynesis reads, and our scores of what comes back.

A fold's folder has ``train`` and ``test``, each with ``<modality>.csv`` (features x samples) and ``clin.csv`` (samples x
outcome: ``label``, or ``time`` and ``event``). The outcome of test samples is nowhere in it: ``test/clin.csv`` repeats
outcomes of training samples, since flexynesis asks for some. Tables of a few features stand in ``clin.csv`` too, standardised
by the training part, as ``<modality>:<feature>``: flexynesis takes them as covariates (of a table it keeps no sample whose
values are all equal, nor any sample of a table of which its filters leave one feature).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SEED = 0
METRICS = ("roc_auc", "balanced_accuracy", "log_loss", "harrell_c", "uno_c")
NARROW = 15
"""Tables of fewer features are covariates of flexynesis and stand beside the factors of MOFA, which warns that it learns no
factors from them."""


def read(study_file: Path):
    """Cohort and outcome of a primary endpoint: the units that have every modality and, in each table that is not narrow, two
    different values. Peers drop the others."""
    import cohortium
    from cohortium.study import load_data

    study = cohortium.load_study(study_file)
    data = load_data(study)
    outcome = data.outcomes[study.spec.primary_name]
    cohort = data.cohort.select(outcome.units)
    rows = usable(cohort)
    return cohort.take(rows), outcome.take(rows)


def usable(cohort) -> np.ndarray:
    """Rows of the units that every side can use."""
    whole = cohort.presence().all(axis=1).to_numpy()
    for modality in cohort.modalities.values():
        values = table(modality)
        if values.shape[1] >= NARROW:
            whole &= pd.Series(cohort.ids.astype(str)).isin(values.index[values.std(axis=1) > 0]).to_numpy()
    return np.flatnonzero(whole)


def splits(cohort, outcome, repeats: int):
    """Five outer folds a repeat, stratified and grouped by patient."""
    from cohortium.resampling import nested

    return nested(outcome, cohort.groups(), repeats, 5, SEED)


def table(modality) -> pd.DataFrame:
    """Units x features, as numbers."""
    t = modality.as_table()
    return pd.DataFrame(np.asarray(t.values, float), index=t.units.astype(str), columns=t.features.index.astype(str))


def is_survival(outcome) -> bool:
    return outcome.endpoint.kind.value == "survival"


def last_time(cohort, outcome, repeats: int) -> float | None:
    """The time up to which concordance is measured in every fold, as in an experiment; None for classes."""
    from cohortium.experiment.plan import endpoint_plan

    return endpoint_plan(outcome, cohort.groups(), splits(cohort, outcome, repeats)).tau


def labels(outcome) -> pd.DataFrame:
    """Units x ``label``, the name of the class; or ``time`` and ``event`` (1: seen, 0: censored)."""
    index = pd.Index(outcome.units.astype(str), name="sample")
    if is_survival(outcome):
        return pd.DataFrame({"time": outcome.time, "event": outcome.event.astype(int)}, index=index)
    return pd.DataFrame({"label": np.asarray(outcome.endpoint.classes, object)[outcome.codes]}, index=index)


def covariates(cohort, train: np.ndarray) -> pd.DataFrame:
    """Units x ``<modality>:<feature>`` of narrow tables, standardised by the training rows; those constant there are left out."""
    parts = [pd.DataFrame(index=pd.Index(cohort.ids.astype(str), name="sample"))]
    for name, modality in cohort.modalities.items():
        values = table(modality).set_axis(parts[0].index)
        if values.shape[1] < NARROW:
            here = values.iloc[train]
            values = (values - here.mean()).loc[:, here.std() > 0] / here.std()[here.std() > 0]
            parts.append(values.add_prefix(f"{name}:"))
    return pd.concat(parts, axis=1)


def write_fold(folder: Path, cohort, outcome, split) -> None:
    """The fold's folder. Values and ids are kept to the last digit; test outcomes are borrowed from training rows."""
    borrowed, beside = labels(outcome.take(np.resize(split.train, len(split.test)))), covariates(cohort, split.train)
    for part, rows in (("train", split.train), ("test", split.test)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        here = cohort.take(rows)
        for name, modality in here.modalities.items():
            # No name above the features: flexynesis stumbles over an index called 'feature'.
            table(modality).T.rename_axis(index=None, columns=None).to_csv(folder / part / f"{name}.csv")
        known = labels(outcome.take(rows)) if part == "train" else borrowed.set_index(pd.Index(here.ids, name="sample"))
        known.join(beside).to_csv(folder / part / "clin.csv")


def scores(outcome, predicted: pd.DataFrame, train=None, tau: float | None = None) -> dict[str, float]:
    """Our metrics of a side's predictions: rows are samples in any order, columns ``p_<class>``, or ``risk`` (larger: sooner).

    train: outcome of the training part, for its censoring; tau: events after it do not count (survival).
    """
    from cohortium.contracts import Probabilities, Survival
    from cohortium.metrics import censoring_distribution, score

    predicted = predicted.set_axis(predicted.index.astype(str)).loc[outcome.units.astype(str)]
    if is_survival(outcome):
        risk = predicted["risk"].to_numpy(float)
        if not np.isfinite(risk).all():
            raise ValueError("a predicted risk is not a number")
        ranked = Survival(outcome.units, risk, np.ones(1), np.ones((len(risk), 1)))
        g = censoring_distribution(train)
        return {m: score(m, outcome, ranked, censoring=g, tau=tau) for m in ("harrell_c", "uno_c")}
    p = predicted[[f"p_{c}" for c in outcome.endpoint.classes]].to_numpy(float)
    made = Probabilities(outcome.units, outcome.endpoint.classes, p / p.sum(axis=1, keepdims=True))
    return {m: score(m, outcome, made) for m in ("roc_auc", "balanced_accuracy", "log_loss")}
