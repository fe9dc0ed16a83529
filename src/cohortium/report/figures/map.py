"""A map of the units: the leading directions of their joint representation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cohortium.contracts.results import EndpointRecord
from cohortium.report.figures.style import INK, MUTED, SERIES, Drawing, draw
from cohortium.report.words import count

_MOST = 3000
_SHAPES = "osD^vP*X"
_UNKNOWN = "no known outcome"


def patients_map(folder: Path, endpoint: EndpointRecord, modalities: int, key: str) -> Drawing | None:
    """Each unit a dot, by outcome (never looked at when the map was made); hollow where a modality is lacking. None when the run
    has no map. At most 3,000 units are drawn, evenly spread over their pseudonyms."""
    import pandas as pd

    file = folder / "map.parquet"
    if not file.is_file():
        return None
    frame = pd.read_parquet(file)
    facts = frame.attrs
    outcome = pd.read_parquet(folder / "outcomes.parquet")
    outcome = outcome[outcome["endpoint"] == endpoint.name].set_index("unit")
    groups, order = _groups(outcome, endpoint)
    label = groups.reindex(frame["unit"]).fillna(_UNKNOWN).to_numpy(object)
    shown = np.unique(np.linspace(0, len(frame) - 1, min(_MOST, len(frame))).astype(int))
    x, y = frame["x"].to_numpy(), frame["y"].to_numpy()
    whole = frame["n_modalities"].to_numpy() >= modalities
    names = [g for g in [*order, _UNKNOWN] if (label == g).any()]

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        for k, name in enumerate(names):
            colour = MUTED if name == _UNKNOWN else SERIES[k % len(SERIES)]
            for full in (True, False):
                at = shown[(label[shown] == name) & (whole[shown] == full)]
                face = colour if full else "none"
                ax.scatter(x[at], y[at], s=17, marker=_SHAPES[k % len(_SHAPES)], facecolor=face, edgecolor=colour, lw=0.9, alpha=0.75)  # fmt: skip
            ax.scatter([], [], s=30, marker=_SHAPES[k % len(_SHAPES)], color=colour, label=name)
        share = facts.get("share", [])
        for set_label, text, v in zip((ax.set_xlabel, ax.set_ylabel), ("first direction", "second direction"), [*share, None, None], strict=False):  # fmt: skip
            set_label(text if v is None else f"{text} ({100 * v:.0f}% of its variance)")
        ax.grid(True)
        ax.tick_params(length=0, labelbottom=False, labelleft=False)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.2, columnspacing=1.0, labelcolor=INK)

    lacking = int((~whole).sum())
    hollow = f" Hollow: {count(lacking, 'unit')} of {len(frame):,} lack a modality and stand where the others put them." if lacking else ""  # fmt: skip
    drawn = "" if len(shown) == len(frame) else f" {len(shown):,} are drawn."
    caption = (
        f"Each mark a unit, by its joint representation ({facts.get('model', 'factors')}, {facts.get('size', '?')} variables), "
        f"made of all modalities of everybody without outcomes; colours show {endpoint.name}.{hollow} For looking: that groups "
        f"stand apart here is no estimate of how well they can be told apart.{drawn}"
    )
    alt = f"Map of {len(frame):,} units by joint representation, coloured by {endpoint.name}: {', '.join(names)}."
    svg = draw(paint, width=520, height=500, alt=alt, key=key)
    return Drawing(svg, "Map of patients", caption, 520)


def _groups(outcome: Any, endpoint: EndpointRecord) -> tuple[Any, list[str]]:
    """Text of each unit's outcome, and the texts in their order."""
    import pandas as pd

    if endpoint.kind in ("binary", "multiclass", "ordinal"):
        return outcome["label"].astype(object), list(endpoint.classes or ())
    if endpoint.kind == "continuous":
        names = ["lowest third", "middle third", "highest third"]
        third = np.clip((outcome["value"].rank(pct=True) * 3).apply(np.ceil).astype(int) - 1, 0, 2)
        return pd.Series([names[k] for k in third], index=outcome.index, dtype=object), names
    names = ["event", "no event seen"]
    return pd.Series(np.where(outcome["event"].to_numpy(float) > 0, *names), index=outcome.index, dtype=object), names
