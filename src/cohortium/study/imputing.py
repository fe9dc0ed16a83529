"""``impute``: a modality predicted for the units that lack it, scored where it was hidden on purpose."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.errors import DataError, StudyError, did_you_mean
from cohortium.schema.joint import IMPUTED
from cohortium.study.load import Study, load_study
from cohortium.study.outfolder import free_folder, whole_folder
from cohortium.study.representing import network_settings, settings_of

if TYPE_CHECKING:
    from cohortium.cohort import Cohort
    from cohortium.experiment import Progress
    from cohortium.joint.imputing import Imputer, Method

BASELINES = ("mean", "knn", "ridge")
METHODS = ("factors", "vae", "ridge", "knn", "mean")
AGAINST = "ridge"
FEWEST = 20
"""Units with the target (and patients, by half) without which nothing is learned."""

TAKEN = {"unit", *IMPUTED}
MARK, DESCRIPTION = "cohortium_imputation", "imputation.json"
WHAT = "predicted, not measured: do not use as measurements, and not in a study that tests how well anything predicts"


@dataclass(frozen=True, eq=False)
class Imputation:
    """scores: a row for each method; features: a row for each method and feature (:mod:`cohortium.experiment.imputing`).

    values, sd, low, high: units that lack the target × its features, in their own units (levels: probabilities), None
    when nobody lacks it: value is the median, low and high the ends of the 90% interval, sd half its width divided by 1.645. frames are
    indexed by unit, with columns ``imputed`` (True everywhere) and ``imputed_from`` (the modalities a row was predicted
    from) before the features. notes: what should be known.
    """

    target: str
    method: str
    scores: pd.DataFrame
    features: pd.DataFrame
    values: pd.DataFrame | None
    sd: pd.DataFrame | None
    low: pd.DataFrame | None
    high: pd.DataFrame | None
    notes: tuple[str, ...] = ()


def impute(
    study: Study | str | Path,
    target: str,
    out: str | Path | None = None,
    *,
    method: str = "factors",
    folds: int = 5,
    csv: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Imputation:
    """Predict a modality of shape table for the units that lack it, from the modalities they have.

    First the target is hidden in ``folds`` folds of the units that have it, patients together, and predicted by the method and
    by the baselines: mean, nearest neighbours, ridge. Then the method is fitted on everyone. No outcome is looked at.
    method: ``factors``, ``vae``, ``ridge``, ``knn`` or ``mean``; nothing is chosen for you. out: a new folder for the tables
    (Parquet, or CSV with ``csv``), whole or not at all. jobs: processes; results do not depend on it.

    Raises :class:`StudyError` for a target that is no table of the study, :class:`DataError` for too few units.
    """
    from cohortium.experiment import ProgressEvent
    from cohortium.experiment.progress import silent
    from cohortium.study.data import read_study

    tell = progress or silent
    study = study if isinstance(study, Study) else load_study(study)
    if method not in METHODS:
        raise StudyError(f"No method called '{method}'.{did_you_mean(method, METHODS)}")
    _check_declared(study, target)
    folder = None if out is None else free_folder(Path(out), _ours)
    tell(ProgressEvent("read", 0, 1))
    cohort = read_study(study).cohort
    tell(ProgressEvent("read", 1, 1))
    groups = _groups(study, cohort)
    _check(study, cohort, groups, target)
    methods = _methods(study, cohort, method)
    scores, features, made, notes = _work(study, cohort, groups, target, method, methods, folds, jobs, tell)
    values, sd, low, high = made
    found = Imputation(target, method, scores, features, values, sd, low, high, notes)
    if folder is not None:
        _write(found, folder, study, csv)
    return found


def _check_declared(study: Study, target: str) -> None:
    modalities = study.spec.cohort.modalities
    if target not in modalities:
        raise StudyError(f"No modality called '{target}' in {study.path.name}.{did_you_mean(target, modalities)}")
    if len(modalities) < 2:
        raise StudyError(f"{study.path.name} has one modality: there is nothing to predict '{target}' from.")


def _check(study: Study, cohort: Cohort, groups: NDArray[np.int64], target: str) -> None:
    from cohortium.cohort import Table

    data = cohort.modalities[target]
    if not isinstance(data, Table):
        tables = [n for n, m in cohort.modalities.items() if isinstance(m, Table)]
        known = f" Tables of this study: {', '.join(tables)}." if tables else ""
        raise StudyError(f"'{target}' is of shape {data.shape}; only a modality of shape table can be imputed.{known}")
    n, have = len(data.units), cohort.presence()
    if not n:
        raise DataError(f"No unit has '{target}': there is nothing to learn from. Is its id column the units'?")
    patients = len(np.unique(groups[have[target].to_numpy(bool)]))
    if n < FEWEST or patients < FEWEST // 2:
        raise DataError(f"Only {n} units of {patients} patients have '{target}'; {FEWEST} are needed to learn from.")
    others = have.drop(columns=target).any(axis=1) & have[target]
    if others.sum() < FEWEST:
        raise DataError(
            f"Of {n} units that have '{target}' only {int(others.sum())} have another modality; {FEWEST} are needed. "
            "Do the ids of the modalities match?"
        )
    varies = np.nanmax(np.where(np.isnan(data.values), -np.inf, data.values), axis=0) > np.nanmin(
        np.where(np.isnan(data.values), np.inf, data.values), axis=0
    )
    if not varies.any():
        raise DataError(f"No feature of '{target}' varies: there is nothing to predict.")


def _groups(study: Study, cohort: Cohort) -> NDArray[np.int64]:
    """Codes of what stays in one fold: patients, joined with the design's groups."""
    from cohortium.study.plan import linked_groups

    column = "group" if study.spec.design.groups is not None and "group" in cohort.units else None
    labels = None if column is None else cohort.units[column]
    return linked_groups(cohort.units["patient"], labels)


