"""``embed``: one vector for every unit from whatever modalities it has, as an h5ad file that other tools open."""

from __future__ import annotations

import os
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.errors import DataError, StudyError, did_you_mean
from cohortium.study.load import Study, load_study
from cohortium.study.representing import METHODS, fit_representation

if TYPE_CHECKING:
    from anndata import AnnData

    from cohortium.cohort import Cohort
    from cohortium.experiment import Progress
    from cohortium.joint import Joint


def embed(
    study: Study | str | Path,
    out: str | Path | None = None,
    *,
    method: str = "factors",
    train_only: bool = False,
    progress: Progress | None = None,
) -> AnnData:
    """A joint representation of every unit of the study's unit table, with or without outcomes, which it never sees.

    method: a representation; its settings are those of the study's ``joint`` entry of that model, where there is one.
    train_only: fit on the training part of the study's only split (``fixed_test``, ``temporal`` with ``test_from``), so that
    tested units do not shape it. out: also written there, whole or not at all, private to its owner.

    Returns units × latent variables: ``.X`` and ``.obsm["X_joint"]`` posterior means, ``.obsm["X_joint_sd"]`` their standard
    deviations, ``.obsm["X_<modality>"]`` the means given that modality alone (NaN for units without it);
    ``.obs`` site and batch, ``has_<modality>``, ``n_modalities`` and ``fitted``; ``.var`` the share of each modality's
    variance that a variable explains; ``.uns["loadings"]`` features × variables; ``.uns["cohortium"]`` how it was made.
    A unit without any modality stands at the prior: 0, with standard deviation 1.

    Raises :class:`StudyError` and :class:`DataError`.
    """
    from cohortium.experiment import ProgressEvent
    from cohortium.experiment.progress import silent
    from cohortium.study.data import read_study

    tell = progress or silent
    study = study if isinstance(study, Study) else load_study(study)
    if method not in METHODS:
        raise StudyError(f"No method called '{method}'.{did_you_mean(method, METHODS)}")
    file = None if out is None else writable(Path(out))
    tell(ProgressEvent("read", 0, 1))
    rows, data = (None, None) if not train_only else _training(study)
    cohort = read_study(study).cohort if data is None else data.read.cohort
    tell(ProgressEvent("read", 1, 1))
    fitted = np.ones(len(cohort), dtype=bool)
    if rows is not None:
        fitted = np.isin(cohort.ids, rows)
    joint, chosen = fit_representation(study, cohort.take(np.flatnonzero(fitted)), method, tell)
    made = _anndata(cohort, joint, fitted)
    made.uns["cohortium"] = _facts(study, method, cohort, fitted) | chosen
    if file is not None:
        _write(made, file)
    return made


def writable(file: Path) -> Path:
    """The file itself, when it can be written. Raises :class:`DataError` or :class:`RunFolderError` before any work is done."""
    from cohortium.study.runfolder import try_writing

    folder = file.parent
    if file.is_dir() or not folder.is_dir():
        what = "is a folder" if file.is_dir() else "is in a folder that does not exist"
        raise DataError(f"{file} {what}. Give a file in a folder that exists.")
    try_writing(folder, file)
    return file


def _training(study: Study) -> tuple[NDArray[np.object_], Any]:
    """Ids of the training part of the primary endpoint's only split, and the data."""
    from cohortium.study.data import load_data
    from cohortium.study.plan import groups_of, outer_splits

    data, name = load_data(study), study.spec.primary_name
    outcome = data.outcomes[name]
    splits = outer_splits(study, data, name, outcome, groups_of(study, data, outcome))[0]
    if len(splits) != 1:
        raise StudyError(
            f"{study.path.name} tests in {len(splits)} folds, so no unit is for training only. Leave --train-only out, or "
            "give evaluation one split: design fixed_test, or temporal with test_from."
        )
    return outcome.units[splits[0].train], data


def _anndata(cohort: Cohort, joint: Joint, fitted: NDArray[np.bool_]) -> AnnData:
    from anndata import AnnData

    found = joint.embed(cohort)
    have = cohort.presence()
    obs = pd.DataFrame(index=pd.Index(cohort.ids.astype(str), name=None))
    if (cohort.units["patient"].astype(str).to_numpy() != cohort.ids.astype(str)).any():
        obs["patient"] = cohort.units["patient"].astype(str).to_numpy()
    for column in ("site", "batch"):
        if column in cohort.units:
            texts = cohort.units[column].map(lambda v: None if pd.isna(v) else str(v))
            obs[column] = pd.Categorical(texts.to_numpy(dtype=object))
    for name in have.columns:
        obs[f"has_{_key(name)}"] = have[name].to_numpy(bool)
    obs["n_modalities"] = have.sum(axis=1).to_numpy(np.int64)
    obs["fitted"] = fitted
    var = pd.DataFrame(index=[f"joint_{k + 1}" for k in range(joint.size)])
    for name, share in zip(joint.names, joint.explained, strict=True):
        var[f"explained_{_key(name)}"] = share
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of anndata, on names
        made = AnnData(X=found.mean.astype(np.float32), obs=obs, var=var)
    made.obsm["X_joint"] = found.mean.astype(np.float32)
    made.obsm["X_joint_sd"] = found.sd.astype(np.float32)
    for name in joint.names:
        alone = joint.embed(cohort.only([name]))
        alone.mean[~alone.known] = np.nan
        made.obsm[f"X_{_key(name)}"] = alone.mean.astype(np.float32)
    made.uns["loadings"] = {
        _key(name): pd.DataFrame(w, index=pd.Index(encoder.names_.astype(str)), columns=var.index)
        for name, encoder, w in zip(joint.names, joint.encoders, joint.loadings, strict=True)
    }
    return made


def _key(name: str) -> str:
    """A modality's name as HDF5 takes it."""
    return name.replace("/", "_")


def _facts(study: Study, method: str, cohort: Cohort, fitted: NDArray[np.bool_]) -> dict[str, Any]:
    import cohortium

    everyone = bool(fitted.all())
    note = (
        "fitted on all units of the study: a model tested on some of them may not use it as input"
        if everyone
        else "fitted on the training part of the study's split: units with fitted = False did not shape it"
    )
    return {
        "study": study.spec.name,
        "method": method,
        "fitted_on": "everyone" if everyone else "training part",
        "n_fitted": int(fitted.sum()),
        "n_without_any_modality": int((~cohort.presence().any(axis=1)).sum()),
        "note": note,
        "outcomes": "none seen, none written",
        "version": cohortium.__version__,
    }


def _write(made: AnnData, file: Path) -> None:
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".part.h5ad")
    os.close(handle)  # made by mkstemp for its owner only
    try:
        made.write_h5ad(Path(temporary))
        Path(temporary).replace(file)
    except OSError as e:
        raise DataError(f"{file} cannot be written: {e.strerror or e}. Give a file in a folder with room.") from e
    finally:
        Path(temporary).unlink(missing_ok=True)
