"""What ``audit`` found, on standard output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cohortium.cli.show import _print, _table, emit, say

if TYPE_CHECKING:
    from cohortium.contracts.audit import AuditResults


def show_audit(found: AuditResults, folder: Path, as_json: bool, quiet: bool) -> None:
    """The answer, who is accused of what, and where the page is; for machines all records."""
    if as_json:
        emit({"folder": folder, "audit": found})
        return
    if quiet:
        return
    from cohortium.report.audit import accusation, answer

    _print(answer(found))
    for name, trials in found.accused.items():
        _print(f"! {accusation(name, trials)}")
    t = _table(None, "trial", "same or clean", "accused", "not shown")
    for trial in dict.fromkeys(x.trial for x in found.trials):
        verdicts = [x.verdict for x in found.trials if x.trial == trial]
        t.add_row(trial, *(str(verdicts.count(v)) for v in ("clean", "accused", "not shown")))
    if found.permuted:
        verdicts = [x.verdict for x in found.permuted]
        t.add_row("shuffled labels", *(str(verdicts.count(v)) for v in ("clean", "accused", "not shown")))
    _print(t)
    if found.warnings:
        say(f"check had {len(found.warnings)} warning(s) on these data; they stand on the page.")
    say(f"Wrote {folder}: audit.json and audit.html.")
