"""The map of patients that the report shows where a study lists a joint representation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cohortium.errors import DataError
from cohortium.study.load import Study
from cohortium.study.representing import FEWEST, METHODS, fit_representation
from cohortium.study.runfolder import write_private

if TYPE_CHECKING:
    from cohortium.cohort import Cohort

FILE = "map.parquet"


def write_map(study: Study, cohort: Cohort, key: pd.DataFrame, folder: Path, tell: Any) -> None:
    """``map.parquet``: pseudonym, ``x`` and ``y``, ``n_modalities``, for the units that have any modality.

    The representation is that of the study's first ``joint`` entry, fitted on everyone without outcomes: for looking, not for
    judging. The axes are its two leading directions. Nothing is written where too few units are known.
    """
    known = cohort.presence().any(axis=1).to_numpy()
    if not study.spec.joint or known.sum() < FEWEST:
        return
    model = study.spec.joint[0].model
    model = model if model in METHODS else "factors"
    try:
        joint, _ = fit_representation(study, cohort, model, tell)
    except DataError:
        return  # a picture that cannot be drawn is no reason to lose the fits of a whole run
    z = joint.embed(cohort).mean[known]
    z = z - z.mean(axis=0)
    _, s, vt = np.linalg.svd(z, full_matrices=False)
    axes = vt[:2] * np.where(vt[:2][np.arange(len(vt[:2])), np.abs(vt[:2]).argmax(axis=1)] < 0, -1.0, 1.0)[:, None]
    at = np.zeros((len(z), 2))
    at[:, : len(axes)] = z @ axes.T
    share = np.square(s[:2]) / max(float(np.square(s).sum()), 1e-300)
    frame = pd.DataFrame(
        {
            "unit": key["unit"].to_numpy()[known],
            "x": at[:, 0],
            "y": at[:, 1],
            "n_modalities": cohort.presence().to_numpy()[known].sum(axis=1).astype(np.int64),
        }
    ).sort_values("unit")
    frame.attrs = {"model": model, "size": joint.size, "share": [round(float(v), 4) for v in share]}
    _write(frame, folder / FILE)


def _write(frame: pd.DataFrame, file: Path) -> None:
    import io

    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, compression="zstd")
    write_private(file, buffer.getvalue())
