"""What a run's records say on each topic that a checklist asks about. A topic without an answer is not there."""

from __future__ import annotations

from dataclasses import dataclass

from cohortium.contracts.results import EndpointRecord, Results
from cohortium.report import methods
from cohortium.report.answer import caveats, question, verdict
from cohortium.report.folder import RunFolder
from cohortium.report.words import (
    count,
    estimate_text,
    headline_metric,
    headline_row,
    metric_name,
    names,
    number,
    ordered_endpoints,
    pick,
    reason_words,
)

PROGNOSTIC = ("survival", "competing_risks")


@dataclass(frozen=True)
class Said:
    """A text, and the section of the report that holds the numbers (an anchor, or empty)."""

    text: str
    where: str = ""


def evidence(folder: RunFolder) -> dict[str, Said]:
    """topic -> what the records say on it."""
    r = folder.results
    primary = ordered_endpoints(r)[0]
    found = {
        **_paper(r, primary),
        **_data(folder, primary),
        **_design(folder, primary),
        **_model(folder, primary),
        **_results(folder, primary),
    }
    there = _anchors(folder, primary)
    return {t: said if said.where in there else Said(said.text) for t, said in found.items() if said.text}


def _anchors(folder: RunFolder, e: EndpointRecord) -> set[str]:
    """Sections that the report of this run has."""
    r = folder.results
    rows = {
        "calibration": r.calibration,
        "decisions": r.decisions,
        "subgroups": r.subgroups,
        "certainty": r.coverage,
        "model": r.selected,
        "added": r.added_value,
    }
    some = {f"endpoint-0-{part}" for part, found in rows.items() if any(x.endpoint == e.name for x in found)}
    always = {"answer", "patients", "modalities", "checks", "how", "methods", "versions", "endpoint-0-board"}
    asked = {"validation": folder.validation, "described": r.descriptions}
    return always | some | {part for part, found in asked.items() if found}


def _paper(r: Results, e: EndpointRecord) -> dict[str, Said]:
    which = "prognostic" if e.kind in PROGNOSTIC else "prediction"
    from_what = names([m.name for m in r.cohort.modalities], most=5)
    title = (
        f"Development and evaluation of a multimodal {which} model of {e.name} from {from_what}, by machine learning, in "
        f"{count(e.n_patients, 'patient')}"
    )
    return {
        "title": Said(title),
        "abstract": Said(f"{question(r, e)} {methods.paragraph(r)} {' '.join(verdict(r, e))}", "methods"),
        "objectives": Said(
            f"{question(r, e)} Development of a model and its evaluation on patients held out of it.", "answer"
        ),
        "interpretation": Said(" ".join(verdict(r, e)), "answer"),
        "limitations": Said(" ".join(caveats(r, e)), "answer"),
    }


def _data(folder: RunFolder, e: EndpointRecord) -> dict[str, Said]:
    r = folder.results
    c, choices = r.cohort, r.study.choices
    sites = sorted({s.group for s in r.subgroups if s.variable == choices.get("site") and s.endpoint == e.name})
    excluded = ", ".join(f"{reason_words(k)} {v:,}" for k, v in c.excluded.items() if v)
    return {
        "setting": Said(f"{count(len(sites), 'site')}: {names(sites, most=12)}." if sites else "", "patients"),
        "eligibility": Said(f"Left out of the unit table for want of a usable label: {excluded}." if excluded else ""),
        "data_preparation": Said(_checked(r), "checks"),
        "deidentification": Said(
            "Reports, results and models hold no patient ids; units are numbered at random, and the key stays in units.csv."
        ),
        "outcome_definition": Said(_outcome(r), "patients"),
        "predictor_definitions": Said(
            "Candidate predictors by modality: "
            + "; ".join(
                f"{m.name} ({count(m.n_features, 'feature')}{', ' + m.id_space if m.id_space else ''})"
                for m in c.modalities
            )
            + ".",
            "modalities",
        ),
        "predictor_availability": Said(_timing(r), "modalities"),
        "input_types": Said(_types(r), "modalities"),
        "sample_size": Said(_size(r, e), "patients"),
        "missing_data": Said(_missing(r), "modalities"),
        "flow": Said(_flow(r), "patients"),
        "characteristics": _characteristics(r, e),
    }


