"""Forest plot: the headline metric in every group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.results import SubgroupRow
from cohortium.report.figures.data import point
from cohortium.report.figures.style import MUTED, SERIES, Drawing, draw, quiet_axes, slug
from cohortium.report.words import estimate_text, short

_ROW = 23
_LEVEL = 0.05


def forest(rows: Sequence[SubgroupRow], whole: Estimate | None, label: str, of: str, key: str) -> Drawing | None:
    """Groups under their variables, with the whole cohort's level; None when no group has an estimate."""
    if all(r.estimates[0].value is None for r in rows):
        return None
    lines: list[tuple[str, SubgroupRow | None]] = []
    for variable in dict.fromkeys(r.variable for r in rows):
        lines.append((variable, None))
        lines += [(r.group, r) for r in rows if r.variable == variable]

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        if whole is not None and whole.value is not None:
            ax.axvline(whole.value, color=MUTED, lw=1.2, ls=(0, (5, 3)), zorder=1)
            if whole.low is not None and whole.high is not None:
                ax.axvspan(whole.low, whole.high, color=MUTED, alpha=0.1, lw=0, zorder=0)
        for y, (_, r) in enumerate(lines):
            if r is not None:
                _mark(ax, y, r)
        texts = [short(t, 30) if r is None else f"{short(t, 26)} ({r.n_units:,})" for t, r in lines]
        ax.set_yticks(range(len(lines)), texts)
        for tick, (_, r) in zip(ax.get_yticklabels(), lines, strict=True):
            tick.set_fontweight("bold" if r is None else "normal")
        ax.set_ylim(len(lines) - 0.4, -0.6)
        ax.set_xlabel(label)
        ax.locator_params(axis="x", nbins=6)
        quiet_axes(ax)

    known = [
        f"{r.variable} {r.group} {estimate_text(r.estimates[0])}" for r in rows if r.estimates[0].value is not None
    ]
    alt = f"Forest plot of {label} for {of} by group: {'; '.join(known[:12])}."
    caption = (
        "Dot: estimate; line: 95% interval; in brackets: units. Dashed, shaded: everybody. Orange diamond: differs from the rest after correction for "
        "many looks. No dot: too small to say."
    )
    svg = draw(paint, width=470, height=_ROW * len(lines) + 66, alt=alt, key=key)
    data = [point({"variable": r.variable, "group": r.group}, r.estimates[0]) for r in rows]
    return Drawing(svg, f"{label} by group", caption, 470, name=slug(key), data=data)


def _mark(ax: Any, y: float, r: SubgroupRow) -> None:
    e = r.estimates[0]
    if e.value is None:
        return
    corrected = r.versus_rest[0].p_holm if r.versus_rest else None
    differs = corrected is not None and corrected < _LEVEL
    colour = SERIES[2] if differs else SERIES[0]
    if e.low is not None and e.high is not None:
        ax.plot([e.low, e.high], [y, y], color=colour, lw=2.2, solid_capstyle="round", zorder=3)
    ax.plot([e.value], [y], marker="D" if differs else "o", color=colour, ms=7, mec="white", mew=0.8, ls="", zorder=4)
