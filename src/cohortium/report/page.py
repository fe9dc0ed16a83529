"""What the template shows, gathered from a run folder: sections in order, each of strings, tables and drawings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.results import EndpointRecord, LeaderboardRow, Results
from cohortium.report import description, methods, tables
from cohortium.report.answer import answer, caveats, question, verdict
from cohortium.report.calibration import calibration_section
from cohortium.report.certainty import certainty_section
from cohortium.report.decisions import decisions_section
from cohortium.report.figures import whiskers
from cohortium.report.figures.cohort import presence
from cohortium.report.figures.map import patients_map
from cohortium.report.flow import patient_flow
from cohortium.report.folder import RunFolder
from cohortium.report.found import found_section
from cohortium.report.money import further
from cohortium.report.performance import GROUPED, performance
from cohortium.report.sensitivity import sensitivity_section
from cohortium.report.subgroups import subgroups_section
from cohortium.report.validation import validation_sections
from cohortium.report.words import (
    METRIC_MEANING,
    count,
    duration,
    estimate_text,
    headline_metric,
    headline_row,
    interval_text,
    learner_name,
    metric_name,
    number,
    ordered_endpoints,
    pick,
    plain_metric,
    reason_words,
    rows_of,
    value_text,
)


@dataclass(frozen=True)
class Tile:
    """A key number. label, value, detail."""

    label: str
    value: str
    detail: str = ""


def page(folder: RunFolder) -> dict[str, Any]:
    """The template's variables."""
    from cohortium.report.checklists.page import section as checklists_section  # it renders by the page's own templates

    r = folder.results
    endpoints = [_endpoint(folder, e, i) for i, e in enumerate(ordered_endpoints(r))]
    primary = ordered_endpoints(r)[0]
    return {
        "name": r.study.name,
        "title": r.study.title or r.study.name,
        "question": question(r, primary),
        "answer": " ".join(verdict(r, primary)),
        "caveats": caveats(r, primary),
        "meaning": _meaning(r, primary),
        "tiles": tiles(r),
        "flow": patient_flow(r, "flow"),
        "presence": presence(r.cohort, "presence"),
        "map": patients_map(folder.map(primary), primary.name, len(r.cohort.modalities), "map"),
        "modalities": tables.modalities(r),
        "described": description.described(r),
        "described_unlike": description.unlike(r),
        "described_words": description.words(r),
        "endpoints": endpoints,
        "checks": _checks(r),
        "low_powered": r.evaluation.low_powered,
        "how_made": methods.how_made(r),
        "metric_notes": methods.metric_notes(r),
        "paragraph": methods.paragraph(r),
        "validation": validation_sections(folder.validation, r),
        "checklists": checklists_section(folder),
        "study_facts": _study_facts(r),
        "run_facts": _run_facts(folder.run),
        "versions": sorted(r.versions.items()),
        "hashes": sorted(r.hashes.items()),
        "seed": r.study.seed,
    }


def _meaning(r: Results, e: EndpointRecord) -> str:
    """What the headline metric says, for whom it is a strange word."""
    metric, _ = headline_metric(r, e)
    meaning = METRIC_MEANING.get(metric, "")
    return f"{plain_metric(metric)}: {meaning}." if meaning else ""


def tiles(r: Results) -> list[Tile]:
    """Key numbers of the primary endpoint."""
    e = ordered_endpoints(r)[0]
    out = [Tile("units analysed", f"{e.n_units:,}", count(e.n_patients, "patient"))]
    if e.kind == "survival" and e.n_events is not None:
        follow = f"median follow-up {number(e.median_follow_up, 3)} {e.time_unit}" if e.median_follow_up else ""
        out.append(Tile(f"events ({e.name})", f"{e.n_events:,}", follow))
    elif e.kind == "competing_risks" and e.classes:
        first, *others = e.classes.items()
        out.append(Tile(f"events of {first[0]}", f"{first[1]:,}", ", ".join(f"{k} {v:,}" for k, v in others)))
    elif e.classes:
        out.append(Tile("classes", f"{len(e.classes)}", ", ".join(f"{k} {v:,}" for k, v in e.classes.items())))
    n_reference = sum(m.reference for m in r.cohort.modalities)
    detail = f"{n_reference} of them routine (reference)" if n_reference else "no reference declared"
    out.append(Tile("modalities", f"{len(r.cohort.modalities)}", detail))
    row = headline_row(r, e.name)
    if row is None:
        return out
    metric, horizon = headline_metric(r, e)
    estimate = pick(row.estimates, metric, horizon)
    if estimate is not None and estimate.value is not None:
        label = f"{plain_metric(metric, horizon, e.time_unit)}, {row.learner}"
        out.append(Tile(label, value_text(estimate.value), interval_text(estimate)))
    difference = pick(row.versus.reference, metric, horizon)
    if difference is not None and difference.value is not None:
        out.append(Tile("minus reference", value_text(difference.value, True), interval_text(difference, True)))
    return out