def _methods(study: Study, cohort: Cohort, method: str) -> dict[str, Method]:
    from cohortium.joint import imputing, weightings

    size = settings_of(study, "factors").size
    known: dict[str, Method] = {
        "mean": imputing.Among((imputing.fit_mean,)),
        "knn": imputing.Among((imputing.fit_neighbours,)),
        "ridge": imputing.Among((imputing.fit_ridge_imputer,)),
        "factors": imputing.Among(tuple(imputing.fit_factor_imputer(size, cap) for cap in weightings(cohort))),
    }
    if method == "vae":
        settings = network_settings(study, "vae")
        from cohortium.joint.vae_training import VaeMethod

        known["vae"] = VaeMethod(settings)
    return {name: known[name] for name in (*BASELINES, method)}


def _work(
    study: Study, cohort: Cohort, groups: NDArray[np.int64], target: str, method: str, methods: Mapping[str, Method],
    folds: int, jobs: int | None, tell: Progress,
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[pd.DataFrame | None, ...], tuple[str, ...]]:  # fmt: skip
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits

    from cohortium.experiment import ProgressEvent, imputing
    from cohortium.experiment.run import cores
    from cohortium.joint.imputing import Target

    have, seed = cohort.presence()[target].to_numpy(bool), study.spec.seed
    fold = imputing.deal_hidden(have, groups, folds, seed)
    parts = [k for k in range(int(fold.max()) + 1) if (have & (fold == k)).any()]
    tell(ProgressEvent("folds", 0, len(parts) + 1))
    pool = Parallel(min(jobs or cores(), len(parts)), return_as="generator")
    done = []
    args = (cohort, groups, fold)
    for found in pool(delayed(imputing.score_fold)(*args, k, target, methods, seed) for k in parts):
        done.append(found)
        tell(ProgressEvent("folds", len(done), len(parts) + 1))
    with threadpool_limits(limits=1):
        own = Target.fit(cohort, target)
        names = list(own.encoder.names_)
        table = cohort.modalities[target]
        labels, coded = _labels(own.encoder, table.features)
        features = imputing.scores_by_feature(done, names, {n for n, c in zip(names, coded, strict=True) if c})
        scores = imputing.summary(done, features, names, AGAINST)
        features["feature"] = features["feature"].map(dict(zip(names, labels, strict=True)))
        made: tuple[pd.DataFrame | None, ...] = (None,) * 4
        if not have.all():
            scale = imputing.final_scale(done, method, names)
            fitted = methods[method].fit(cohort, target, seed, imputing.picked_most(done, method))
            made = _predict(cohort, target, fitted, scale, own, labels, coded)
    tell(ProgressEvent("folds", len(parts) + 1, len(parts) + 1))
    return scores, features, made, _notes(cohort, target, have, names, coded)


