"""A cohort on disk and as MuData.

On disk: a folder with ``cohort.json`` (what is where), ``units.parquet``, ``presence.parquet`` (units × modalities,
why a unit lacks one) and one ``.h5ad`` per modality, all readable without us.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cohortium.cohort.cohort import Cohort
from cohortium.cohort.modality import Modality
from cohortium.cohort.shapes import read_shape, unit_index, write_shape
from cohortium.cohort.table import Table
from cohortium.errors import DataError, did_you_mean
from cohortium.schema import Presence

if TYPE_CHECKING:
    from mudata import MuData

MARK = "cohortium_cohort"
FORMAT = 1
DESCRIPTION, UNITS, PRESENCE = "cohort.json", "units.parquet", "presence.parquet"


def write_cohort(cohort: Cohort, folder: Path) -> None:
    """Write a cohort into a new folder, whole or not at all, readable by its owner only.

    folder: must not exist, or be empty, or hold a stored cohort, which is replaced. Raises :class:`DataError`.
    """
    if folder.exists():
        ours = folder.is_dir() and (not any(folder.iterdir()) or _is_ours(folder))
        if not ours:
            raise DataError(f"{folder} is there already and holds no stored cohort. Give another folder.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Only its owner can enter a folder of mkdtemp.
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    except OSError as e:
        raise DataError(f"{folder} cannot be written: {e.strerror}. Give a folder that can.") from e
    try:
        _write(cohort, part)
        for file in part.iterdir():
            os.chmod(file, 0o600)  # noqa: PTH101
        if folder.exists():
            # Until the new one stands in its place the old one is only put aside.
            old = part.with_suffix(".old")
            folder.replace(old)
            part.replace(folder)
            shutil.rmtree(old)
        else:
            part.replace(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def read_stored_cohort(folder: Path) -> Cohort:
    """The cohort that :func:`write_cohort` wrote. Raises :class:`DataError` when it is missing, unfinished or broken."""
    if not folder.is_dir():
        near = [p.name for p in folder.parent.iterdir() if p.is_dir()] if folder.parent.is_dir() else []
        raise DataError(f"No folder {folder}.{did_you_mean(folder.name, near)}")
    description = _description(folder)
    units = _parquet(folder, UNITS)
    units.index = pd.Index(units.index.astype(str), dtype=object, name="unit")
    absent = _parquet(folder, PRESENCE)
    absent.index = units.index
    modalities = {str(e["name"]): _ordered(read_shape(folder, e), units.index) for e in description["modalities"]}
    try:
        return Cohort(units, modalities, absent)
    except ValueError as e:
        raise DataError(f"The files in {folder} do not belong together: {e}. Write the cohort again.") from e


def to_mudata(cohort: Cohort) -> MuData:
    """As MuData: one AnnData per modality, units as observations.

    The unit table, in the cohort's order and with the units that have no modality, and the reasons for absence are
    in ``.uns["cohortium"]``; the unit table's columns also in ``.obs``.
    """
    import mudata

    units, dates = _plain(cohort.units)
    parts = {name: modality.as_table().to_anndata() for name, modality in cohort.modalities.items()}
    with warnings.catch_warnings(), mudata.set_options(pull_on_update=False):
        # Features of two modalities may share a name; within one they do not.
        warnings.simplefilter("ignore", UserWarning)
        data = mudata.MuData(parts)
    for column in units.columns:
        data.obs[column] = units[column].reindex(data.obs_names).to_numpy()
    data.uns["cohortium"] = {
        "format": FORMAT,
        "units": units,
        "absent": cohort.absent.astype(str),
        "dates": json.dumps(dates),
        "modalities": json.dumps(list(cohort.modalities)),
    }
    return data


def from_mudata(data: MuData) -> Cohort:
    """From MuData with units as observations, ours or another's.

    Another's: units are all observations; a column ``patient`` of ``.obs`` says whose they are, else each is its own
    patient; columns ``site``, ``batch``, ``index_time``, ``weight`` and ``group`` are kept. Ours, filtered since: the
    observations that are left. Raises :class:`DataError`.
    """
    if not data.obs_names.is_unique:
        raise DataError("The MuData object has two observations of one name; units need unique ids.")
    stored = data.uns.get("cohortium")
    units = _other_units(data)
    absent = pd.DataFrame(index=units.index)
    if stored is not None:
        units, absent = _own_units(data, stored)
    names = json.loads(str(stored["modalities"])) if stored is not None else list(data.mod)
    tables = {str(n): _ordered(_of_mudata(data.mod[n]), units.index) for n in names if n in data.mod}
    return Cohort(units, tables, absent)


def _write(cohort: Cohort, folder: Path) -> None:
    entries: list[dict[str, Any]] = []
    for k, (name, modality) in enumerate(cohort.modalities.items()):
        # A modality may be called anything; a file may not.
        stem = f"{k + 1:03d}_{re.sub(r'[^A-Za-z0-9_-]', '_', name)[:60]}"
        file, facts = write_shape(modality, folder, stem)
        entry = {"name": name, "file": file, "shape": modality.shape, "units": len(modality.units)}
        entries.append(entry | {"features": modality.n_features} | facts)
    cohort.units.to_parquet(folder / UNITS)
    cohort.absent.astype(str).to_parquet(folder / PRESENCE)
    description = {MARK: FORMAT, "units": len(cohort), "patients": cohort.n_patients, "modalities": entries}
    text = json.dumps(description, indent=1, ensure_ascii=False) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")


def _is_ours(folder: Path) -> bool:
    try:
        _description(folder)
    except DataError:
        return False
    return True


def _description(folder: Path) -> dict[str, Any]:
    file = folder / DESCRIPTION
    if not file.is_file():
        raise DataError(f"{folder} holds no stored cohort: there is no {DESCRIPTION}.")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise DataError(f"{file} cannot be read as JSON. Write the cohort again.") from e
    if not isinstance(found, dict) or not isinstance(found.get(MARK), int):
        raise DataError(f"{file} is no description of a stored cohort.")
    if found[MARK] > FORMAT:
        raise DataError(
            f"{file} is of format {found[MARK]}; this version of cohortium reads up to {FORMAT}. Take a newer version."
        )
    return found


def _present(folder: Path, name: str) -> Path:
    file = folder / name
    if not file.is_file() or file.parent != folder:
        raise DataError(f"{folder} is not whole: {name} is missing. Write the cohort again.")
    return file


def _parquet(folder: Path, name: str) -> pd.DataFrame:
    file = _present(folder, name)
    try:
        return pd.read_parquet(file)
    except Exception as e:  # pyarrow raises its own many kinds; all mean that the file is not readable
        raise DataError(f"{file} is no readable Parquet file. Write the cohort again.") from e


def _of_mudata(data: Any) -> Table:
    table = Table.from_anndata(data)
    return Table(unit_index(table.units), table.values, table.features, table.batches)


def _ordered(modality: Modality, units: pd.Index) -> Modality:
    """The modality in the order of the units."""
    if (units.get_indexer(modality.units) < 0).any():
        raise DataError(
            f"A modality has units that {UNITS} does not have: it is another cohort's. Write the cohort again."
        )
    at = modality.units.get_indexer(units)
    return modality.take(np.asarray(at[at >= 0], dtype=np.intp))


def _plain(units: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The unit table in types that HDF5 files take, and the columns that were dates."""
    plain, dates = units.copy(), []
    for column in plain.columns:
        if pd.api.types.is_datetime64_any_dtype(plain[column].dtype):
            dates.append(str(column))
            plain[column] = plain[column].map(lambda t: None if pd.isna(t) else t.isoformat()).astype(object)
        if pd.api.types.is_object_dtype(plain[column].dtype):
            plain[column] = pd.Categorical(plain[column].map(lambda v: None if pd.isna(v) else str(v)))
    return plain, dates


