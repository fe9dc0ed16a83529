"""Loss by round of a network that is trained across sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cohortium.report.figures.data import line
from cohortium.report.figures.style import DASHES, SERIES, Drawing, draw, quiet_axes, slug


def losses(training: Sequence[float], inner: Sequence[float | None], chosen: int, what: str, key: str) -> Drawing:
    """Mean loss by round, of training patients and of those kept from training. chosen: a round to mark, -1: none."""
    rounds = list(range(len(training)))
    kept = [(r, x) for r, x in zip(rounds, inner, strict=True) if x is not None]

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        ax.plot(rounds, training, color=SERIES[0], label="trained on", marker="o" if len(rounds) < 4 else None)
        if kept:
            ax.plot(*zip(*kept, strict=True), color=SERIES[2], ls=DASHES[1], label="kept from training")
        if chosen >= 0:
            ax.axvline(chosen, color=SERIES[3], lw=1, label="chosen round")
        ax.set_xlabel("rounds of training")
        ax.set_ylabel("mean loss of a unit")
        ax.xaxis.get_major_locator().set_params(integer=True)
        if kept or chosen >= 0:
            ax.legend()
        quiet_axes(ax, "y")

    alt = f"Mean loss after {len(training) - 1} rounds of training fell from {training[0]:.3g} to {training[-1]:.3g}."
    caption = f"Before the first round, and after each: {what}, of all sites together, nothing dropped out."
    data = line({"what": "trained on"}, round=rounds, loss=training)
    if kept:
        data += line({"what": "kept from training"}, round=[r for r, _ in kept], loss=[x for _, x in kept])
    svg = draw(paint, width=470, height=320, alt=alt, key=key)
    return Drawing(svg, "Loss by round", caption, 470, name=slug(key), data=data)
