"""Dots and whiskers: the leaderboard, the added value of modalities, the learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.results import AddedValueRow, EndpointRecord, LearningCurveRow, Results
from cohortium.report.figures.data import point
from cohortium.report.figures.style import (
    INK,
    MUTED,
    ROLE_COLOURS,
    ROLE_MARKERS,
    SERIES,
    Drawing,
    draw,
    quiet_axes,
    slug,
)
from cohortium.report.words import (
    LOWER_IS_BETTER,
    ROLE_NAMES,
    best_first,
    chance_level,
    estimate_text,
    learner_name,
    metric_name,
    pick,
    rows_of,
    short,
)

_ROW = 23


def leaderboard(
    results: Results, endpoint: EndpointRecord, metric: str, horizon: float | None, key: str
) -> Drawing | None:
    """Every learner's headline metric with its interval, best on top; None when nothing could be estimated."""
    rows = [
        (r, e)
        for r in best_first(rows_of(results, endpoint.name), metric, horizon)
        if (e := pick(r.estimates, metric, horizon)) is not None and e.value is not None
    ]
    if not rows:
        return None
    chance = chance_level(metric, endpoint)
    reference = next((e.value for r, e in rows if r.role == "reference"), None)
    label = metric_name(metric, horizon, endpoint.time_unit)

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        for y, (row, e) in enumerate(rows):
            if row.headline:
                ax.axhspan(y - 0.5, y + 0.5, color="#fdf1ea", lw=0)
            _whisker(ax, y, e, ROLE_COLOURS[row.role], ROLE_MARKERS[row.role], 12 if row.role == "auto" else 7)
        _levels(ax, rows, chance, reference)
        ax.set_yticks(range(len(rows)), [short(learner_name(r.learner)) for r, _ in rows])
        for tick, (row, _) in zip(ax.get_yticklabels(), rows, strict=True):
            tick.set_fontweight("bold" if row.headline else "normal")
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_xlabel(label + (" (smaller is better)" if metric in LOWER_IS_BETTER else ""))
        quiet_axes(ax)
        _legend(figure, [r.role for r, _ in rows], chance is not None and _chance_shown(rows, chance), reference)

    top = ", ".join(f"{learner_name(r.learner)} {estimate_text(e)}" for r, e in rows[:5])
    alt = f"Leaderboard of {len(rows)} learners by {label}, best first: {top}."
    caption = (
        "Dot: estimate; line: 95% interval. Intervals of two learners may overlap although one is reliably better, "
        "because both are tested on the same patients: the paired differences in the table settle that."
    )
    svg = draw(paint, width=470, height=_ROW * len(rows) + 122, alt=alt, key=key)
    data = [point({"learner": r.learner, "role": r.role, "headline": r.headline}, e) for r, e in rows]
    return Drawing(svg, "Leaderboard", caption, 470, name=slug(key), data=data)


def _whisker(ax: Any, y: float, e: Estimate, colour: str, marker: str, size: float = 7) -> None:
    if e.low is not None and e.high is not None:
        ax.plot([e.low, e.high], [y, y], color=colour, lw=2.2, solid_capstyle="round", zorder=3)
    ax.plot([e.value], [y], marker=marker, color=colour, ms=size, mec="white", mew=0.8, ls="", zorder=4)


def _chance_shown(rows: Sequence[Any], chance: float) -> bool:
    """Chance is drawn unless it is so far from every estimate that it would squeeze them."""
    values = [x for _, e in rows for x in (e.value, e.low, e.high) if x is not None]
    low, high = min(values), max(values)
    return bool(low <= chance <= high or min(abs(chance - low), abs(chance - high)) <= max(high - low, 0.05))


def _levels(ax: Any, rows: Sequence[Any], chance: float | None, reference: float | None) -> None:
    if chance is not None and _chance_shown(rows, chance):
        ax.axvline(chance, color=MUTED, lw=1.2, ls=(0, (1.5, 2)), zorder=1)
    if reference is not None:
        ax.axvline(reference, color=ROLE_COLOURS["reference"], lw=1.2, ls=(0, (5, 3)), zorder=1)


