"""What modalities and features are worth, and whether the order holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.explanations import Explanation
from cohortium.report.figures.data import point
from cohortium.report.figures.style import DASHES, MUTED, SERIES, Drawing, draw, quiet_axes
from cohortium.report.words import estimate_text, metric_name, names, short, value_text

_ROW = 23


def _bars(ax: Any, found: Sequence[tuple[str, Estimate]], scale: float, colour: str) -> None:
    for y, (_, e) in enumerate(found):
        if e.value is not None:
            ax.barh(y, scale * e.value, color=colour, height=0.62, alpha=0.85, lw=0)
        if e.low is not None and e.high is not None:
            ax.plot([scale * e.low, scale * e.high], [y, y], color="#1c2430", lw=1.4, solid_capstyle="round")
    ax.axvline(0, color=MUTED, lw=0.8)
    ax.set_yticks(range(len(found)), [short(name, 30) for name, _ in found])
    ax.set_ylim(len(found) - 0.5, -0.5)
    quiet_axes(ax)


def worth(r: Explanation) -> Drawing:
    """Shapley values of all modalities with their intervals."""
    found = [(m.modality, m.worth) for m in r.modalities]
    metric = metric_name(r.metric)

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        _bars(ax, found, 1.0, SERIES[0])
        ax.set_xlabel(f"adds to {metric}")

    said = "; ".join(f"{name} {estimate_text(e, True)}" for name, e in found[:8])
    caption = (
        f"Bars add up to {value_text(r.full.value)} minus {value_text(r.nothing.value)}, the metric with everything minus that with nothing. "
        "Line: 95% interval over folds."
    )
    svg = draw(
        paint, width=470, height=_ROW * len(found) + 78, alt=f"What modalities add to {metric}: {said}.", key="worth"
    )
    data = [point({"modality": name}, e) for name, e in found]
    return Drawing(svg, "What each modality adds", caption, 470, name="worth", data=data)


def features(r: Explanation, most: int) -> Drawing:
    """The features that move predictions most."""
    found = [
        (f.features[0] if len(f.features) == 1 else f"{names(f.features, most=2)}", f.moves) for f in r.features[:most]
    ]
    unit = "points" if r.percent else "units of the prediction"

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        _bars(ax, found, 100.0 if r.percent else 1.0, SERIES[3])
        ax.set_xlabel(f"predictions move by ({unit})")

    said = "; ".join(name for name, _ in found[:8])
    svg = draw(
        paint,
        width=470,
        height=_ROW * len(found) + 78,
        alt=f"Features that move predictions most: {said}.",
        key="features",
    )
    caption = f"How far the {r.quantity} moves when values are dealt out anew among held-out units."
    data = [point({"features": " | ".join(f.features)}, f.moves) for f in r.features[:most]]
    return Drawing(svg, "What moves predictions", caption, 470, name="features", data=data)


def deletion(r: Explanation) -> Drawing:
    """The metric as features become unknown."""
    assert r.deletion is not None
    d, metric = r.deletion, metric_name(r.metric)
    steps = list(range(len(d.steps)))

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        for i, (label, curve) in enumerate((("most important first", d.ordered), ("random order", d.random))):
            values = [float("nan") if e.value is None else e.value for e in curve]
            ax.plot(steps, values, color=SERIES[(2, 0)[i]], ls=DASHES[i], marker="os"[i], ms=5, label=label)
        ax.set_xticks(steps, [str(s) for s in d.steps])
        ax.set_xlabel("features made unknown")
        ax.set_ylabel(metric)
        quiet_axes(ax, "y")
        figure.legend(loc="outside upper left", ncols=2, handlelength=2.4)

    said = "; ".join(
        f"{s}: {value_text(a.value)} and {value_text(b.value)}"
        for s, a, b in zip(d.steps, d.ordered, d.random, strict=True)
    )
    svg = draw(
        paint, width=470, height=300, alt=f"{metric} by features deleted, ordered and random: {said}.", key="deletion"
    )
    caption = "An order that means something takes the metric down faster than random ones do."
    data = [
        point({"order": order, "features_unknown": step}, e)
        for order, curve in (("most important first", d.ordered), ("random", d.random))
        for step, e in zip(d.steps, curve, strict=True)
    ]
    return Drawing(svg, "Does the order hold?", caption, 470, name="deletion", data=data)
