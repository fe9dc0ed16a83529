"""Patient flow: rows read, lost with the reason, units in the study, by endpoint, in which partitions, with which modalities."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cohortium.contracts.description import FEWEST
from cohortium.contracts.results import EndpointRecord, Results
from cohortium.report.figures.flow import Box, draw_flow
from cohortium.report.figures.style import Drawing
from cohortium.report.words import count, ordered_endpoints, reason_words


@dataclass(frozen=True)
class FlowBox:
    """A box of the patient flow. lost: (reason, n) leaving after it, under the heading ``lost_as``."""

    title: str
    n: str
    detail: str = ""
    lost: list[tuple[str, str]] = field(default_factory=list)
    lost_as: str = "excluded"


def patient_flow(r: Results, key: str) -> Drawing:
    """The diagram: what :func:`flow` and :func:`branches` say, and for the primary endpoint its partitions and patterns."""
    steps, ends = flow(r), branches(r)
    boxes = [_box(b, 0) for b in steps]
    several = len(ends) > 1
    boxes += [_box(b, 1) for b in ends] if several else []
    # The primary endpoint's parts hang on its box.
    at = len(steps) if several else len(steps) - 1
    primary = ordered_endpoints(r)[0]
    children = [
        Box(t, detail, items, 2 if several else 1)
        for t, detail, items in (_parts(r, primary), _patterns(r, primary))
        if t
    ]
    boxes[at + 1 : at + 1] = children
    return draw_flow(boxes, key)


def _box(b: FlowBox, level: int) -> Box:
    return Box(b.title, b.detail, [], level, list(b.lost), b.lost_as, b.n)


def _parts(r: Results, e: EndpointRecord) -> tuple[str, str, list[tuple[str, str]]]:
    """Title, detail and (number, name) of the partitions."""
    v = r.evaluation
    groups = next((d.groups for d in r.descriptions if d.endpoint == e.name), [])
    real = [(f"{g.n_units:,}", g.name) for g in groups if g.kind == "partition"]
    if real:
        return "partitions", _DESIGNS.get(v.design, ""), real
    folds = next((g for g in groups if g.kind == "test_folds"), None)
    if v.n_outer < 1:
        return "", "", []
    sizes = ""
    if folds is not None:
        most = folds.most_units or folds.n_units
        sizes = f" of {folds.n_units:,}" + (f" to {most:,}" if most != folds.n_units else "") + " units"
    again = {1: "once", 2: "twice"}.get(v.repeats, f"{v.repeats} times")
    detail = (
        f"every unit tested {again}, by models fitted on the others"
        if v.design in ("nested", "grouped")
        else _DESIGNS.get(v.design, "")
    )
    return f"{count(v.n_outer, 'test fold')}{sizes}", detail, []


_DESIGNS = {
    "leave_one_site_out": "each site tested by models of the others",
    "temporal": "later units tested by models of earlier ones",
    "column": "as a column of the unit table says",
    "fixed_test": "one part is tested, once",
    "file": "folds as given in a file",
}


def _patterns(r: Results, e: EndpointRecord) -> tuple[str, str, list[tuple[str, str]]]:
    """Title, detail and (number, name) of the availability patterns."""
    groups = next((d.groups for d in r.descriptions if d.endpoint == e.name), [])
    own = [
        (f"{g.n_units:,}" if g.n_units >= FEWEST else f"< {FEWEST}", g.name) for g in groups if g.kind == "availability"
    ]
    return ("by available modalities", "nobody is dropped for lacking one", own) if own else ("", "", [])


def flow(r: Results) -> list[FlowBox]:
    """Rows read, lost before anything else, units in the study; with one endpoint also those analysed."""
    c = r.cohort
    primary = ordered_endpoints(r)[0]
    # Reasons that the primary endpoint gives for its own losses inside the study are not losses before it.
    inside = c.excluded == primary.excluded and primary.n_units + sum(primary.excluded.values()) == c.n_units
    before = {} if inside else c.excluded
    read = c.n_rows_read if c.n_rows_read is not None else c.n_units + sum(before.values())
    steps = [FlowBox("units in the study", f"{c.n_units:,}", count(c.n_patients, "patient"))]
    if read > c.n_units:
        lost = _lost(read - c.n_units, before, "not a unit of its own")
        steps.insert(0, FlowBox("rows read", f"{read:,}", "unit table", lost))
    ends = branches(r)
    if len(ends) > 1:
        return steps
    # One endpoint: its losses leave the trunk, and no branch is drawn.
    return [*steps[:-1], replace(steps[-1], lost=ends[0].lost, lost_as=ends[0].lost_as), replace(ends[0], lost=[])]


def branches(r: Results) -> list[FlowBox]:
    """Units analysed per endpoint, with those of the study that have no usable label."""
    out = []
    for e in ordered_endpoints(r):
        detail = count(e.n_patients, "patient")
        if e.kind == "survival" and e.n_events is not None:
            detail += f", {count(e.n_events, 'event')}"
        elif e.classes:
            detail += "; " + ", ".join(f"{k} {v:,}" for k, v in e.classes.items())
        lost = _lost(r.cohort.n_units - e.n_units, e.excluded, "other reasons")
        out.append(FlowBox(f"analysed for {e.name}", f"{e.n_units:,}", detail, lost, "no usable label"))
    return out


def _lost(n: int, reasons: dict[str, int], otherwise: str) -> list[tuple[str, str]]:
    """Reasons of ``n`` lost units; what they do not explain is said, reasons that were counted before are not."""
    if n <= 0:
        return []
    known = [(reason_words(k), v) for k, v in reasons.items() if v]
    rest = n - sum(v for _, v in known)
    if rest < 0:
        known, rest = [], n
    return [(k, f"{v:,}") for k, v in [*known, *([(otherwise, rest)] if rest else [])]]
