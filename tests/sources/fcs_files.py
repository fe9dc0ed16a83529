"""FCS files written byte by byte, as the standard describes them, and readers of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.schema.cytometry import CytometrySource
from cohortium.schema.declare import UnitsSource
from cohortium.sources import ReadResult, read_cohort

DETECTORS = ("FSC-A", "FSC-H", "SSC-A", "FITC-A", "FITC-H", "PE-A", "APC-A", "Time")
MARKERS = ("", "", "", "CD3", "CD3", "CD4", "CD8", "")
ORDER = {"<": "1,2,3,4", ">": "4,3,2,1"}


def spillover(names: Sequence[str], matrix: np.ndarray) -> str:
    return ",".join([str(len(names)), *names, *(f"{v:.6g}" for v in np.asarray(matrix).ravel())])


def write_fcs(
    path: Path,
    x: np.ndarray,
    detectors: Sequence[str] = DETECTORS,
    markers: Sequence[str] = MARKERS,
    *,
    version: str = "3.1",
    kind: str = "F",
    bits: int | Sequence[int] = 32,
    order: str = "<",
    delimiter: str = "/",
    ranges: int | Sequence[int] = 262144,
    keywords: dict[str, str] | None = None,
    events: int | None = None,
    large: bool = False,
) -> None:
    """One data set. x: (n, p) as stored. keywords: further ones, or others than usual; None leaves one out. large: only
    keywords say where values are, as in files of more than 99,999,999 bytes."""
    n, p = x.shape
    widths = [bits] * p if isinstance(bits, int) else list(bits)
    most = [ranges] * p if isinstance(ranges, int) else list(ranges)
    text: dict[str, Any] = {
        "$BYTEORD": ORDER[order], "$DATATYPE": kind, "$MODE": "L", "$NEXTDATA": "0", "$PAR": str(p),
        "$TOT": str(n if events is None else events),
    }  # fmt: skip
    for j in range(p):
        text |= {f"$P{j + 1}B": str(widths[j]), f"$P{j + 1}E": "0,0", f"$P{j + 1}R": str(most[j])}
        text[f"$P{j + 1}N"] = detectors[j]
        if markers[j]:
            text[f"$P{j + 1}S"] = markers[j]
    text |= keywords or {}
    types = [f"{order}{ {'F': 'f', 'D': 'f', 'I': 'u'}.get(kind, 'u') }{w // 8}" for w in widths]
    row = np.dtype([(f"c{j}", t) for j, t in enumerate(types)])
    data = np.zeros(n, dtype=row)
    for j in range(p):
        data[f"c{j}"] = x[:, j]
    raw = data.tobytes()

    def written(begin: int, end: int) -> bytes:
        known = dict(text)
        if version != "2.0":
            known |= {"$BEGINDATA": f"{begin:010d}", "$ENDDATA": f"{end:010d}"} | (keywords or {})
        pairs = [part for k, v in known.items() if v is not None for part in (k, str(v))]
        return (delimiter + "".join(q.replace(delimiter, 2 * delimiter) + delimiter for q in pairs)).encode()

    begin = 58 + len(written(0, 0))
    end = begin + len(raw) - 1
    inside = [begin, max(end, begin)] if end <= 99_999_999 and not large else [0, 0]
    numbers = [58, begin - 1, *inside, 0, 0]
    header = f"FCS{version}    ".encode() + b"".join(f"{v:8d}".encode() for v in numbers)
    path.write_bytes(header + written(begin, max(end, begin)) + raw)


def sample(rng: np.random.Generator, n: int, cd8: float = 0.0) -> np.ndarray:
    """(n, 8) fluorescence of cells: half are bright in CD4, the others in CD8, those by ``cd8`` more or less so."""
    x = rng.normal(0, 60, (n, 8))
    x[:, :3] = rng.normal(60_000, 9000, (n, 3))
    half = rng.random(n) < 0.5
    x[:, 3] += rng.lognormal(7.5, 0.4, n)
    x[:, 4] = x[:, 3] * 0.9
    x[half, 5] += rng.lognormal(8, 0.5, int(half.sum()))
    x[~half, 6] += rng.lognormal(8 + cd8, 0.5, int((~half).sum()))
    x[:, 7] = np.arange(n)
    return x


def write_folder(folder: Path, n: int = 6, events: int = 400, seed: int = 0, **more: Any) -> list[np.ndarray]:
    """``fcs/p00.fcs`` … and ``units.csv``; returns what was written."""
    rng = np.random.default_rng(seed)
    (folder / "fcs").mkdir(parents=True, exist_ok=True)
    out = [sample(rng, events).astype(np.float32) for _ in range(n)]
    for i, x in enumerate(out):
        write_fcs(folder / "fcs" / f"p{i:02d}.fcs", x, **more)
    pd.DataFrame({"id": [f"p{i:02d}" for i in range(n)]}).to_csv(folder / "units.csv", index=False)
    return out


def read(root: Path, patient: str | None = None, expected: pd.DataFrame | None = None, **source: Any) -> ReadResult:
    """Read the modality ``flow``; keywords of :class:`CytometrySource`."""
    given = source if "file" in source or "folder" in source else {"folder": "fcs", **source}
    units = UnitsSource(file="units.csv", id="id", patient=patient)
    modalities = {"flow": CytometrySource(shape="cytometry", **given)}
    return read_cohort(units, modalities, root, expected=None if expected is None else {"flow": expected})
