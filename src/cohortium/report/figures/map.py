"""A map of the units: the leading directions of their joint representation."""

from __future__ import annotations

from typing import Any

import numpy as np

from cohortium.report.figures.data import line
from cohortium.report.figures.style import INK, MUTED, SERIES, Drawing, draw, slug
from cohortium.report.folder import Map
from cohortium.report.words import count

_MOST = 3000
_SHAPES = "osD^vP*X"
_UNKNOWN = "no known outcome"


def patients_map(found: Map | None, endpoint: str, modalities: int, key: str) -> Drawing | None:
    """Each unit a mark, by outcome (never looked at when the map was made); hollow where it has fewer than all ``modalities``.
    None without a map. At most 3,000 units are drawn, evenly spread over their pseudonyms."""
    if found is None or not len(found.at):
        return None
    label = np.where(found.outcome == "", _UNKNOWN, found.outcome)
    x, y = found.at.T
    shown = np.unique(np.linspace(0, len(x) - 1, min(_MOST, len(x))).astype(int))
    whole = found.n_modalities >= modalities
    names = [g for g in [*found.groups, _UNKNOWN] if (label == g).any()]

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        for k, name in enumerate(names):
            colour = MUTED if name == _UNKNOWN else SERIES[k % len(SERIES)]
            for full in (True, False):
                at = shown[(label[shown] == name) & (whole[shown] == full)]
                face = colour if full else "none"
                ax.scatter(x[at], y[at], s=17, marker=_SHAPES[k % len(_SHAPES)], facecolor=face, edgecolor=colour, lw=0.9, alpha=0.75)  # fmt: skip
            ax.scatter([], [], s=30, marker=_SHAPES[k % len(_SHAPES)], color=colour, label=name)
        for set_label, text, v in zip((ax.set_xlabel, ax.set_ylabel), ("first direction", "second direction"), [*found.share, None, None], strict=False):  # fmt: skip
            set_label(text if v is None else f"{text} ({100 * v:.0f}% of its variance)")
        ax.grid(True)
        ax.tick_params(length=0, labelbottom=False, labelleft=False)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.2, columnspacing=1.0, labelcolor=INK)

    lacking = int((~whole).sum())
    hollow = f" Hollow: {count(lacking, 'unit')} of {len(x):,} lack a modality and stand where the others put them." if lacking else ""  # fmt: skip
    drawn = "" if len(shown) == len(x) else f" {len(shown):,} are drawn."
    caption = (
        f"Each mark a unit, by its joint representation ({found.model}, {found.size} variables), "
        f"made of all modalities of everybody without outcomes; colours show {endpoint}.{hollow} For looking: that groups "
        f"stand apart here is no estimate of how well they can be told apart.{drawn}"
    )
    alt = f"Map of {len(x):,} units by joint representation, coloured by {endpoint}: {', '.join(names)}."
    svg = draw(paint, width=520, height=500, alt=alt, key=key)
    data = line({}, x=x[shown], y=y[shown], outcome=label[shown], modalities=found.n_modalities[shown])
    return Drawing(svg, "Map of patients", caption, 520, name=slug(key), data=data)