def _checked(r: Results) -> str:
    grades = {g: sum(f.grade == g for f in r.checks) for g in ("serious", "warning", "note")}
    found = (
        ", ".join(f"{n} {g}" if g == "serious" else count(n, g) for g, n in grades.items() if n) or "nothing to report"
    )
    notes = [n for m in r.cohort.modalities for n in m.notes]
    text = f"Files were read as declared; leaks, duplicates and confounding were looked for before any fit ({found})."
    return text + (f" {' '.join(n.rstrip('.') + '.' for n in notes[:6])}" if notes else "")


def _outcome(r: Results) -> str:
    parts = []
    for e in ordered_endpoints(r):
        text = f"{e.name}: {reason_words(e.kind)}"
        if e.definition:
            text += f" ({e.definition})"
        if e.horizons:
            text += f"; horizons {names([number(h) for h in e.horizons])} {e.time_unit}"
        elif e.time_unit:
            text += f"; times in {e.time_unit}"
        parts.append(text)
    return ". ".join(parts) + "."


def _timing(r: Results) -> str:
    choices = r.study.choices
    parts = []
    if choices.get("index_time"):
        parts.append(f"Nothing recorded at or after the index time ({choices['index_time']}) was seen.")
    if choices.get("recorded_after_index"):
        parts.append(f"Declared as recorded later, and never used: {choices['recorded_after_index']}.")
    return " ".join(parts)


_STRUCTURED = {"table", "codes"}


def _types(r: Results) -> str:
    parts = [f"{m.name}: {names(sorted(m.kinds), most=5)}" for m in r.cohort.modalities if m.kinds]
    return "Input by modality: " + "; ".join(parts) + "." if parts else ""


def _size(r: Results, e: EndpointRecord) -> str:
    features = sum(m.n_features for m in r.cohort.modalities)
    text = f"{count(e.n_units, 'unit')} of {count(e.n_patients, 'patient')}"
    if e.n_events is not None:
        text += f" with {count(e.n_events, 'event')}: {number(e.n_events / max(features, 1), 2)} for each of {count(features, 'candidate feature')}"
    else:
        text += f", {count(features, 'candidate feature')}"
    metric, horizon = headline_metric(r, e)
    row = headline_row(r, e.name)
    found = pick(row.estimates, metric, horizon) if row is not None else None
    if found is not None and found.low is not None and found.high is not None:
        text += (
            f". The size was given by the data, not computed; what it allows is shown by the interval of the "
            f"{metric_name(metric, horizon, e.time_unit)}, {number((found.high - found.low) / 2, 2)} to either side"
        )
    return text + "."


def _missing(r: Results) -> str:
    c = r.cohort
    lacking = [f"{m.name} {c.n_units - m.n_units:,}" for m in c.modalities if m.n_units < c.n_units]
    start = (
        f"Units that lack a modality: {names(lacking, most=14)}, in {count(len(c.patterns), 'pattern')} of availability. Nobody was "
        "left out for it: models are trained on and predict from whatever a unit has."
        if lacking
        else "Every unit has every modality."
    )
    presence = r.study.choices.get("presence_as_predictor")
    used = (
        ""
        if presence is None
        else " The fact of having a modality was a predictor."
        if presence == "yes"
        else " The fact of having a modality was no predictor."
    )
    return (
        f"{start} Single missing values of a table were imputed by the median of the training part.{used} Units without a usable label "
        "were left out, and are counted by reason."
    )


