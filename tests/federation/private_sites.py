"""Private plans of the oracle's sites, and what a site sends without noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from cohortium.contracts.private_plan import PrivacyPlan, PrivateColumn
from cohortium.federation_site.site import Site
from tests.federation import sites as cut

COLUMNS = (
    PrivateColumn("clinical", "age", 20.0, 90.0),
    PrivateColumn("clinical", "size", 0.0, 6.0),
    PrivateColumn("clinical", "grade", 0.0, 1.0, ("low", "mid", "high")),
    PrivateColumn("clinical", "node", 0.0, 1.0, ("0", "1")),
)
KINDS = ("survival", "binary", "multiclass", "continuous")


def plan(kind, epsilon=3.0, **changes):
    privacy = PrivacyPlan(
        epsilon, 1e-5, COLUMNS, (-5.0, 10.0) if kind == "continuous" else (0.0, 0.0), (1.0, 2.0, 4.0) if kind == "survival" else (),
        rounds=changes.pop("rounds", 6), clip=changes.pop("clip", 0.2), step=changes.pop("step", 1.0), counts=0.05,
        moments=changes.pop("moments", 0.1), hold_out=changes.pop("hold_out", 0.0),
    )  # fmt: skip
    classes = cut.CLASSES["multiclass"] if kind == "multiclass" else ()
    return cut.plan(kind, method="private_linear", privacy=privacy, classes=classes, **changes)


def exact(made):
    """The same plan without noise."""
    return replace(made, privacy=replace(made.privacy, epsilon=math.inf))


def sites(kind) -> dict[str, Site]:
    """With several units of some patients, and a number by which patients are held out."""
    out = {}
    for i, (n, s) in enumerate(cut.sites(kind).items()):
        rng = np.random.default_rng(i)
        patient = np.minimum(np.arange(len(s)), rng.integers(0, len(s), len(s)))
        out[n] = replace(s, patient=patient, draw=rng.random(len(s))[patient])
    return out
