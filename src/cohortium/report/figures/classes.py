"""Classification: ROC, calibration, confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cohortium.contracts.results import Curve
from cohortium.report.curves import Calibration, mean_roc
from cohortium.report.figures.data import line
from cohortium.report.figures.style import DASHES, GRID, MUTED, SERIES, Drawing, draw, readable_on, slug
from cohortium.report.folder import Scored
from cohortium.report.words import short


def roc(learners: Sequence[tuple[str, str, Scored]], key: str) -> Drawing | None:
    """ROC curves averaged over the test folds. learners: (name, text of the AUC, predictions), headline first."""
    curves = []
    for name, text, scored in learners:
        if (curve := mean_roc(scored)) is not None:
            curves.append((name, text, *curve))
    if not curves:
        return None

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        ax.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=(0, (1.5, 2)))
        for i, (name, text, fpr, tpr) in reversed(list(enumerate(curves))):
            ax.plot(fpr, tpr, color=SERIES[i], ls=DASHES[i % 4], label=f"{short(name, 20)}  {text}".rstrip())
        handles, labels = ax.get_legend_handles_labels()
        _square(ax)
        ax.set_xlabel("false positive rate (1 − specificity)")
        ax.set_ylabel("true positive rate (sensitivity)")
        figure.legend(handles[::-1], labels[::-1], loc="outside upper left", ncols=1, handlelength=2.6)

    alt = "ROC curves: " + ", ".join(f"{name} {text}" for name, text, _, _ in curves) + "."
    caption = "Averaged over the test folds of all repeats. Dotted: a model that knows nothing."
    svg = draw(paint, width=410, height=440 + 18 * len(curves), alt=alt, key=key)
    data = [
        r
        for name, _, fpr, tpr in curves
        for r in line({"learner": name}, false_positive_rate=fpr, true_positive_rate=tpr)
    ]
    return Drawing(svg, "ROC curve", caption, 410, small=True, name=slug(key), data=data)


def calibration(
    curves: Sequence[tuple[str, Calibration]], key: str, *, what: str, caption: str, alt_of: str
) -> Drawing | None:
    """Predicted against observed probability, with 95% intervals. curves: (name, bins)."""
    curves = [(name, c) for name, c in curves if len(c.predicted)]
    if not curves:
        return None

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        ax.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=(0, (1.5, 2)))
        for i, (name, c) in enumerate(curves):
            colour = SERIES[i % len(SERIES)]
            ax.vlines(c.predicted, c.low, c.high, color=colour, lw=1.6, alpha=0.75)
            ax.plot(c.predicted, c.observed, color=colour, marker="osD^v"[i % 5], ms=6, lw=1.4, label=short(name, 30))
        _square(ax)
        ax.set_xlabel(f"predicted {what}")
        ax.set_ylabel(f"observed {what}")
        if len(curves) > 1 or curves[0][0]:
            figure.legend(loc="outside upper left", ncols=2, handlelength=2)

    worst = max(abs(float(np.max(np.abs(c.predicted - c.observed)))) for _, c in curves)
    alt = f"Calibration of {alt_of}: the largest gap between predicted and observed {what} is {worst:.2f}."
    rows = (len(curves) + 1) // 2 if len(curves) > 1 or curves[0][0] else 0
    svg = draw(paint, width=410, height=430 + 20 * rows, alt=alt, key=key)
    data = [
        r
        for name, c in curves
        for r in line({"of": name or what}, predicted=c.predicted, observed=c.observed, low=c.low, high=c.high)
    ]
    return Drawing(svg, "Calibration", caption, 410, small=True, name=slug(key), data=data)


def smooth_calibration(curves: Sequence[tuple[str, Curve | None]], key: str, *, what: str, of: str) -> Drawing | None:
    """Smooth observed over predicted probability, with the band of its 95% limits. curves: (name, curve)."""
    known = [(name, c) for name, c in curves if c is not None]
    if not known:
        return None

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        ax.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=(0, (1.5, 2)))
        for i, (name, c) in enumerate(known):
            at, value, low, high = (np.array(x, float) for x in (c.at, c.value, c.low, c.high))
            ax.fill_between(at, low, high, color=SERIES[i], alpha=0.13 if len(known) < 4 else 0.06, lw=0)
            ax.plot(at, value, color=SERIES[i], ls=DASHES[i % 4], label=short(name, 30))
        _square(ax)
        ax.set_xlabel(f"predicted {short(what, 44)}")
        ax.set_ylabel("observed")
        figure.legend(loc="outside upper left", ncols=2, handlelength=2.4)

    def worst(c: Curve) -> float:
        return max(abs(v - x) for x, v in zip(c.at, c.value, strict=True) if v is not None)

    alt = (
        f"Smooth calibration for {of}, {what}: largest gap " + ", ".join(f"{n} {worst(c):.2f}" for n, c in known) + "."
    )
    caption = (
        "Local regression in every test fold, averaged where at least half of the folds have such predictions; shaded: "
        "95% intervals. On the dotted line, of 100 patients told 30%, 30 have the outcome."
    )
    svg = draw(paint, width=410, height=430 + 20 * ((len(known) + 1) // 2), alt=alt, key=key)
    data = [
        r for name, c in known for r in line({"of": name}, predicted=c.at, observed=c.value, low=c.low, high=c.high)
    ]
    return Drawing(svg, f"Smooth curve: {what}", caption, 410, small=True, name=slug(key), data=data)


def _square(ax: Any) -> None:
    ax.set_xlim(-0.01, 1.01)
    ax.set_ylim(-0.01, 1.01)
    ax.set_aspect("equal")
    ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    ax.grid(True)
    ax.tick_params(length=0)


def confusion(scored: Scored, key: str) -> Drawing | None:
    """True class (rows) against the most probable class (columns), counts and share of the row."""
    if scored.p is None or scored.code is None:
        return None
    import matplotlib

    k = len(scored.classes)
    table = np.zeros((k, k), int)
    np.add.at(table, (scored.code, scored.p.argmax(axis=1)), 1)
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    size = 72 if k <= 5 else 46
    labels = [short(c, 16) for c in scored.classes]
    margin = 8 * max(len(x) for x in labels) + 40
    colours = matplotlib.colormaps["Blues"]

    def paint(figure: Any) -> None:
        ax = figure.subplots()
        ax.pcolormesh(np.arange(k + 1) - 0.5, np.arange(k + 1) - 0.5, share, cmap=colours, vmin=0, vmax=1, lw=0)
        ax.invert_yaxis()
        for i in range(k):
            for j in range(k):
                colour = readable_on(colours(share[i, j]))
                text = f"{table[i, j]:,}\n{100 * share[i, j]:.0f}%" if k <= 5 else f"{table[i, j]:,}"
                ax.text(j, i, text, ha="center", va="center", color=colour)
        turn = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if max(map(len, labels)) > 7 else {}
        ax.set_xticks(range(k), labels, **turn)
        ax.set_yticks(range(k), labels)
        ax.set_xlabel("predicted class")
        ax.set_ylabel("true class")
        ax.tick_params(length=0)
        for side in ax.spines.values():
            side.set_color(GRID)

    right = int(np.trace(table))
    alt = f"Confusion matrix of {k} classes: {right:,} of {int(table.sum()):,} units on the diagonal."
    caption = "Each unit counted once, predicted by a model that had not seen it; per cent of the true class."
    width, height = max(360, min(620, size * k + margin)), max(300, min(620, int(size * k * 0.85) + margin))
    svg = draw(paint, width=width, height=height, alt=alt, key=key)
    data = [
        {"true": a, "predicted": b, "units": int(table[i, j]), "share_of_true": float(share[i, j])}
        for i, a in enumerate(scored.classes)
        for j, b in enumerate(scored.classes)
    ]
    return Drawing(svg, "Confusion matrix", caption, width, small=width <= 460, name=slug(key), data=data)