def _endpoint(folder: RunFolder, e: EndpointRecord, i: int) -> dict[str, Any]:
    r = folder.results
    metric, horizon = headline_metric(r, e)
    row = headline_row(r, e.name)
    added = [a for a in r.added_value if a.endpoint == e.name]
    learning = [x for x in r.learning_curve if x.endpoint == e.name]
    calibrated = [x for x in r.calibration if x.endpoint == e.name]
    drawn = performance(folder, e, row, f"e{i}-perf") if row is not None else []
    asked, answered = answer(r, e.name)
    return {
        "id": f"endpoint-{i}",
        "name": e.name,
        "kind": e.kind,
        "primary": i == 0,
        "question": asked,
        "answer": answered,
        "facts": _endpoint_facts(e, metric, horizon),
        "leaderboard": whiskers.leaderboard(r, e, metric, horizon, f"e{i}-board"),
        "table": tables.leaderboard(r, e, metric, horizon),
        "all_metrics": tables.all_metrics(r, e, metric, horizon),
        "added": whiskers.added_value(added, e, metric, horizon, f"e{i}-added"),
        "added_table": tables.added_value(added, metric, horizon) if added else None,
        "performance": [d for d in drawn if d.title != GROUPED or not calibrated],
        "calibration": calibration_section(
            calibrated, e, row, [d for d in drawn if d.title == GROUPED], f"e{i}-smooth"
        ),
        "performance_of": row.learner if row is not None else "",
        "decisions": decisions_section(
            [x for x in r.decisions if x.endpoint == e.name], e, f"e{i}-dca", further(r, row)
        ),
        "subgroups": subgroups_section(
            [x for x in r.subgroups if x.endpoint == e.name], e, _whole(row, metric, horizon), f"e{i}-groups"
        ),
        "certainty": certainty_section([x for x in r.coverage if x.endpoint == e.name], e, f"e{i}-sure"),
        "sensitivity": sensitivity_section([x for x in r.sensitivity if x.endpoint == e.name], e),
        "found": found_section(folder.found.get(e.name)),
        "learning": whiskers.learning_curve(learning, e, metric, horizon, f"e{i}-learn"),
        "selected": _selected(r, e.name),
        "exploratory": _exploratory(r, e, row),
    }


def _whole(row: LeaderboardRow | None, metric: str, horizon: float | None) -> Estimate | None:
    return None if row is None else pick(row.estimates, metric, horizon)


def _endpoint_facts(e: EndpointRecord, metric: str, horizon: float | None) -> list[str]:
    out = [f"{reason_words(e.kind)} endpoint", f"{e.n_units:,} units"]
    if e.kind == "competing_risks" and e.classes:
        out.append("events: " + ", ".join(f"{k} {v:,}" for k, v in e.classes.items()))
    elif e.n_events is not None:
        out.append(count(e.n_events, "event"))
    if e.time_unit:
        out.append(f"times in {e.time_unit}")
    if e.tau is not None:
        out.append(f"concordance up to {number(e.tau)} {e.time_unit}")
    out.append(f"headline metric: {metric_name(metric, horizon, e.time_unit)}")
    return out


def _selected(r: Results, endpoint: str) -> dict[str, Any] | None:
    for s in r.selected:
        if s.endpoint == endpoint:
            return {"learner": s.learner, "reason": s.reason, "tree": tables.tree(s.settings)}
    return None


def _exploratory(r: Results, e: EndpointRecord, row: LeaderboardRow | None) -> str:
    """A word of warning when another learner tops the table."""
    from cohortium.report.words import best_first

    metric, horizon = headline_metric(r, e)
    board = best_first(rows_of(r, e.name), metric, horizon)
    if row is None or not board or board[0] is row:
        return ""
    top = pick(board[0].estimates, metric, horizon)
    if top is None or top.value is None:
        return ""
    name = learner_name(board[0].learner)
    return (
        f"{name} stands at the top with {estimate_text(top)}, but it was picked by looking at the test folds: "
        f"that is exploratory. The answer is given for {row.learner}, which was named before."
    )


def _checks(r: Results) -> list[dict[str, Any]]:
    order = {"serious": 0, "warning": 1, "note": 2}
    found = sorted(r.checks, key=lambda f: (order[f.grade], f.name))
    return [
        {
            "grade": f.grade,
            "name": f.name,
            "message": f.message,
            "acknowledged": f.acknowledged,
            "where": " · ".join(x for x in (f.modality or "", f.endpoint or "") if x),
        }
        for f in found
    ]


def _study_facts(r: Results) -> list[tuple[str, str]]:
    return [("study", r.study.name), ("preset", r.study.preset), ("seed", str(r.study.seed))]


def _run_facts(run: dict[str, Any]) -> list[tuple[str, str]]:
    """What ``run.json`` knows beyond the records: time, memory, machine."""
    out = []
    for key, label in (("seconds", "time of the run"), ("fit_seconds", "time of all fits, added up")):
        if isinstance(run.get(key), int | float):
            out.append((label, duration(run[key])))
    peak = run.get("peak_memory_bytes")
    if isinstance(peak, int | float) and peak > 0:
        out.append(("peak memory, all processes", f"{peak / 1e9:.2f} GB"))
    machine = run.get("machine")
    if isinstance(machine, dict):
        out.append(("machine", ", ".join(f"{k} {v}" for k, v in machine.items())))
    return out
