"""What ``biomarkers`` found, on standard output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cohortium.cli.show import _print, _table, emit, say

if TYPE_CHECKING:
    from cohortium.contracts.biomarkers import BiomarkerResults

LINES = 15


def show_biomarkers(found: BiomarkerResults, folder: Path, as_json: bool, quiet: bool, run: Path | None = None) -> None:
    """The answer, a table of the groups, gene sets, and where the page is; for machines all records."""
    if as_json:
        emit({"folder": folder, "results": found})
        return
    if quiet:
        return
    from cohortium.report.biomarkers import (
        answer,
        caveats,
        effect_text,
        members_text,
        parts_text,
        q_text,
        question,
        sets_text,
    )
    from cohortium.report.panel import panel_text

    _print(question(found))
    _print(answer(found))
    for text in caveats(found):
        _print(f"! {text}")
    rows = found.groups[: max(LINES, found.n_found, found.n_given)]
    t = _table(
        None,
        "modality",
        "group",
        found.quantity,
        "q alone",
        "q given others",
        "knockoffs",
        "in draws",
        "stability",
        "folds",
    )
    for g in rows:
        again = "–" if g.again is None else f"{100 * g.again:.0f}%"
        stable = "–" if g.stability is None else f"{100 * g.stability:.0f}%"
        t.add_row(
            g.modality, members_text(g), effect_text(g.lead), q_text(g.lead.q), q_text(g.q_given) if g.tested else "not tested",
            "found" if g.selected else "–", again, stable, parts_text(g.folds),
        )  # fmt: skip
    _print(t)
    if found.panel is not None:
        say(panel_text(found.panel))
        say(f"Panel: {', '.join(f'{m.feature} ({m.modality})' for m in found.panel.members)}.")
    for text in sets_text(found):
        say(text)
    for note in found.notes:
        say(f"Note: {note}.")
    say(f"Wrote {folder}: biomarkers.csv{', gene_sets.csv' if found.enrichment else ''} and biomarkers.html.")
    if run is not None:
        say(f"The report of {run} has a section with it now.")
