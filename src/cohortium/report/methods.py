"""How the estimates were made: for the reader, and as a paragraph for a paper."""

from __future__ import annotations

from cohortium.contracts.results import EndpointRecord, EvaluationRecord, Results
from cohortium.report.words import (
    METRIC_MEANING,
    count,
    headline_metric,
    method_name,
    metric_name,
    names,
    number,
    ordered_endpoints,
)

_DESIGNS = {
    "nested": "nested cross-validation",
    "grouped": "nested cross-validation with whole groups kept together",
    "leave_one_site_out": "leave-one-site-out validation",
    "temporal": "a temporal split: trained on earlier units, tested on later ones",
    "column": "folds given by a column of the study's data",
    "file": "folds fixed beforehand in a file",
    "fixed_test": "one fixed test set",
}


def design_words(e: EvaluationRecord) -> str:
    """``nested cross-validation, 3 repeats of 5 outer folds, 5 inner folds``."""
    parts = [_DESIGNS.get(e.design, e.design.replace("_", " "))]
    if e.design == "fixed_test":
        pass
    elif e.repeats > 1:
        parts.append(f"{count(e.repeats, 'repeat')} of {count(e.folds, 'outer fold')}")
    else:
        parts.append(count(e.folds, "outer fold"))
    parts.append(f"{count(e.inner_folds, 'inner fold')} for every choice")
    return ", ".join(parts)


def interval_sentence(results: Results) -> str:
    """What a 95% interval is, for someone who treats patients."""
    methods = sorted({e.method for r in results.leaderboard for e in r.estimates if e.method})
    how = f" (made by {names([method_name(m) for m in methods])})" if methods else ""
    return (
        "A 95% interval is the range of values that these patients leave plausible: had the study been repeated "
        f"many times with other patients from the same clinic, about 95 of 100 such intervals would hold the true "
        f"value{how}. When the interval of a difference includes zero, the data cannot tell the two models apart; "
        "that is not proof that they are equal."
    )


def how_made(results: Results) -> list[str]:
    """Sentences of the section "How the estimates were made"."""
    e = results.evaluation
    out = [
        f"Design: {design_words(e)}. {count(e.n_outer, 'test fold')} in all.",
        "Everything that learns - imputation, scaling, selection, tuning, fusion, the choice of the learner - was "
        "fitted on the training part of a fold only and then met the test patients for the first time.",
    ]
    if e.grouped_by:
        out.append(f"Rows that share the same {e.grouped_by} were never split between training and test.")
    out.append(interval_sentence(results))
    if e.low_powered:
        out.append(
            f"Low-powered: {count(e.n_outer, 'test fold')} are fewer than the ten that steady intervals need. "
            "More repeats make them steadier."
        )
    return [*out, *e.notes]


def metric_notes(results: Results) -> list[tuple[str, str]]:
    """(metric, what it means) of the headline metrics."""
    found: dict[str, str] = {}
    for endpoint in ordered_endpoints(results):
        metric, _ = headline_metric(results, endpoint)
        if metric in METRIC_MEANING:
            found[metric_name(metric)] = METRIC_MEANING[metric]
    return list(found.items())


def paragraph(results: Results) -> str:
    """Methods paragraph ready to paste."""
    c, e, s = results.cohort, results.evaluation, results.study
    version = results.versions.get("cohortium", "")
    reference = (
        f"The reference model used {names(s.reference, most=99)} only. "
        if s.reference
        else "No reference modality was declared. "
    )
    sentences = [
        f"The cohort held {count(c.n_units, 'unit')} of {count(c.n_patients, 'patient')} with {_modalities(results)}.",
        "Patients lacking a modality were kept; every model was trained and tested on every pattern of availability."
        if len(c.patterns) > 1
        else "",
        " ".join(_endpoint(x, c.n_units, x.name == s.primary) for x in ordered_endpoints(results)),
        reference + f"Models compared: {_models(s.learners)}.",
        f"Performance was estimated by {design_words(e)}"
        + (f", with rows of one {e.grouped_by} kept together" if e.grouped_by else "")
        + "; preprocessing, tuning, fusion and the choice between models were repeated inside every training fold.",
        metrics_sentence(results),
        trust_sentence(results),
        f"Analyses were run with Cohortium{' ' + version if version else ''} (preset {s.preset}, seed {s.seed}).",
    ]
    return " ".join(x for x in sentences if x)


def _modalities(results: Results) -> str:
    parts = [
        f"{m.name} ({count(m.n_units, 'unit')}, {count(m.n_features, 'feature')})" for m in results.cohort.modalities
    ]
    return f"{count(len(parts), 'modality')}: {names(parts, most=99)}"


def _models(learners: list[str]) -> str:
    single = [n for n in learners if n.startswith("single:")]
    others = [n for n in learners if n not in single]
    alone = [f"each of the {len(single)} modalities alone"] if len(single) > 1 else single
    return names([*alone, *others], most=99)


def _endpoint(e: EndpointRecord, n: int, primary: bool) -> str:
    known = f"{e.n_units:,} of {n:,} units" if e.n_units < n else f"all {n:,} units"
    text = f"The {'primary' if primary else 'secondary'} endpoint {e.name} ({e.kind.replace('_', ' ')}) was known for {known}"
    if e.n_units < n and any(e.excluded.values()):
        text += f" (not for: {_reasons(e.excluded)})"
    if e.n_events is not None:
        text += f" with {count(e.n_events, 'event')}"
        if e.kind == "competing_risks" and e.classes:
            text += f" of interest (causes: {', '.join(f'{k} {v:,}' for k, v in e.classes.items())})"
    elif e.classes:
        text += f" ({', '.join(f'{k} {v:,}' for k, v in e.classes.items())})"
    if e.median_follow_up is not None:
        text += f"; median follow-up was {number(e.median_follow_up, 3)} {e.time_unit} by reverse Kaplan-Meier"
    return text + "."


def metrics_sentence(results: Results) -> str:
    """The headline metrics, and how they were computed."""
    parts = []
    for e in ordered_endpoints(results):
        metric, horizon = headline_metric(results, e)
        tau = f" up to {number(e.tau)} {e.time_unit}" if e.tau is not None and metric.endswith("_c") else ""
        parts.append(f"{metric_name(metric, horizon, e.time_unit)}{tau} for {e.name}")
    methods = sorted({x.method for r in results.leaderboard for x in r.estimates if x.method})
    how = f" by {names([method_name(m) for m in methods])}" if methods else ""
    return (
        f"The headline metric was {names(parts, most=99)}, computed per test fold and averaged, with 95% "
        f"intervals{how}; models were compared by paired differences on the same folds."
    )


def trust_sentence(results: Results) -> str:
    """What else was computed on the same folds."""
    parts = []
    if results.calibration:
        parts.append("calibration (slope, calibration in the large, local-regression curves)")
    if results.decisions:
        parts.append("net benefit (decision curves)")
    if results.subgroups:
        variables = names(list(dict.fromkeys(r.variable for r in results.subgroups)), most=99)
        parts.append(f"performance by {variables}, with Holm's correction for all differences of an endpoint,")
    if results.coverage:
        parts.append(
            f"how often {100 * results.coverage[0].level:.0f}% prediction sets, intervals or lower bounds held"
        )
    return f"On the same folds {names(parts)} {'was' if len(parts) == 1 else 'were'} computed." if parts else ""


def _reasons(excluded: dict[str, int]) -> str:
    return ", ".join(f"{r.replace('_', ' ')} {n:,}" for r, n in excluded.items() if n)
