"""Training of :class:`~cohortium.joint.vae.JointVae` on a cohort, in stretches that can be looked at between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from cohortium.cohort import Cohort
from cohortium.encoders import fit_encoder
from cohortium.joint.imputing import Imputer, JointImputer, Part, squared_error
from cohortium.joint.model import Array
from cohortium.joint.vae import BERNOULLI, GAUSSIAN, NARROW, JointVae, VaeSettings, Views, _infer, decode, fit_view
from cohortium.networks.vae import Elbo, Vae, VaeDesign
from cohortium.training.loop import Settings, Trainer

EPOCHS = (3, 6, 10, 15, 20, 30, 40, 60, 80, 100, 130, 160, 200, 250, 300, 400, 500, 700, 1000)
"""Points at which training is looked at."""

LEAST_SHARE = 1e-3
"""A latent variable that explains less than this of every modality is none."""

LEAST, PATIENCE = 30, 2
"""After LEAST epochs training stops when so many further points were no better."""


class VaeRun:
    """A network in training on the units of a cohort that have any of the modalities.

    names: modalities; those without a unit or a feature that varies are left out. objective: of the units of the cohort, made
    with their positions; None: the bound alone. Raises ValueError when no modality is left.
    """

    def __init__(
        self,
        cohort: Cohort,
        names: Sequence[str],
        settings: VaeSettings,
        seed: int,
        objective: Any = None,
        weight: float = 1.0,
    ) -> None:
        self.views = fit_views(cohort, names, settings.counts)
        self.inputs, known = self.views.inputs(cohort, double=False)
        self.design = VaeDesign(
            dims=tuple(part.x.shape[1] for part in self.inputs.parts),
            encoders=tuple("mlp" if len(e.names_) <= NARROW else "lowrank" for e in self.views.encoders),
            likelihoods=tuple(tuple(int(k) for k in v.kinds) for v in self.views.views),
            posterior=settings.posterior,
            latent=settings.latent,
            outputs=0 if objective is None else objective.n_outputs,
            width=settings.width,
            dropout=settings.dropout,
        )
        rows = torch.as_tensor(np.flatnonzero(known))
        how = Settings(batch=settings.batch, rate=settings.rate, decay=settings.decay)
        self.trainer = Trainer(self._begin, self.inputs, Elbo(len(cohort), objective, weight), rows, seed, how)
        self.objective = objective

    def _begin(self) -> Vae:
        """A fresh network that decodes the mean of each feature."""
        model = Vae(self.design)
        for decoder, part, view in zip(model.decoders, self.inputs.parts, self.views.views, strict=True):
            mean = torch.as_tensor(np.nanmean(part.y.numpy(), axis=0)) if len(part.y) else torch.zeros(len(view.kinds))
            kinds = torch.as_tensor(view.kinds)
            start = torch.where(
                kinds == BERNOULLI, torch.logit(mean.clamp(0.01, 0.99)), torch.log(mean.clamp_min(1e-3))
            )
            with torch.no_grad():
                decoder.wide.bias.copy_(torch.where(kinds == GAUSSIAN, mean, start))
        return model

    def weights(self) -> dict[str, np.ndarray]:
        """Averaged weights, in double precision."""
        with self.trainer.averaged() as model:
            return {k: v.double().numpy().copy() for k, v in model.state_dict().items()}

    def evidence(self, inputs: Any, rows: torch.Tensor) -> float:
        """Mean of minus the bound over further units (in single precision)."""
        with self.trainer.averaged() as model:
            return float(model.evidence(inputs.batch(rows)).mean())

    def outputs(self, inputs: Any, rows: torch.Tensor) -> torch.Tensor:
        """Of the head, or the representation, of further units (in single precision)."""
        with self.trainer.averaged() as model:
            made: torch.Tensor = model(inputs.batch(rows))
        return made

    def predicted(self, inputs: Any, n: int, target: str) -> tuple[Array, Array]:
        """Encoded features of the target expected for n further units, and standard deviations."""
        model = self.frozen().model()
        return decode(model, self.views, self.views.names.index(target), *_infer(model, inputs, n))

    def frozen(self, others: Sequence[VaeRun] = (), explain: bool = False) -> JointVae:
        """The network as it is now, and further ones of the same design and units. explain: put latent variables in the order
        of the variance they explain, and leave out those that explain nothing."""
        members = tuple(r.weights() for r in (self, *others))
        size = self.design.latent
        empty = np.zeros((len(self.views.names), size))
        made = JointVae(self.views, asdict(self.design), members, tuple(range(size)), empty)
        if not explain:
            return made
        share = _explained(made, self.inputs)
        used = share.max(axis=0) >= LEAST_SHARE
        order = [int(k) for k in np.argsort(-share.sum(axis=0), kind="stable") if used[k] or not used.any()]
        return replace(made, kept=tuple(order), explained=share[:, order])


def fit_views(cohort: Cohort, names: Sequence[str], counts: Sequence[str] = ()) -> Views:
    """Encoders and views of the units of a cohort. Raises ValueError when no modality is left."""
    kept, encoders, views = [], [], []
    for name in names:
        data = cohort.modalities[name]
        if len(data.units) < 2:
            continue
        encoder = fit_encoder(data)
        if len(encoder.names_):
            kept.append(name)
            encoders.append(encoder)
            views.append(fit_view(name, encoder, data, name in counts))
    if not kept:
        raise ValueError("no modality has two units and a feature that varies")
    return Views(tuple(kept), tuple(encoders), tuple(views))


def _explained(joint: JointVae, inputs: Any) -> Array:
    """(M, K) variance over training units of what each latent variable alone decodes, relative to that of the features."""
    model, n = joint.model(), inputs.n
    mean, _ = _infer(model, _double(inputs), n)
    out = np.zeros((len(joint.names), joint.size))
    for j, part in enumerate(inputs.parts):
        z = mean[part.where.numpy()]
        total = max(float(len(joint.encoders[j].names_)), 1.0)
        for k in range(joint.size):
            alone = np.zeros_like(z)
            alone[:, k] = z[:, k]
            value, _ = decode(model, joint.views, j, alone, np.zeros_like(z))
            out[j, k] = value.var(axis=0).sum() / total
    return out


def _double(inputs: Any) -> Any:
    from cohortium.networks.batch import Inputs
    from cohortium.networks.vae import SeenRows

    return Inputs(inputs.n, tuple(SeenRows(p.x.double(), p.y.double(), p.size.double(), p.where) for p in inputs.parts))


def walk(runs: Sequence[VaeRun], most: int, look: Callable[[], tuple[float, Any]]) -> tuple[int, float, Any]:
    """Train networks together; epochs, loss and whatever else ``look`` gives at the best point of the path."""
    best: tuple[int, float, Any] | None = None
    waited = 0
    for epochs in [e for e in EPOCHS if e < most] + [most]:
        for run in runs:
            run.trainer.advance(epochs - run.trainer.epochs)
        loss, found = look()
        if best is None or loss < best[1] - 1e-9:
            best, waited = (epochs, loss, found), 0
        else:
            waited += 1
        if waited >= PATIENCE and epochs >= LEAST:
            break
    assert best is not None
    return best


def fit_joint_vae(
    cohort: Cohort, settings: VaeSettings, seed: int, folds: Sequence[tuple[Any, Any]], each: Callable[[], None]
) -> tuple[JointVae, int]:
    """An autoencoder of all modalities, and its epochs: by the bound of units that were not trained on.

    folds: positions of training and other units. each: called at every point of the path, and at the end. Raises ValueError
    when no modality is left.
    """
    names, runs, held = list(cohort.modalities), [], []
    for train, test in folds:
        runs.append(VaeRun(cohort.take(train), names, settings, seed))
        inputs, known = runs[-1].views.inputs(cohort.take(test), double=False)
        held.append((inputs, torch.as_tensor(np.flatnonzero(known))))

    def look() -> tuple[float, None]:
        each()
        found = [r.evidence(i, rows) for r, (i, rows) in zip(runs, held, strict=True) if len(rows)]
        return float(np.mean(found)), None

    epochs, _, _ = walk(runs, settings.epochs, look)
    final = VaeRun(cohort, names, settings, seed)
    final.trainer.advance(epochs)
    each()
    return final.frozen(explain=True), epochs


@dataclass(frozen=True)
class VaeMethod:
    """Imputation by an autoencoder of all modalities of all units; what is chosen is the number of epochs."""

    settings: VaeSettings

    def tune(self, parts: Sequence[Part], target: str, seed: int) -> tuple[int, list[tuple[Array, Array]]]:
        """See :class:`~cohortium.joint.imputing.Method`."""
        runs = [VaeRun(p.seen, list(p.seen.modalities), self.settings, seed) for p in parts]
        held = [r.views.inputs(p.blind)[0] for r, p in zip(runs, parts, strict=True)]

        def look() -> tuple[float, list[tuple[Array, Array]]]:
            made = [r.predicted(i, i.n, target) for r, i in zip(runs, held, strict=True)]
            return squared_error(parts, [value for value, _ in made]), made

        epochs, _, made = walk(runs, self.settings.epochs, look)
        return epochs, made

    def fit(self, cohort: Cohort, target: str, seed: int, pick: int) -> Imputer:
        """Trained for so many epochs."""
        run = VaeRun(cohort, list(cohort.modalities), self.settings, seed)
        run.trainer.advance(pick)
        return JointImputer(run.frozen(), target)