def _labels(encoder: Any, declared: pd.DataFrame) -> tuple[list[str], NDArray[np.bool_]]:
    """Names of the encoded features, a binary one with its second level, and which of them are 0 or 1."""
    inner = getattr(encoder, "encoder_", encoder)
    names, coded = [], inner.level_ >= 0
    for k, (name, source) in enumerate(zip(inner.names_, inner.source_, strict=True)):
        levels = declared["levels"].iloc[source]
        if inner.level_[k] < 0 and declared["kind"].iloc[source] == "binary":
            coded = coded | (np.arange(len(coded)) == k)
            name = f"{name}={levels[1]}" if levels is not None and len(levels) > 1 else name
        names.append(f"{name} (feature)" if str(name) in TAKEN else str(name))
    return names, coded


def _predict(
    cohort: Cohort,
    target: str,
    fitted: Imputer,
    scale: NDArray[np.float64],
    own: Any,
    labels: list[str],
    coded: Any,
) -> tuple[pd.DataFrame, ...]:
    """value, sd, low, high of the units that lack the target, in the units of its features."""
    from cohortium.joint.imputing import NORMAL, hidden

    lacks = cohort.take(np.flatnonzero(~cohort.presence()[target].to_numpy(bool)))
    blind = hidden(lacks, target)
    value, sd = fitted.predict(blind)
    inner, weight = getattr(own.encoder, "encoder_", own.encoder), getattr(own.encoder, "weight_", 1.0)
    ends = {}
    for name, z in (("value", value), ("low", value - NORMAL * sd * scale), ("high", value + NORMAL * sd * scale)):
        x = inner.decode(z / weight)
        x[:, coded] = np.clip(x[:, coded], 0.0, 1.0)
        ends[name] = x
    ends["sd"] = (ends["high"] - ends["low"]) / (2 * NORMAL)
    have = blind.presence()
    source = [" ".join(n for n, x in zip(have.columns, row, strict=True) if x) for row in have.to_numpy(bool)]
    first = {"imputed": True, "imputed_from": source}
    index = pd.Index(lacks.ids.astype(str), name="unit")
    return tuple(
        pd.concat([pd.DataFrame(first, index=index), pd.DataFrame(ends[k], index=index, columns=labels)], axis=1)
        for k in ("value", "sd", "low", "high")
    )


def _notes(cohort: Cohort, target: str, have: Any, names: list[str], coded: NDArray[np.bool_]) -> tuple[str, ...]:
    out = []
    missing = int((~have).sum())
    nothing = int((~cohort.presence().any(axis=1)).sum())
    if not missing:
        out.append(f"every unit has '{target}': nothing was imputed")
    if nothing:
        out.append(f"{nothing} units have no modality at all: they are given the mean, with all its uncertainty")
    left_out = cohort.modalities[target].n_features - len({str(n).split("=")[0] for n in names})
    if left_out > 0:
        out.append(f"{left_out} features of '{target}' do not vary or are no numbers, and were left out")
    if coded.any():
        out.append("levels are given as probabilities; coverage is that of the other features")
    return tuple(out)


def _ours(folder: Path) -> bool:
    try:
        return MARK in json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def _write(found: Imputation, folder: Path, study: Study, csv: bool) -> None:
    """All files into a hidden folder beside, which then takes the place of ``folder``."""
    import cohortium
    from cohortium.study.runfolder import write_json, write_private

    with whole_folder(folder) as part:
        for name in ("values", "sd", "low", "high"):
            frame = getattr(found, name)
            if frame is not None:
                write_private(part / f"{name}.{'csv' if csv else 'parquet'}", _bytes(frame.reset_index(), csv))
        for name in ("scores", "features"):
            write_private(part / f"{name}.csv", getattr(found, name).to_csv(index=False, float_format="%.6g"))
        facts = {
            MARK: 1, "study": study.spec.name, "target": found.target, "method": found.method, "values": WHAT,
            "interval": "90%, low to high", "n_imputed": 0 if found.values is None else len(found.values),
            "notes": list(found.notes), "seed": study.spec.seed, "version": cohortium.__version__,
        }  # fmt: skip
        write_json(part / DESCRIPTION, facts)


def _bytes(frame: pd.DataFrame, csv: bool) -> bytes:
    if csv:
        return frame.to_csv(index=False, float_format="%.6g").encode()
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()
