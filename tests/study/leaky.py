"""Learners of another package, one honest and each other with a leak of its own; written to disk as an installed package."""

from __future__ import annotations

import textwrap
from pathlib import Path

MODULE = '''
import os
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cohortium.contracts import Probabilities

MODALITY = "rna"


def everybody():
    """The whole cohort and plan, as a process that does the fits holds them: what no learner should look at."""
    from cohortium.experiment import work

    ((cohort, plan),) = work._loaded.values()
    return cohort, next(iter(plan.endpoints.values())).outcome


@dataclass
class Model:
    coef: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    fault: str = ""
    classes: tuple = ("no", "yes")
    hidden: dict = field(default_factory=dict)

    def predict(self, cohort):
        score = np.zeros(len(cohort))
        if MODALITY in cohort.modalities and len(cohort.modalities[MODALITY].units):
            table = cohort.modalities[MODALITY]
            mean, sd = self.mean, self.sd
            if self.fault == "batch":
                mean, sd = table.values.mean(axis=0), table.values.std(axis=0) + 1e-9
            score[cohort.units.index.get_indexer(table.units)] = ((table.values - mean) / sd) @ self.coef
        if self.fault == "calibrator":
            whole, outcome = everybody()
            at = pd.Index(outcome.units).get_indexer(cohort.ids)
            y = outcome.codes[at[at >= 0]]
            score = score + np.log((y.mean() + 0.1) / (1.1 - y.mean()))
        if self.fault == "disk":
            score = np.array([self.hidden.get(u, 0.0) for u in cohort.ids])
        p = 1 / (1 + np.exp(-np.clip(score, -30, 30)))
        return Probabilities(cohort.ids, self.classes, np.column_stack([1 - p, p]))

    def state(self):
        return {"coef": self.coef, "mean": self.mean, "sd": self.sd}


class Learner:
    name, role, modalities = "ridge", "fusion", (MODALITY,)
    fault = ""

    def fit(self, fold):
        table = fold.cohort.modalities[MODALITY]
        y = fold.outcome.codes[fold.cohort.units.index.get_indexer(table.units)]
        x = np.nan_to_num(table.values.astype(float))
        mean, sd = x.mean(axis=0), x.std(axis=0) + 1e-9
        keep = np.ones(x.shape[1], bool)
        steps = 30
        if self.fault in ("selection", "scaling", "epoch"):
            whole, outcome = everybody()
            every = whole.modalities[MODALITY]
            z = np.nan_to_num(every.values.astype(float))
            at = pd.Index(outcome.units).get_indexer(every.units)
            if self.fault == "scaling":
                mean, sd = z.mean(axis=0), z.std(axis=0) + 1e-9
            if self.fault == "selection":
                r = np.abs(np.nan_to_num(np.corrcoef(z[at >= 0].T, outcome.codes[at[at >= 0]])[-1, :-1]))
                keep = r >= np.sort(r)[-min(5, len(r))]
            if self.fault == "epoch":
                outside = (at >= 0) & ~every.units.isin(fold.cohort.ids)
                losses = [self.loss(self.train(x, y, mean, sd, keep, s), z[outside], outcome.codes[at[outside]], mean, sd)
                          for s in (1, 3, 10, 30, 100, 300)]
                steps = (1, 3, 10, 30, 100, 300)[int(np.argmin(losses))]
        hidden = {}
        if self.fault == "disk":
            frame = pd.read_csv(os.environ["LEAKY_OUTCOMES"], dtype=str)
            hidden = {i: 4.0 if v == "yes" else -4.0 for i, v in zip(frame["patient_id"], frame["response"])}
        coef = self.train(x, y, mean, sd, keep, steps)
        return Model(coef, mean, sd, self.fault, fold.outcome.endpoint.classes, hidden)

    def train(self, x, y, mean, sd, keep, steps):
        z, b = np.clip((x - mean) / sd, -10, 10) * keep, np.zeros(x.shape[1])
        for _ in range(steps):
            b = b - 0.3 * (z.T @ (1 / (1 + np.exp(-z @ b)) - y) / len(y) + 0.01 * b)
        return b

    def loss(self, b, x, y, mean, sd):
        p = 1 / (1 + np.exp(-np.clip(((x - mean) / sd) @ b, -30, 30)))
        return -np.mean(np.log(np.clip(np.where(y == 1, p, 1 - p), 1e-9, 1)))


def make(name):
    return type(name, (Learner,), {"fault": "" if name == "honest" else name})


honest, selection, scaling, epoch, calibrator, batch, disk = map(
    make, ("honest", "selection", "scaling", "epoch", "calibrator", "batch", "disk")
)
'''
NAMES = ("honest", "selection", "scaling", "epoch", "calibrator", "batch", "disk")


def install(folder: Path) -> Path:
    """Write the package into ``folder`` as pip would; give that folder to PYTHONPATH."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "leaky_learners.py").write_text(textwrap.dedent(MODULE), encoding="utf-8")
    info = folder / "leaky_learners-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: leaky-learners\nVersion: 1.0\n", encoding="utf-8")
    lines = [f"{n} = leaky_learners:{n}" for n in NAMES]
    (info / "entry_points.txt").write_text("[cohortium.learners]\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return folder
