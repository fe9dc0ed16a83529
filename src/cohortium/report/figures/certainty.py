"""How often sets, intervals or bounds held, by group, against how often they should."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cohortium.contracts.results import CoverageRow
from cohortium.report.figures.data import point
from cohortium.report.figures.style import MUTED, SERIES, Drawing, draw, quiet_axes, slug
from cohortium.report.words import estimate_text, short

_ROW = 23
_MOST = 24


def whiskers(rows: Sequence[CoverageRow], of: str, key: str) -> Drawing | None:
    """A dot and its interval for every group that has an estimate; None with fewer than two."""
    known = [r for r in rows if r.estimates[0].value is not None][:_MOST]
    if len(known) < 2:
        return None

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        ax.axvline(known[0].level, color=MUTED, lw=1.2, ls=(0, (5, 3)), zorder=1)
        for y, r in enumerate(known):
            e = r.estimates[0]
            missed = e.high is not None and e.high < r.level
            colour = SERIES[2] if missed else SERIES[0]
            if e.low is not None and e.high is not None:
                ax.plot([e.low, e.high], [y, y], color=colour, lw=2.2, solid_capstyle="round", zorder=3)
            ax.plot(
                [e.value], [y], marker="D" if missed else "o", color=colour, ms=7, mec="white", mew=0.8, ls="", zorder=4
            )
        ax.set_yticks(range(len(known)), [f"{short(_name(r), 32)} ({r.n_units:,})" for r in known])
        ax.set_ylim(len(known) - 0.4, -0.6)
        ax.set_xlabel("share that held")
        ax.locator_params(axis="x", nbins=6)
        quiet_axes(ax)

    texts = [f"{_name(r)} {estimate_text(r.estimates[0])}" for r in known[:12]]
    alt = f"How often predictions for {of} held, by group, meant {100 * known[0].level:.0f}%: {'; '.join(texts)}."
    caption = (
        "Dot: share of test units whose set, interval or bound held; line: 95% interval; in brackets: units. Dashed: meant. "
        "Orange diamond: clearly less often."
    )
    svg = draw(paint, width=470, height=_ROW * len(known) + 66, alt=alt, key=key)
    data = [point({"variable": r.variable, "group": r.group, "level": r.level}, r.estimates[0]) for r in known]
    return Drawing(svg, f"How often it held ({of})", caption, 470, name=slug(key), data=data)


def _name(r: CoverageRow) -> str:
    return r.group if r.variable == r.group else f"{r.variable}: {r.group}"
