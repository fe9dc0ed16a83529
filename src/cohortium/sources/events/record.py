"""Event rows of one file, in the form that all readers give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.errors import DataError
from cohortium.sources.times import Times


@dataclass(frozen=True, eq=False)
class Record:
    """owner: (n,) ids of patients (or units, see ``of``). times. code: (n,) str. value: (n,) number or NaN.
    unit: (n,) unit of measurement or None. rows: (n,) row in the file, for complaints."""

    file: str
    of: str
    owner: NDArray[np.object_]
    times: Times
    code: NDArray[np.object_]
    value: NDArray[np.float64]
    unit: NDArray[np.object_]
    rows: NDArray[np.int64]

    def place(self, bad: NDArray[np.bool_]) -> str:
        """File and row of the first true."""
        return f"{self.file}, row {int(self.rows[np.flatnonzero(bad)[0]])}"


def read_columns(path: Path, columns: list[str] | None) -> pd.DataFrame:
    """The named columns (default all) of a CSV or Parquet file; cells of a CSV as texts, empty ones missing.

    Raises :class:`DataError` when the file is missing, empty, truncated or lacks a column.
    """
    import gzip
    import lzma
    import zlib

    import pyarrow as pa

    from cohortium.errors import did_you_mean
    from cohortium.sources.formats import find, format_of

    path = find(path.parent, path.name)
    kind = format_of(path)
    try:
        if kind == "parquet":
            import pyarrow.parquet as pq

            known = list(pq.read_schema(path).names)
        elif kind in ("csv", "tsv"):
            known = [str(c) for c in pd.read_csv(path, nrows=0, sep="\t" if kind == "tsv" else ",").columns]
        else:
            raise DataError(f"{path.name}: event tables are read from CSV and Parquet files.")
        for c in columns or []:
            if c not in known:
                raise DataError(f"{path.name} has no column '{c}'.{did_you_mean(c, known)}")
        if kind == "parquet":
            return pd.read_parquet(path, columns=columns)
        # With usecols pandas takes a row with a cell too many, as an unquoted comma makes, and shifts the rest unseen.
        frame = pd.read_csv(
            path, dtype=str, keep_default_na=False, na_values=["", "NA", "NULL", "NaN", "nan"],
            sep="\t" if kind == "tsv" else ",",
        )  # fmt: skip
        if not isinstance(frame.index, pd.RangeIndex):
            raise DataError(f"{path.name}: rows have more cells than the header. Is a comma inside a cell not quoted?")
        return frame if columns is None else frame[columns]
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as e:
        raise DataError(f"{path.name} is truncated or no valid compressed file. Copy it again from its source.") from e
    except UnicodeDecodeError as e:
        raise DataError(f"{path.name} is not UTF-8 text (byte {e.start}). Save it as UTF-8.") from e
    except (pd.errors.ParserError, pd.errors.EmptyDataError, pa.ArrowException, OSError) as e:
        raise DataError(f"{path.name} cannot be read as a table: {str(e).splitlines()[0]}.") from e