def _legend(figure: Any, roles: list[str], chance: bool, reference: float | None) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=ROLE_COLOURS[r], marker=ROLE_MARKERS[r], ms=10 if r == "auto" else 7, lw=2, label=text)
        for r, text in ROLE_NAMES.items()
        if r in roles
    ]
    if reference is not None:
        handles.append(
            Line2D([], [], color=ROLE_COLOURS["reference"], lw=1.2, ls=(0, (5, 3)), label="level of the reference")
        )
    if chance:
        handles.append(Line2D([], [], color=MUTED, lw=1.2, ls=(0, (1.5, 2)), label="chance"))
    figure.legend(handles=handles, loc="outside upper left", ncols=2, columnspacing=1.4, handlelength=1.8)


def added_value(
    rows: Sequence[AddedValueRow], endpoint: EndpointRecord, metric: str, horizon: float | None, key: str
) -> list[Drawing]:
    """Two panels: what is lost when a modality is left out, what is gained when it joins the reference."""
    label = metric_name(metric, horizon, endpoint.time_unit)
    panels = (
        ("left_out", "Lost when left out of the fusion", "full fusion minus fusion without it"),
        ("added_to_reference", "Gained when added to the reference", "reference with it minus reference"),
    )
    drawings = []
    for part, title, axis in panels:
        pairs = [(r.modality, pick(getattr(r, part), metric, horizon)) for r in rows]
        known = [(name, e) for name, e in pairs if e is not None and e.value is not None]
        if not known:
            continue
        known.sort(key=lambda pair: (-_value(pair[1]), pair[0]))
        drawings.append(_differences(known, title, f"change of {label}\n({axis})", f"{key}-{part}"))
    return drawings


def _value(e: Estimate) -> float:
    return 0.0 if e.value is None else e.value


def _differences(known: list[tuple[str, Estimate]], title: str, axis: str, key: str) -> Drawing:
    def paint(figure: Any) -> None:
        ax = figure.subplots()
        ax.axvline(0, color=INK, lw=1, zorder=1)
        for y, (_, e) in enumerate(known):
            clear = e.low is not None and e.high is not None and not e.low <= 0 <= e.high
            colour = MUTED if not clear else SERIES[0] if _value(e) > 0 else SERIES[2]
            _whisker(ax, y, e, colour, "o", 8)
        ax.set_yticks(range(len(known)), [short(name, 20) for name, _ in known])
        ax.set_ylim(len(known) - 0.5, -0.5)
        ax.set_xlabel(axis)
        ax.locator_params(axis="x", nbins=5)
        quiet_axes(ax)

    alt = f"{title}: " + ", ".join(f"{name} {estimate_text(e, signed=True)}" for name, e in known) + "."
    caption = "Right of zero: the modality helps. Grey: the interval includes zero."
    svg = draw(paint, width=410, height=_ROW * len(known) + 78, alt=alt, key=key)
    data = [point({"modality": name}, e) for name, e in known]
    return Drawing(svg, title, caption, 410, small=True, name=slug(key), data=data)


def learning_curve(
    rows: Sequence[LearningCurveRow], endpoint: EndpointRecord, metric: str, horizon: float | None, key: str
) -> Drawing | None:
    """Performance against the number of training units; None with fewer than two points."""
    found = [(r.n_train, pick(r.estimates, metric, horizon)) for r in rows]
    points = sorted(((n, e) for n, e in found if e is not None and e.value is not None), key=lambda point: point[0])
    if len(points) < 2:
        return None
    label = metric_name(metric, horizon, endpoint.time_unit)

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        xs = [n for n, _ in points]
        ax.plot(xs, [e.value for _, e in points], color=SERIES[0], marker="o", ms=6)
        for n, e in points:
            if e.low is not None and e.high is not None:
                ax.plot([n, n], [e.low, e.high], color=SERIES[0], lw=1.8)
        ax.set_xlabel("units trained on")
        ax.set_ylabel(label)
        ax.set_xlim(left=0)
        quiet_axes(ax, "y")

    alt = f"Learning curve, {label}: " + ", ".join(f"{n:,} units {estimate_text(e)}" for n, e in points) + "."
    caption = "If the line is still rising at its right end, more patients would probably help."
    svg = draw(paint, width=410, height=320, alt=alt, key=key)
    data = [point({"units_trained_on": n}, e) for n, e in points]
    return Drawing(svg, "Would more patients help?", caption, 410, small=True, name=slug(key), data=data)
