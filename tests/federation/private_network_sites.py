"""Private plans of sites with three modalities, one of which two sites lack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cohortium.contracts.network_plan import NetworkPlan
from cohortium.contracts.private_plan import PrivacyPlan, PrivateColumn
from cohortium.study.private_network_plan import as_declared
from tests.federation import network_sites as cut

COLUMNS = tuple(PrivateColumn(m, f"{m}{j}", -3.0, 3.0) for m, d in cut.DIMS.items() for j in range(d))
NETWORK = NetworkPlan(rounds=0, fusion="gated", width=4, decay=0.0, dropout=0.0, modality_dropout=0.0, seed=4)


def plan(kind, epsilon=3.0, network=None, **changes):
    said = {"rounds": 4, "clip": 0.5, "step": 1.0, "counts": 0.05, "hold_out": 0.0, **changes}
    privacy = PrivacyPlan(
        epsilon, 1e-5, COLUMNS, (-6.0, 6.0) if kind == "continuous" else (0.0, 0.0), (200.0, 500.0, 900.0) if kind == "survival" else (),
        **said,
    )  # fmt: skip
    classes = cut.CLASSES[kind] if kind in ("binary", "multiclass") else ()
    return replace(
        cut.plan(kind),
        method="private_network",
        privacy=privacy,
        network=replace(NETWORK, **(network or {})),
        classes=classes,
    )


def sites(kind, **how):
    """With several units of some patients, and a number by which patients are held out."""
    out = {}
    for i, (n, s) in enumerate(cut.sites(kind, **how).items()):
        rng = np.random.default_rng(i)
        patient = np.minimum(np.arange(len(s)), rng.integers(0, len(s), len(s)))
        out[n] = replace(s, patient=patient, draw=rng.random(len(s))[patient])
    return as_declared(out)
