"""Pages of checklists and model card, and the report's section that points to them."""

from __future__ import annotations

from typing import Any

from cohortium.report.checklists.fill import ANSWERS, Checklist, checklists, open_keys, open_yaml
from cohortium.report.folder import RunFolder
from cohortium.report.html import render
from cohortium.report.modelcard import model_card
from cohortium.report.words import count
from cohortium.schema.statements import asked


def checklists_page(folder: RunFolder, lists: list[Checklist]) -> str:
    """One HTML file without outside references, but for links into ``report.html`` beside it."""
    r = folder.results
    waiting = open_keys(lists)
    return render(
        "checklists.html.j2",
        name=r.study.name,
        title=r.study.title or r.study.name,
        answer=_answer(lists),
        lists=[_shown(c) for c in lists],
        waiting=[(key, asked()[key], _items(items)) for key, items in waiting.items()],
        yaml=open_yaml(lists),
        answers=ANSWERS,
    )


def model_card_page(folder: RunFolder) -> str:
    """One HTML file without outside references, but for links to the files beside it."""
    r = folder.results
    parts = model_card(folder)
    waiting = sum(bool(line.key) and not line.text for part in parts for line in part.lines)
    return render(
        "model_card.html.j2",
        name=r.study.name,
        title=r.study.title or r.study.name,
        parts=parts,
        waiting=waiting,
    )


def section(folder: RunFolder) -> dict[str, Any]:
    """For the report: how far each checklist is filled, and what waits for a person."""
    lists = checklists(folder)
    waiting = open_keys(lists)
    return {
        "words": _answer(lists),
        "rows": [(c.name, c.source, c.counts() if c.rows else None, c.note) for c in lists],
        "waiting": list(waiting)[:6],
        "n_waiting": len(waiting),
    }


def _items(waiting: list[tuple[str, str]]) -> str:
    """``TRIPOD+AI 8a; PROBAST+AI D3.1, D3.2``."""
    by: dict[str, list[str]] = {}
    for name, number in waiting:
        by.setdefault(name, []).append(number)
    return "; ".join(f"{name} {', '.join(numbers)}" for name, numbers in by.items())


def _answer(lists: list[Checklist]) -> str:
    rows = [r for c in lists for r in c.rows]
    applies = [r for r in rows if r.status != "does not apply"]
    full = sum(r.status == "reported" for r in applies)
    partly = sum(r.status == "partly" for r in applies)
    waiting = open_keys(lists)
    text = (
        f"Of {count(len(applies), 'item')} that apply, {full} are answered"
        f"{f' and {partly} in part' if partly else ''} by this run's records and the study file."
    )
    if waiting:
        text += (
            f" {count(len(waiting), 'statement')} only a person can make {'is' if len(waiting) == 1 else 'are'} open."
        )
    return text


def _shown(c: Checklist) -> dict[str, Any]:
    sections: dict[str, list[Any]] = {}
    for row in c.rows:
        sections.setdefault(row.section, []).append(row)
    return {"id": c.id, "name": c.name, "source": c.source, "note": c.note, "counts": c.counts(), "sections": sections}
