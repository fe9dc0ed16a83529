"""What would leave a site, on standard output, and the question whether it may."""

from __future__ import annotations

import getpass
import sys

import typer

from cohortium.cli.show import _print, _table, emit, say
from cohortium.contracts.federation_leaving import LeavingPreview

_MOST = 12


def show_leaving(found: LeavingPreview, as_json: bool = False) -> None:
    """The list of messages, fields, shapes and counts."""
    if as_json:
        emit({"leaving": found})
        return
    _print(
        f"Site '{found.site}', study '{found.study}', endpoint {found.endpoint}: {found.units:,} units of {found.patients:,} patients. "
        f"Plan {found.plan}."
    )
    if found.reason:
        _print(f"It would take no part: {found.reason}. It says that and no more when it is asked.")
        return
    _print("These would leave it, and nothing else; no row does:")
    t = _table(None, "message", "field", "how much", "what it is")
    alone = {m.kind for m in found.messages if not m.within}
    for m in found.messages:
        if m.within and m.kind in alone:
            t.add_row(m.kind, "", "as above", f"in {m.within}, of parts of the patients")
            continue
        for i, (field, what, how) in enumerate(m.fields):
            inside = any(x.within == m.kind for x in found.messages)
            t.add_row("" if i else m.kind, field, "listed below" if inside else how, what)
    _print(t)
    _print(f"Names of features that leave: {_some(list(found.features))}.")
    for name, levels in list(found.levels.items())[:_MOST]:
        _print(f"  levels of {name}: {_some(list(levels))}")
    if len(found.levels) > _MOST:
        _print(f"  and levels of {len(found.levels) - _MOST} more features")
    if found.cut:
        _print(
            "! The trial run was ended early: messages of later rounds are not in the list. docs/federation.md has every kind."
        )
    largest = max((m.largest for m in found.messages), default=0)
    _print(
        f"Found out by a trial run of {found.rounds} rounds with this site alone; the site answers "
        f"{found.most_rounds} rounds at most. Largest message: {largest:,} bytes. With other sites columns for their levels are added."
    )


def asked_to_approve(found: LeavingPreview, approve: bool) -> str:
    """Who approved; nothing where nobody did. Shows what would leave; asks only where somebody sits at a terminal."""
    show_leaving(found)
    if approve:
        say("Approved with --approve.")
        return _who()
    if not sys.stdin.isatty():
        return ""
    return _who() if typer.confirm("May it leave?", default=False) else ""


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
