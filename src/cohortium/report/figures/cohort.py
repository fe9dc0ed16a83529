"""Who has which modality: an UpSet picture, laid on its side so that it fits a phone."""

from __future__ import annotations

from typing import Any

from cohortium.contracts.results import CohortRecord
from cohortium.report.figures.style import INK, MUTED, SERIES, Drawing, draw, slug
from cohortium.report.words import count, short

_CUT = 20
FEWEST = 5
"""A pattern of fewer units is not named: what so few have in common may tell who they are."""

_ROW = 21.0


def presence(cohort: CohortRecord, key: str) -> Drawing | None:
    """Patterns of availability, largest first (20, then "others"); set sizes above; None without modalities.

    Lex 2014, IEEE TVCG 20:1983.
    """
    modalities = cohort.modalities
    patterns = sorted(cohort.patterns, key=lambda p: (-p.n_units, p.modalities))
    if not modalities or not patterns:
        return None
    shown = [p for p in patterns[:_CUT] if p.n_units >= FEWEST]
    rest = patterns[len(shown) :]
    column = 20.0 if len(modalities) > 6 else 30.0
    labels = [short(m.name, 22) for m in modalities]
    geometry = _Geometry(
        column=column,
        matrix=column * len(modalities),
        names=7.4 * max(len(x) for x in labels) + 12,
        rows=_ROW * (len(shown) + bool(rest)),
    )

    def paint(figure: Any) -> None:
        _sets(figure, geometry, cohort, labels)
        _patterns(figure, geometry, cohort, shown, sum(p.n_units for p in rest), len(rest))

    full = next((p.n_units for p in patterns if len(p.modalities) == len(modalities)), 0)
    largest = shown[0] if shown else None
    alt = (
        f"{count(cohort.n_units, 'unit')} in {count(len(patterns), 'pattern')} of available modalities. "
        f"{_many(full)} have all {len(modalities)}."
    )
    if largest is not None:
        alt += (
            f" The largest pattern has {largest.n_units:,} units with {', '.join(largest.modalities) or 'no modality'}."
        )
    every = f"all {len(modalities)}" if len(modalities) > 2 else "both" if len(modalities) == 2 else "it"
    share = f"{_many(full)} of {cohort.n_units:,} have {every}; nobody was dropped for lacking one."
    if full == cohort.n_units:
        share = f"Everybody has {every}."
    caption = f"Each line is a pattern: the filled dots are the modalities its patients have. {share}"
    svg = draw(paint, width=int(geometry.width), height=int(geometry.height), alt=alt, key=key, tight=False)
    data: list[dict[str, object]] = [{"what": "modality", "modalities": m.name, "units": m.n_units} for m in modalities]
    data += [{"what": "pattern", "modalities": " | ".join(p.modalities), "units": p.n_units} for p in shown]
    if rest:
        data.append(
            {"what": "other patterns", "modalities": str(len(rest)), "units": _many(sum(p.n_units for p in rest))}
        )
    return Drawing(svg, "Who has which modality", caption, int(geometry.width), name=slug(key), data=data)


def _many(n: int) -> str:
    """A number of units; few are not counted out."""
    return f"{n:,}" if n >= FEWEST or not n else "1 to 4"


class _Geometry:
    """Pixels: set sizes on top, then names, then the matrix with its bars to the right."""

    def __init__(self, column: float, matrix: float, names: float, rows: float) -> None:
        self.column, self.matrix, self.names, self.rows = column, matrix, names, rows
        self.top = 92.0
        self.bars = 214.0
        self.left = 42.0
        self.width = self.left + matrix + self.bars + 10
        self.height = self.top + names + rows + 10

    def axes(self, figure: Any, x: float, y: float, w: float, h: float) -> Any:
        """Axes at pixels from the top left."""
        return figure.add_axes((x / self.width, 1 - (y + h) / self.height, w / self.width, h / self.height))


