"""The question and the answer in plain, honest words."""

from __future__ import annotations

from cohortium.contracts.estimates import Estimate
from cohortium.contracts.results import EndpointRecord, LeaderboardRow, Results
from cohortium.report.words import (
    LOWER_IS_BETTER,
    chance_level,
    count,
    endpoint_of,
    estimate_text,
    headline_metric,
    headline_row,
    interval_text,
    names,
    pick,
    plain_metric,
    rows_of,
    value_text,
)


def answer(results: Results, endpoint: str | None = None) -> tuple[str, str]:
    """(question, answer) for an endpoint, by default the primary one.

    The answer is two sentences on the headline learner - against the reference, and against the best single
    modality - followed by what a reader must know to weigh them: an interval that includes zero, fewer than
    ten folds, no reference declared, acknowledged serious findings of ``check``.
    """
    e = endpoint_of(results, endpoint)
    return question(results, e), " ".join([*verdict(results, e), *caveats(results, e)])


def question(results: Results, endpoint: EndpointRecord) -> str:
    """What the study asks of this endpoint."""
    reference = results.study.reference
    others = [m.name for m in results.cohort.modalities if m.name not in reference]
    if reference and others:
        return (
            f"Does adding {names(others)} to {names(reference, sep=' + ', last=' + ')} "
            f"improve the prediction of {endpoint.name}?"
        )
    return f"How well can {endpoint.name} be predicted from {names([m.name for m in results.cohort.modalities])}?"


def verdict(results: Results, endpoint: EndpointRecord) -> list[str]:
    """Two sentences."""
    row = headline_row(results, endpoint.name)
    metric, horizon = headline_metric(results, endpoint)
    if row is None:
        return [f"No learner was evaluated on {endpoint.name}."]
    e = pick(row.estimates, metric, horizon)
    label = plain_metric(metric, horizon, endpoint.time_unit)
    if e is None or e.value is None:
        why = e.reason if e is not None and e.reason else "it was not estimated"
        return [f"{row.learner} has no {label} on these data: {why}."]
    reached = f"{row.learner} reaches {_article(label)} {label} of {_with_interval(e)}"
    return [
        reached + _against_reference(results, row, metric, horizon),
        *_against_best_single(results, row, metric, horizon),
    ]


def caveats(results: Results, endpoint: EndpointRecord) -> list[str]:
    """What must be known to weigh the verdict; empty when nothing stands against it."""
    out = []
    row = headline_row(results, endpoint.name)
    e = pick(row.estimates, *headline_metric(results, endpoint)) if row is not None else None
    chance = chance_level(headline_metric(results, endpoint)[0], endpoint)
    if e is not None and e.value is not None and chance is not None and min(e.value, _or(e.low, e.value)) <= chance:
        out.append(
            f"{'The interval includes' if e.value > chance else 'This is no better than'} {value_text(chance)}, "
            "the level of a model that knows nothing: these data do not show that the outcome can be predicted."
        )
    if results.evaluation.low_powered or (e is not None and e.low_powered):
        n = results.evaluation.n_outer
        stand = "stands" if n == 1 else "stand"
        out.append(
            f"Low-powered: only {count(n, 'test fold')} {stand} behind these numbers; "
            "take the intervals as a rough guide."
        )
    if not results.study.reference:
        out.append(
            "No reference is declared, so this study cannot say what any modality adds to routine data; "
            "name the routine modalities under 'reference' to ask that."
        )
    serious = [
        f for f in results.checks if f.grade == "serious" and f.acknowledged and f.endpoint in (None, endpoint.name)
    ]
    if serious:
        these = "this" if len(serious) == 1 else "these"
        out.append(
            f"Check raised {count(len(serious), 'serious finding')} that the study file acknowledges "
            f"({names([f.name for f in serious], most=3)}): the numbers hold only if {these} can be explained."
        )
    return out


def _against_reference(results: Results, row: LeaderboardRow, metric: str, horizon: float | None) -> str:
    declared = results.study.reference
    if not declared:
        return "."
    if row.role == "reference":
        return "; it is the reference itself."
    d = pick(row.versus.reference, metric, horizon)
    who = f"the reference ({names(declared, sep=' + ', last=' + ')})"
    if d is None or d.value is None:
        return f"; the difference to {who} could not be estimated."
    state = _state(d, metric)
    if state == "same":
        return f"; {who} reaches exactly the same."
    tail = f"; that is {_difference(d, metric)} than {who}"
    if state == "unknown":
        return tail + ", without an interval, so chance cannot be ruled out."
    if state == "zero":
        return tail + ": the interval includes zero, so these data do not show that the other modalities add anything."
    return tail + ("." if state == "better" else ": the further modalities make it worse.")


def _against_best_single(results: Results, row: LeaderboardRow, metric: str, horizon: float | None) -> list[str]:
    best = next((r for r in rows_of(results, row.endpoint) if r.learner == "best_single"), None)
    if best is None or best is row:
        return []
    e = pick(best.estimates, metric, horizon)
    d = pick(row.versus.best_single, metric, horizon)
    if e is None or e.value is None:
        return ["The best single modality could not be scored."]
    most = sorted(best.chosen_inside.items(), key=lambda kv: (-kv[1], kv[0]))
    chosen = f", most often {most[0][0]}" if most else ""
    start = f"The best single modality (chosen inside the training folds{chosen}) reaches {estimate_text(e)}"
    if d is None or d.value is None:
        return [start + "; the paired difference could not be estimated."]
    state = _state(d, metric)
    if state == "same":
        return [f"{start}: exactly what {row.learner} reaches, so fusion does not beat it."]
    size = f"{row.learner} is {_difference(d, metric)}"
    if state == "better":
        return [f"{start}, and fusion beats it: {size}."]
    if state == "worse":
        return [f"{start}, and fusion does not beat it: {size}."]
    if state == "zero":
        return [f"{start}, and fusion does not clearly beat it: {size}, an interval that includes zero."]
    return [f"{start}; {size}, without an interval."]


def _state(d: Estimate, metric: str) -> str:
    """``better``, ``worse``, ``same``, ``zero`` (the interval includes zero) or ``unknown`` (no interval)."""
    if d.low is None or d.high is None:
        return "unknown"
    if d.low == d.value == d.high == 0:
        return "same"
    if d.low <= 0 <= d.high:
        return "zero"
    return "better" if (d.low > 0) != (metric in LOWER_IS_BETTER) else "worse"


def _difference(d: Estimate, metric: str) -> str:
    """``0.050 (0.021 to 0.079) better``; signed limits when the interval includes zero."""
    assert d.value is not None
    worse = (d.value < 0) != (metric in LOWER_IS_BETTER) and d.value != 0
    sign = -1.0 if d.value < 0 else 1.0
    size = value_text(abs(d.value))
    if d.low is not None and d.high is not None:
        low, high = sorted((sign * d.low, sign * d.high))
        size += f" ({value_text(low)} to {value_text(high)})"
    return f"{size} {'worse' if worse else 'better'}"


def _or(x: float | None, otherwise: float) -> float:
    return otherwise if x is None else x


def _with_interval(e: Estimate) -> str:
    interval = interval_text(e)
    return f"{value_text(e.value)} (95% interval {interval})" if interval else f"{value_text(e.value)} (no interval)"


def _article(label: str) -> str:
    return "an" if label[:1] in "aeioAEIOR" else "a"
