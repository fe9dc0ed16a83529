"""Representations as nested dicts and lists with arrays as leaves, and back; arrays taken out of such trees, and put in again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cohortium.encoders import Encoder
from cohortium.fusion.canonical import Canonical
from cohortium.fusion.factors import FactorModel
from cohortium.joint.canonical import JointCanonical
from cohortium.joint.coordinated import JointCoordinated
from cohortium.joint.factors import JointFactors
from cohortium.joint.model import Joint
from cohortium.joint.network import JointNetwork, Views
from cohortium.joint.vae import JointVae


def joint_state(joint: Joint, put: Callable[[Encoder], Any]) -> dict[str, Any]:
    """put: what stores an encoder and says where. Readouts are not stored: what is loaded embeds, and says nothing of a
    modality that is absent unless its model does."""
    shared = {"modalities": list(joint.names), "encoders": [put(e) for e in joint.encoders]}
    if isinstance(joint, JointFactors | JointCanonical):
        model = "factors" if isinstance(joint, JointFactors) else "cca"
        return {"model": model, **shared, "state": joint.model.state()}
    assert isinstance(joint, JointNetwork)
    own = {
        "design": joint.design,
        "members": [dict(m) for m in joint.members],
        "kept": list(joint.kept),
        "explained": joint.explained,
    }
    model = "vae" if isinstance(joint, JointVae) else "contrastive"
    return {"model": model, **shared, "views": joint.views.state(), **own}


def restore_joint(s: dict[str, Any], encoders: list[Encoder]) -> Any:
    """The representation of a state; encoders: as they were put."""
    names, own = tuple(s["modalities"]), tuple(encoders[i] for i in s["encoders"])
    if s["model"] == "factors":
        return JointFactors(names, own, FactorModel.restore(s["state"]))
    if s["model"] == "cca":
        return JointCanonical(names, own, Canonical.restore(s["state"]))
    views, kept = Views.restore(names, own, s["views"]), tuple(s["kept"])
    made = JointVae if s["model"] == "vae" else JointCoordinated
    return made(views, s["design"], tuple(s["members"]), kept, np.asarray(s["explained"]))


def strip(x: Any, arrays: dict[str, np.ndarray], other: Callable[[Any], Any] = lambda x: x) -> Any:
    """A tree as JSON takes it; its arrays go into ``arrays`` and leave their names. other: what becomes of other leaves."""
    if isinstance(x, np.ndarray) and x.dtype != object:
        arrays[f"a{len(arrays)}"] = np.ascontiguousarray(x)
        return {"$array": f"a{len(arrays) - 1}"}
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, dict):
        return {k: strip(v, arrays, other) for k, v in x.items()}
    return [strip(v, arrays, other) for v in x] if isinstance(x, list | tuple | np.ndarray) else other(x)


def fill(x: Any, arrays: dict[str, np.ndarray], other: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """The tree again. other: makes a leaf of a dict with a key ``$…`` that is no array's."""
    if isinstance(x, dict):
        if "$array" in x:
            return arrays[x["$array"]]
        if other is not None and any(k.startswith("$") for k in x):
            return other(x)
        return {k: fill(v, arrays, other) for k, v in x.items()}
    return [fill(v, arrays, other) for v in x] if isinstance(x, list) else x