def _sets(figure: Any, g: _Geometry, cohort: CohortRecord, labels: list[str]) -> None:
    ax = g.axes(figure, g.left, 16, g.matrix, g.top - 16)
    n = max(cohort.n_units, 1)
    share = [100 * m.n_units / n for m in cohort.modalities]
    faces = ["white" if m.reference else SERIES[0] for m in cohort.modalities]
    edges = [INK if m.reference else SERIES[0] for m in cohort.modalities]
    ax.bar(range(len(share)), share, width=0.6, color=faces, edgecolor=edges, lw=1.2)
    ax.set_xlim(-0.5, len(share) - 0.5)
    ax.set_ylim(0, 100)
    ax.set_yticks([0, 50, 100], ["0", "50", "100%"])
    ax.grid(True, axis="y")
    ax.tick_params(length=0)
    ax.set_xticks([])
    ax.spines["left"].set_visible(False)
    names = g.axes(figure, g.left, g.top, g.matrix, g.names)
    names.set_axis_off()
    names.set_xlim(-0.5, len(share) - 0.5)
    names.set_ylim(0, 1)
    for i, label in enumerate(labels):
        names.text(i, 1 - 6 / g.names, label, rotation=90, va="top", ha="center", fontsize=12, color=INK)
    head = g.axes(figure, g.left + g.matrix + 8, 16, g.bars, g.top - 16)
    head.set_axis_off()
    lines = ["share of units with", "the modality"]
    if any(m.reference for m in cohort.modalities):
        lines += ["(hollow: reference)"]
    head.text(0.02, 0.98, "\n".join(lines), va="top", ha="left", fontsize=12, color=MUTED, transform=head.transAxes)


def _patterns(figure: Any, g: _Geometry, cohort: CohortRecord, shown: list[Any], rest: int, n_rest: int) -> None:
    n_rows = len(shown) + bool(n_rest)
    ax = g.axes(figure, g.left, g.top + g.names, g.matrix, g.rows)
    ax.set_axis_off()
    ax.set_xlim(-0.5, len(cohort.modalities) - 0.5)
    ax.set_ylim(n_rows - 0.5, -0.5)
    for row in range(0, n_rows, 2):
        ax.axhspan(row - 0.5, row + 0.5, color="#f4f6f8", lw=0)
    on: list[tuple[int, int]] = []
    off: list[tuple[int, int]] = []
    for row, pattern in enumerate(shown):
        have = [i for i, m in enumerate(cohort.modalities) if m.name in pattern.modalities]
        on += [(i, row) for i in have]
        off += [(i, row) for i in range(len(cohort.modalities)) if i not in have]
        if len(have) > 1:
            ax.plot([have[0], have[-1]], [row, row], color="#9aa3ae", lw=1.2, solid_capstyle="butt")
    for points, colour in ((off, "#d3d9df"), (on, INK)):
        if points:
            ax.scatter(*zip(*points, strict=True), s=46 if g.column > 25 else 30, color=colour, lw=0, zorder=3)
    if n_rest:
        ax.text(0, n_rows - 1, f"{count(n_rest, 'other pattern')}", va="center", ha="left", fontsize=12, color=MUTED)
    bars = g.axes(figure, g.left + g.matrix + 8, g.top + g.names, g.bars, g.rows)
    bars.set_axis_off()
    sizes = [p.n_units for p in shown] + ([rest] if n_rest else [])
    colours = [SERIES[0]] * len(shown) + ([MUTED] if n_rest else [])
    bars.barh(range(n_rows), sizes, height=0.62, color=colours)
    bars.set_xlim(0, max(sizes) * 2.1)
    bars.set_ylim(n_rows - 0.5, -0.5)
    for row, size in enumerate(sizes):
        text = f"{size:,} ({100 * size / max(cohort.n_units, 1):.0f}%)" if size >= FEWEST else _many(size)
        bars.text(size + 0.025 * max(sizes), row, text, va="center", ha="left", fontsize=12, color=INK)
