"""Whatever happened to a file on its way, the reader either reads it or says in one DataError what is wrong."""

from __future__ import annotations

import gzip
import lzma
import warnings
from pathlib import Path

import numpy as np
import pytest

from cohortium.errors import DataError
from tests.sources.helpers import UNITS, lab, read, write_units


def _intact(folder: Path) -> dict[str, bytes]:
    table = lab()
    table.reset_index().to_parquet(folder / "a.parquet")
    table.to_excel(folder / "a.xlsx")
    np.savez_compressed(folder / "a.npz", X=table.to_numpy(), ids=np.array(UNITS))
    text = table.to_csv().encode()
    return {
        "lab.csv": text,
        "lab.csv.gz": gzip.compress(text, mtime=0),
        "lab.csv.xz": lzma.compress(text),
        **{f"lab{p.suffix}": p.read_bytes() for p in sorted(folder.glob("a.*"))},
    }


def _damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """Cut off, with bytes changed, a piece lost, or a piece twice."""
    how, at = rng.integers(4), int(rng.integers(len(whole)))
    if how == 0:
        return whole[:at]
    if how == 1:
        out = bytearray(whole)
        for k in rng.integers(len(whole), size=3):
            out[k] = rng.integers(256)
        return bytes(out)
    length = int(rng.integers(1, 40))
    return whole[:at] + (whole[at + length :] if how == 2 else whole[at : at + length] + whole[at:])


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files(tmp_path: Path, seed: int) -> None:
    write_units(tmp_path)
    rng, refused = np.random.default_rng(seed), 0
    for file, whole in _intact(tmp_path).items():
        for _ in range(25):
            (tmp_path / file).write_bytes(_damaged(whole, rng))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    cohort = read(tmp_path, file).cohort
                except DataError as e:
                    refused += 1
                    assert str(e).startswith(f"{file}") or f"'{file}'" in str(e), e
                    assert not any(f" {u} " in str(e) for u in UNITS)
                else:
                    assert set(cohort.modalities["lab"].units) <= set(UNITS)
    assert refused > 50


@pytest.mark.parametrize(
    "file", ["lab.csv", "lab.tsv.gz", "lab.xz", "lab.parquet", "lab.xlsx", "lab.npz", "lab.npy", "lab.h5ad"]
)
def test_noise(tmp_path: Path, file: str) -> None:
    write_units(tmp_path)
    (tmp_path / "lab.ids.txt").write_text("001\n")
    rng = np.random.default_rng(1)
    for n in (1, 3, 50, 5000):
        (tmp_path / file).write_bytes(rng.bytes(n))
        with pytest.raises(DataError):
            read(tmp_path, file)