def _characteristics(r: Results, e: EndpointRecord) -> Said:
    c, one = r.cohort, next((d for d in r.descriptions if d.endpoint == e.name), None)
    start = f"{count(c.n_units, 'unit')}, {count(c.n_patients, 'patient')}; "
    if one is None:
        return Said(
            f"{start}what each modality holds, who has it, outcome and follow-up are tabled in the report.", "patients"
        )
    own = count(len([v for v in one.variables if v.source != "outcome"]), "variable")
    ways = {"availability": "available modalities", "site": "site", "partition": "partition", "test_folds": "test fold"}
    by = names([w for k, w in ways.items() if any(g.kind == k for g in one.groups)])
    return Said(
        f"{start}outcome, follow-up and {own} with their missing values{f', by {by},' if by else ''} are in table one.",
        "described",
    )


def _flow(r: Results) -> str:
    c = r.cohort
    read = c.n_rows_read if c.n_rows_read is not None else c.n_units
    ends = "; ".join(
        f"{e.name} {e.n_units:,}" + (f" ({count(e.n_events, 'event')})" if e.n_events is not None else "")
        for e in ordered_endpoints(r)
    )
    return f"{count(read, 'row')} read, {count(c.n_units, 'unit')} in the study, analysed for {ends}. Reasons for leaving stand in the diagram."


def _design(folder: RunFolder, e: EndpointRecord) -> dict[str, Said]:
    r = folder.results
    choices = r.study.choices
    ev = r.evaluation
    return {
        "partition": Said(f"{methods.design_words(ev).capitalize()}; {count(ev.n_outer, 'test fold')} in all.", "how"),
        "disjoint": Said(
            f"Rows that share the same {ev.grouped_by} were never split between training and test."
            if ev.grouped_by
            else "",
            "how",
        ),
        "leakage": Said(leakage(folder), "how"),
        "predictor_handling": Said(
            "Inside each training part: numbers were standardised and clipped at 6 standard deviations, skewed ones compressed (asinh), "
            "categories coded with a column for each level; nothing was dichotomised."
            + (" Trees see non-linear effects, linear models do not." if "trees" in choices.get("models", "") else ""),
            "how",
        ),
        "clusters": Said(_clusters(r), "endpoint-0-subgroups"),
        "measures": Said(f"{methods.metrics_sentence(r)} {methods.trust_sentence(r)}".strip(), "how"),
        "uncertainty": Said(methods.interval_sentence(r), "how"),
        "prediction_calculation": Said(
            "Each unit was predicted by a model that was fitted without it; the model refitted on everyone predicts new units with "
            "'cohortium predict', from whatever modalities they have."
        ),
        "fairness": Said(_fairness(r, e), "endpoint-0-subgroups"),
        "thresholds": Said(
            f"Net benefit was computed for treating from a predicted probability of {choices['thresholds']} on; the model itself sets no threshold."
            if r.decisions and choices.get("thresholds")
            else "",
            "endpoint-0-decisions",
        ),
        "robustness": Said(
            " ".join(_examined(r, e)),
            "endpoint-0-subgroups" if any(s.endpoint == e.name for s in r.subgroups) else "endpoint-0-added",
        ),
    }


def _examined(r: Results, e: EndpointRecord) -> list[str]:
    out = []
    if any(a.endpoint == e.name for a in r.added_value):
        out.append("What each modality adds was found by leaving it out, on the same folds.")
    if any(s.endpoint == e.name for s in r.subgroups):
        out.append("Performance by pattern of availability, by site and by subgroup is in the report.")
    return out


