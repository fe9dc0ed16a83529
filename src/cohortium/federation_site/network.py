"""A network at a site: its steps on the site's patients, and what it predicts for them.

Nothing is kept between two questions but what the site's data give anyway: seeds come from the plan, the site's name and the
round; a control variate (SCAFFOLD) is computed again at the network of the round before; a head of the site's own is fitted
again to the body that it was sent. A site that was restarted answers as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium._optional import require
from cohortium.contracts.federation import FederationPlan, Withdrawn
from cohortium.contracts.federation_network import (
    GRID,
    HEAD,
    SHARED,
    AskTimes,
    AskUpdate,
    NetworkModel,
    Part,
    PartUpdate,
    SiteTimes,
    SiteUpdate,
    of_modality,
)
from cohortium.contracts.network_plan import NetworkPlan
from cohortium.federation_site.network_data import (
    Seen,
    modalities_of,
    network_of,
    number,
    round_seed,
    seen,
    site_times,
)
from cohortium.federation_site.site import Site

Array = NDArray[np.float64]

FARTHEST = 1000.0
"""No network has weights that moved so far: such a question asks about single patients."""

MOST_OUTPUTS = 64
NARROW = 128
"""Columns of a modality up to which its encoder is a perceptron; wider ones have one of low rank."""


def times(site: Site, plan: FederationPlan, q: AskTimes, own: str) -> SiteTimes | Withdrawn:
    """Coarse counts of events."""
    if plan.kind != "survival" or plan.network is None:
        return Withdrawn(site.name, own, q.round, "it was asked for times that its study does not have")
    return site_times(site, plan, q.round, own)


def update(site: Site, plan: FederationPlan, q: AskUpdate, own: str) -> SiteUpdate | Withdrawn:
    """The site's steps."""
    reason = wrong(site, plan, q)
    if reason:
        return Withdrawn(site.name, own, q.round, reason)
    data = seen(site, plan, q)
    if len(np.unique(site.patient[data.train])) < plan.least_patients:
        return Withdrawn(site.name, own, q.round, f"fewer than {plan.least_patients} of its patients can be trained on")
    try:
        here = At(site, plan, q)
        parts, loss, inner = here.answer(q)
    except ValueError as e:
        return Withdrawn(site.name, own, q.round, str(e))
    sizes = np.array([float(here.layout.sizes[n]) for n in here.layout.names])
    return SiteUpdate(site.name, own, q.round, parts, sizes, loss, len(data.train), inner, len(data.inner))


def predicted(site: Site, plan: FederationPlan, model: NetworkModel, known: Site | None) -> Array | str:
    """Scores of a site's units, as :func:`cohortium.federation_site.models.predicted_by` gives them. known: patients of the site whose outcomes
    a head of its own may be fitted to; None: all of it is held out, and each fold has the head of the others."""
    reason = wrong(site, plan, model)
    if reason:
        return reason
    try:
        if not network_of(plan).personal:
            return At(site, plan, model).scores()
        if known is not None:
            return At(site, plan, model).scores(At(known, plan, model).own_head())
        from cohortium.federation_site.trials import folds_of, take

        fold, out = folds_of(site, replace(plan, folds=max(plan.folds, 2))), None
        for k in np.unique(fold):
            rest = take(site, np.flatnonzero(fold != k))
            found = At(site, plan, model).scores(At(rest, plan, model).own_head())
            out = np.zeros_like(found) if out is None else out
            out[fold == k] = found[fold == k]
        assert out is not None
        return out
    except ValueError as e:
        return str(e)


