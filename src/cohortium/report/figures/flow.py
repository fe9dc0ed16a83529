"""The patient-flow diagram: boxes under each other, who is lost beside them, parts indented below. Narrow enough for a phone."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cohortium.report.figures.style import INK, MUTED, Drawing, draw, slug

WIDTH, _TRUNK, _SIDE, _INDENT = 420, 236, 148, 26
_LINE, _PAD, _GAP = 17.0, 9.0, 20.0
_TITLE, _SMALL = 14.0, 12.5
_PER_CHARACTER = 7.1


@dataclass(frozen=True)
class Box:
    """title, under its number of units n where it has one; detail; items: (number, name) below; level: 0 stands in the trunk, others hang on the last box
    of the level above. lost: (reason, number) leaving at it, under ``lost_as``."""

    title: str
    detail: str = ""
    items: Sequence[tuple[str, str]] = ()
    level: int = 0
    lost: Sequence[tuple[str, str]] = ()
    lost_as: str = ""
    n: str = ""

    @property
    def heading(self) -> str:
        return f"{self.n} {self.title}".strip()


@dataclass
class _Placed:
    """Where a box is, in pixels from the top left, and its lines: (text, size, colour, bold)."""

    x: float
    y: float
    width: float
    lines: list[tuple[str, float, str, bool]]
    side: list[tuple[str, float, str, bool]] = field(default_factory=list)

    @property
    def height(self) -> float:
        return len(self.lines) * _LINE + 2 * _PAD - 3

    @property
    def side_height(self) -> float:
        return len(self.side) * _LINE + 2 * _PAD - 3 if self.side else 0.0

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def draw_flow(boxes: Sequence[Box], key: str) -> Drawing:
    """The diagram of boxes in their order, the first at the top."""
    placed, y = list[_Placed](), 2.0
    for b in boxes:
        x = b.level * _INDENT + 2.0
        width = WIDTH - x - 4 if b.level and not b.lost else _TRUNK - (x - 2) if b.lost else WIDTH - x - 4
        p = _Placed(x, y, width, _lines(b, width), _side(b))
        placed.append(p)
        y += max(p.height, p.side_height) + _GAP
    height = int(y - _GAP + 4)

    def paint(figure: Any) -> None:
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set_axis_off()
        ax.set_xlim(0, WIDTH)
        ax.set_ylim(height, 0)
        for p in placed:
            _frame(ax, p.x, p.y, p.width, p.height, p.lines, dashed=False)
            if p.side:
                top = p.middle - p.side_height / 2 if p.side_height < p.height else p.y
                left = WIDTH - _SIDE - 2
                _arrow(ax, p.x + p.width, top + min(p.side_height, p.height) / 2, left, horizontal=True)
                _frame(ax, left, top, _SIDE, p.side_height, p.side, dashed=True)
        for i in range(1, len(boxes)):
            _connect(ax, boxes, placed, i)

    svg = draw(paint, width=WIDTH, height=height, alt=_alt(boxes), key=key, tight=False)
    caption = "Solid boxes: units that stay, downwards. Dashed boxes: those who leave, and why."
    return Drawing(svg, "Patient flow", caption, WIDTH, name=slug(key), data=_records(boxes))


def _wrapped(text: str, width: float, size: float) -> list[str]:
    fits = max(8, int((width - 2 * _PAD) / (_PER_CHARACTER * size / _SMALL)))
    return textwrap.wrap(text, fits) or []


def _lines(b: Box, width: float) -> list[tuple[str, float, str, bool]]:
    out = [(t, _TITLE, INK, True) for t in _wrapped(b.heading, width, _TITLE * 1.08)]
    out += [(t, _SMALL, MUTED, False) for t in _wrapped(b.detail, width, _SMALL)]
    for n, name in b.items:
        first, *more = _wrapped(f"{n}  {name}", width, _SMALL)
        out += [(first, _SMALL, INK, False), *((f"      {t}", _SMALL, INK, False) for t in more)]
    return out


def _side(b: Box) -> list[tuple[str, float, str, bool]]:
    if not b.lost:
        return []
    out = [(t, _SMALL, MUTED, True) for t in _wrapped(b.lost_as, _SIDE, _SMALL)]
    return out + [(t, _SMALL, INK, False) for reason, n in b.lost for t in _wrapped(f"{n}  {reason}", _SIDE, _SMALL)]


def _frame(ax: Any, x: float, y: float, w: float, h: float, lines: Sequence[Any], *, dashed: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    ax.add_patch(
        FancyBboxPatch(
            (x, y), w, h, boxstyle="round,pad=0,rounding_size=7", facecolor="white", edgecolor=MUTED if dashed else INK,
            lw=1.0 if dashed else 1.3, ls=(0, (4, 3)) if dashed else "-", zorder=3,
        )
    )  # fmt: skip
    for i, (text, size, colour, bold) in enumerate(lines):
        at = y + _PAD + i * _LINE + _LINE / 2 - 2
        weight = "bold" if bold else "normal"
        ax.text(x + _PAD + 1, at, text, fontsize=size, color=colour, fontweight=weight, va="center", zorder=4)


def _arrow(ax: Any, x: float, y: float, to: float, *, horizontal: bool) -> None:
    end = (to, y) if horizontal else (x, to)
    ax.annotate(
        "",
        end,
        (x, y),
        arrowprops={"arrowstyle": "-|>", "color": MUTED, "lw": 1.3, "shrinkA": 0, "shrinkB": 0},
        zorder=2,
    )


def _connect(ax: Any, boxes: Sequence[Box], placed: Sequence[_Placed], i: int) -> None:
    """Down from the box before in the trunk; or an elbow from the box on which this one hangs."""
    level = boxes[i].level
    above = next(j for j in range(i - 1, -1, -1) if boxes[j].level == (level - 1 if level else 0))
    p, q = placed[i], placed[above]
    if not level:
        x = 2.0 + _TRUNK / 2
        _arrow(ax, x, q.y + q.height, p.y, horizontal=False)
        return
    x = q.x + _INDENT / 2
    ax.plot([x, x], [q.y + q.height, p.middle], color=MUTED, lw=1.3, zorder=1)
    _arrow(ax, x, p.middle, p.x, horizontal=True)


def _alt(boxes: Sequence[Box]) -> str:
    said = []
    for b in boxes:
        text = b.heading + (f" ({b.detail})" if b.detail else "")
        if b.items:
            text += ": " + ", ".join(f"{n} {name}" for n, name in b.items)
        if b.lost:
            text += f"; {b.lost_as}: " + ", ".join(f"{n} {reason}" for reason, n in b.lost)
        said.append(text)
    return f"Patient flow. {'. '.join(said)}."


def _records(boxes: Sequence[Box]) -> list[dict[str, str]]:
    out = []
    for b in boxes:
        out.append({"box": b.title, "what": "stays", "name": b.detail, "units": b.n})
        out += [{"box": b.title, "what": "part", "name": name, "units": n} for n, name in b.items]
        out += [{"box": b.title, "what": b.lost_as, "name": reason, "units": n} for reason, n in b.lost]
    return [{**r, "units": r["units"].replace(",", "")} for r in out]
