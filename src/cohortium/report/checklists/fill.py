"""Checklists filled in: every item with what answers it, where the numbers stand, and what is still open."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import Literal

from cohortium.report.checklists.evidence import Said, evidence
from cohortium.report.checklists.items import CLAIM, MI_CLAIM, TRIPOD_AI, Item
from cohortium.report.checklists.probast import PROBAST_AI, Signal, answered
from cohortium.report.folder import RunFolder
from cohortium.schema.statements import asked

Status = Literal["reported", "partly", "open", "does not apply"]

ANSWERS = {
    "Y": "yes",
    "PY": "probably yes",
    "PN": "probably no",
    "N": "no",
    "NI": "no information",
    "NA": "does not apply",
    "?": "for the assessor",
}


@dataclass(frozen=True)
class Row:
    """One item. said: (source, text, anchor in the report); source is ``run`` or ``study file``. keys: statements still to be written.
    answer: of a signalling question."""

    number: str
    section: str
    asks: str
    status: Status
    said: list[tuple[str, str, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    answer: str = ""


@dataclass(frozen=True)
class Checklist:
    """name, source: of the guideline. rows: in its order. note: how to read it."""

    id: str
    name: str
    source: str
    rows: list[Row]
    note: str = ""

    def counts(self) -> dict[str, int]:
        """status -> rows, in a fixed order."""
        kinds: tuple[Status, ...] = ("reported", "partly", "open", "does not apply")
        return {k: sum(r.status == k for r in self.rows) for k in kinds}


def checklists(folder: RunFolder) -> list[Checklist]:
    """The four checklists of a run. CLAIM has no rows of its own where no modality is of images: it says that it does not apply."""
    known = evidence(folder)
    images = has_images(folder)
    return [
        Checklist(
            "tripod", "TRIPOD+AI", "Collins 2024, BMJ 385:e078378", [_row(i, folder, known) for i in TRIPOD_AI],
            "Items in our words; the guideline has the full text. A draft of title and abstract is to be finished in the paper.",
        ),
        Checklist(
            "claim", "CLAIM 2024", "Tejani 2024, Radiol Artif Intell 6:e240300",
            [_row(i, folder, known) for i in CLAIM] if images else [],
            "" if images else "No modality is of images: the checklist does not apply.",
        ),
        Checklist(
            "mi-claim", "MI-CLAIM", "Norgeot 2020, Nat Med 26:1320", [_row(i, folder, known) for i in MI_CLAIM],
            "Part 5 asks what the model rests on: 'cohortium explain' shows it; say under statements.explanation what it showed.",
        ),
        Checklist(
            "probast", "PROBAST+AI", "Moons 2025, BMJ 388:e082505", [_signal(s, folder) for s in PROBAST_AI],
            "Answers that the records allow; evaluation is the internal one. The judgement of each domain, and applicability to an "
            "intended use, are the assessor's, best somebody who did not make the model. A 'no' does not make a domain poor by itself.",
        ),
    ]  # fmt: skip


def has_images(folder: RunFolder) -> bool:
    """Whether a modality was made from images."""
    return any(m.shape == "images" for m in folder.results.cohort.modalities)


def _row(item: Item, folder: RunFolder, known: dict[str, Said]) -> Row:
    said: list[tuple[str, str, str]] = []
    missing: list[str] = []
    complete = True
    for wanted in item.topics:
        topic = wanted.rstrip("!")
        record, stated = known.get(topic), folder.statements.get(topic)
        if record is not None:
            said.append(("run", record.text, record.where))
        if stated is not None:
            said.append(("study file", stated, ""))
        if stated is None and (record is None or wanted.endswith("!")):
            complete = False
            if topic in asked():
                missing.append(topic)
    status: Status = "open" if not said else "reported" if complete and not item.draft else "partly"
    return Row(item.number, item.section, item.asks, status, said, missing)


def _signal(signal: Signal, folder: RunFolder) -> Row:
    answer, why = answered(signal, folder, folder.statements)
    keys = [k for k in signal.keys if k not in folder.statements]
    status: Status = (
        "open" if answer == "NI" else "does not apply" if answer == "NA" else "partly" if answer == "?" else "reported"
    )
    source = "study file" if signal.judge is None else "run"
    said = [(source, why, "")] if why else []
    return Row(signal.number, signal.section, signal.asks, status, said, keys, answer)


def open_keys(lists: list[Checklist]) -> dict[str, list[tuple[str, str]]]:
    """Statement -> (checklist, number) of the items that wait for it; the one that most wait for comes first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for c in lists:
        for row in c.rows:
            for key in row.keys:
                found.setdefault(key, []).append((c.name, row.number))
    order = list(asked())
    return dict(sorted(found.items(), key=lambda kv: (-len(kv[1]), order.index(kv[0]))))


def open_yaml(lists: list[Checklist]) -> str:
    """The lines to add to the study file, each with what is to be written; empty when nothing is open."""
    waiting = open_keys(lists)
    if not waiting:
        return ""
    lines = ["statements:"]
    for key in [k for k in asked() if k in waiting]:
        lines.append(f"  # {asked()[key]}")
        lines.append(f"  {key}: >")
        lines.append("    …")
    return "\n".join(lines) + "\n"


def checklists_csv(lists: list[Checklist]) -> str:
    """guideline, item, section, asks, status, answer, text, where, open: one line per item, for the forms of journals."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["guideline", "item", "section", "asks", "status", "answer", "text", "where", "open"])
    for c in lists:
        for r in c.rows:
            text = " ".join(t for _, t, _ in r.said)
            where = "; ".join(dict.fromkeys(f"report.html#{w}" for _, _, w in r.said if w))
            open_ = "; ".join(f"statements.{k}" for k in r.keys)
            answer = ANSWERS.get(r.answer, "")
            writer.writerow([c.name, r.number, r.section, r.asks, r.status, answer, text, where, open_])
    return out.getvalue()
