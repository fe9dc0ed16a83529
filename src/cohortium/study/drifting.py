"""``drift``: whether new units are like those that a run's models have seen; and the counts that are kept for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cohortium.contracts.drift import DriftResults
from cohortium.errors import DataError, RunFolderError
from cohortium.study import models, runfolder

if TYPE_CHECKING:
    from cohortium.checks.drift import Seen
    from cohortium.cohort import Cohort

FILE = "seen.safetensors"


def store(folder: Path, cohort: Cohort) -> None:
    """Write ``model/seen.safetensors``: counts, deciles and ranges by feature; of no unit."""
    import json

    from safetensors.numpy import save

    from cohortium.checks.drift import what_was_seen

    arrays, facts = {}, {}
    for k, (name, s) in enumerate(what_was_seen(cohort).items()):
        state = s.state()
        facts[name] = {"k": k, **{x: state.pop(x) for x in ("n", "units", "names")}}
        arrays |= {f"{k}/{x}": np.ascontiguousarray(v.astype(np.float64)) for x, v in state.items()}
    data = save(arrays or {"empty": np.zeros(1)}, metadata={"seen": json.dumps(facts)})
    runfolder.write_private(folder / models.FOLDER / FILE, data)


def load(folder: Path) -> dict[str, Seen]:
    """modality -> what the models of a finished run have seen. Raises :class:`RunFolderError`."""
    import json

    from safetensors import SafetensorError, safe_open

    from cohortium.checks.drift import Seen

    file = folder / models.FOLDER / FILE
    try:
        with safe_open(file, framework="numpy") as f:
            facts = json.loads(f.metadata()["seen"])
            fields = ("coded", "edges", "counts", "low", "high", "strange")
            return {
                n: Seen.restore({**x, **{y: f.get_tensor(f"{x['k']}/{y}") for y in fields}}) for n, x in facts.items()
            }
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as e:
        raise RunFolderError(f"{file} is missing or damaged. Run the study again into another folder.") from e


def outside(folder: Path, cohort: Cohort) -> list[str]:
    """Of each unit the modalities in which it is outside what the models have seen, with spaces between."""
    from cohortium.checks.drift import STRANGER, strangers

    shares = strangers(load(folder), cohort)
    return [" ".join(n for n, x in shares.items() if x[i] >= STRANGER) for i in range(len(cohort))]


def drift(run: str | Path, data: str | Path, out: str | Path | None = None) -> DriftResults:
    """How the units in ``data``, a folder laid out as the study's own, differ from those of a finished run.

    out: a CSV of every feature is written there. Raises :class:`RunFolderError`, :class:`DataError`.
    """
    from cohortium.checks.drift import drifted
    from cohortium.study.predicting import folder_of, read_new
    from cohortium.study.running import study_of

    folder = folder_of(run)
    study = study_of(folder, data)
    cohort = read_new(folder, study).cohort
    modalities, features = drifted(load(folder), cohort)
    if out is not None:
        frame = pd.DataFrame([vars(f) for f in features], columns=["modality", "feature", "psi", "p", "q"])
        try:
            runfolder.write_private(Path(out), frame.to_csv(index=False))
        except OSError as e:
            raise DataError(f"{out} cannot be written: {e.strerror}. Give a file in a folder that exists.") from e
    return DriftResults(study.spec.name, len(cohort), modalities, features, sum(map(bool, outside(folder, cohort))))
