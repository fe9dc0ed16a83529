"""Survival and competing risks: Kaplan-Meier, or incidence, by predicted risk group with numbers at risk."""

from __future__ import annotations

from typing import Any

import numpy as np

from cohortium.report.curves import RISK_GROUPS, Stratum
from cohortium.report.figures.data import line
from cohortium.report.figures.style import DASHES, FONT_SIZE, MUTED, SERIES, Drawing, draw, slug
from cohortium.report.words import number

_COLOURS = (SERIES[0], SERIES[1], SERIES[2])
_TEXT_COLOURS = (SERIES[0], "#8a5f00", "#b84f00")  # the same, dark enough to be read as text


def risk_group_curves(
    strata: list[Stratum],
    p_value: float | None,
    endpoint: str,
    time_unit: str,
    learner: str,
    key: str,
    cause: str = "",
) -> Drawing | None:
    """Kaplan-Meier curves of the groups, low risk first, with numbers at risk below; with a cause its cumulative
    incidences instead. p_value: log-rank, with competing risks of the hazard of the cause of interest."""
    strata = [s for s in strata if s.n]
    if not strata:
        return None
    end = max(s.last for s in strata)
    ticks = time_ticks(end, time_unit)

    def paint(figure: Any) -> None:
        ax, table = figure.subplots(2, 1, height_ratios=[4.6, 0.42 * len(strata) + 0.3])
        for s in strata:
            i = RISK_GROUPS.index(s.name)
            ax.fill_between(s.times, s.low, s.high, step="post", color=_COLOURS[i], alpha=0.13, lw=0)
            ax.step(s.times, s.steps, where="post", color=_COLOURS[i], ls=DASHES[i], label=f"{s.name} risk")
        ax.set_xlim(0, end)
        ax.set_ylim(0, 1.02)
        ax.set_xticks(ticks)
        ax.set_xlabel(f"{time_unit or 'time'} since the index time")
        ax.set_ylabel(f"share with {cause}" if cause else "share without the event")
        ax.grid(True, axis="y")
        if p_value is not None:
            ax.text(
                0.02,
                0.92 if cause else 0.04,
                _p_text(p_value),
                transform=ax.transAxes,
                fontsize=FONT_SIZE - 1,
                color=MUTED,
            )
        figure.legend(loc="outside upper left", ncols=3, handlelength=2, columnspacing=1.2)
        _at_risk(table, strata, ticks, end)

    last = "; ".join(f"{s.name} risk {100 * s.steps[-1]:.0f}% at {number(s.last, 3)}" for s in strata)
    curves = f"Cumulative incidence of {cause}" if cause else "Kaplan-Meier"
    alt = f"{curves} curves of {endpoint} by predicted risk group of {learner}: {last} {time_unit}."
    caption = (
        "Thirds of the predicted risk, formed within each test fold because risks of models from different folds "
        "are not comparable; first repeat, every patient predicted by a model that had not seen them. "
        "Shaded: 95% intervals. The log-rank test is descriptive."
        + (
            " Aalen-Johansen: patients with another event stay in the denominator. The test is of the hazard."
            if cause
            else ""
        )
    )
    svg = draw(paint, width=410, height=470, alt=alt, key=key)
    title = f"{curves} by predicted risk group ({learner})"
    return Drawing(svg, title, caption, 410, small=True, name=slug(key), data=_records(strata))


def _records(strata: list[Stratum]) -> list[dict[str, Any]]:
    """Steps with their limits, and who is at risk at each."""
    return [
        r
        for s in strata
        for r in line(
            {"group": s.name, "n": s.n},
            time=s.times, value=s.steps, low=s.low, high=s.high, at_risk=s.at_risk(s.times),
        )
    ]  # fmt: skip


def _at_risk(ax: Any, strata: list[Stratum], ticks: list[float], end: float) -> None:
    ax.set_xlim(0, end)
    ax.set_ylim(len(strata) - 0.4, -0.6)
    ax.set_title("number at risk", loc="left", fontsize=FONT_SIZE - 1, color=MUTED, pad=4)
    for y, s in enumerate(strata):
        for t, n in zip(ticks, s.at_risk(np.asarray(ticks, float)), strict=True):
            ax.text(t, y, f"{int(n):,}", ha="center", va="center", fontsize=FONT_SIZE - 1)
    ax.set_yticks(range(len(strata)), [s.name for s in strata])
    for tick, s in zip(ax.get_yticklabels(), strata, strict=True):
        tick.set_color(_TEXT_COLOURS[RISK_GROUPS.index(s.name)])
        tick.set_fontweight("bold")
    ax.set_xticks([])
    ax.tick_params(length=0, pad=18)
    for side in ax.spines.values():
        side.set_visible(False)


def time_ticks(end: float, time_unit: str) -> list[float]:
    """Round times from 0, at most six; whole and half years where times are months."""
    if time_unit == "months":
        steps = [1.0, 2, 3, 6, 12, 24, 36, 60, 120, 240]
    elif time_unit == "days" and end > 120:
        steps = [30.0, 90, 180, 365, 730, 1095, 1825, 3650, 7300]
    else:
        power = 10 ** np.floor(np.log10(end / 5)) if end > 0 else 1.0
        steps = [m * power for m in (1.0, 2, 2.5, 5, 10, 20)]
    step = next((x for x in steps if end / x <= 5.6), steps[-1])
    return [float(t) for t in np.arange(0, end * 1.0001, step)]


def _p_text(p: float) -> str:
    return "log-rank p < 0.001" if p < 0.001 else f"log-rank p = {p:.3f}"
