"""One file -> row labels and a frame of columns, whatever the format."""

from __future__ import annotations

import gzip
import lzma
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.errors import DataError, did_you_mean
from cohortium.schema.declare import FileSource
from cohortium.sources.delimited import as_text, ids_beside, read_text
from cohortium.sources.packed import check_bytes, check_h5, check_workbook, nbytes, npy_header, npz_arrays
from cohortium.sources.raw import Raw, filtered, id_column, named, split_ids, unique_columns

_ENDINGS = {
    ".csv": "csv", ".txt": "csv", ".tsv": "tsv", ".tab": "tsv", ".parquet": "parquet", ".pq": "parquet", ".xlsx": "excel",
    ".xls": "excel", ".npz": "npz", ".npy": "npy", ".h5ad": "h5ad", ".h5mu": "h5mu",
}  # fmt: skip
READABLE = tuple(_ENDINGS)


def format_of(path: Path, declared: str = "auto") -> str:
    """Format by declaration, else by the name's ending (``.gz`` and ``.xz`` are looked through)."""
    if declared != "auto":
        return declared
    endings = [s.lower() for s in path.suffixes]
    if endings and endings[-1] in (".gz", ".xz"):
        endings.pop()
    if endings and endings[-1] in _ENDINGS:
        return _ENDINGS[endings[-1]]
    raise DataError(
        f"{path.name}: the format is not known from the name. Say format: csv, tsv, parquet, excel, npz, npy, h5ad or h5mu."
    )


def find(root: Path, file: str) -> Path:
    """The file's path. Raises DataError naming the nearest file that exists."""
    path = root / file
    if not path.exists():
        folder = path.parent
        known = [p.name for p in sorted(folder.iterdir()) if p.is_file()] if folder.is_dir() else []
        where = f" in {folder}" if folder.is_dir() else f": the folder {folder} does not exist"
        raise DataError(f"No file '{Path(file).name}'{where}.{did_you_mean(Path(file).name, known)}")
    if path.is_dir():
        raise DataError(f"'{file}' is a folder; expected a file.")
    if path.stat().st_size == 0:
        raise DataError(f"{path.name} is empty (0 bytes).")
    return path


def read_raw(root: Path, source: FileSource, default_id: str | None) -> Raw:
    """Read a file.

    default_id: name of the unit table's id column, used when the source names none and the file has it;
    otherwise the first column holds the ids. Raises :class:`DataError`.
    """
    path = find(root, source.file)
    kind = format_of(path, source.format)
    readers = {"parquet": _parquet, "excel": _excel, "npz": _npz, "npy": _npy, "h5ad": _h5ad, "h5mu": _h5mu}
    try:
        if kind in ("csv", "tsv"):
            raw = read_text(path, source, default_id, kind)
        else:
            raw = readers[kind](path, source, default_id)
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as e:
        raise DataError(f"{path.name} is truncated or no valid compressed file. Copy it again from its source.") from e
    except OSError as e:
        raise DataError(f"{path.name} cannot be read: {e.strerror or 'the system refused'}.") from e
    if not len(raw.frame):
        raise DataError(f"{path.name} has a header and no rows.")
    return filtered(raw, source.where)


def _parquet(path: Path, source: FileSource, default_id: str | None) -> Raw:
    try:
        _not_too_large(path)
        frame = pd.read_parquet(path)
    except DataError:
        raise
    except Exception as e:  # pyarrow raises its own many kinds; all mean that the file is not readable
        raise DataError(f"{path.name} is no readable Parquet file. Copy it again from its source.") from e
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index(drop=frame.index.name in frame.columns)
    frame.columns = pd.Index(named(list(frame.columns)))
    if not len(frame.columns):
        raise DataError(f"{path.name} has no columns.")
    unique_columns(path, list(frame.columns))
    for c in frame.columns[[isinstance(t, pd.CategoricalDtype) for t in frame.dtypes]]:
        frame[c] = frame[c].astype(object)
    return split_ids(path, frame, id_column(path, list(frame.columns), source.id, default_id))


def _not_too_large(path: Path) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as f:
        check_bytes(path.name, 8 * f.metadata.num_rows * f.metadata.num_columns)


def _excel(path: Path, source: FileSource, default_id: str | None) -> Raw:
    if path.suffix.lower() == ".xls":
        raise DataError(f"{path.name} is an Excel file of before 2007, which is not read. Save it as .xlsx or .csv.")
    try:
        check_workbook(path)
        with pd.ExcelFile(path) as book:
            names = list(map(str, book.sheet_names))
            if source.sheet is not None and source.sheet not in names:
                raise DataError(f"{path.name} has no sheet '{source.sheet}'.{did_you_mean(source.sheet, names)}")
            sheet = source.sheet or names[0]
            top = book.parse(sheet, header=None, nrows=1)
            if top.empty:
                raise DataError(f"{path.name}: the sheet '{sheet}' is empty.")
            header = named(list(top.iloc[0]))
            unique_columns(path, header)
            id_name = id_column(path, header, source.id, default_id)
            frame = book.parse(sheet, header=0, names=header, na_values=source.na_values, dtype={id_name: object})
    except DataError:
        raise
    except Exception as e:  # openpyxl and zipfile raise many kinds; all mean that the file is not readable
        raise DataError(f"{path.name} is no readable Excel file. Open it, save it again as .xlsx or .csv.") from e
    ids = frame[id_name].map(lambda v: str(int(v)) if isinstance(v, float) and v.is_integer() else v)
    frame[id_name] = ids.map(lambda v: None if pd.isna(v) else str(v)).astype(object)
    return split_ids(path, frame, id_name)


