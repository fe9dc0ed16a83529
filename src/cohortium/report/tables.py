"""Tables of the page: header and rows of plain strings; the template escapes and draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.results import AddedValueRow, EndpointRecord, LeaderboardRow, Results
from cohortium.report.words import (
    ROLE_NAMES,
    best_first,
    count,
    learner_name,
    metric_name,
    names,
    number,
    pick,
    rows_of,
    value_text,
)


@dataclass(frozen=True)
class Cell:
    """text: main line; small: second line; mark: CSS class (``better``, ``worse``, ``unclear``, a role)."""

    text: str
    small: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """head: column titles. rows: cells. strong: positions of rows to stress. note: a line below."""

    head: list[str]
    rows: list[list[Cell]]
    strong: list[int] = field(default_factory=list)
    note: str = ""


def leaderboard(results: Results, endpoint: EndpointRecord, metric: str, horizon: float | None) -> Table:
    """Headline metric and paired differences, best first."""
    rows = best_first(rows_of(results, endpoint.name), metric, horizon)
    versus = [(p, t) for p, t in _VERSUS if any(getattr(r.versus, p) for r in rows)]
    head = ["learner", metric_name(metric, horizon, endpoint.time_unit), *(t for _, t in versus)]
    body = [
        [_learner(r, results), estimate_cell(pick(r.estimates, metric, horizon))]
        + [difference_cell(pick(getattr(r.versus, p), metric, horizon), metric) for p, _ in versus]
        for r in rows
    ]
    note = partial_note([e for r in rows for e in r.estimates if (e.metric, e.horizon) == (metric, horizon)])
    if versus:
        note += (
            "Differences are paired: this learner minus the other, on the same test folds. Bold: the 95% interval "
            "excludes zero. They are not corrected for the number of learners looked at."
        )
    return Table(head, body, [i for i, r in enumerate(rows) if r.headline], note)


_VERSUS = (("reference", "minus reference"), ("best_single", "minus best single"))


def all_metrics(results: Results, endpoint: EndpointRecord, metric: str, horizon: float | None) -> Table | None:
    """Every metric of every learner; None when there is only the headline metric."""
    rows = best_first(rows_of(results, endpoint.name), metric, horizon)
    keys = list(dict.fromkeys((e.metric, e.horizon) for r in rows for e in r.estimates))
    if len(keys) < 2:
        return None
    head = ["learner", *(metric_name(m, h, endpoint.time_unit) for m, h in keys)]
    body = [
        [Cell(learner_name(r.learner), mark=r.role), *(estimate_cell(pick(r.estimates, m, h)) for m, h in keys)]
        for r in rows
    ]
    partial = partial_note([e for r in rows for e in r.estimates])
    return Table(head, body, [i for i, r in enumerate(rows) if r.headline], partial)


def added_value(rows: list[AddedValueRow], metric: str, horizon: float | None) -> Table:
    """Both paired changes of every modality."""
    body = [
        [
            Cell(r.modality),
            difference_cell(pick(r.left_out, metric, horizon), "", "–"),
            difference_cell(pick(r.added_to_reference, metric, horizon), "", "–"),
        ]
        for r in rows
    ]
    return Table(["modality", "full fusion minus without it", "reference with it minus reference"], body)


def modalities(results: Results) -> Table:
    """What was read of each modality."""
    n = max(results.cohort.n_units, 1)
    body = []
    for m in results.cohort.modalities:
        kinds = ", ".join(f"{k} {v:,}" for k, v in sorted(m.kinds.items()) if v)
        kinds = "; ".join(filter(None, [kinds, m.id_space]))
        left = [f"left out: {names(m.left_out, most=12)}"] if m.left_out else []
        body.append(
            [
                Cell(m.name, "reference" if m.reference else ""),
                Cell(f"{m.n_units:,}", f"{100 * m.n_units / n:.0f}%"),
                Cell(f"{m.n_features:,}", kinds),
                Cell("; ".join([*left, *m.notes]) or "–", mark="prose"),
            ]
        )
    return Table(["modality", "units", "features", "remarks"], body)


def estimates(items: list[Estimate], time_unit: str) -> Table:
    """A plain list of estimates (external validation)."""
    body = [
        [
            Cell(metric_name(e.metric, e.horizon, time_unit)),
            estimate_cell(e),
            Cell(f"{e.n:,}" if e.n else "–", "" if e.n_events is None else count(e.n_events, "event")),
        ]
        for e in items
    ]
    return Table(["metric", "estimate", "units"], body, note=partial_note(items))


@dataclass(frozen=True)
class Tree:
    """Settings as they nest. facts: plain values. bars: (name, value, per cent of the largest). parts: below."""

    name: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    bars: list[tuple[str, str, float]] = field(default_factory=list)
    parts: list[Tree] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.facts or self.bars or self.parts)


def tree(settings: Any, name: str = "") -> Tree:
    """Settings for the page; a map of numbers called ``weights`` becomes bars, largest first."""
    out = Tree(name)
    items = settings.items() if isinstance(settings, dict) else enumerate(settings, 1)
    for key, value in items:
        if key == "weights" and isinstance(value, dict) and value and all(map(_is_number, value.values())):
            most = max(max(abs(v) for v in value.values()), 1e-12)
            ranked = sorted(value.items(), key=lambda kv: -abs(kv[1]))
            out.bars.extend((str(k), number(v, 3).replace("-", "−"), 100 * abs(v) / most) for k, v in ranked)
        elif key == "parts" and isinstance(value, dict):
            out.parts.extend(
                tree(v, str(k)) if isinstance(v, dict) else Tree(str(k), [("", _fact(v))]) for k, v in value.items()
            )
        elif isinstance(value, dict) and value:
            out.parts.append(tree(value, str(key)))
        elif isinstance(value, list | tuple) and any(isinstance(x, dict | list) for x in value):
            out.parts.append(tree([x if isinstance(x, dict | list) else {"value": x} for x in value], str(key)))
        else:
            out.facts.append((str(key).replace("_", " "), _fact(value)))
    return out


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool)


def _fact(x: Any) -> str:
    if isinstance(x, bool):
        return "yes" if x else "no"
    if x is None or x in ([], {}):
        return "none"
    if isinstance(x, int | float):
        return number(x)
    if isinstance(x, list | tuple):
        return ", ".join(_fact(v) for v in x)
    return str(x)


def _learner(r: LeaderboardRow, results: Results) -> Cell:
    everything = {m.name for m in results.cohort.modalities}
    if r.learner == "best_single" or r.chosen_inside:
        top = sorted(r.chosen_inside.items(), key=lambda kv: (-kv[1], kv[0]))[:3]
        chosen = ", ".join(f"{name} {k}×" for name, k in top)
        small = f"chosen inside the folds: {chosen}" if chosen else "chosen inside the folds"
    elif set(r.modalities) == everything and len(everything) > 1:
        small = f"all {len(everything)} modalities"
    elif list(r.modalities) == [r.learner] or r.learner.startswith("single:"):
        small = ""
    else:
        small = names(r.modalities, most=5, sep=" + ", last=" + ")
    role = ROLE_NAMES[r.role].replace(" (headline)", "")
    return Cell(learner_name(r.learner), f"{role} · {small}" if small and role != r.learner else small or role, r.role)


def estimate_cell(e: Estimate | None) -> Cell:
    """Value over interval, or why there is none."""
    if e is None:
        return Cell("–")
    if e.value is None:
        return Cell("not estimable", e.reason or "")
    interval = "" if e.low is None or e.high is None else f"{value_text(e.low)} to {value_text(e.high)}"
    return Cell(value_text(e.value) + ("†" if e.reason else ""), interval)


def difference_cell(e: Estimate | None, metric: str, none: str = "–") -> Cell:
    """The same of a difference, marked where its interval excludes zero."""
    if e is None:
        return Cell(none)
    if e.value is None:
        return Cell("not estimable", e.reason or "")
    if e.low is None or e.high is None:
        return Cell(value_text(e.value, signed=True), mark="unclear")
    interval = f"{value_text(e.low, True)} to {value_text(e.high, True)}"
    clear = not e.low <= 0 <= e.high
    return Cell(value_text(e.value, signed=True), interval, "clear" if clear else "unclear")


def partial_note(items: Sequence[Estimate]) -> str:
    """What the daggers mean: estimates that not every fold could give."""
    reasons = sorted({e.reason for e in items if e.reason and e.value is not None})
    return f"† {names([r.rstrip('.') for r in reasons], most=4, sep='; ', last='; ')}. " if reasons else ""
