"""Representations as nested dicts and lists with arrays as leaves, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cohortium.encoders import Encoder
from cohortium.fusion.factors import FactorModel
from cohortium.joint.factors import JointFactors
from cohortium.joint.model import Joint
from cohortium.joint.vae import JointVae, Views


def joint_state(joint: Joint, put: Callable[[Encoder], Any]) -> dict[str, Any]:
    """put: what stores an encoder and says where."""
    shared = {"modalities": list(joint.names), "encoders": [put(e) for e in joint.encoders]}
    if isinstance(joint, JointFactors):
        return {"model": "factors", **shared, "state": joint.model.state()}
    assert isinstance(joint, JointVae)
    own = {
        "design": joint.design,
        "members": [dict(m) for m in joint.members],
        "kept": list(joint.kept),
        "explained": joint.explained,
    }
    return {"model": "vae", **shared, "views": joint.views.state(), **own}


def restore_joint(s: dict[str, Any], encoders: list[Encoder]) -> Any:
    """The representation of a state; encoders: as they were put."""
    names, own = tuple(s["modalities"]), tuple(encoders[i] for i in s["encoders"])
    if s["model"] == "factors":
        return JointFactors(names, own, FactorModel.restore(s["state"]))
    views, kept = Views.restore(names, own, s["views"]), tuple(s["kept"])
    return JointVae(views, s["design"], tuple(s["members"]), kept, np.asarray(s["explained"]))
