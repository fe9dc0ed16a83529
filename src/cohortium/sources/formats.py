"""One file -> row labels and a frame of columns, whatever the format."""

from __future__ import annotations

import csv
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from cohortium.errors import DataError, did_you_mean
from cohortium.schema.declare import FileSource

_ENDINGS = {
    ".csv": "csv", ".txt": "csv", ".tsv": "tsv", ".tab": "tsv", ".parquet": "parquet", ".pq": "parquet", ".xlsx": "excel",
    ".xls": "excel", ".npz": "npz", ".npy": "npy", ".h5ad": "h5ad", ".h5mu": "h5mu",
}  # fmt: skip
READABLE = tuple(_ENDINGS)


@dataclass(frozen=True, eq=False)
class Raw:
    """labels: (n,) row labels (the id column) as text. frame: (n, p) the other columns. id_name: of the labels."""

    path: Path
    labels: pd.Series
    frame: pd.DataFrame
    id_name: str

    @property
    def name(self) -> str:
        return self.path.name


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
    readers = {
        "csv": _text,
        "tsv": _text,
        "parquet": _parquet,
        "excel": _excel,
        "npz": _npz,
        "npy": _npy,
        "h5ad": _h5ad,
        "h5mu": _h5mu,
    }
    try:
        raw = readers[kind](path, source, default_id)
    except UnicodeDecodeError as e:
        raise DataError(
            f"{path.name} is not {source.encoding} text (byte {e.start}). If it comes from Excel or R on Windows, "
            "say encoding: latin-1 (or cp1252)."
        ) from e
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as e:
        raise DataError(f"{path.name} is truncated or no valid compressed file. Copy it again from its source.") from e
    if not len(raw.frame):
        raise DataError(f"{path.name} has a header and no rows.")
    return _filtered(raw, source)


def _filtered(raw: Raw, source: FileSource) -> Raw:
    where = source.where
    if where is None:
        return raw
    column = column_of(raw, where.column)
    wanted = [where.equals] if where.one_of is None else list(where.one_of)
    keep = np.zeros(len(column), dtype=bool)
    for value in wanted:
        keep |= equals(column, value)
    if not keep.any():
        raise DataError(
            f"{raw.name}: no row has '{where.column}' equal to what 'where' asks for. Check the value's spelling."
        )
    return Raw(raw.path, raw.labels[keep], raw.frame[keep], raw.id_name)


def column_of(raw: Raw, name: str) -> pd.Series:
    """A column by name, the id column included. Raises DataError with the nearest name."""
    if name == raw.id_name:
        return raw.labels
    if name not in raw.frame.columns:
        raise DataError(f"{raw.name} has no column '{name}'.{did_you_mean(name, map(str, raw.frame.columns))}")
    return raw.frame[name]


def equals(column: pd.Series, value: Any) -> np.ndarray:
    """(n,) tolerant equality: 1, 1.0, '1' and True are the same, and so are 'Yes' and 'yes '."""
    if isinstance(value, bool):
        texts = {"true", "1", "1.0", "yes"} if value else {"false", "0", "0.0", "no"}
        return column.map(lambda v: str(v).strip().lower() in texts if pd.notna(v) else False).to_numpy(bool)
    try:
        number = float(value)
    except (TypeError, ValueError):
        text = str(value).strip().lower()
        return column.map(lambda v: str(v).strip().lower() == text if pd.notna(v) else False).to_numpy(bool)
    return (pd.to_numeric(column.astype(object), errors="coerce") == number).to_numpy(bool)


def _open(path: Path, encoding: str) -> IO[str]:
    coding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    try:
        if path.suffix.lower() == ".gz":
            return gzip.open(path, "rt", encoding=coding, newline="")
        if path.suffix.lower() == ".xz":
            return lzma.open(path, "rt", encoding=coding, newline="")
        return path.open(encoding=coding, newline="")
    except LookupError as e:
        raise DataError(f"{path.name}: there is no encoding called '{encoding}'. Try utf-8, latin-1 or cp1252.") from e


