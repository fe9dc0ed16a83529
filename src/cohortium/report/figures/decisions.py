"""Decision curves, and what the headline gains over the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cohortium.contracts.results import Curve, DecisionRow
from cohortium.report.figures.data import line
from cohortium.report.figures.style import DASHES, INK, MUTED, SERIES, Drawing, draw, slug
from cohortium.report.words import learner_name, short


def decision_curves(row: DecisionRow, what: str, key: str) -> Drawing | None:
    """Net benefit per 1,000 patients of the headline (with its band), the reference, treating all and nobody."""
    model = _numbers(row.model)
    if not np.isfinite(model[1]).any():
        return None
    end = _end(row)
    everybody = _numbers(row.treat_all)

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        ax.axhline(0, color=MUTED, lw=1.4, label="treat nobody")
        ax.plot(everybody[0], everybody[1], color=MUTED, ls=(0, (1.5, 2)), lw=1.6, label="treat all")
        if row.reference is not None:
            at, value, _, _ = _numbers(row.reference)
            ax.plot(at, value, color=SERIES[1], ls=DASHES[1], label="reference")
        at, value, low, high = model
        ax.fill_between(at, low, high, color=SERIES[0], alpha=0.13, lw=0)
        ax.plot(at, value, color=SERIES[0], label=short(learner_name(row.learner), 20))
        _axes(ax, end, "net benefit per 1,000")
        shown = np.concatenate([v[at <= end] for v in (value, high)])
        top = float(np.nanmax(np.append(shown, 1.0)))
        ax.set_ylim(-0.25 * top, 1.08 * top)
        figure.legend(loc="outside upper left", ncols=2, handlelength=2.4)

    best = int(np.nanargmax(model[1]))
    alt = (
        f"Decision curve for {what}: net benefit of {learner_name(row.learner)} from {model[1][best]:.0f} per 1,000 at a "
        f"threshold of {100 * model[0][best]:.0f}%, drawn to {100 * end:.0f}%."
    )
    caption = (
        "Higher is better. Shaded: 95% interval of the headline. A model is of use where its line is above both "
        "treating all and treating nobody."
    )
    svg = draw(paint, width=410, height=390, alt=alt, key=key)
    data = _records(row, (("model", row.model), ("treat all", row.treat_all), ("reference", row.reference)))
    title = f"Decision curve: {short(what, 40)}"
    return Drawing(svg, title, caption, 410, small=True, name=slug(key), data=data)


def gained(row: DecisionRow, what: str, key: str) -> Drawing | None:
    """Paired difference of the headline to the reference, with its band; None without a reference."""
    if row.versus_reference is None:
        return None
    at, value, low, high = _numbers(row.versus_reference)
    end = _end(row)
    if not np.isfinite(value).any():
        return None

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        ax.axhline(0, color=INK, lw=1)
        ax.fill_between(at, low, high, color=SERIES[0], alpha=0.16, lw=0)
        ax.plot(at, value, color=SERIES[0])
        _axes(ax, end, "more true decisions per 1,000")
        shown = np.concatenate([v[at <= end] for v in (low, high, value)])
        reach = float(np.nanmax(np.abs(np.append(shown, 1.0))))
        ax.set_ylim(-1.08 * reach, 1.08 * reach)

    clear = at[(low > 0) & (at <= end)]
    where = f"clear between {100 * clear.min():.0f}% and {100 * clear.max():.0f}%" if len(clear) else "nowhere clear"
    alt = f"Net benefit of {learner_name(row.learner)} minus that of the reference for {what}: a gain is {where}."
    caption = "Paired on the same test folds; shaded: 95% interval at each threshold by itself. Above zero: the further modalities help."
    svg = draw(paint, width=410, height=350, alt=alt, key=key)
    data = _records(row, ((f"{row.learner} minus reference", row.versus_reference),))
    title = f"{learner_name(row.learner)} minus reference"
    return Drawing(svg, title, caption, 410, small=True, name=slug(key), data=data)


def _records(row: DecisionRow, curves: Sequence[tuple[str, Curve | None]]) -> list[dict[str, Any]]:
    """Net benefit per patient by threshold, as recorded."""
    return [
        r
        for name, c in curves
        if c is not None
        for r in line(
            {"of": row.learner if name == "model" else name},
            threshold=c.at,
            net_benefit=c.value,
            low=c.low,
            high=c.high,
        )
    ]


def _numbers(c: Curve) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds, and per 1,000: value, low, high; NaN where there is none."""
    at, value, low, high = (np.array(x, float) for x in (c.at, c.value, c.low, c.high))
    return at, 1000 * value, 1000 * low, 1000 * high


def _end(row: DecisionRow) -> float:
    """The threshold from which on no model treats anybody to speak of, at least 20%."""
    last = 0.2
    for c in (row.model, row.reference):
        if c is not None:
            used = [t for t, v in zip(c.at, c.value, strict=True) if v is not None and abs(v) > 5e-4]
            last = max([last, *used])
    return min(1.0, last + 0.02)


def _axes(ax: Any, end: float, label: str) -> None:
    ax.set_xlim(0, end)
    ticks = [t / 100 for t in range(0, 101, 10 if end <= 0.6 else 20) if t / 100 <= end]
    ax.set_xticks(ticks, [f"{100 * t:.0f}%" for t in ticks])
    ax.set_xlabel("threshold: treated from this predicted risk on")
    ax.set_ylabel(label)
    ax.grid(True, axis="y")
    ax.tick_params(length=0)
