"""Small files in many shapes, and readers of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.schema.declare import ModalitySource, UnitsSource
from cohortium.sources import ReadResult, read_cohort

UNITS = ["001", "002", "003", "004"]


def write_units(folder: Path, ids: list[str] = UNITS, **columns: list[Any]) -> None:
    """``units.csv``: id and further columns."""
    pd.DataFrame({"id": ids, **columns}).to_csv(folder / "units.csv", index=False)


def lab(ids: list[str] = UNITS) -> pd.DataFrame:
    """A table of three numeric features, with a missing cell."""
    n = len(ids)
    x = np.arange(3.0 * n).reshape(n, 3) + 0.25
    x[1, 2] = np.nan
    return pd.DataFrame(x, columns=["crp", "hb", "age"], index=pd.Index(ids, name="id"))


def read(folder: Path, file: str = "lab.csv", units: dict[str, Any] | None = None, **source: Any) -> ReadResult:
    """Read one modality called ``lab``; keywords of :class:`ModalitySource`."""
    arguments = {k: source.pop(k) for k in ("design", "endpoints", "expected", "units_optional") if k in source}
    table = UnitsSource(**({"file": "units.csv"} | (units or {})))
    return read_cohort(table, {"lab": ModalitySource(file=file, **source)}, folder, **arguments)
