"""Time and memory of reading single cells: a million cells × 2,000 genes, in no order, never in memory as a whole.

usage: python benchmarks/cells.py [--cells 1000000] [--genes 2000] [--patients 200] [--types 20] [--fill 0.07]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

STEP = 20_000


def write(folder: Path, cells: int, genes: int, patients: int, types: int, fill: float) -> None:
    """An .h5ad (CSR, gzip) made in pieces, and its unit table."""
    import h5py
    from anndata.io import write_elem
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    names = np.array([f"P{i:04d}" for i in range(patients)])
    owner, kind = rng.integers(patients, size=cells), rng.integers(types, size=cells)
    obs = pd.DataFrame({"patient": pd.Categorical.from_codes(owner, names)}, index=np.arange(cells).astype(str))
    obs["cell_type"] = pd.Categorical.from_codes(kind, [f"type {t}" for t in range(types)])
    with h5py.File(folder / "cells.h5ad", "w") as f:
        write_elem(f, "obs", obs)
        write_elem(f, "var", pd.DataFrame(index=[f"g{j}" for j in range(genes)]))
        f.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        x = f.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": (cells, genes)})
        how = {"maxshape": (None,), "chunks": (1_000_000,), "compression": "gzip", "compression_opts": 1}
        data = x.create_dataset("data", (0,), "float32", **how)
        indices = x.create_dataset("indices", (0,), "int32", **how)
        pointer = [np.zeros(1, dtype=np.int64)]
        for begin in range(0, cells, STEP):
            n = min(STEP, cells - begin)
            part = csr_matrix(rng.random((n, genes), dtype=np.float32) < fill, dtype=np.float32)
            part.data = rng.geometric(0.5, part.nnz).astype(np.float32)
            at = len(data)
            data.resize((at + part.nnz,))
            indices.resize((at + part.nnz,))
            data[at:], indices[at:] = part.data, part.indices
            pointer.append(part.indptr[1:].astype(np.int64) + at)
        x["indptr"] = np.concatenate(pointer)
    pd.DataFrame({"id": names}).to_csv(folder / "units.csv", index=False)


def read(folder: Path) -> None:
    """In a process of its own: read, and say what it took."""
    from cohortium.schema.cells import CellsSource
    from cohortium.schema.declare import UnitsSource
    from cohortium.sources import read_cohort

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    source = CellsSource(shape="cells", file="cells.h5ad", id="patient", cell_type="cell_type")
    found = read_cohort(UnitsSource(file="units.csv", id="id"), {"cells": source}, folder).cohort.modalities["cells"]
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    from cohortium.encoders import fit_encoder

    begin = time.perf_counter()
    q = len(fit_encoder(found).names_)
    told = {"read_seconds": seconds, "peak_mb": peak / 1024, "before_mb": before / 1024, "sums": found.sums.shape}
    print(json.dumps(told | {"fit_seconds": time.perf_counter() - begin, "features": q}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--types", type=int, default=20)
    parser.add_argument("--fill", type=float, default=0.07)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read is not None:
        read(given.read)
        return
    if given.write is not None:
        write(given.write, given.cells, given.genes, given.patients, given.types, given.fill)
        return
    # Linux hands the peak memory of a process on to those that it starts: this one stays small.
    with tempfile.TemporaryDirectory() as place:
        begin = time.perf_counter()
        subprocess.run([sys.executable, *sys.argv, "--write", place], check=True)
        size = (Path(place) / "cells.h5ad").stat().st_size / 1024**2
        print(f"written in {time.perf_counter() - begin:.0f} s, {size:,.0f} MB")
        command = [sys.executable, __file__, "--read", place]
        told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(
        f"{given.cells:,} cells × {given.genes:,} genes, {given.fill:.0%} filled, {given.patients} patients, {given.types} "
        f"types: read in {told['read_seconds']:.1f} s, peak {told['peak_mb']:,.0f} MB (imports {told['before_mb']:,.0f} "
        f"MB); {told['sums'][0]:,} sums; represented in {told['fit_seconds']:.1f} s, {told['features']:,} features"
    )


if __name__ == "__main__":
    main()
