"""One modality of any shape to and from files that other tools can read: h5ad and Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.cohort.bag import Bag
from cohortium.cohort.cells import ALL, Cells
from cohortium.cohort.events import Events
from cohortium.cohort.modality import Modality
from cohortium.cohort.table import Table
from cohortium.cohort.texts import Texts
from cohortium.errors import DataError


def write_shape(modality: Modality, folder: Path, stem: str) -> tuple[str, dict[str, Any]]:
    """Write files that begin with ``stem``; returns the main file's name and what else reading needs."""
    if isinstance(modality, Table):
        modality.to_anndata().write_h5ad(folder / f"{stem}.h5ad")
        return f"{stem}.h5ad", {}
    if isinstance(modality, Texts):
        frame = pd.DataFrame({"unit": modality.units.astype(str), "text": modality.texts.astype(str)})
        if modality.vectors is not None:
            frame["vector"] = list(modality.vectors)
        frame.to_parquet(folder / f"{stem}.parquet", index=False)
        return f"{stem}.parquet", {"keywords": {k: list(v) for k, v in modality.keywords.items()}}
    if isinstance(modality, Bag):
        of = np.repeat(modality.units.astype(str).to_numpy(object), np.diff(modality.offsets))
        table = Table(pd.Index([f"{u}_{k}" for k, u in enumerate(of)]), modality.values, modality.features)
        data = table.to_anndata()
        data.obs["unit"] = of
        data.write_h5ad(folder / f"{stem}.h5ad")
        counts = None if modality.counts is None else modality.counts.tolist()
        return f"{stem}.h5ad", {"order": list(map(str, modality.units)), "counts": counts}
    if isinstance(modality, Cells):
        return f"{stem}.h5ad", _write_cells(modality, folder / f"{stem}.h5ad")
    assert isinstance(modality, Events)
    own = modality.take(np.arange(len(modality.units)))
    events = {"owner": own.owner, "time": own.time, "code": own.vocabulary[own.code], "numeric_value": own.value}
    pd.DataFrame(events).to_parquet(folder / f"{stem}.parquet", index=False)
    seen = {"unit": own.units.astype(str), "start": own.start, "stop": own.stop, "index": own.index}
    pd.DataFrame(seen).to_parquet(folder / f"{stem}.units.parquet", index=False)
    return f"{stem}.parquet", {"windows": [None if np.isinf(w) else w for w in own.windows]}


def read_shape(folder: Path, entry: dict[str, Any]) -> Modality:
    """What :func:`write_shape` wrote. Raises :class:`DataError` when a file is missing or broken."""
    file, shape = folder / str(entry["file"]), str(entry.get("shape", "table"))
    if not file.is_file():
        raise DataError(f"{file} is missing: the stored cohort is not whole. Write the cohort again.")
    if shape not in ("table", "bag", "texts", "events", "cells"):
        raise DataError(f"{file} is said to be of shape '{shape}', which this version does not read.")
    try:
        return _read(file, shape, entry)
    except Exception as e:  # h5py, anndata and pyarrow raise many kinds; all mean that the file is not readable
        raise DataError(f"{file} is no readable {file.suffix} file of ours. Write the cohort again.") from e


def _read(file: Path, shape: str, entry: dict[str, Any]) -> Modality:
    if shape in ("table", "bag"):
        import anndata

        data = anndata.read_h5ad(file)
        table = Table.from_anndata(data)
        if shape == "table":
            return Table(unit_index(table.units), table.values, table.features, table.batches)
        units = unit_index(pd.Index(entry["order"]))
        number = data.obs["unit"].astype(str).value_counts().reindex(units).to_numpy()
        counts = None if entry.get("counts") is None else np.array(entry["counts"], dtype=np.int64)
        return Bag(
            units, table.values, np.concatenate([[0], np.cumsum(number)]).astype(np.int64), table.features, counts
        )
    if shape == "cells":
        return _read_cells(file, entry)
    frame = pd.read_parquet(file)
    if shape == "texts":
        keywords = {str(k): tuple(v) for k, v in entry.get("keywords", {}).items()}
        vectors = np.stack(list(frame["vector"])).astype(np.float32) if "vector" in frame else None
        return Texts(unit_index(pd.Index(frame["unit"])), frame["text"].to_numpy(dtype=object), keywords, vectors)
    seen = pd.read_parquet(file.with_suffix(".units.parquet"))
    vocabulary, code = np.unique(frame["code"].to_numpy(dtype=str), return_inverse=True)
    return Events(
        unit_index(pd.Index(seen["unit"])),
        vocabulary.astype(object),
        frame["owner"].to_numpy(np.int64),
        frame["time"].to_numpy(np.int64),
        code.astype(np.int32),
        frame["numeric_value"].to_numpy(np.float64),
        seen["start"].to_numpy(np.int64),
        seen["stop"].to_numpy(np.int64),
        seen["index"].to_numpy(np.int64),
        tuple(float("inf") if w is None else float(w) for w in entry["windows"]),
    )


def _write_cells(cells: Cells, file: Path) -> dict[str, Any]:
    """Pseudobulks as observations; how many cells units have of each type, and express each gene, in ``.uns``."""
    from anndata import AnnData

    of = np.repeat(cells.units.astype(str).to_numpy(object), np.diff(cells.offsets))
    types = np.append(cells.types, ALL).astype(object)[cells.type_of]
    obs = pd.DataFrame({"unit": of, "cell_type": types}, index=[f"{u} | {t}" for u, t in zip(of, types, strict=True)])
    data = AnnData(X=cells.sums.copy(), obs=obs, var=pd.DataFrame(index=pd.Index(cells.genes.astype(str))))
    for name in ("n_cells", "n_of_type", "expressing", "offsets", "type_of"):
        data.uns[name] = getattr(cells, name)
    data.write_h5ad(file)
    settings = {"types": list(map(str, cells.types)), "counts": cells.counts, "most": cells.most}
    return {"order": list(map(str, cells.units)), **settings}


def _read_cells(file: Path, entry: dict[str, Any]) -> Cells:
    import anndata

    data = anndata.read_h5ad(file)
    types = np.array(entry["types"], dtype=object)
    return Cells(
        unit_index(pd.Index(entry["order"], dtype=object)),
        data.var_names.astype(str).to_numpy(dtype=object),
        types,
        np.asarray(data.uns["n_cells"], dtype=np.int64),
        np.asarray(data.uns["n_of_type"], dtype=np.int64).reshape(len(entry["order"]), len(types)),
        np.asarray(data.uns["expressing"], dtype=np.int32),
        np.asarray(data.X, dtype=np.float32),
        np.asarray(data.uns["offsets"], dtype=np.int64),
        np.asarray(data.uns["type_of"], dtype=np.int64),
        bool(entry["counts"]),
        int(entry["most"]),
    )


def unit_index(units: pd.Index) -> pd.Index:
    """Unit ids as texts, in an index of the right name."""
    named: pd.Index = pd.Index(units.astype(str), dtype=object, name="unit")
    return named