def _npz(path: Path, source: FileSource, default_id: str | None) -> Raw:
    check_bytes(f"{path.name}: its arrays", sum(nbytes(*a) for a in npz_arrays(path).values()))
    try:
        with np.load(path, allow_pickle=False) as z:
            arrays = {k: z[k] for k in z.files}
    except Exception as e:  # numpy and zipfile raise many kinds; all mean that the file is not readable
        raise DataError(f"{path.name} is no readable .npz file, or it holds Python objects, which are not read.") from e
    body = next((k for k in ("X", "x", "data", "values") if k in arrays and arrays[k].ndim == 2), None)
    if body is not None and "ids" in arrays:
        x, ids = arrays[body], as_text(arrays["ids"], f"{path.name}: ids")
        names = (
            as_text(arrays["features"], f"{path.name}: features")
            if "features" in arrays
            else [f"f{j}" for j in range(x.shape[1])]
        )
        if len(ids) != len(x) or len(names) != x.shape[1]:
            raise DataError(
                f"{path.name}: {body} is {x.shape}, but there are {len(ids)} ids and {len(names)} features."
            )
    else:
        ids = list(arrays)
        shapes = {a.shape for a in arrays.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise DataError(
                f"{path.name}: expected one vector of equal length per id, or arrays X and ids; found {len(shapes)} shapes."
            )
        x = np.stack(list(arrays.values()))
        names = [f"f{j}" for j in range(x.shape[1])]
    return _matrix(path, ids, x, names)


def _matrix(path: Path, ids: list[str], x: np.ndarray, names: list[str]) -> Raw:
    if x.dtype.kind not in "iuf":
        raise DataError(f"{path.name}: the values are {x.dtype}, expected numbers.")
    if not np.issubdtype(x.dtype, np.floating):
        x = x.astype(np.float64)
    if x.shape[1] == 0:
        raise DataError(f"{path.name} is {x.shape}: it has no features.")
    frame = pd.DataFrame(x, columns=pd.Index(names, dtype=object))
    unique_columns(path, names)
    return Raw(path, pd.Series([i.strip() for i in ids], dtype=object), frame, "id")


def _npy(path: Path, source: FileSource, default_id: str | None) -> Raw:
    beside = [path.with_suffix(".ids.txt"), path.with_suffix(".ids.csv")]
    found = next((p for p in beside if p.exists()), None)
    if found is None:
        raise DataError(
            f"{path.name} has no ids of its own, and the order of rows is not trusted. Put them, one per line, into {beside[0].name} beside it."
        )
    try:
        with path.open("rb") as f:
            size = nbytes(*npy_header(f))
            if path.stat().st_size - f.tell() < size:
                raise DataError(f"{path.name} is truncated: it says that it holds {size:,} bytes more. Copy it again.")
        x = np.load(path, allow_pickle=False)
    except DataError:
        raise
    except Exception as e:  # as above
        raise DataError(f"{path.name} is no readable .npy file.") from e
    ids = ids_beside(found)
    if x.ndim != 2 or len(ids) != len(x):
        raise DataError(f"{path.name} is {x.shape}, but {found.name} holds {len(ids)} ids; expected units × features.")
    return _matrix(path, ids, x, [f"f{j}" for j in range(x.shape[1])])


def _h5ad(path: Path, source: FileSource, default_id: str | None) -> Raw:
    import anndata

    _safe_h5(path)
    try:
        data = anndata.read_h5ad(path)
    except Exception as e:  # h5py and anndata raise many kinds; all mean that the file is not readable
        raise DataError(f"{path.name} is no readable .h5ad file.") from e
    return _annotated(path, data, source)


def _h5mu(path: Path, source: FileSource, default_id: str | None) -> Raw:
    import mudata

    _safe_h5(path)
    try:
        data = mudata.read_h5mu(path)
    except Exception as e:  # as above
        raise DataError(f"{path.name} is no readable .h5mu file.") from e
    names = list(data.mod)
    if source.sheet not in names:
        said = (
            "sheet says which modality of the file to read"
            if source.sheet is None
            else f"it has no modality '{source.sheet}'"
        )
        raise DataError(f"{path.name}: {said}.{did_you_mean(source.sheet or '', names)}")
    return _annotated(path, data.mod[source.sheet], source)


def _safe_h5(path: Path) -> None:
    import h5py

    try:
        with h5py.File(path, "r") as f:
            check_h5(f, path.name, path.stat().st_size)
    except (OSError, RuntimeError, KeyError, ValueError) as e:
        raise DataError(
            f"{path.name} is no readable {path.suffix} file, or truncated. Copy it again from its source."
        ) from e


def _annotated(path: Path, data: Any, source: FileSource) -> Raw:
    if data.X is None:
        raise DataError(f"{path.name} has no X.")
    check_bytes(f"{path.name}: X as a table", 8 * data.n_obs * data.n_vars)
    x = data.X.toarray() if hasattr(data.X, "toarray") else np.asarray(data.X)
    if source.id is not None and source.id not in data.obs:
        raise DataError(
            f"{path.name}: .obs has no column '{source.id}'.{did_you_mean(source.id, map(str, data.obs.columns))}"
        )
    ids = data.obs_names if source.id is None else data.obs[source.id]
    return _matrix(path, list(ids.astype(str)), x, list(data.var_names.astype(str)))