def _own_units(data: MuData, stored: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    units, absent = pd.DataFrame(stored["units"]).copy(), pd.DataFrame(stored["absent"]).copy()
    for column in units.columns:
        if isinstance(units[column].dtype, pd.CategoricalDtype):
            texts = units[column].astype(object)
            units[column] = texts.where(texts.notna(), None)
    for column in json.loads(str(stored["dates"])):
        units[column] = pd.to_datetime(units[column], format="ISO8601")
    absent = absent.astype(str).astype(object)
    units.index = absent.index = unit_index(units.index)
    had = absent.index[(absent == Presence.PRESENT.value).any(axis=1)]
    if set(had) != set(data.obs_names):
        # Somebody has filtered it: who is left is what the object says.
        keep = units.index.isin(data.obs_names)
        units, absent = units[keep], absent[keep]
        if len(units) < data.n_obs:
            raise DataError("The MuData object has observations that its stored unit table does not have.")
    return units, absent


def _other_units(data: MuData) -> pd.DataFrame:
    index = unit_index(data.obs_names)
    units = pd.DataFrame(index=index)
    has = "patient" in data.obs
    if has and data.obs["patient"].isna().any():
        raise DataError("The column 'patient' of .obs is empty for some observations.")
    units["patient"] = data.obs["patient"].astype(str).to_numpy(dtype=object) if has else index.to_numpy(dtype=object)
    for column in ("site", "batch", "index_time", "weight", "group"):
        if column in data.obs:
            values = data.obs[column]
            categories = isinstance(values.dtype, pd.CategoricalDtype)
            units[column] = values.astype(object).to_numpy() if categories else values.to_numpy()
    return units