def _model(folder: RunFolder, e: EndpointRecord) -> dict[str, Said]:
    r = folder.results
    row = headline_row(r, e.name)
    fused = next((s for s in r.selected if s.endpoint == e.name), None)
    weights = (fused.settings.get("weights") if fused is not None else None) or {}
    named = "" if row is None else f"{row.learner} was named before the run as the model that the answer is about; "
    return {
        "model_building": Said(_building(r), "methods"),
        "selection": Said(
            f"{named}everything in it - penalties, sizes of trees, weights of the parts - is chosen by inner folds."
            if named
            else "",
            "how",
        ),
        "ensembling": Said(
            f"The final model is a weighted sum of {names(list(weights), most=8)}." if len(weights) > 1 else "",
            "endpoint-0-model",
        ),
        "initialization": Said(
            f"Everything random - samples of forests, weights that networks start from - draws from seed {r.study.seed}, the learner's "
            "name and the fold; linear models start from zero."
        ),
        "software": Said(", ".join(f"{k} {v}" for k, v in sorted(r.versions.items())), "versions"),
        "recalibration": Said(_recalibration(r, e), "endpoint-0-calibration"),
        "imbalance": Said(_imbalance(r)),
        "output": Said(_output(e)),
        "baseline": Said(_baseline(r), "endpoint-0-board"),
        "specification": Said(
            "The folder model/ holds the model whole (JSON, safetensors, LightGBM's text; no pickle); 'cohortium predict' applies it, "
            "and its parts and weights are shown in the report.",
            "endpoint-0-model",
        ),
        "updating": Said("No model was updated.", ""),
        "input_quality": Said(
            "'predict' takes units with any pattern of modalities, says what was missing or unknown, and marks those unlike the patients "
            "it has seen; 'drift' compares new data with them."
        ),
        "distribution_shift": Said(
            "'cohortium drift' shows which features of new data have moved, and who is outside."
        ),
        "code_sharing": Said(
            f"Cohortium {r.versions.get('cohortium', '')} (Apache-2.0), study file and hashes (study {r.hashes.get('study', '')[:8]}, data "
            f"{r.hashes.get('data', '')[:8]}); the same study file on the same data gives the same numbers.",
            "versions",
        ),
    }


def leakage(folder: RunFolder) -> str:
    """What speaks for that nothing of the test units reached a model: by design, and by the audit where it was made."""
    audit = folder.audit
    if not audit:
        return (
            "Everything that learns was fitted on the training part of a fold only. Not audited: 'cohortium audit' proves it by garbage in "
            "the test rows."
        )
    if audit.get("accused"):
        return f"The audit accuses {names(sorted(audit['accused']))}: something of the test units reaches them."
    return (
        f"Audited in {count(int(audit.get('folds', 0)), 'outer fold')}: with garbage in place of values, labels and presence of the test "
        "units every fitted model stayed the same to the bit."
    )


def _building(r: Results) -> str:
    choices = r.study.choices
    families = choices.get("models", "")
    kinds = {
        "linear": "penalised linear models (ridge, elastic net)",
        "trees": "forests and boosted trees",
    }
    used = [kinds.get(f.strip(), f.strip()) for f in families.split(",") if f.strip()]
    used += [f"networks ({choices['networks']})"] if choices.get("networks") else []
    used += [f"joint representations ({choices['joint']})"] if choices.get("joint") else []
    learned = f"Models: {names(used, most=9)}. " if used else ""
    return (
        f"{learned}Compared: {names(r.study.learners, most=12)}. Every step - imputation, scaling, selection, tuning, fusion, the choice "
        f"between models - was made inside the training part of a fold, by {count(r.evaluation.inner_folds, 'inner fold')}."
    )


def _clusters(r: Results) -> str:
    site, batch = r.study.choices.get("site"), r.study.choices.get("batch")
    if site is None:
        return ""
    if not site:
        return "No site is declared, so differences between centres were not looked at."
    text = (
        f"The column {site} says the site; performance by site, with differences corrected by Holm, is in the report."
    )
    if r.evaluation.design == "leave_one_site_out":
        text += " Each site was tested by a model of the others."
    return text + (f" Batches by {batch}." if batch else "")


def _recalibration(r: Results, e: EndpointRecord) -> str:
    how = {
        "slope": "a slope and an intercept",
        "isotonic": "isotonic regression",
        "venn_abers": "Venn-Abers predictors",
    }.get(r.study.choices.get("recalibration", ""), "")
    if e.kind in ("binary", "multiclass", "ordinal") and how:
        return f"Probabilities were recalibrated on inner folds by {how}. No model was updated on evaluation data."
    return "Scores were rescaled on inner folds. No model was updated on evaluation data."


