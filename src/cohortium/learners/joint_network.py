"""Learners on the representation of a network: with its own head, trained with it, or ridge on what it found alone.

The networks of the inner splits advance together; for how many epochs is chosen by the loss of the out-of-fold scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from cohortium.contracts import Fold
from cohortium.fusion import fit_slope
from cohortium.heads.families import Family
from cohortium.heads.linear import PRIOR_SDS, RidgePath
from cohortium.joint.coordinated import CoordinatedSettings
from cohortium.joint.coordinated_training import CoordinatedRun
from cohortium.joint.network import NetworkSettings
from cohortium.joint.network_training import NetworkRun, walk
from cohortium.joint.vae import VaeSettings
from cohortium.joint.vae_training import VaeRun
from cohortium.learners.base import oof_loss
from cohortium.learners.config import JointSpec
from cohortium.learners.deep import objective_of, presence_effect
from cohortium.learners.joint import Array, JointFit, JointFitter, Rows, Split, known_units, scale_of
from cohortium.learners.joint_node import JointNode, NetworkNode
from cohortium.learners.nodes import presence_matrix

RUNS: dict[str, type[NetworkRun]] = {"vae": VaeRun, "contrastive": CoordinatedRun}
"""By the model of a :class:`~cohortium.learners.config.JointSpec`."""


def settings_of(spec: JointSpec) -> NetworkSettings:
    """What the network is told."""
    shared = {k: getattr(spec, k) for k in ("width", "dropout", "batch", "rate", "decay", "epochs", "counts")}
    if spec.model == "vae":
        return VaeSettings(latent=spec.size, posterior=spec.posterior, **shared)
    return CoordinatedSettings(latent=spec.size, alignment=spec.alignment, **shared)


class NetworkFitter(JointFitter):
    """Fits learners on networks of a fold. guide: (n, K) out-of-fold scores of the plain late fusion, by which the
    effect of presence is told from what features say. seeds: networks of a finished learner. presence: it may predict."""

    def __init__(self, fold: Fold, family: Family, guide: Array, seeds: int, presence: bool = False) -> None:
        super().__init__(fold, family)
        self.guide, self.seeds, self.presence = np.nan_to_num(guide), seeds, presence

    def fit(self, spec: JointSpec, sets: Sequence[tuple[str, ...]]) -> JointFit:
        """Choose modalities and epochs on the inner splits, then train on the whole training part."""
        how = self._headed if spec.supervised else self._plain
        return min((how(spec, modalities) for modalities in sets), key=lambda f: f.loss)

    def _runs(
        self, spec: JointSpec, modalities: tuple[str, ...]
    ) -> tuple[list[NetworkRun], list[tuple[Any, Rows, Rows]]]:
        """A network for each inner split, and of its test rows the inputs, which of them it knows, and their positions."""
        runs, held = [], []
        for s, (train, test) in enumerate(self.fold.inner):
            runs.append(self._run(spec, modalities, train, f"{s}"))
            inputs, known = runs[-1].views.inputs(self.fold.cohort.take(test), double=False)
            held.append((inputs, np.flatnonzero(known), test[known]))
        return runs, held

    def _run(self, spec: JointSpec, modalities: tuple[str, ...], rows: Rows, tag: str) -> NetworkRun:
        cohort = self.fold.cohort.take(rows)
        objective = objective_of(self.fold.outcome.take(rows), spec) if spec.supervised else None
        seed = self.fold.seed_of(f"joint/{spec.name}/{'+'.join(modalities)}/{tag}")
        return RUNS[spec.model](cohort, modalities, settings_of(spec), seed, objective, spec.supervised)

    def _headed(self, spec: JointSpec, modalities: tuple[str, ...]) -> JointFit:
        """The head is trained with the network."""
        runs, held = self._runs(spec, modalities)
        have = presence_matrix(self.fold.cohort, modalities)

        def look() -> tuple[float, Any]:
            oof = np.full((self.family.n, self.family.n_scores), np.nan)
            for run, (inputs, known, rows) in zip(runs, held, strict=True):
                if len(rows):
                    at = torch.as_tensor(known)
                    oof[rows] = run.objective.scores(run.outputs(inputs, at), at).detach().double().numpy()
            effect = None if self.presence else presence_effect(oof, have, self.guide)
            if effect is not None:
                oof -= (have - effect[0]) @ effect[1]
            slope, _ = fit_slope(np.nan_to_num(oof), self.family)
            return oof_loss(self.family, slope * oof), (slope, slope * oof, effect)

        epochs, loss, (slope, oof, effect) = walk(runs, spec.epochs, look)
        if effect is not None:
            effect = (effect[0], slope * effect[1])
        every = np.arange(self.family.n)
        finals = [self._run(spec, modalities, every, f"final/{k}") for k in range(self.seeds)]
        biases = []
        for run in finals:
            run.trainer.advance(epochs)
            with run.trainer.averaged():
                biases.append(run.objective.bias.detach().double().numpy().copy())
        joint = finals[0].frozen(finals[1:])
        node = NetworkNode(
            joint, modalities, finals[0].objective.link, tuple(biases), slope, self.family.n_scores, effect
        )
        facts = self._facts(spec, modalities, epochs, loss) | {"networks": self.seeds, "slope": round(slope, 4)}
        return JointFit(oof, loss, node, facts)

    def _plain(self, spec: JointSpec, modalities: tuple[str, ...]) -> JointFit:
        """The network never sees an outcome; ridge on its representation."""
        runs, held = self._runs(spec, modalities)
        k = spec.size

        def look() -> tuple[float, Any]:
            splits = []
            for run, (inputs, known, rows), (train, _) in zip(runs, held, self.fold.inner, strict=True):
                own = run.trainer.rows
                pairs = ((run.inputs, own), (inputs, torch.as_tensor(known)))
                z = [run.outputs(i, r).double().numpy() if len(r) else np.zeros((0, k)) for i, r in pairs]
                splits.append(Split(train[own.numpy()], rows, (z[0], z[1])))
            loss, _, point, oof = self._path(splits, k)
            return loss, (point, oof)

        epochs, loss, (point, oof) = walk(runs, spec.epochs, look)
        final = self._run(spec, modalities, np.arange(self.family.n), "final")
        final.trainer.advance(epochs)
        joint = final.frozen()
        z, rows = known_units(joint, self.fold.cohort)
        scale = scale_of(z)
        coef = RidgePath(z * scale, self.family.take(rows)).coef(point) * scale
        facts = self._facts(spec, modalities, epochs, loss) | {"prior_sd_of_score": round(PRIOR_SDS[point], 4)}
        return JointFit(oof, loss, JointNode(joint, coef, self.family.n_scores), facts)

    def _facts(self, spec: JointSpec, modalities: tuple[str, ...], epochs: int, loss: float) -> dict[str, Any]:
        return {
            "representation": spec.model,
            **({"posterior": spec.posterior} if spec.model == "vae" else {"alignment": spec.alignment}),
            "modalities": list(modalities),
            "latent_variables": spec.size,
            "epochs": epochs,
            "inner_loss": round(loss, 5),
        }
