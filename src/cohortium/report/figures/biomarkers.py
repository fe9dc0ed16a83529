"""Biomarkers: every feature by effect and p-value, and the groups with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cohortium.contracts.biomarkers import BiomarkerResults
from cohortium.report.figures.data import line
from cohortium.report.figures.style import INK, MUTED, SERIES, Drawing, draw, quiet_axes
from cohortium.report.words import count, short

if TYPE_CHECKING:
    import pandas as pd

DOTS, NAMED, BARS = 3000, 6, 25
"""Features drawn (the smallest p and a sample of the rest), named, and groups in the forest."""


def volcano(r: BiomarkerResults, table: pd.DataFrame) -> Drawing | None:
    """-log10 p by effect; None where nothing was tested."""
    own = table[table["p"].notna() & table["effect"].notna()].sort_values("p", kind="stable")
    if not len(own):
        return None
    keep = np.unique(
        np.concatenate([np.arange(min(DOTS // 2, len(own))), np.linspace(0, len(own) - 1, DOTS // 2).astype(int)])
    )
    own = own.iloc[keep]
    x, y = own["effect"].to_numpy(float), -np.log10(np.maximum(own["p"].to_numpy(float), 1e-300))
    found, low = own["selected"].to_numpy(bool), own["q"].to_numpy(float) <= r.fdr

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        rest = ~low & ~found
        ax.scatter(x[rest], y[rest], s=9, color=MUTED, alpha=0.4, lw=0)
        ax.scatter(
            x[low & ~found], y[low & ~found], s=14, color=SERIES[0], alpha=0.7, lw=0, label=f"q ≤ {r.fdr:g} alone"
        )
        if found.any():
            ax.scatter(x[found], y[found], s=26, color=SERIES[2], marker="D", lw=0, label="found given all others")
        for i in range(min(NAMED, len(own))):
            if low[i]:
                ax.annotate(
                    short(str(own["feature"].iloc[i]), 18),
                    (x[i], y[i]),
                    xytext=(4, 3),
                    textcoords="offset points",
                    fontsize=10,
                )
        ax.axvline(0, color=INK, lw=0.8)
        ax.set_xlabel(r.quantity)
        ax.set_ylabel("−log10 p")
        quiet_axes(ax, "y")
        if low.any() or found.any():
            figure.legend(loc="outside upper left", ncols=2, handletextpad=0.3)

    caption = "Every feature by itself: further to the side a larger effect, further up a smaller p-value."
    if len(own) < len(table):
        caption += f" Shown: {len(own):,} of {len(table):,}."
    alt = f"{count(int(low.sum()), 'feature')} of those shown with q of at most {r.fdr:g}; effects from {x.min():.2g} to {x.max():.2g}."
    data = line(
        {}, feature=own["feature"], effect=x, minus_log10_p=y, q=own["q"].to_numpy(float), found=found.astype(int)
    )
    svg = draw(paint, width=410, height=360, alt=alt, key="volcano")
    return Drawing(svg, "Each feature by itself", caption, 410, small=True, name="volcano", data=data)


def forest(r: BiomarkerResults) -> Drawing | None:
    """Effects of the leading members with intervals."""
    groups = [g for g in r.groups if g.lead.effect is not None and g.lead.low is not None][:BARS]
    if not groups:
        return None

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        for i, g in enumerate(groups):
            colour = SERIES[2] if g.selected else SERIES[0]
            ax.plot([g.lead.low, g.lead.high], [i, i], color=colour, lw=2)
            ax.plot([g.lead.effect], [i], color=colour, marker="D" if g.selected else "o", ms=6)
        ax.set_yticks(range(len(groups)), [short(f"{g.lead.feature} ({g.modality})", 30) for g in groups])
        ax.set_ylim(len(groups) - 0.4, -0.6)
        ax.axvline(0, color=INK, lw=0.8)
        ax.set_xlabel(r.quantity)
        quiet_axes(ax)

    alt = "; ".join(f"{g.lead.feature} {g.lead.effect:.2g}" for g in groups[:10])
    caption = "Leading member of each group by itself, with its 95% interval. Diamonds: found given all others."
    height = 90 + 24 * len(groups)
    data = [
        {"feature": g.lead.feature, "modality": g.modality, "effect": g.lead.effect, "low": g.lead.low, "high": g.lead.high, "found": int(g.selected)}
        for g in groups
    ]  # fmt: skip
    svg = draw(paint, width=470, height=height, alt=f"Effects: {alt}.", key="forest")
    return Drawing(svg, "Effects", caption, 470, small=True, name="forest", data=data)
