"""Sites as arrays, from the table of the oracle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from cohortium.contracts.federation import FederationPlan
from cohortium.federation_site import Feature, Site

ORACLE = Path(__file__).parent / "oracle"
CLASSES = {"survival": ("censored", "event"), "binary": ("no", "yes"), "continuous": (), "multiclass": ("a", "b", "c")}


def plan(kind: str, **changes) -> FederationPlan:
    made = FederationPlan("trial", "y", kind, (), "", ("clinical",), 0.0, 5, 3, 3, 2, 50, False)
    return replace(made, **changes)


def site(name: str, d: pd.DataFrame, kind: str, entry: bool = False, weighted: bool = False) -> Site:
    features = []
    for f in ("age", "size", "grade", "node"):
        coded = f in ("grade", "node")
        levels = tuple(sorted(map(str, d[f].unique()))) if coded else ()
        values = d[f].map(lambda x, levels=levels: levels.index(str(x))) if coded else d[f]
        features.append(Feature("clinical", f, "level" if coded else "numeric", levels, "", "", values.to_numpy(float)))
    n, none = len(d), np.zeros(0)
    y = {"survival": d.status, "binary": d.resp, "continuous": d.y, "multiclass": d.cls.map({"a": 0, "b": 1, "c": 2})}[
        kind
    ]
    times = (
        (d.time.to_numpy(float), d.entry.to_numpy(float) if entry else np.zeros(n))
        if kind == "survival"
        else (none, none)
    )
    weight = d.w.to_numpy(float) if weighted else np.ones(n)
    return Site(name, tuple(features), np.arange(n), weight, np.zeros(n, int), y.to_numpy(float), CLASSES[kind], *times)


def table() -> pd.DataFrame:
    return pd.read_csv(ORACLE / "data.csv")


def sites(kind: str, **how) -> dict[str, Site]:
    return {str(s): site(str(s), d, kind, **how) for s, d in table().groupby("site")}


def oracle(name: str) -> np.ndarray:
    values = pd.read_csv(ORACLE / "values.csv")
    return values.value[values.name.str.rpartition(".")[0] == name].to_numpy()
