"""Differentially private steps of a network at a site: gradients of single patients, clipped, summed, with noise (Abadi 2016, CCS).

Each step takes every patient with the same chance, independently of the others (Poisson sampling; Opacus' accountant and ours assume it),
and gives a release of kind ``sampled_gaussian`` for the ledger. Opacus makes the gradients (``GradSampleModule``), clips and adds noise
(``DPOptimizer``). Where it cannot (layers without a rule of its own that also do not take patients along their first axis: ragged
bags, sequences, joint models that hold patients in parts), ``loop`` takes one patient after the other: slower, and the same numbers.

Noise in floating point is rounded by no grid here: Mironov's attack is not covered, nor is torch's generator a cryptographic one; seeded by
the operating system it is at least not to be guessed.
"""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cohortium._optional import require
from cohortium.errors import StudyError
from cohortium.privacy.accountant import FITTED, Release, refused
from cohortium.privacy.refusing import refuse

if TYPE_CHECKING:
    import torch
    from torch import nn

Take = Callable[[Sequence[int]], Any]
"""Patients by position -> a batch, as the module takes it."""

Loss = Callable[[Any, Sequence[int]], Any]
"""Outputs of a batch, and its patients by position -> (b,) loss of each patient: a patient's units are summed or averaged in it."""

MOST_TAKEN = 4096


@dataclass(frozen=True)
class PrivateUpdate:
    """change: name of a parameter -> what was added to it, on the CPU. releases: what it costs, for the ledger. taken: patients by step, which are
    no part of what leaves."""

    change: dict[str, Any]
    releases: tuple[Release, ...]
    taken: tuple[int, ...]


def train_privately(
    model: nn.Module,
    take: Take,
    loss: Loss,
    patients: int,
    *,
    steps: int,
    rate: float,
    noise: float,
    clip: float,
    learning_rate: float,
    loss_name: str = "",
    seed: int | None = None,
    how: Literal["auto", "opacus", "loop"] = "auto",
    budget: tuple[float, float, Sequence[Release]] | None = None,
    plan: str = "",
) -> PrivateUpdate:
    """A private update of ``model``, which stays as it was.

    take, loss: see :data:`Take` and :data:`Loss`. patients: how many there are. rate: chance of a patient to be in a step. noise: standard deviation
    over ``clip`` (the multiplier). clip: L2 norm that a patient's gradient is cut to. The sum is divided by ``rate`` times
    ``patients``, which takes the number of patients for known; hand over a noisy one where it is not. seed: of a simulation; None: from the
    operating system. budget: epsilon, delta and what was released before; more is refused before a gradient is taken.

    Raises :class:`StudyError` for what cannot be private (with the reason), numbers out of range, or a budget that does not suffice;
    :class:`MissingExtra` without Opacus.
    """
    _check(model, loss_name, steps, rate, noise, clip, patients)
    release = Release("network", "sampled_gaussian" if rate < 1 else "gaussian", noise, steps, rate, FITTED, plan)
    if budget is not None and (said := refused(budget[2], [release], budget[0], budget[1])):
        raise StudyError(f"This training is refused: {said}.")
    require("opacus", extra="private_networks", purpose="Differentially private training of networks")
    import torch

    generator = torch.Generator().manual_seed(secrets.randbits(63) if seed is None else seed)
    before = {k: v.detach().clone() for k, v in model.named_parameters()}
    wrapped, per_patient = _wrapped(model, take, loss, how)
    optimizer = _optimizer(wrapped, learning_rate, noise, clip, rate * patients, generator)
    taken = []
    model.train()
    try:
        for _ in range(steps):
            rows = torch.nonzero(torch.rand(patients, generator=generator) < rate).flatten().tolist()
            taken.append(len(rows))
            optimizer.zero_grad(set_to_none=True)
            per_patient(rows)
            _none_taken(optimizer, len(rows))
            optimizer.step()
        change = {k: (v.detach() - before[k]).clone() for k, v in model.named_parameters() if v.requires_grad}
    finally:
        _unwrap(wrapped, model, before)
    return PrivateUpdate(change, (release,), tuple(taken))


