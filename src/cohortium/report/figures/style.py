"""One look for every figure: inline SVG with text left as text, colours that colour-blind readers can tell apart.

Nothing global: matplotlib's settings are changed inside a context, figures are made without pyplot.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from typing import Any

from cohortium.report.figures.data import csv_text, standalone, uri

# Okabe & Ito 2008; shapes differ too, so that colour never stands alone.
ROLE_COLOURS = {"reference": "#5b6470", "single": "#E69F00", "fusion": "#0072B2", "auto": "#D55E00"}
ROLE_MARKERS = {"reference": "D", "single": "o", "fusion": "s", "auto": "*"}
INK, MUTED, GRID = "#1c2430", "#66707d", "#e3e6ea"
SERIES = ("#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#8a6d00", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
FONT_SIZE = 13.0

_RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cohortium",
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "xtick.labelsize": FONT_SIZE - 1,
    "ytick.labelsize": FONT_SIZE - 1,
    "legend.fontsize": FONT_SIZE - 1,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.0,
    "axes.unicode_minus": True,
    "path.simplify": True,
}


@dataclass(frozen=True)
class Drawing:
    """A figure for the page. svg: markup, safe to inline. title: heading. caption: how to read it.

    width: natural width in CSS pixels. small: may stand beside another on a wide screen. name: of its files, without ending.
    data: the numbers drawn, one record per mark or point of a line.
    """

    svg: str
    title: str
    caption: str = ""
    width: int = 470
    small: bool = False
    name: str = ""
    data: Sequence[Mapping[str, Any]] = ()

    @property
    def alt(self) -> str:
        """The text that stands for it."""
        return unescape(re.search(r'aria-label="([^"]*)"', self.svg)[1])  # type: ignore[index]

    @property
    def file(self) -> str:
        """The picture as an SVG file."""
        return standalone(self.svg, self.title, self.alt)

    @property
    def table(self) -> str:
        """The numbers as a CSV file."""
        return csv_text(self.data)

    @property
    def file_uri(self) -> str:
        return uri(self.file, "image/svg+xml")

    @property
    def table_uri(self) -> str:
        return uri(self.table, "text/csv;charset=utf-8")


def draw(paint: Callable[[Any], None], *, width: int, height: int, alt: str, key: str, tight: bool = True) -> str:
    """Inline SVG of what ``paint(figure)`` draws; 1 unit = 1 CSS pixel.

    alt: text for who cannot see it. key: made part of every id, so that ids of several figures do not collide.
    tight: let matplotlib arrange the axes (else ``paint`` does).
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_RC):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained" if tight else None)
        FigureCanvasSVG(figure)
        paint(figure)
        svg = _saved(figure)
    return _inline(svg, width, height, alt, slug(key))


def _saved(figure: Any) -> str:
    """SVG as matplotlib writes it. Axes are arranged here: left to ``savefig``, all would be drawn once more for that."""
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    return buffer.getvalue()


def slug(text: str) -> str:
    """A text as part of an id or the name of a file."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text)


def _inline(svg: str, width: int, height: int, alt: str, key: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.S)
    body = svg[svg.index(">") + 1 : svg.rindex("</svg>")]
    body = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', body)
    body = re.sub(r'(xlink:href|href)="#([^"]+)"', rf'href="#{key}-\2"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", body)
    body = re.sub(r"<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>", "", body, flags=re.S)
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", body)
    # Two decimals are a hundredth of a pixel; only inside tags, never in the text between them.
    body = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d+\.\d{2})\d+", r"\1", tag[0]), body)
    body = re.sub(r"\n\s*", "\n", body)
    return (
        f'<svg class="figure" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}" '
        f'style="--natural:{width}px" stroke-linejoin="round" stroke-linecap="butt">'
        f"<title>{escape(alt)}</title>{body}</svg>"
    )


def readable_on(rgb: Sequence[float]) -> str:
    """A colour for text on a ground (red, green, blue in 0..1): the usual ink where its contrast is at least 4.5:1 (WCAG 2.2,
    1.4.3), else white or black."""
    ground = luminance(rgb)

    def contrast(hex_colour: str) -> float:
        own = luminance([int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        return (max(own, ground) + 0.05) / (min(own, ground) + 0.05)

    return next((c for c in (INK, "#ffffff") if contrast(c) >= 4.5), "#000000")


def luminance(rgb: Sequence[float]) -> float:
    """Relative luminance of sRGB in 0..1 (WCAG 2.2)."""
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb[:3])
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def quiet_axes(ax: Any, grid: str = "x") -> None:
    """Light grid along one axis, no ticks on the other."""
    ax.grid(True, axis=grid)
    ax.tick_params(length=0)
    if grid == "x":
        ax.spines["left"].set_visible(False)
