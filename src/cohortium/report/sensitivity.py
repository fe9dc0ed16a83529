"""The section "If the unknown causes were known" of competing risks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cohortium.contracts.results import EndpointRecord, SensitivityRow
from cohortium.report.tables import Cell, Table, difference_cell, estimate_cell
from cohortium.report.words import estimate_text, learner_name, metric_name, names


def sensitivity_section(rows: Sequence[SensitivityRow], e: EndpointRecord) -> dict[str, Any] | None:
    """Words and table; None without records."""
    if not rows:
        return None
    first = rows[0]
    told = [f"{estimate_text(r.estimate)} with them {r.treatment}" for r in rows if r.learner == first.learner]
    words = (
        f"Events of unknown cause count as a cause of their own. Of the same predictions {metric_name(first.estimate.metric, first.estimate.horizon, e.time_unit)} of "
        f"{learner_name(first.learner)} is {names(told)}. The truth lies in between if the causes are missing at random among events, and may lie elsewhere if not. "
        "Nothing was fitted again; 'unknown_as: exclude' fits without these units."
    )
    against = any(r.versus_reference is not None for r in rows)
    body = [
        [
            Cell(r.treatment, learner_name(r.learner)), Cell(f"{r.n_units:,}"), Cell("–" if r.n_events is None else f"{r.n_events:,}"),
            estimate_cell(r.estimate), *([Cell("–") if r.versus_reference is None else difference_cell(r.versus_reference, "")] if against else []),
        ]
        for r in rows
    ]  # fmt: skip
    metric = metric_name(first.estimate.metric, first.estimate.horizon, e.time_unit)
    head = ["events of unknown cause", "units tested", "events of interest", metric, *(["minus reference"] if against else [])]  # fmt: skip
    return {"words": [words], "table": Table(head, body)}
