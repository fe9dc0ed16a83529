"""Who the patients are, what drives their outcome, and who has which modality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

EFFECTS = {"rna": 0.66, "variants": 0.48, "cells": 0.8, "ct": 0.6, "tiles": 0.6, "records": 0.6, "notes": 0.6}
"""Effect on the log odds of one standard deviation of what a modality carries. Protein carries nothing."""

FAMILIES = {
    "molecular": ("rna", "protein", "variants"),
    "cellular": ("cells",),
    "imaging": ("ct", "tiles"),
    "records": ("records", "notes"),
}

AGE_EFFECT = 0.25
SITES = ("north", "south", "west")


@dataclass(frozen=True, eq=False)
class People:
    """table: one row per patient (index: id) with age, sex, site, arm, index_time, relapse, days, died.

    driver: modality -> (n,) standard normal cause that the modality carries. present: patients × modalities.
    logit: (n,) log odds of relapse. reasons: why a modality is missing, patients × modalities, "" where present.
    """

    table: pd.DataFrame
    driver: dict[str, Array]
    present: pd.DataFrame
    reasons: pd.DataFrame
    logit: Array


def draw_people(patients: int, rng: np.random.Generator) -> People:
    """Draw a cohort: independent causes, one per modality; relapse by logistic regression, death by proportional hazards."""
    ids = [f"H{k:05d}" for k in rng.permutation(np.arange(10_000, 10_000 + patients))]
    driver = {m: rng.normal(size=patients) for m in [*EFFECTS, "protein"]}
    age = np.clip(rng.normal(63, 11, patients), 20, 95)
    logit = AGE_EFFECT * (age - 63) / 11 + sum(b * driver[m] for m, b in EFFECTS.items())
    relapse = rng.random(patients) < 1 / (1 + np.exp(-logit))
    death = rng.exponential(900 * np.exp(-0.8 * logit))
    lost = rng.uniform(200, 2000, patients)
    site = rng.choice(SITES, patients, p=[0.5, 0.3, 0.2])
    day = rng.integers(0, 700, patients)
    table = pd.DataFrame(
        {
            "age": age.round(1),
            "sex": rng.choice(["female", "male"], patients),
            "site": site,
            "arm": rng.choice(["control", "treated"], patients),
            "index_time": [(pd.Timestamp("2022-01-03T08:00:00") + pd.Timedelta(days=int(d))).isoformat() for d in day],
            "relapse": np.where(relapse, "yes", "no"),
            "days": np.maximum(1, np.minimum(death, lost).round()).astype(int),
            "died": (death <= lost).astype(int),
        },
        index=pd.Index(ids, name="patient_id"),
    )
    present, reasons = _presence(table, logit, rng)
    return People(table, driver, present, reasons, np.asarray(logit))


def _presence(table: pd.DataFrame, logit: Array, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Missing at random (all), by site (ct: the west has no scanner), and by severity (cells: the sick are not sampled)."""
    n = len(table)
    reasons = pd.DataFrame("", index=table.index, columns=[*EFFECTS, "protein"])
    for m, rate in {"rna": 0.15, "protein": 0.2, "variants": 0.15, "cells": 0.1, "ct": 0.05, "tiles": 0.15, "records": 0.03,
                    "notes": 0.1}.items():  # fmt: skip
        reasons.loc[rng.random(n) < rate, m] = "not_measured"
    reasons.loc[(table["site"] == "west").to_numpy(), "ct"] = "not_at_site"
    reasons.loc[rng.random(n) < 1 / (1 + np.exp(2.2 - 0.6 * logit)), "cells"] = "not_measured"
    return reasons == "", reasons
