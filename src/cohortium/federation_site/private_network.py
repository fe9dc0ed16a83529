"""A network at a site of a differentially private study: noisy steps from the common network, and noisy scores.

Each step sums the gradients of single patients over all numbers of the network that the site trains, cut together to the declared norm,
and adds noise on a grid (:mod:`cohortium.privacy.grid`). What is sent is the change by all steps of the round: it tells no more than they do.
No loss, centre of embeddings, count of who has a modality, or choice of a round leaves: embeddings are not centred, the rounds are the plan's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium._optional import require
from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_network import HEAD, SHARED, of_modality
from cohortium.contracts.federation_private import (
    AskPrivateNetworkScores,
    AskPrivateUpdate,
    PrivatePart,
    SitePrivateScores,
    SitePrivateUpdate,
)
from cohortium.contracts.private_plan import PrivacyPlan
from cohortium.federation_site.network_data import CLIP, number
from cohortium.federation_site.private import held_out, out_of_bounds, outcomes_of, values_of
from cohortium.federation_site.site import Site
from cohortium.privacy import models
from cohortium.privacy.grid import Noise, noisy_sum, noisy_sums
from cohortium.privacy.planned import columns_of, modalities_of, outputs_of
from cohortium.privacy.refusing import refuse
from cohortium.privacy.schedule import Schedule
from cohortium.privacy.statistics import by_patient

Array = NDArray[np.float64]
Question = AskPrivateUpdate | AskPrivateNetworkScores

NARROW = 128
"""Columns of a modality up to which its encoder is a perceptron; wider ones have one of low rank."""

FARTHEST = 1000.0
BODY = 0.3
"""Gradients of encoders and fusion are multiplied by this before they are cut, and steps there again: noise in the many numbers of the body costs more
than what they learn from few patients; paths to the outputs learn first. Chosen on simulated sites."""

OUTER = ("joint.wide", "joint.head", "bias")

MADE_UP = 2000
"""Patients that are made up to find edges of bins."""

AT_ONCE = 2_000_000
"""Numbers of gradients that are held at a time."""


class Network:
    """The network of a question, and the site's patients as it sees them. Raises ValueError where the question's parts do not fit."""

    def __init__(self, site: Site, plan: FederationPlan, q: Question) -> None:
        self.torch = require("torch", extra="deep", purpose="a network that is trained across sites")
        self.site, self.plan, self.q = site, plan, q
        self.p = _privacy(plan)
        self.modalities = modalities_of(self.p)
        self.names = (*map(of_modality, self.modalities), SHARED, HEAD)
        key = ("private network", q.base.tobytes(), plan.network)
        if key not in site.folds:  # the same each time; every use loads weights first
            site.folds[key] = _built(self.p, plan, self.modalities, q.base)
        self.model, self.layout, self.start = site.folds[key]
        said = {self._short(p.name): p.change for p in q.parts}
        if len(said) != len(q.parts) or not self.layout.fits(said):
            raise ValueError("the question has parts of another network")
        self.loaded = said
        there = {f.modality for f in site.features}
        self.mine = [str(j) for j, m in enumerate(self.modalities) if m in there] + [SHARED, HEAD]
        self.weights = [
            self.torch.full_like(x, 1.0 if n.startswith(OUTER) else BODY) for n, x in self.model.named_parameters()
        ]
        weight = self.layout.pack(self.weights)
        self.weight = np.concatenate([weight[n] for n in self.mine])

    def load(self) -> Network:
        """The same, with the weights of the question in it: a network is shared by all questions of a study."""
        with self.torch.no_grad():
            for p, s, m in zip(self.layout.parameters, self.start, self.layout.unpack(self.loaded), strict=True):
                p.copy_(s + m)
        return self

    def _short(self, name: str) -> str:
        if name not in self.names:
            raise ValueError("the question has parts of another network")
        return str(self.layout.names[self.names.index(name)])

    def rows(self) -> tuple[list[Any], Any]:
        """Per modality (n, d) standardised columns, unknown ones 0, and (n, M) who has which: who knows any of its columns."""
        key = ("private rows", self.q.mean.tobytes(), self.q.sd.tobytes())
        if key not in self.site.folds:
            x = values_of(self.site, self.p)
            z = np.clip(np.nan_to_num((x - self.q.mean) / self.q.sd), -CLIP, CLIP)
            at = _places(self.p, self.modalities)
            present = np.column_stack([~np.isnan(x[:, a]).all(1) for a in at])
            self.site.folds[key] = [z[:, a] for a in at], present
        z, present = self.site.folds[key]
        return [self.torch.as_tensor(v) for v in z], self.torch.as_tensor(present)

    def shares(self, patients: NDArray[np.int64]) -> Iterator[Array]:
        """(m, P) gradients of these patients (codes), the mean over each one's units, times ``weight``; in groups."""
        from cohortium.networks.per_patient import gradients
        from cohortium.training.loop import one_thread

        x, present = self.rows()
        every = np.ones(len(self.site), bool)
        target, mark = map(self.torch.as_tensor, models.targets(outcomes_of(self.site, self.plan, every)))
        loss = unit_loss(self.plan.kind, self.torch)
        size = max(1, AT_ONCE // sum(self.layout.sizes.values()))
        for begin in range(0, len(patients), size):
            rows = np.flatnonzero(np.isin(self.site.patient, patients[begin : begin + size]))
            at = self.torch.as_tensor(rows)
            with one_thread():
                found = gradients(self.model, [v[at] for v in x], present[at], loss, target[at], mark[at])
            packed = self.layout.pack_each(found)
            each = np.hstack([packed[n] for n in self.mine]) * self.weight
            each[~np.isfinite(each).all(1)] = 0.0  # his own alone: who else is there does not matter
            yield by_patient(each, self.site.patient[rows])

    def change(self) -> dict[str, Array]:
        """Part -> what was added to its start so far."""
        moved = [p.detach() - s for p, s in zip(self.layout.parameters, self.start, strict=True)]
        found: dict[str, Array] = self.layout.pack(moved)
        return found

    def move(self, by: Array) -> None:
        """Add to the numbers of the parts that are trained here, in order; times ``weight``."""
        by = by * self.weight
        parts, at = {}, 0
        for n in self.mine:
            parts[n] = by[at : at + self.layout.sizes[n]]
            at += self.layout.sizes[n]
        with self.torch.no_grad():
            for p, m in zip(self.layout.parameters, self.layout.unpack(parts), strict=True):
                p.add_(m)

    def scores(self, x: Sequence[Any] | None = None, present: Any = None) -> Array:
        """(n,) or (n, K) of the site's units, or of rows that are handed over; values between -1 and 1 as the bounds are."""
        from cohortium.networks.per_patient import forward
        from cohortium.networks.targets import score
        from cohortium.training.loop import one_thread

        if x is None:
            x, present = self.rows()
        kind = "discrete_time" if self.plan.kind == "survival" else self.plan.kind
        self.model.eval()
        with self.torch.no_grad(), one_thread():
            found: Array = score(kind, forward(self.model, x, present)).numpy()
        return found

    def grid(self) -> Array:
        """(bins - 1,) edges of scores: quantiles of what the network says of patients that are made up by the plan's seed, as if columns were
        independent. No patient's data are in it, and every site finds the same."""
        if self.plan.kind not in ("binary", "survival"):
            return np.zeros(0)
        rng = np.random.default_rng([self.plan.seed, number("grid")])
        coded = np.array([bool(level) for _, level in columns_of(self.p)])
        z = rng.standard_normal((MADE_UP, len(coded)))
        two = (rng.random((MADE_UP, len(coded))) < self.q.mean) - self.q.mean
        z = np.clip(np.where(coded, two / self.q.sd, z), -CLIP, CLIP)
        every = self.torch.ones(MADE_UP, len(self.modalities), dtype=self.torch.bool)
        said = self.scores([self.torch.as_tensor(z[:, a]) for a in _places(self.p, self.modalities)], every)
        edges = np.quantile(said, np.arange(1, models.BINS) / models.BINS)
        return np.asarray(np.maximum.accumulate(edges) + 1e-9 * np.arange(models.BINS - 1))


def _privacy(plan: FederationPlan) -> PrivacyPlan:
    assert plan.privacy is not None
    return plan.privacy


def _places(p: PrivacyPlan, modalities: Sequence[str]) -> list[NDArray[np.intp]]:
    """Of each modality the positions of its columns."""
    of = [c.modality for c, _ in columns_of(p)]
    return [np.array([i for i, m in enumerate(of) if m == name]) for name in modalities]


def _built(p: PrivacyPlan, plan: FederationPlan, modalities: Sequence[str], base: Array) -> tuple[Any, Any, list[Any]]:
    """The network at its start, where its parts are, and its numbers there. Raises ValueError for layers that cannot be private."""
    from cohortium.networks.build import Design
    from cohortium.networks.parts import Layout, whole

    how = plan.network
    assert how is not None
    dims = tuple(len(a) for a in _places(p, modalities))
    kinds = tuple("mlp" if d <= NARROW else "lowrank" for d in dims)
    model = whole(Design(dims, kinds, how.fusion, len(base), how.width, 0.0, 0.0), base, how.seed)
    if reason := refuse("", model.modules()):
        raise ValueError(f"it cannot train this network privately: {reason}")
    layout = Layout(model, len(dims))
    return model, layout, [x.detach().clone() for x in layout.parameters]


def unit_loss(kind: str, torch: Any) -> Any:
    """The loss of one unit, from outputs, targets and marks (H,); see :func:`cohortium.privacy.models.targets`."""
    cross = torch.nn.functional.binary_cross_entropy_with_logits
    if kind == "continuous":
        return lambda out, t, mark: 0.5 * ((out - t) ** 2).sum()
    if kind == "multiclass":
        return lambda out, t, mark: -(t * out.log_softmax(0)).sum()
    return lambda out, t, mark: (cross(out, t, reduction="none") * mark).sum()


def odd(site: Site, plan: FederationPlan, q: Question) -> str:
    """Why a question is none about a network of the plan; told before anything is spent."""
    p = _privacy(plan)
    n, h = len(columns_of(p)), outputs_of(plan.kind, p.times, plan.classes)
    numbers = [q.mean, q.sd, q.base, *(x.change for x in q.parts)]
    if not (q.mean.shape == q.sd.shape == (n,) and q.base.shape == (h,)):
        return "the question does not fit its columns"
    if not all(np.isfinite(x).all() for x in numbers) or not (q.sd > 0).all():
        return "the question holds numbers that are none"
    if out_of_bounds(p, q.mean, q.sd):
        return "the question scales columns as no bounds do"
    if max(float(np.abs(x).max(initial=0.0)) for x in numbers[2:]) > FARTHEST:
        return "the question is about weights that no network has"
    if isinstance(q, AskPrivateUpdate) and not (np.isfinite(q.patients) and q.patients >= 1):
        return "the question divides by a number of patients that is none"
    try:
        Network(site, plan, q)
    except ValueError as e:
        return str(e)
    return ""


def update(
    site: Site, plan: FederationPlan, q: AskPrivateUpdate, made: Schedule, noise: Noise, asked: str
) -> SitePrivateUpdate:
    """The plan's noisy steps. Each is divided by the patients that a step is expected to have at a site of mean size: the same number for all
    sites, so that their changes add up as sums over patients do."""
    p, how = _privacy(plan), plan.network
    assert how is not None
    here = Network(site, plan, q).load()
    begun = here.change()
    who = np.unique(site.patient[~held_out(site, p)])
    d = sum(here.layout.sizes[n] for n in here.mine)
    for step in range(p.steps):
        drawn = noise.uniform(len(who), f"{asked}/{step}") < p.sampled if p.sampled < 1 else np.ones(len(who), bool)
        total = noisy_sums(here.shares(who[drawn]), d, p.clip, made.gradient, noise, f"{asked}/{step}")
        by = total / (p.sampled * q.patients)
        if how.proximal:
            now = here.change()
            by = by + how.proximal * np.concatenate([now[n] - begun[n] for n in here.mine]) / here.weight
        here.move(-p.step * by)
    now = here.change()
    parts = [PrivatePart(here.names[here.layout.names.index(n)], now[n] - begun[n]) for n in here.mine]
    return SitePrivateUpdate(site.name, q.plan, q.round, tuple(parts))


def scores(
    site: Site, plan: FederationPlan, q: AskPrivateNetworkScores, made: Schedule, noise: Noise, asked: str
) -> SitePrivateScores:
    """Counts of those held out by bin of their score and outcome."""
    rows = held_out(site, _privacy(plan))
    here = Network(site, plan, q).load()
    each, bound = models.score_rows_of(here.scores()[rows], outcomes_of(site, plan, rows), here.grid())
    shares = by_patient(each, site.patient[rows])
    return SitePrivateScores(site.name, q.plan, q.round, noisy_sum(shares, bound, made.scores, noise, asked))


def as_parts(change: Mapping[str, Array]) -> tuple[PrivatePart, ...]:
    """As they are sent, in order of their names."""
    return tuple(PrivatePart(n, change[n]) for n in sorted(change))
