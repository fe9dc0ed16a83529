"""Subtypes to and from disk: ``subtypes_model.json`` and ``subtypes_model.safetensors``. No pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from cohortium.encoders import Encoder, restore_encoder
from cohortium.errors import RunFolderError
from cohortium.joint.saving import fill, joint_state, restore_joint, strip
from cohortium.subtypes.model import Subtypes

FORMAT = 1
STRUCTURE, ARRAYS = "subtypes_model.json", "subtypes_model.safetensors"


def save_subtypes(subtypes: Subtypes, folder: Path) -> None:
    """Write both files into an existing folder."""
    from safetensors.numpy import save_file

    encoders: list[dict[str, Any]] = []

    def put(encoder: Encoder) -> int:
        encoders.append(encoder.state())
        return len(encoders) - 1

    arrays: dict[str, np.ndarray] = {}
    joint = joint_state(subtypes.joint, put)
    own = {k: getattr(subtypes, k) for k in ("weights", "centres", "spread", "shares")}
    tree = {"format": FORMAT, "names": list(subtypes.names), **own, "joint": joint, "encoders": encoders}
    text = json.dumps(strip(tree, arrays), indent=1)
    save_file(arrays, str(folder / ARRAYS))
    (folder / STRUCTURE).write_text(text, encoding="utf-8")


def load_subtypes(folder: str | Path) -> Subtypes:
    """What ``cohortium subtype`` wrote into its folder; :meth:`Subtypes.assign` places new units.

    Raises :class:`RunFolderError` when it is not there, damaged or of another format.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    file = Path(folder) / STRUCTURE
    if not file.is_file():
        raise RunFolderError(
            f"There are no subtypes in {folder}: expected {STRUCTURE}. None were found, or it is another folder."
        )
    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(tree, dict) or tree.get("format") != FORMAT:
            raise RunFolderError(f"{file} was not written by this version of cohortium.")
        state = fill(tree, load_file(str(file.parent / ARRAYS)))
    except (OSError, ValueError, KeyError, SafetensorError) as e:
        raise RunFolderError(f"The subtypes in {folder} cannot be read: {ARRAYS} or {STRUCTURE} is damaged.") from e
    joint = restore_joint(state["joint"], [restore_encoder(e) for e in state["encoders"]])
    own = (np.asarray(state[k], dtype=np.float64) for k in ("weights", "centres", "spread", "shares"))
    return Subtypes(joint, *own, tuple(state["names"]))
