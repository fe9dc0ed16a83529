"""Subtypes: how much evidence for how many, where they lie, who stays together, and what becomes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.contracts.subtypes import Curve, Difference, SubtypeResults
from cohortium.report.figures.data import line
from cohortium.report.figures.style import DASHES, FONT_SIZE, INK, MUTED, SERIES, Drawing, draw, quiet_axes, slug
from cohortium.report.figures.survival import time_ticks
from cohortium.report.words import count, number

SHAPES = ("o", "s", "^", "D", "v", "P", "X", "*")


def colour(i: int) -> str:
    """Of the i-th cluster: neighbours in the list are easy to tell apart."""
    return SERIES[(0, 1, 3, 4, 2, 5, 6, 7)[i % len(SERIES)]]


def evidence(r: SubtypeResults) -> Drawing:
    """Separation and valley of every number of clusters."""
    ks = [c.clusters for c in r.candidates]

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        ax.axhspan(-2, 2, color="#eef1f4", lw=0)
        for i, name in enumerate(("separation", "valley")):
            values = [getattr(c, name) for c in r.candidates]
            ax.plot(ks, values, color=SERIES[i], ls=DASHES[i], marker=SHAPES[i], label=name)
        ax.set_xticks(ks)
        ax.set_xlabel("number of clusters")
        ax.set_ylabel("standard deviations")
        quiet_axes(ax, "y")
        figure.legend(loc="outside upper left", ncols=2, handlelength=2.4)

    said = "; ".join(f"{c.clusters}: {c.separation:.1f} and {c.valley:.1f}" for c in r.candidates)
    caption = (
        "How much further apart (separation) and how much emptier between (valley) the clusters are than those found in "
        f"{r.draws} clouds of the same shape with one mode, in their standard deviations. Both have to stand out."
    )
    svg = draw(
        paint, width=410, height=300, alt=f"Separation and valley by number of clusters: {said}.", key="evidence"
    )
    data = [{"clusters": c.clusters, "separation": c.separation, "valley": c.valley} for c in r.candidates]
    title = "Evidence for each number of clusters"
    return Drawing(svg, title, caption, 410, small=True, name="evidence", data=data)


def where(xy: NDArray[np.float64], code: NDArray[np.int64] | None, r: SubtypeResults) -> Drawing:
    """The units on two axes."""

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        if code is None:
            ax.scatter(xy[:, 0], xy[:, 1], s=20, color=MUTED, alpha=0.7, lw=0)
        for i, c in enumerate(r.clusters if code is not None else []):
            own = xy[code == i]
            ax.scatter(
                own[:, 0], own[:, 1], s=22, color=colour(i), marker=SHAPES[i % 8], alpha=0.75, lw=0, label=c.name
            )
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_aspect("equal", adjustable="datalim")
        if code is not None:
            figure.legend(loc="outside upper left", ncols=4, handletextpad=0.2, columnspacing=1.0)

    caption = "Each point is a unit, placed by its joint representation."
    if code is not None:
        caption += (
            " The two axes are those along which the clusters lie furthest apart: they would look apart here even if there "
            "were none, so the picture is no evidence."
        )
    alt = f"Map of {count(len(xy), 'unit')} by their joint representation{', by subtype' if code is not None else ''}."
    svg = draw(paint, width=410, height=380, alt=alt, key="map")
    names = [
        "" if code is None or k < 0 else r.clusters[k].name for k in (np.full(len(xy), -1) if code is None else code)
    ]
    data = line({}, x=xy[:, 0], y=xy[:, 1], subtype=names)
    return Drawing(svg, "Where the units lie", caption, 410, small=True, name="map", data=data)


def consensus(matrix: NDArray[np.float64], code: NDArray[np.int64], r: SubtypeResults) -> Drawing:
    """The matrix of how often two units are together."""

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        shown = ax.imshow(matrix, cmap="Blues", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
        edges = np.flatnonzero(np.diff(code)) + 0.5
        for e in edges:
            ax.axhline(e, color="#ffffff", lw=1.2)
            ax.axvline(e, color="#ffffff", lw=1.2)
        middles = [(np.flatnonzero(code == i).mean(), c.name) for i, c in enumerate(r.clusters) if (code == i).any()]
        ax.set_yticks([m for m, _ in middles], [n for _, n in middles])
        ax.set_xticks([m for m, _ in middles], [n for _, n in middles])
        ax.tick_params(length=0)
        for side in ax.spines.values():
            side.set_visible(False)
        bar = figure.colorbar(shown, ax=ax, shrink=0.55, aspect=14, ticks=[0, 0.5, 1])
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0)

    said = "; ".join(f"{c.name} {c.within:.2f} inside" for c in r.clusters)
    caption = (
        "How often two units fall into the same cluster when 80% of the units are clustered, over 100 such parts: dark "
        "squares on the diagonal and white elsewhere are stable clusters."
    )
    if len(matrix) < r.n_clustered:
        caption += f" Shown: {len(matrix)} of {r.n_clustered:,} units."
    svg = draw(paint, width=410, height=370, alt=f"Consensus matrix: {said}.", key="consensus")
    data = [
        {"subtype": r.clusters[k].name, **{f"unit {j + 1}": round(float(v), 3) for j, v in enumerate(row)}}
        for k, row in zip(code, matrix, strict=True)
    ]
    return Drawing(svg, "Who stays together", caption, 410, small=True, name="consensus", data=data)


def survival(curves: list[Curve], d: Difference, r: SubtypeResults) -> Drawing | None:
    """Kaplan-Meier curves of the subtypes."""
    curves = [c for c in curves if c.n]
    if not curves:
        return None
    place = {c.name: i for i, c in enumerate(r.clusters)}
    end = max(c.last for c in curves)

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        for c in curves:
            i = place[c.subtype]
            x, y = [0.0, *c.times, c.last], [1.0, *c.survival]
            low, high = [1.0, *c.low], [1.0, *c.high]
            ax.fill_between(x, [*low, low[-1]], [*high, high[-1]], step="post", color=colour(i), alpha=0.12, lw=0)
            ax.step(x, [*y, y[-1]], where="post", color=colour(i), ls=DASHES[i % 4], label=f"{c.subtype} ({c.n})")
        ax.set_xlim(0, end)
        ax.set_ylim(0, 1.02)
        ax.set_xticks(time_ticks(end, d.unit))
        ax.set_xlabel(f"{d.unit or 'time'} since the index time")
        ax.set_ylabel("share without the event")
        ax.grid(True, axis="y")
        ax.tick_params(length=0)
        if d.p is not None:
            text = "log-rank p < 0.001" if d.p < 0.001 else f"log-rank p = {d.p:.3f}"
            ax.text(0.02, 0.04, text, transform=ax.transAxes, fontsize=FONT_SIZE - 1, color=INK)
        figure.legend(loc="outside upper left", ncols=3, handlelength=2, columnspacing=1.2)

    last = "; ".join(
        f"{c.subtype} {100 * (c.survival[-1] if c.survival else 1):.0f}% at {number(c.last, 3)}" for c in curves
    )
    caption = "Kaplan-Meier with 95% intervals. The endpoint was not used to form the subtypes."
    svg = draw(paint, width=410, height=360, alt=f"Survival by subtype, {d.name}: {last} {d.unit}.", key=f"km-{d.name}")
    data = [
        x
        for c in curves
        for x in line({"subtype": c.subtype, "n": c.n}, time=c.times, survival=c.survival, low=c.low, high=c.high)
    ]
    return Drawing(svg, d.name, caption, 410, small=True, name=slug(f"km-{d.name}"), data=data)
