"""What ``drift`` found, on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cohortium.cli.show import _print, _table, emit, say

if TYPE_CHECKING:
    from cohortium.contracts.drift import DriftResults

_MOST, _LEVEL, _LARGE = 15, 0.05, 0.25


def show_drift(found: DriftResults, as_json: bool) -> None:
    """Modalities, the features that changed most, and how many units are outside; for machines all records."""
    if as_json:
        emit({"drift": found})
        return
    clear = [f for f in found.features if f.q is not None and f.q < _LEVEL]
    large = sum(f.psi > _LARGE for f in clear)
    _print(
        f"{len(clear):,} of {len(found.features):,} features differ from the study's (q < {_LEVEL}), {large:,} of them by much; "
        f"{found.strangers:,} of {found.units:,} units are outside what the models have seen in some modality."
    )
    t = _table(None, "modality", "had it", "have it", "p", "outside")
    for m in found.modalities:
        outside = "–" if m.outside is None else f"{100 * m.outside:.1f}%"
        t.add_row(
            m.modality,
            f"{100 * m.share_seen:.0f}%",
            f"{100 * m.share_new:.0f}%",
            "–" if m.p is None else f"{m.p:.2g}",
            outside,
        )
    _print(t)
    if clear:
        t = _table(None, "feature", "modality", "PSI", "q")
        for f in clear[:_MOST]:
            t.add_row(f.feature, f.modality, f"{f.psi:.2f}", f"{f.q:.2g}")
        _print(t)
        if len(clear) > _MOST:
            say(f"and {len(clear) - _MOST:,} more; --out writes all of them.")
    say("Outside: more features out of the study's range than 99 of 100 of its units have; 1% is expected.")
