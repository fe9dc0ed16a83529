"""The model card of a run's final model (Mitchell 2019, FAT*:220): from the records, with what only a person can say from the study file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cohortium.contracts.results import EndpointRecord, Results
from cohortium.report import methods
from cohortium.report.answer import caveats, question, verdict
from cohortium.report.checklists.evidence import Said, evidence
from cohortium.report.folder import RunFolder
from cohortium.report.words import (
    count,
    estimate_text,
    headline_metric,
    headline_row,
    learner_name,
    metric_name,
    names,
    ordered_endpoints,
    pick,
    reason_words,
)

MOST_GROUPS = 40


@dataclass(frozen=True)
class Line:
    """label and text; key: the statement to write where text is empty."""

    label: str
    text: str
    key: str = ""


@dataclass(frozen=True)
class Grid:
    """A small table: head, and rows of strings."""

    head: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Part:
    """A section of the card."""

    id: str
    title: str
    lines: list[Line] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)


def model_card(folder: RunFolder) -> list[Part]:
    """The nine sections of a model card."""
    r = folder.results
    e = ordered_endpoints(r)[0]
    known = evidence(folder)
    parts = [
        _details(folder, e, known),
        _use(folder),
        _factors(folder, e, known),
        Part(
            "metrics",
            "Metrics",
            [
                Line("measures", _told(known, "measures")),
                Line("uncertainty", methods.interval_sentence(r)),
                _stated(folder, "thresholds", "decision thresholds", known),
            ],
        ),
        Part(
            "evaluation",
            "Evaluation data",
            [Line("design", _told(known, "partition")), Line("external data", _told(known, "external")),
             _stated(folder, "representativeness", "representativeness", known)],
        ),
        Part(
            "training",
            "Training data",
            [_stated(folder, "data_sources", "sources", known), _stated(folder, "dates", "dates", known),
             Line("patients", _told(known, "flow")), Line("missing data", _told(known, "missing_data")),
             Line("preprocessing", _told(known, "predictor_handling"))],
        ),
        _quantities(r, e),
        Part("ethics", "Ethical considerations", [
            _stated(folder, "ethics", "approval", known), _stated(folder, "ethical_considerations", "risks and harms", known),
            _stated(folder, "fairness", "fairness", known), Line("identity", _told(known, "deidentification")),
        ]),
        Part("caveats", "Caveats and recommendations", [
            Line("what the data show", " ".join(verdict(r, e))),
            *([Line("to be weighed", " ".join(caveats(r, e)))] if caveats(r, e) else []),
            _stated(folder, "limitations", "limitations", known), _stated(folder, "input_quality", "input", known),
            Line("status", "A research tool, no medical device."),
        ]),
    ]  # fmt: skip
    # What neither the records say nor a person is asked for is not a line.
    return [replace(part, lines=[x for x in part.lines if x.text or x.key]) for part in parts]


def _told(known: dict[str, Said], topic: str) -> str:
    return known[topic].text if topic in known else ""


def _details(folder: RunFolder, e: EndpointRecord, known: dict[str, Said]) -> Part:
    r = folder.results
    chosen = next((s for s in r.selected if s.endpoint == e.name), None)
    return Part("details", "Model details", [
        Line("model", f"{learner_name(chosen.learner)} of the study {r.study.name}: {chosen.reason}" if chosen is not None else ""),
        Line("question", question(r, e)),
        Line("input", "; ".join(f"{m.name} ({count(m.n_features, 'feature')})" for m in r.cohort.modalities)
             + ". Any of them may be missing."),
        Line("output", _told(known, "output")),
        Line("kind of model", _told(known, "model_building")),
        Line("version", ", ".join(f"{k} {v[:8]}" for k, v in sorted(r.hashes.items())) + f"; Cohortium {r.versions.get('cohortium', '?')}"),
        _stated(folder, "license", "licence", known),
        _stated(folder, "contact", "contact", known),
    ])  # fmt: skip


def _use(folder: RunFolder) -> Part:
    return Part("use", "Intended use", [
        _stated(folder, "intended_use", "uses and users", {}),
        _stated(folder, "out_of_scope", "out of scope", {}),
        _stated(folder, "user_expertise", "what users must know", {}),
    ])  # fmt: skip


def _factors(folder: RunFolder, e: EndpointRecord, known: dict[str, Said]) -> Part:
    looked = list(dict.fromkeys(s.variable for s in folder.results.subgroups if s.endpoint == e.name))
    return Part("factors", "Factors", [
        Line("groups looked at", names(looked, most=12) if looked else "none: evaluation.subgroups of the study file names them"),
        Line("sites", _told(known, "clusters")),
        Line("availability of modalities", count(len(folder.results.cohort.patterns), "pattern")),
        _stated(folder, "health_inequalities", "known inequalities", {}),
    ])  # fmt: skip


def _quantities(r: Results, e: EndpointRecord) -> Part:
    """Headline performance of every endpoint, calibration, and the headline metric by group."""
    grids = []
    rows = []
    for x in ordered_endpoints(r):
        metric, horizon = headline_metric(r, x)
        row = headline_row(r, x.name)
        if row is None:
            continue
        value, d = pick(row.estimates, metric, horizon), pick(row.versus.reference, metric, horizon)
        rows.append([
            x.name, reason_words(x.kind), learner_name(row.learner), metric_name(metric, horizon, x.time_unit), estimate_text(value),
            estimate_text(d, signed=True),
        ])  # fmt: skip
    grids.append(Grid(["endpoint", "kind", "model", "metric", "estimate (95%)", "minus reference"], rows))
    metric, horizon = headline_metric(r, e)
    own = [s for s in r.subgroups if s.endpoint == e.name]
    by = [
        [
            s.variable,
            s.group,
            f"{s.n_units:,}",
            estimate_text(found) if found.value is not None else found.reason or "–",
        ]
        for s in own
        if (found := pick(s.estimates, metric, horizon)) is not None
    ]
    if by:
        grids.append(Grid(["variable", "group", "units", metric_name(metric, horizon, e.time_unit)], by[:MOST_GROUPS]))
    head = headline_row(r, e.name)
    held = [
        [c.label or "", "" if c.horizon is None else f"{c.horizon:g} {e.time_unit}", *(estimate_text(pick(c.estimates, m, c.horizon) or pick(c.estimates, m, None)) for m in _HELD)]
        for c in r.calibration
        if c.endpoint == e.name and head is not None and c.learner == head.learner
    ]  # fmt: skip
    if held:
        column = 0 if any(row[0] for row in held) else 1
        first = ("class", "horizon")[column]
        grids.append(Grid([first, *(metric_name(m) for m in _HELD)], [[row[column], *row[2:]] for row in held]))
    return Part("quantities", "Quantitative analyses", [], grids)


_HELD = ("calibration_slope", "expected_observed")


def _stated(folder: RunFolder, key: str, label: str, known: dict[str, Said]) -> Line:
    """What the study file states, after what the records say; open where neither does."""
    parts = [_told(known, key)] if key in known else []
    parts += [folder.statements[key]] if key in folder.statements else []
    return Line(label, " ".join(parts), key)


def model_card_markdown(folder: RunFolder) -> str:
    """The card as Markdown, for a repository or a register of models."""
    out = [f"# Model card: {folder.results.study.title or folder.results.study.name}", ""]
    for part in model_card(folder):
        out += [f"## {part.title}", ""]
        for line in part.lines:
            text = line.text or f"*open: statements.{line.key} in the study file*" if line.key else line.text or "–"
            out.append(f"- **{line.label}**: {_plain(text)}")
        for grid in part.grids:
            if out[-1]:
                out.append("")
            out.append("| " + " | ".join(map(_cell, grid.head)) + " |")
            out.append("|---" * len(grid.head) + "|")
            out += ["| " + " | ".join(map(_cell, row)) + " |" for row in grid.rows]
        out.append("")
    return "\n".join(out)


def _plain(text: str) -> str:
    """Texts are of people: no markup of theirs gets through."""
    return text.replace("<", "&lt;")


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")
