"""What a federated fit found, on standard output."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from cohortium.cli.show import _print, _table, emit, say

if TYPE_CHECKING:
    from cohortium.contracts.federation_results import FederatedEvaluation, FederatedResults

_MOST = 40


def show_federation(found: FederatedResults, folder: Path, as_json: bool, quiet: bool) -> None:
    """The answer, coefficients, sites and notices; for machines all records but the single messages."""
    if as_json:
        emit({"folder": folder, "federation": {**vars(found), "messages": len(found.messages)}})
        return
    if quiet:
        return
    from cohortium.report.federation import answer

    _print(answer(found))
    for n in found.notices:
        _print(f"! {n}")
    _show_fit(found)
    if found.evaluation is not None:
        _show_evaluation(found.evaluation)
    if found.attacks:
        _show_attacks(found)
    t = _table(None, "site", "units", "left the site", "took part")
    for s in found.sites:
        own = [m for m in found.messages if m.site == s.site and m.to == "coordinator"]
        t.add_row(
            s.site,
            "–" if s.units is None else f"{s.units:,}",
            f"{len(own)} messages, {sum(m.size for m in own):,} bytes",
            s.left or "to the end",
        )
    _print(t)
    say(f"Wrote {folder}: federation.html, federation.json and messages.csv.")


def _show_fit(found: FederatedResults) -> None:
    """Coefficients, or what trees use."""
    if found.trees is not None:
        t = _table(None, "column", "gain", "splits")
        for i in found.trees.importance[:_MOST]:
            t.add_row(i.column, f"{100 * i.gain:.1f}%", str(i.splits))
        _print(t)
        return
    if found.network is not None:
        _show_network(found)
        return
    if found.stack is not None:
        t = _table(None, "part", "weight", "spread of its score", "units")
        for p in found.stack.parts:
            t.add_row(
                p.name,
                *("–" if x is None else f"{x:.3g}" for x in (p.weight, p.spread)),
                "–" if p.units is None else f"{p.units:,}",
            )
        _print(t)
        return
    from cohortium.report.federation import RATIOS

    several = found.kind == "multiclass"
    t = _table(
        None,
        *(["class"] if several else []),
        "column",
        RATIOS[found.kind],
        "95%",
        "p",
        *(["all rows"] if found.largest_difference is not None else []),
    )
    change = (lambda x: x) if found.kind == "continuous" else (lambda x: math.exp(min(x, 700)))

    def text(x: float | None, form: str = ".3g") -> str:
        return "–" if x is None else format(change(x), form)

    for c in found.coefficients[:_MOST]:
        wide = "–" if c.low is None else f"{text(c.low)} to {text(c.high)}"
        row = [c.column, text(c.estimate), wide, "–" if c.p is None else f"{c.p:.2g}"]
        t.add_row(
            *([c.outcome] if several else []), *row, *([text(c.pooled)] if found.largest_difference is not None else [])
        )
    _print(t)
    if len(found.coefficients) > _MOST:
        say(f"and {len(found.coefficients) - _MOST} more, in federation.json.")


def _show_network(found: FederatedResults) -> None:
    """Who has which modality, and the network beside its rivals."""
    from cohortium.report.federation_network import network_section
    from cohortium.report.federation_private_network import private_network_section

    section = network_section(found) if found.privacy is None else private_network_section(found, found.privacy)
    for table in (section.who, section.paired):
        if table is not None:
            t = _table(None, *table.head)
            for row in table.rows:
                t.add_row(*(f"{c.text} ({c.small})" if c.small else c.text for c in row))
            _print(t)


def _show_evaluation(found: FederatedEvaluation) -> None:
    """Across sites, then each."""
    from cohortium.report.federation_performance import across_table, site_table

    for table in (across_table(found), *([site_table(found)] if found.sites else [])):
        t = _table(None, *table.head)
        for row in table.rows:
            t.add_row(*(f"{c.text} ({c.small})" if c.small else c.text for c in row))
        _print(t)
        if table.note:
            _print(table.note)
    for n in found.notices:
        _print(f"! {n}")


def _show_attacks(found: FederatedResults) -> None:
    from cohortium.report.federation_attacks import attack_answer, attack_table

    _print(attack_answer(found))
    shown = attack_table(found)
    t = _table(None, *shown.head)
    for row in shown.rows:
        t.add_row(*(f"{c.text} ({c.small})" if c.small else c.text for c in row))
    _print(t)
