"""What ``subtype`` found, on standard output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cohortium.cli.show import _print, _table, emit, say

if TYPE_CHECKING:
    from cohortium.contracts.subtypes import SubtypeResults


def show_subtypes(found: SubtypeResults, folder: Path, as_json: bool, quiet: bool) -> None:
    """The answer, a table of the subtypes, endpoints, and where the page is; for machines all records."""
    if as_json:
        emit({"folder": folder, "results": found})
        return
    if quiet:
        return
    from cohortium.report.subtypes import answer, caveats, p_text

    _print(answer(found))
    for text in caveats(found):
        _print(f"! {text}")
    if found.clusters:
        t = _table(None, "subtype", "units", "stability", "consensus inside", "with the nearest", "confidence")
        for c in found.clusters:
            t.add_row(c.name, str(c.n), *(f"{x:.3f}" for x in (c.stability, c.within, c.between, c.confidence)))
        _print(t)
    for d in found.differences:
        if d.p is None:
            say(f"{d.name}: not compared, {d.reason}.")
        elif d.role == "endpoint" or (d.p_holm or 1.0) < 0.05:
            say(f"{d.name}: {d.test} p {p_text(d.p)}, corrected {p_text(d.p_holm)}.")
    for s in found.sources:
        what = (
            f"{s.found} of {s.features} features mark them (q < 0.05)"
            if s.found is not None
            else f"not tested: {s.reason}"
        )
        say(f"{s.modality}: {what}.")
    for note in found.notes:
        say(f"Note: {note}.")
    wrote = "subtypes.csv, markers.csv, the model and subtypes.html" if found.clusters else "subtypes.html; no labels"
    say(f"Wrote {folder}: {wrote}.")
