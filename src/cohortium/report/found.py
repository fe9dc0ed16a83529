"""The section "Which features matter" of a run's report: what ``biomarkers --run`` found and kept in the run folder."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cohortium.contracts.biomarkers import BiomarkerResults
from cohortium.errors import RunFolderError

KEPT, FILE, MARK, PAGE = "biomarkers", "biomarkers.json", "cohortium_biomarkers", "biomarkers.html"
"""Folder of a run with a folder for each endpoint, the records and the page in it, and what marks the records as ours."""

SHOWN = 12
"""Groups in the section; all of them are on the page of biomarkers."""


def read_found(run: Path) -> dict[str, tuple[str, BiomarkerResults]]:
    """Endpoint -> address of its page relative to the run folder, and the records.

    Raises :class:`RunFolderError` for records that cannot be read.
    """
    out = {}
    for file in sorted((run / KEPT).glob(f"*/{FILE}")):
        records = read_records(file)
        out[records.endpoint] = (quote(f"{KEPT}/{file.parent.name}/{PAGE}"), records)
    return out


def read_records(file: Path) -> BiomarkerResults:
    """The records of a ``biomarkers.json``. Raises :class:`RunFolderError`."""
    from pydantic import ValidationError

    try:
        tree = json.loads(file.read_text(encoding="utf-8"))
        found: BiomarkerResults = _adapter().validate_python({k: v for k, v in tree.items() if k != MARK})
    except (OSError, ValueError, AttributeError, ValidationError) as e:
        raise RunFolderError(
            f"{file} is damaged, or of another version. Delete its folder, or call 'cohortium biomarkers' with --run again."
        ) from e
    return found


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(BiomarkerResults)


def found_section(found: tuple[str, BiomarkerResults] | None) -> dict[str, Any] | None:
    """Words, table and the address of the whole page; None where nothing was kept."""
    if found is None:
        return None
    from cohortium.report import biomarkers as words
    from cohortium.report.panel import panel_text

    address, r = found
    shown = replace(r, groups=r.groups[: max(SHOWN, min(r.n_found, 30))])
    note = f"The first {len(shown.groups)} groups. Effects are those of the leading member alone, and not corrected for having been picked."
    return {
        "words": [words.question(r), words.answer(r)],
        "caveats": words.caveats(r),
        "table": replace(words.groups_table(shown), note=note),
        "panel": "" if r.panel is None else panel_text(r.panel),
        "sets": words.sets_text(r),
        "address": address,
    }