def wrong(site: Site, plan: FederationPlan, q: AskUpdate | NetworkModel) -> str:
    """Why a question is refused; empty where it is fine."""
    if plan.network is None:
        return "its study declares no network"
    n, m = len(q.columns), len(modalities_of(q.columns))
    if not (q.mean.shape == q.sd.shape == (n,) and np.isfinite(q.mean).all() and (q.sd > 0).all() and n):
        return "the question does not fit its columns"
    if q.base.ndim != 1 or not 1 <= len(q.base) <= MOST_OUTPUTS or not np.isfinite(q.base).all():
        return "the question has no outputs"
    if m > len(plan.modalities):
        return "the question has more modalities than the study declares"
    if plan.kind == "survival" and plan.network.survival == "discrete_time":
        e = q.edges
        if e.shape != (len(q.base) + 1,) or not np.isin(e, GRID).all() or (np.diff(e) <= 0).any() or e[0] != 0:
            return "the question has intervals that are not steps of the fixed grid"
    several = [*q.parts, *(getattr(q, "previous", ())), *(getattr(q, "variate", ()))]
    for p in several:
        if not (np.isfinite(p.change).all() and np.isfinite(p.centre).all()):
            return "the question holds no finite weights"
        if max(np.abs(p.change).max(initial=0), np.abs(p.centre).max(initial=0)) > FARTHEST:
            return "the question is about weights that no network has"
    return ""


def _built(data: Seen, n: int, how: NetworkPlan, base: Array) -> tuple[Any, Any, list[Any], Any]:
    """The network at its start, where its parts are, its numbers, and a site's inputs."""
    import torch

    from cohortium.networks.batch import Inputs, Rows
    from cohortium.networks.build import Design
    from cohortium.networks.parts import Layout, whole

    dims = tuple(x.shape[1] for x in data.x)
    kinds = tuple("mlp" if d <= NARROW else "lowrank" for d in dims)
    model = whole(
        Design(dims, kinds, how.fusion, len(base), how.width, how.dropout, how.modality_dropout), base, how.seed
    )
    layout = Layout(model, len(dims))
    rows = tuple(Rows(torch.as_tensor(x), torch.as_tensor(w)) for x, w in zip(data.x, data.where, strict=True))
    return model, layout, [p.detach().clone() for p in layout.parameters], Inputs(n, rows)