def _sniff(first: str, second: str, kind: str) -> tuple[str, str]:
    """Separator and decimal mark."""
    if kind == "tsv":
        return "\t", "."
    counts = {s: first.count(s) for s in ("\t", ";", ",")}
    separator = max(counts, key=lambda s: (counts[s], s == ","))
    if counts[separator] == 0:
        separator = ","
    comma = separator != "," and bool(re.search(r"\d,\d", second)) and not re.search(r"\d\.\d", second)
    return separator, "," if comma else "."


def _text(path: Path, source: FileSource, default_id: str | None) -> Raw:
    with _open(path, source.encoding) as f:
        text = f.read()
    if not text.strip():
        raise DataError(f"{path.name} is empty.")
    lines = text[:4_000_000].split("\n", 2)
    separator, decimal = _sniff(lines[0], lines[1] if len(lines) > 1 else "", format_of(path, source.format))
    header = [h.strip() for h in next(csv.reader([lines[0].rstrip("\r")], delimiter=separator))]
    _unique(path, header)
    id_name = _id_name(path, header, source.id, default_id)
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            decimal=decimal,
            names=header,
            header=0,
            dtype={id_name: str},
            low_memory=False,
            na_values=source.na_values,
            skipinitialspace=True,
            index_col=False,
            keep_default_na=True,
        )
    except pd.errors.ParserError as e:
        row = re.search(r"line (\d+)", str(e))
        raise DataError(
            f"{path.name}, row {row.group(1) if row else '?'}: the number of cells differs from the header's. "
            "Is the separator inside a text that is not quoted?"
        ) from e
    return _split(path, frame, id_name)


def _unique(path: Path, header: Sequence[str]) -> None:
    seen: set[str] = set()
    for i, h in enumerate(header):
        if h in seen and h:
            raise DataError(
                f"{path.name}: the column '{h}' is there twice (again as column {i + 1}). Rename or remove one."
            )
        seen.add(h)


def _id_name(path: Path, header: Sequence[str], declared: str | None, default: str | None) -> str:
    if declared is not None:
        if declared not in header:
            raise DataError(f"{path.name} has no column '{declared}' (the id).{did_you_mean(declared, header)}")
        return declared
    return default if default is not None and default in header else header[0]


def _split(path: Path, frame: pd.DataFrame, id_name: str) -> Raw:
    labels = frame[id_name]
    if not (labels.dtype == object or isinstance(labels.dtype, pd.StringDtype)):
        number = pd.to_numeric(labels, errors="coerce")
        whole = number.notna().all() and (number == number.round()).all()
        labels = number.astype("int64").astype(str) if whole else labels.astype(str)
    labels = labels.astype(object).where(labels.notna(), None).map(lambda v: None if v is None else str(v).strip())
    return Raw(path, labels, frame.drop(columns=[id_name]), id_name)


def _parquet(path: Path, source: FileSource, default_id: str | None) -> Raw:
    try:
        frame = pd.read_parquet(path)
    except Exception as e:  # pyarrow raises its own many kinds; all mean that the file is not readable
        raise DataError(f"{path.name} is no readable Parquet file. Copy it again from its source.") from e
    if frame.index.name is not None or not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    frame.columns = [str(c) for c in frame.columns]
    return _split(path, frame, _id_name(path, list(frame.columns), source.id, default_id))


def _excel(path: Path, source: FileSource, default_id: str | None) -> Raw:
    import zipfile

    try:
        with pd.ExcelFile(path) as book:
            names = list(map(str, book.sheet_names))
            if source.sheet is not None and source.sheet not in names:
                raise DataError(f"{path.name} has no sheet '{source.sheet}'.{did_you_mean(source.sheet, names)}")
            sheet = source.sheet or names[0]
            header = [str(h).strip() for h in book.parse(sheet, header=None, nrows=1).iloc[0]]
            _unique(path, header)
            id_name = _id_name(path, header, source.id, default_id)
            frame = book.parse(sheet, header=0, names=header, na_values=source.na_values, dtype={id_name: object})
    except (ValueError, zipfile.BadZipFile, KeyError, IndexError) as e:
        raise DataError(f"{path.name} is no readable Excel file, or the sheet is empty.") from e
    ids = frame[id_name].map(lambda v: str(int(v)) if isinstance(v, float) and v.is_integer() else v)
    frame[id_name] = ids.map(lambda v: None if pd.isna(v) else str(v)).astype(object)
    return _split(path, frame, id_name)