def _check(model: nn.Module, loss_name: str, steps: int, rate: float, noise: float, clip: float, patients: int) -> None:
    if reason := refuse(loss_name, model.modules()):
        raise StudyError(f"This network cannot be trained privately. {reason[:1].upper()}{reason[1:]}.")
    for name, x, fits, wanted in (
        ("steps", steps, steps >= 1, "one or more"),
        ("rate", rate, 0 < rate <= 1, "above 0, at most 1"),
        ("noise", noise, noise > 0, "above 0"),
        ("clip", clip, clip > 0, "above 0"),
        ("patients", patients, patients >= 1, "one or more"),
    ):
        if not fits:
            raise StudyError(f"Private training: {name} is {x:g}, and is to be {wanted}.")


def _wrapped(model: nn.Module, take: Take, loss: Loss, how: str) -> tuple[Any, Callable[[list[int]], None]]:
    """The module, and how gradients of single patients (``grad_sample``) are made for it."""
    import torch

    def by_loop(rows: list[int]) -> None:
        named = [p for p in model.parameters() if p.requires_grad]
        each = []
        for i in rows:
            one = loss(model(take([i])), [i]).sum()
            found = torch.autograd.grad(one, named, allow_unused=True)
            each.append([torch.zeros_like(p) if g is None else g for p, g in zip(named, found, strict=True)])
        for j, p in enumerate(named):
            p.grad_sample = torch.stack([e[j] for e in each]) if each else torch.zeros(0, *p.shape)  # type: ignore[attr-defined]

    if how == "loop" or (how == "auto" and not _opacus_knows(model)):
        return model, by_loop
    from opacus import GradSampleModule

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = GradSampleModule(model, batch_first=True, loss_reduction="sum")

    def by_opacus(rows: list[int]) -> None:
        if rows:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Full backward hook")
                loss(wrapped(take(rows)), rows).sum().backward()
        _unused(model, len(rows))

    return wrapped, by_opacus


def _unused(model: nn.Module, n: int) -> None:
    """Parameters that took no part in a step (a modality that nobody in it has) have no gradient there: nought for each patient."""
    import torch

    for p in model.parameters():
        if p.requires_grad and getattr(p, "grad_sample", None) is None:
            p.grad_sample = torch.zeros(n, *p.shape)  # type: ignore[attr-defined]


def _opacus_knows(model: nn.Module) -> bool:
    """Whether every module with parameters of its own has a rule in Opacus, and is used once for each patient: this project's
    joint and ragged models are not, since they hand over parts of a batch."""
    import torch.nn as nn_

    plain = (nn_.Linear, nn_.LayerNorm, nn_.GroupNorm, nn_.Conv1d, nn_.Conv2d, nn_.Embedding)
    own = [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]
    return all(isinstance(m, plain) for m in own) and not any(hasattr(m, "encoders") for m in model.modules())


def _optimizer(model: Any, rate: float, noise: float, clip: float, expected: float, generator: torch.Generator) -> Any:
    import torch
    from opacus.optimizers import DPOptimizer

    parameters = [p for p in model.parameters() if p.requires_grad]
    inner = torch.optim.SGD(parameters, lr=rate)
    return DPOptimizer(
        inner, noise_multiplier=noise, max_grad_norm=clip, expected_batch_size=expected, loss_reduction="mean",
        generator=generator,
    )  # fmt: skip


def _none_taken(optimizer: Any, n: int) -> None:
    """A step with nobody in it is noise alone: that nobody was in it must not be seen."""
    import torch

    if n == 0:
        for p in optimizer.params:
            p.grad_sample = torch.zeros(0, *p.shape)


def _unwrap(wrapped: Any, model: nn.Module, before: dict[str, Any]) -> None:
    """The module as it was: without hooks, gradients and changes."""
    import torch

    if wrapped is not model:
        wrapped.remove_hooks()
    with torch.no_grad():
        for k, p in model.named_parameters():
            p.copy_(before[k])
            p.grad = None
            for extra in ("grad_sample", "summed_grad", "_forward_counter", "_current_grad_sample"):
                if hasattr(p, extra):
                    delattr(p, extra)
