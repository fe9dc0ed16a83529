"""What a figure can be taken away as: a picture that stands alone, and the numbers that it draws."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from cohortium.contracts.estimates import Estimate

Record = Mapping[str, Any]


def point(what: Mapping[str, Any], e: Estimate) -> dict[str, Any]:
    """A dot with its interval: what it is of, then ``metric, horizon, value, low, high, n``."""
    return {**what, **{f: getattr(e, f) for f in ("metric", "horizon", "value", "low", "high", "n")}}


def line(what: Mapping[str, Any], **columns: Iterable[Any]) -> list[dict[str, Any]]:
    """The points of a curve: what it is of, then one column for each sequence."""
    return [{**what, **dict(zip(columns, row, strict=True))} for row in zip(*columns.values(), strict=True)]


def csv_text(records: Sequence[Record]) -> str:
    """Records as CSV: a header of all names in their order, numbers in full, nothing where there is none (None or NaN)."""
    names = list(dict.fromkeys(k for r in records for k in r))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(r.get(n)) for n in names] for r in records)
    return out.getvalue()


def _cell(x: Any) -> Any:
    if hasattr(x, "item"):
        x = x.item()
    if x is None or x != x:
        return ""
    # A text that a spreadsheet would take for a formula is data all the same.
    return f"'{x}" if isinstance(x, str) and x[:1] in ("=", "+", "-", "@") else x


def standalone(svg: str, title: str, alt: str) -> str:
    """An inline SVG as a file of its own: name spaces, white ground, title and description; styles as presentation attributes,
    which every drawing program reads, and no variable of the page."""
    head, body = svg[: svg.index(">")], svg[svg.index(">") + 1 : svg.rindex("</svg>")]
    width, height = _BOX.search(head).groups()  # type: ignore[union-attr]
    body = re.sub(r"^<title>.*?</title>", "", body, flags=re.S)
    body = _STYLE.sub(_attributes, body).replace(' href="#', ' xlink:href="#')
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        'font-family="DejaVu Sans, Verdana, Arial, sans-serif" stroke-linejoin="round" stroke-linecap="butt">'
        f"<title>{escape(title)}</title><desc>{escape(alt)}</desc>"
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>{body}</svg>\n'
    )


_BOX = re.compile(r'viewBox="0 0 (\S+) (\S+)"')
_STYLE = re.compile(r'<[^>]*\bstyle="[^"]*"[^>]*>')


def _attributes(tag: re.Match[str]) -> str:
    """A tag with its style as attributes; what the style says wins, as in the page."""
    text = tag[0]
    style = re.search(r'\s*\bstyle="([^"]*)"', text)
    assert style is not None
    text = text.replace(style[0], "", 1)
    pairs = [p.split(":", 1) for p in style[1].split(";") if ":" in p]
    for name, value in ((a.strip(), b.strip()) for a, b in pairs):
        text = re.sub(rf'\s{name}="[^"]*"', "", text)
        end = len(text) - (2 if text.endswith("/>") else 1)
        text = f'{text[:end].rstrip()} {name}="{value}"{text[end:]}'
    return text


def uri(text: str, kind: str) -> str:
    """``data:`` address of a text."""
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"