def _imbalance(r: Results) -> str:
    balanced = r.study.choices.get("balanced")
    if balanced is None:  # of a version that did not keep it
        return ""
    if balanced:
        return f"Classes weighed the same in training of {balanced}; its scores were recalibrated on inner folds at the true shares."
    return "No method against class imbalance was used: nothing was resampled or weighted."


def _fairness(r: Results, e: EndpointRecord) -> str:
    variables = list(dict.fromkeys(s.variable for s in r.subgroups if s.endpoint == e.name))
    if not variables:
        return ""
    return (
        f"Performance, sensitivity, specificity and calibration by {names(variables)} were compared, with Holm's correction; nothing was "
        "done to make them equal."
    )


def _output(e: EndpointRecord) -> str:
    return {
        "binary": "The probability of the outcome.",
        "multiclass": "The probability of each class.",
        "ordinal": "The probability of each grade.",
        "continuous": "The expected value.",
        "survival": f"A risk score and the probability of being free of the event at every time up to the end of follow-up ({e.time_unit}).",
        "competing_risks": f"A risk score and the cumulative incidence of the event of interest by every time ({e.time_unit}).",
    }.get(e.kind, "")


def _baseline(r: Results) -> str:
    has = [x for x in r.study.learners if x in ("reference", "best_single", "early", "late")]
    declared = f" (reference: {names(r.study.reference, sep=' + ', last=' + ')})" if r.study.reference else ""
    return f"Simple rivals on the same folds: {names(has)}{declared}." if has else ""


def _results(folder: RunFolder, e: EndpointRecord) -> dict[str, Said]:
    r = folder.results
    metric, horizon = headline_metric(r, e)
    row = headline_row(r, e.name)
    board = "endpoint-0-board"
    value = pick(row.estimates, metric, horizon) if row is not None else None
    ev = r.evaluation
    even = ev.folds > 1 and ev.design in ("nested", "grouped", "column", "file")
    per_fold = f"about {e.n_units * (1 - 1 / ev.folds):,.0f} of them in each training part; " if even else ""
    events = f" with {count(e.n_events, 'event')}" if e.n_events is not None else ""
    external = [v for v in folder.validation if v.get("endpoint") == e.name]
    return {
        "development": Said(
            f"{count(e.n_units, 'unit')}{events}; {per_fold}all of them in the final model.", "patients"
        ),
        "performance": Said(
            f"{metric_name(metric, horizon, e.time_unit)} of {row.learner}: {estimate_text(value)}; all learners, metrics, curves and "
            "subgroups with 95% intervals are in the report."
            if row is not None and value is not None
            else "",
            board,
        ),
        "comparison": Said(" ".join(verdict(r, e)), board),
        "heterogeneity": Said(_clusters(r), "endpoint-0-subgroups"),
        "calibration": Said(
            "Slope, calibration in the large, expected over observed and smooth curves are in the report."
            if any(c.endpoint == e.name for c in r.calibration)
            else "",
            "endpoint-0-calibration",
        ),
        "net_benefit": Said(
            "Net benefit against treating all, nobody, and by the reference is in the report."
            if any(d.endpoint == e.name for d in r.decisions)
            else "",
            "endpoint-0-decisions",
        ),
        "certainty": Said(
            "Prediction sets, intervals or lower bounds, and how often they held, are in the report."
            if any(c.endpoint == e.name for c in r.coverage)
            else "",
            "endpoint-0-certainty",
        ),
        "external": Said(
            "; ".join(f"{v.get('data', 'other data')}: {v.get('n', '?')} units" for v in external)
            + ": nothing was refitted."
            if external
            else "No external data were tested.",
            "validation" if external else "",
        ),
        "differences": Said(
            "Numbers of the external data stand beside the estimates; 'cohortium drift' compares the features."
            if external
            else f"Evaluation was internal ({methods.design_words(ev)}): both parts come from the same patients' data.",
            "validation" if external else "how",
        ),
    }