class At:
    """A network as a question says it, and a site's patients. Raises ValueError where the question's parts do not fit the network."""

    def __init__(self, site: Site, plan: FederationPlan, q: AskUpdate | NetworkModel) -> None:
        self.torch = require("torch", extra="deep", purpose="a network that is trained across sites")
        self.site, self.plan, self.q, self.how = site, plan, q, network_of(plan)
        self.data: Seen = seen(site, plan, q)
        self.names = (*tuple(map(of_modality, self.data.modalities)), SHARED, HEAD)
        key = ("built", id(self.data), q.base.tobytes())
        if key not in site.folds:  # what is built is the same each time; every use loads weights first
            site.folds[key] = _built(self.data, len(site), self.how, q.base)
        self.model, self.layout, self.start, self.inputs = site.folds[key]
        self.kind = self.how.survival if plan.kind == "survival" else plan.kind
        self.load(q.parts)
        self.model.eval()

    def load(self, parts: Sequence[Part]) -> None:
        """Make the network that of a message; parts that are not named are at their start."""
        if not self.layout.fits(changes := {self._short(p.name): p.change for p in parts}):
            raise ValueError("the question has parts of another network")
        moved = self.layout.unpack(changes)
        with self.torch.no_grad():
            for p, s, m in zip(self.layout.parameters, self.start, moved, strict=True):
                p.copy_(s + m)
            for centre in self.model.joint.centres:
                centre.mean.zero_()
            for part in parts:
                if len(part.centre):
                    mean = self.model.joint.centres[int(self._short(part.name))].mean
                    if part.centre.shape != tuple(mean.shape):
                        raise ValueError("the question has parts of another network")
                    mean.copy_(self.torch.as_tensor(part.centre))

    def _short(self, name: str) -> str:
        """The layout's name of a part. Raises ValueError for one that this network does not have."""
        if name not in self.names:
            raise ValueError("the question has parts of another network")
        return str(self.layout.names[self.names.index(name)])

    def losses(self) -> Any:
        """The loss of this endpoint on the site's units."""
        from cohortium.networks import targets

        s, q = self.site, self.q
        if self.kind == "discrete_time":
            return targets.hazards(s.time, s.y > 0, s.entry, q.edges)
        if self.kind == "cox":
            return targets.partial_likelihood(s.time, s.y > 0, s.entry)
        if self.kind == "continuous":
            return targets.continuous((s.y - q.outcome[0]) / q.outcome[1])
        if self.kind == "binary":
            return targets.binary(s.y)
        if set(s.classes) - set(q.classes):
            raise ValueError("it has a class that sites did not agree on")
        return targets.multiclass(np.array([q.classes.index(c) for c in s.classes])[s.y.astype(int)])

    def informative(self) -> Any:
        """(n,) bool: units whose outcome says most; dealt evenly into batches."""
        y = self.site.y
        if self.plan.kind == "continuous":
            return self.torch.as_tensor(y > np.median(y))
        rare = 1.0 if self.plan.kind != "multiclass" else float(np.bincount(y.astype(int)).argmin())
        return self.torch.as_tensor(y == rare)

    def answer(self, q: AskUpdate) -> tuple[tuple[PartUpdate, ...], float, float]:
        """Parts that this site trained, sum of losses of its training units, and of those kept from training."""
        from cohortium.training.local import Steps, train_locally

        n, train = self.how, self.torch.as_tensor(self.data.train)
        self._hide()
        self._to(q.parts)
        loss, inner, centres = self._mean_loss(self.data.train), self._mean_loss(self.data.inner), self._centres()
        variates, correction = {}, None
        if n.strategy == "scaffold" and q.train:
            variates = self.layout.pack(self._gradient())
            correction = self._correction(q)
        before = [p.detach().clone() for p in self.layout.parameters]
        changes = {}
        if q.train:
            steps = Steps(n.local_epochs, n.batch, n.optimiser, n.rate, n.decay, n.gradient_clip, n.proximal)
            train_locally(
                self.model, self.layout.parameters, self.losses(), self.inputs, train, self.informative(), steps,
                round_seed(self.site, self.plan, q.round), scale=self._scale(), decays=self.layout.matrices, correction=correction,
            )  # fmt: skip
            moved = [p.detach() - b for p, b in zip(self.layout.parameters, before, strict=True)]
            changes = self._clipped({k: v for k, v in self.layout.pack(moved).items() if k in self._sent()})
        none = np.zeros(0)
        parts = []
        for short in self._sent():
            j = int(short) if short.isdigit() else -1
            units = int(self.data.present[self.data.train, j].sum()) if j >= 0 else len(self.data.train)
            name = self.names[self.layout.names.index(short)]
            centre = centres[j] if j >= 0 else none
            parts.append(PartUpdate(name, units, changes.get(short, none), variates.get(short, none), centre))
        return tuple(parts), loss * len(self.data.train), inner * len(self.data.inner)

    def _sent(self) -> list[str]:
        """Parts whose change leaves the site: of modalities that it has, of all, and the head unless it is its own."""
        mine = [str(j) for j, m in enumerate(self.data.mine) if m]
        return [*mine, SHARED] if self.how.personal else [*mine, SHARED, HEAD]

    def _hide(self) -> None:
        """While training, a modality that too few patients of the site have is absent for all of them."""
        from cohortium.networks.batch import Inputs, Rows

        none = self.torch.zeros(0, dtype=self.torch.long)
        kept = [p if m else Rows(p.x[:0], none) for p, m in zip(self.inputs.parts, self.data.mine, strict=True)]
        self.inputs = Inputs(self.inputs.n, tuple(kept))

    def _scale(self) -> list[Any]:
        """1 for what all units train; for a modality's part n / m, m of the site's n training units having it: its gradient
        is then the mean over those who have it, as its average over sites is. 0 for what is not trained here."""
        n = len(self.data.train)
        have = self.data.present[self.data.train].sum(0)
        scale = {str(j): n / max(int(have[j]), 1) for j, m in enumerate(self.data.mine) if m}
        return self.layout.filled(scale | {SHARED: 1.0, HEAD: 1.0})  # type: ignore[no-any-return]

    def _gradient(self) -> list[Any]:
        """Of the mean loss of the training units, nothing dropped; scaled as steps are."""
        rows = self.torch.as_tensor(self.data.train)
        self.model.zero_grad(set_to_none=True)
        self.losses()(self.model(self.inputs.batch(rows)), rows).backward()
        found = [
            s * (self.torch.zeros_like(p) if p.grad is None else p.grad)
            for p, s in zip(self.layout.parameters, self._scale(), strict=True)
        ]
        self.model.zero_grad(set_to_none=True)
        return found

    def _to(self, parts: Sequence[Part]) -> None:
        """The network of a message, with the site's own head where heads are personal."""
        self.load(parts)
        if self.how.personal:
            self._put_head(self.own_head())

    def gradient_of(self, x: Sequence[Any]) -> Any:
        """(P,) gradient of the mean loss of the training units, had they these rows: a tensor (m, d) for each modality, of those who have
        it. Differentiable in the rows, for attacks; nothing dropped."""
        from cohortium.networks.batch import Inputs, Rows

        rows = self.torch.as_tensor(self.data.train)
        at = [self.torch.as_tensor(w) for w in self.data.where]
        inputs = Inputs(self.inputs.n, tuple(Rows(v, w) for v, w in zip(x, at, strict=True)))
        loss = self.losses()(self.model(inputs.batch(rows)), rows)
        found = self.torch.autograd.grad(
            loss, self.layout.parameters, create_graph=True, allow_unused=True, materialize_grads=True
        )
        return self.torch.cat([g.reshape(-1) for g in found])

    def _correction(self, q: AskUpdate) -> list[Any]:
        """The mean of the sites' control variates less the site's own, which is its gradient at the network of the round before."""
        if not q.previous:
            return self.layout.unpack({})  # type: ignore[no-any-return]
        common = {self._short(p.name): p.change for p in q.variate}
        if not self.layout.fits(common):
            raise ValueError("the question has parts of another network")
        self._to(q.previous)
        own = self._gradient()
        self._to(q.parts)
        return [c - o for c, o in zip(self.layout.unpack(common), own, strict=True)]

    def _mean_loss(self, at: NDArray[np.intp]) -> float:
        if not len(at):
            return 0.0
        rows = self.torch.as_tensor(at)
        with self.torch.no_grad():
            return float(self.losses()(self.model(self.inputs.batch(rows)), rows))

    def _centres(self) -> dict[int, Array]:
        """Mean embedding of the training units that have a modality."""
        batch = self.inputs.batch(self.torch.as_tensor(self.data.train))
        with self.torch.no_grad():
            return {
                j: self.model.joint.encoders[j](batch.x[j]).mean(0).numpy() for j, m in enumerate(self.data.mine) if m
            }

    def _clipped(self, changes: dict[str, Array]) -> dict[str, Array]:
        """Shrunken together to the declared norm."""
        if not self.how.clip:
            return changes
        norm = float(np.sqrt(sum(float(v @ v) for v in changes.values())))
        by = min(1.0, self.how.clip / max(norm, 1e-300))
        return {k: v * by for k, v in changes.items()}

    def scores(self, head: Any = None) -> Array:
        """(n,) or (n, K) of all units; see :func:`predicted`."""
        from cohortium.networks.targets import score

        if head is not None:
            self._put_head(head)
        with self.torch.no_grad():
            found: Array = score(self.kind, self.model(self.inputs.batch(self.torch.arange(len(self.site))))).numpy()
        if self.plan.kind == "continuous":
            return np.asarray(self.q.outcome[0] + self.q.outcome[1] * found)
        return found

    def own_head(self) -> Any:
        """A head of the site's own, fitted to its training units with the body as it is; see :func:`cohortium.training.local.fit_head`."""
        from cohortium.training.local import fit_head

        rows = self.torch.as_tensor(self.data.train)
        return fit_head(self.model, self.losses(), self.inputs.batch(rows), rows)

    def _put_head(self, head: Any) -> None:
        with self.torch.no_grad():
            self.model.joint.head.weight.copy_(head[0])
            self.model.bias.copy_(head[1])


__all__ = ["At", "number", "predicted", "times", "update", "wrong"]