def _npz(path: Path, source: FileSource, default_id: str | None) -> Raw:
    import zipfile

    try:
        with np.load(path, allow_pickle=False) as z:
            arrays = {k: z[k] for k in z.files}
    except (ValueError, zipfile.BadZipFile, OSError) as e:
        raise DataError(f"{path.name} is no readable .npz file, or it holds Python objects, which are not read.") from e
    body = next((k for k in ("X", "x", "data", "values") if k in arrays and arrays[k].ndim == 2), None)
    if body is not None and "ids" in arrays:
        x, ids = arrays[body], arrays["ids"].astype(str)
        names = (
            arrays["features"].astype(str) if "features" in arrays else np.array([f"f{j}" for j in range(x.shape[1])])
        )
        if len(ids) != len(x) or len(names) != x.shape[1]:
            raise DataError(
                f"{path.name}: {body} is {x.shape}, but there are {len(ids)} ids and {len(names)} features."
            )
    else:
        ids = np.array(list(arrays), dtype=object)
        shapes = {a.shape for a in arrays.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise DataError(
                f"{path.name}: expected one vector of equal length per id, or arrays X and ids; found {len(shapes)} shapes."
            )
        x = np.stack(list(arrays.values()))
        names = np.array([f"f{j}" for j in range(x.shape[1])])
    return _matrix(path, ids, x, names)


def _matrix(path: Path, ids: Any, x: np.ndarray, names: Any) -> Raw:
    if not np.issubdtype(x.dtype, np.number):
        raise DataError(f"{path.name}: the values are {x.dtype}, expected numbers.")
    if not np.issubdtype(x.dtype, np.floating):
        x = x.astype(np.float64)
    frame = pd.DataFrame(x, columns=[str(n) for n in names])
    _unique(path, list(frame.columns))
    return Raw(path, pd.Series([str(i) for i in ids], dtype=object), frame, "id")


def _npy(path: Path, source: FileSource, default_id: str | None) -> Raw:
    beside = [path.with_suffix(".ids.txt"), path.with_suffix(".ids.csv")]
    found = next((p for p in beside if p.exists()), None)
    if found is None:
        raise DataError(
            f"{path.name} has no ids of its own, and the order of rows is not trusted. Put them, one per line, into {beside[0].name} beside it."
        )
    try:
        x = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as e:
        raise DataError(f"{path.name} is no readable .npy file.") from e
    ids = [line.strip() for line in found.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    if x.ndim != 2 or len(ids) != len(x):
        raise DataError(f"{path.name} is {x.shape}, but {found.name} holds {len(ids)} ids; expected units × features.")
    return _matrix(path, ids, x, [f"f{j}" for j in range(x.shape[1])])


def _h5ad(path: Path, source: FileSource, default_id: str | None) -> Raw:
    import anndata

    try:
        data = anndata.read_h5ad(path)
    except Exception as e:  # h5py and anndata raise many kinds; all mean that the file is not readable
        raise DataError(f"{path.name} is no readable .h5ad file.") from e
    return _annotated(path, data, source)


def _h5mu(path: Path, source: FileSource, default_id: str | None) -> Raw:
    import mudata

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


def _annotated(path: Path, data: Any, source: FileSource) -> Raw:
    x = data.X.toarray() if hasattr(data.X, "toarray") else np.asarray(data.X)
    if source.id is not None and source.id not in data.obs:
        raise DataError(
            f"{path.name}: .obs has no column '{source.id}'.{did_you_mean(source.id, map(str, data.obs.columns))}"
        )
    ids = data.obs_names if source.id is None else data.obs[source.id]
    return _matrix(path, list(ids.astype(str)), x, list(data.var_names.astype(str)))
