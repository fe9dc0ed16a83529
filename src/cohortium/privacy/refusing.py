"""What has no per-patient gradient, and so no differential privacy by noise on sums of clipped gradients; with the reason."""

from __future__ import annotations

from collections.abc import Iterable

COX = (
    "the Cox partial likelihood is no sum over patients: each event is held against everyone then at risk, so that one patient is in "
    "the terms of all others, and no bound on his own gradient bounds what he changes. Discrete-time hazards are such a sum."
)
CONTRASTIVE = (
    "a contrastive loss holds each patient against the others of the batch: one patient changes the terms of all others"
)
BATCH = "batch normalisation mixes the patients of a batch, and keeps their means and variances in the model"
CENTRE = (
    "centring by the batch's mean mixes its patients, and the mean that is kept afterwards is exact: set it to fixed numbers, or "
    "leave it out"
)
EXACT = "exact sums (Newton's gradients and Hessians) have no noise, and a Hessian has no bound that is of use"
RANKING = "the loss compares patients with each other: one patient changes the terms of all others"
SPECTRAL = "spectral normalisation keeps directions of the weights between steps that no clipping bounds"

LOSSES: dict[str, str] = {
    "cox": COX,
    "cox_loss": COX,
    "partial_likelihood": COX,
    "breslow": COX,
    "efron": COX,
    "stratified_cox": COX,
    "contrastive": CONTRASTIVE,
    "info_nce": CONTRASTIVE,
    "clip": CONTRASTIVE,
    "ntxent": CONTRASTIVE,
    "triplet": CONTRASTIVE,
    "barlow_twins": CONTRASTIVE,
    "coordinated": CONTRASTIVE,
    "ranking": RANKING,
    "newton": EXACT,
    "hessian": EXACT,
}

MODULES: dict[str, str] = {
    "BatchNorm1d": BATCH,
    "BatchNorm2d": BATCH,
    "BatchNorm3d": BATCH,
    "SyncBatchNorm": BATCH,
    "LazyBatchNorm1d": BATCH,
    "LazyBatchNorm2d": BATCH,
    "LazyBatchNorm3d": BATCH,
    "Centre": CENTRE,
    "_SpectralNorm": SPECTRAL,
}


def refuse(loss: str = "", modules: Iterable[object] = ()) -> str:
    """Why a training cannot be private; empty where nothing speaks against it.

    loss: its name, as the study file or the code has it (``cox``, ``info_nce``). modules: of a network (``model.modules()``), or names of
    their classes.
    """
    key = loss.lower().replace("-", "_").replace(" ", "_")
    if key in LOSSES:
        return f"loss '{loss}': {LOSSES[key]}"
    for m in modules:
        name = m if isinstance(m, str) else type(m).__name__
        if MODULES.get(name):
            return f"layer {name}: {MODULES[name]}"
        if not isinstance(m, str) and getattr(m, "track_running_stats", False):
            return f"layer {name}: it keeps means and variances of the patients that it saw, which have no noise"
    return ""
