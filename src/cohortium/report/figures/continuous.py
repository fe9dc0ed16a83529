"""Continuous endpoints: predicted against observed."""

from __future__ import annotations

from typing import Any

import numpy as np

from cohortium.report.figures.data import line
from cohortium.report.figures.style import MUTED, SERIES, Drawing, draw, slug
from cohortium.report.folder import Scored

_MOST = 1500


def predicted_observed(scored: Scored, endpoint: str, key: str) -> Drawing | None:
    """Scatter with the line of perfect prediction; at most 1,500 units are drawn, evenly spread over the ranks."""
    if scored.prediction is None or scored.value is None:
        return None
    ok = np.isfinite(scored.prediction) & np.isfinite(scored.value)
    x, y = scored.prediction[ok], scored.value[ok]
    if len(x) == 0:
        return None
    order = np.argsort(y, kind="stable")
    keep = order[np.unique(np.linspace(0, len(order) - 1, min(_MOST, len(order))).astype(int))]
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    pad = 0.04 * (high - low or 1.0)
    bins = np.array_split(np.argsort(x, kind="stable"), min(10, max(1, len(x) // 10)))
    means = [float(x[b].mean()) for b in bins], [float(y[b].mean()) for b in bins]

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        ax.plot([low - pad, high + pad], [low - pad, high + pad], color=MUTED, lw=1, ls=(0, (1.5, 2)))
        alpha = 0.75 if len(keep) < 200 else 0.4
        ax.scatter(x[keep], y[keep], s=16, color=SERIES[0], alpha=alpha, lw=0)
        ax.plot(*means, color=SERIES[2], marker="o", ms=6, lw=1.6)
        ax.set_xlim(low - pad, high + pad)
        ax.set_ylim(low - pad, high + pad)
        ax.set_aspect("equal")
        ax.set_xlabel("predicted")
        ax.set_ylabel("observed")
        ax.grid(True)
        ax.tick_params(length=0)

    r = float(np.corrcoef(x, y)[0, 1]) if len(x) > 2 and x.std() > 0 and y.std() > 0 else float("nan")
    alt = f"Predicted against observed {endpoint} of {len(x):,} units" + (
        f", correlation {r:.2f}." if np.isfinite(r) else "."
    )
    drawn = "" if len(keep) == len(x) else f" {len(keep):,} of {len(x):,} units are drawn."
    caption = (
        "Each dot a unit, predicted by a model that had not seen it. Orange: means of tenths of the prediction; "
        f"on the dotted line, predictions are right on average.{drawn}"
    )
    data = line({"what": "unit"}, predicted=x[keep], observed=y[keep])
    data += line({"what": "mean of a tenth"}, predicted=means[0], observed=means[1])
    svg = draw(paint, width=410, height=420, alt=alt, key=key)
    return Drawing(svg, "Predicted and observed", caption, 410, small=True, name=slug(key), data=data)
