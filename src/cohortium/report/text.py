"""The leaderboard for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.results import Results
from cohortium.report.words import (
    best_first,
    endpoint_of,
    headline_metric,
    metric_name,
    pick,
    rows_of,
    value_text,
)

if TYPE_CHECKING:
    from rich.table import Table

_STYLES = {"reference": "bright_black", "single": "yellow", "fusion": "blue", "auto": "bold green"}


def leaderboard_text(results: Results, endpoint: str | None = None) -> Table:
    """A rich table (plain text where the output is no terminal): best learner first.

    Columns: learner, the headline metric with its 95% interval, the paired difference to the reference and to
    ``best_single`` with theirs. endpoint: default the primary one.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    e = endpoint_of(results, endpoint)
    metric, horizon = headline_metric(results, e)
    rows = best_first(rows_of(results, e.name), metric, horizon)
    with_reference = any(r.versus.reference for r in rows)
    with_single = any(r.versus.best_single for r in rows)
    table = Table(box=box.SIMPLE_HEAD, title=Text(f"{e.name} ({e.kind})"), title_justify="left", pad_edge=False)
    table.add_column("learner", overflow="fold")
    table.add_column(Text(metric_name(metric, horizon, e.time_unit)))
    if with_reference:
        table.add_column("minus reference")
    if with_single:
        table.add_column("minus best_single")
    for r in rows:
        style = _STYLES.get(r.role, "")
        mark = " *" if r.headline else ""
        cells = [Text(r.learner + mark, style=style), Text(_brief(pick(r.estimates, metric, horizon)))]
        if with_reference:
            cells.append(Text(_brief(pick(r.versus.reference, metric, horizon), signed=True)))
        if with_single:
            cells.append(Text(_brief(pick(r.versus.best_single, metric, horizon), signed=True)))
        table.add_row(*cells)
    low = ", low-powered: fewer than 10 folds" if results.evaluation.low_powered else ""
    table.caption = Text(f"95% intervals{low}; * the learner the answer is about")
    table.caption_justify = "left"
    return table


def _brief(e: Estimate | None, signed: bool = False) -> str:
    """``0.672 [0.652,0.701]``: no space inside the brackets, so that a narrow terminal breaks before them."""
    if e is None or e.value is None:
        return "–"
    if e.low is None or e.high is None:
        return value_text(e.value, signed)
    return f"{value_text(e.value, signed)} [{value_text(e.low, signed)},{value_text(e.high, signed)}]"
