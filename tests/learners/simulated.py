"""A small fold with planted signal and missing blocks, for every endpoint kind."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame
from cohortium.contracts import Fold
from cohortium.schema import EndpointKind
from tests.heads.test_likelihoods import outcome


def simulated(kind: EndpointKind, n: int = 160, seed: int = 0, signal: float = 1.5):
    """Cohort with modalities a (signal), b (signal, 30% absent), noise (wide, 20% absent), and its outcome."""
    rng = np.random.default_rng(seed)
    ids = pd.Index([f"u{i:04d}" for i in range(n)], name="unit")
    za, zb = rng.normal(size=n), rng.normal(size=n)
    blocks = {
        "a": np.column_stack([za, rng.normal(size=(n, 3)), rng.integers(0, 3, n)]),
        "b": np.column_stack([rng.normal(size=(n, 5)), zb]),
        "noise": rng.normal(size=(n, 300)),
    }
    absent = {"a": 0.0, "b": 0.3, "noise": 0.2}
    tables = {}
    for name, x in blocks.items():
        rows = np.flatnonzero(rng.random(n) >= absent[name])
        kinds = ["numeric"] * x.shape[1]
        levels: list = [None] * x.shape[1]
        if name == "a":
            kinds[-1], levels[-1] = "nominal", ("p", "q", "r")
            x = x.copy()
            x[rng.random(n) < 0.1, 1] = np.nan
        tables[name] = Table(
            ids[rows], x[rows], feature_frame([f"{name}{j}" for j in range(x.shape[1])], kinds, levels)
        )
    cohort = Cohort(pd.DataFrame({"patient": ids}, index=ids), tables)
    y = outcome(kind, signal * (za + zb), rng)
    return cohort, type(y)(y.endpoint, cohort.ids, *[getattr(y, f) for f in list(y.__dataclass_fields__)[2:]])


def fold_of(cohort: Cohort, y, rows: np.ndarray, k: int = 3) -> Fold:
    at = np.arange(len(rows)) % k
    inner = tuple((np.flatnonzero(at != j), np.flatnonzero(at == j)) for j in range(k))
    return Fold(cohort.take(rows), y.take(rows), np.arange(len(rows)), inner, 5, "y/0/0")
