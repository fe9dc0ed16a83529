"""PROBAST+AI signalling questions (Moons 2025, BMJ 388:e082505): answers that the records allow, and why.

Answers: Y yes, PY probably yes, PN probably no, N no, NI no information, NA does not apply; ``?`` where a statement of the study file
is to be weighed by who assesses. The judgement of a domain, and applicability, are the assessor's, who is best not one of those who made the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cohortium.contracts.results import EndpointRecord
from cohortium.report.folder import RunFolder
from cohortium.report.words import count, names, number, ordered_endpoints, rows_of

EVENTS_PER_FEATURE = 20
"""Below it a development sample is probably too small (Moons 2019, Ann Intern Med 170:W1; flexible models need more)."""

LEAST_TO_EVALUATE = 100
"""Events, and units without one, for a steady estimate (Collins 2016, Stat Med 35:214)."""

Judged = tuple[str, str]
Judge = Callable[[RunFolder, EndpointRecord], Judged]


@dataclass(frozen=True)
class Signal:
    """A signalling question. judge: answers it from the records; None leaves it to the statements named by ``keys``."""

    number: str
    section: str
    asks: str
    keys: tuple[str, ...] = ()
    judge: Judge | None = None


def _development_size(folder: RunFolder, e: EndpointRecord) -> Judged:
    features = sum(m.n_features for m in folder.results.cohort.modalities)
    events = _fewest(e)
    per = events / max(features, 1)
    what = f"{count(events, 'event')} for {count(features, 'candidate feature')}: {number(per, 2)} for each"
    if per >= EVENTS_PER_FEATURE:
        return "PY", f"{what} (at least {EVENTS_PER_FEATURE})."
    return "PN", f"{what}, fewer than {EVENTS_PER_FEATURE}; penalties make up for a part of it, not for all."


def _fewest(e: EndpointRecord) -> int:
    """Events, or units of the rarer class; units of a continuous outcome."""
    if e.classes and e.kind != "competing_risks":
        return min(e.classes.values())
    return e.n_events if e.n_events is not None else e.n_units


def _evaluation_size(folder: RunFolder, e: EndpointRecord) -> Judged:
    events = _fewest(e)
    others = e.n_units - events if e.n_events is not None else e.n_units
    what = f"{count(events, 'event')} and {count(others, 'unit')} without one stand in the test folds"
    enough = min(events, others) >= LEAST_TO_EVALUATE
    return ("PY", f"{what}.") if enough else ("PN", f"{what}: fewer than {LEAST_TO_EVALUATE}; the intervals show it.")


def _missing(folder: RunFolder, e: EndpointRecord) -> Judged:
    lost = sum(e.excluded.values())
    text = "Nobody was left out for a missing modality or value; both are handled inside the training parts"
    text += "; censored times are kept as censored" if e.kind in ("survival", "competing_risks") else ""
    if lost:
        return "PY", f"{text}. {count(lost, 'unit')} without a usable label left: see the flow."
    return "Y", f"{text}."


def _imbalance(folder: RunFolder, e: EndpointRecord) -> Judged:
    balanced = folder.results.study.choices.get("balanced")
    if balanced:
        return "Y", f"Classes were weighed in training of {balanced}, whose scores are recalibrated on inner folds."
    return _no_method(balanced)


def _no_method(balanced: str | None) -> Judged:
    """None: the run is of a version that did not keep it."""
    return ("NI", "") if balanced is None else ("NA", "No method against imbalance was used.")


def _unbalanced_test(folder: RunFolder, e: EndpointRecord) -> Judged:
    balanced = folder.results.study.choices.get("balanced")
    if balanced:
        return "Y", "Test folds were neither resampled nor weighted."
    return _no_method(balanced)


def _overfitting(folder: RunFolder, e: EndpointRecord) -> Judged:
    return (
        "Y",
        "Penalties, sizes of trees and weights of fusion were chosen by inner folds; features were chosen inside the training parts.",
    )


def _continuous(folder: RunFolder, e: EndpointRecord) -> Judged:
    if "trees" in folder.results.study.choices.get("models", ""):
        return "Y", "Nothing was dichotomised; trees see non-linear effects beside linear models."
    return "PY", "Nothing was dichotomised; linear models see linear effects of (compressed) values only."


def _not_apparent(folder: RunFolder, e: EndpointRecord) -> Judged:
    return "Y", "Every estimate is of units that the model was fitted without."


_BEFORE_THE_SPLIT = ("scaled_over_everyone", "chosen_by_outcome", "duplicate_patients", "outcome_in_disguise")


def _leakage(folder: RunFolder, e: EndpointRecord) -> Judged:
    suspects = [
        f.name for f in folder.results.checks if f.endpoint in (None, e.name) and f.name.startswith(_BEFORE_THE_SPLIT)
    ]
    if folder.audit.get("accused"):
        return "N", "The audit accuses a learner."
    if suspects:
        return "PN", f"Check found what points to a leak in the files themselves: {names(suspects)}."
    if folder.audit:
        return "Y", "The audit changed the test rows into garbage, and no fitted model changed by a bit."
    return (
        "PY",
        "Everything that learns is fitted on training parts only; 'cohortium audit' would prove it for this run.",
    )


def _replicated(folder: RunFolder, e: EndpointRecord) -> Judged:
    if folder.results.evaluation.design == "fixed_test":
        return "NA", "One fixed test set; nothing was resampled."
    return (
        "Y",
        "Imputation, scaling, selection, tuning, fusion and the choice of the model are repeated in every training part.",
    )


def _measures(folder: RunFolder, e: EndpointRecord) -> Judged:
    r = folder.results
    has = []
    if rows_of(r, e.name):
        has.append("discrimination" if e.kind != "continuous" else "explained variance and error")
    if any(c.endpoint == e.name for c in r.calibration):
        has.append("calibration")
    if any(d.endpoint == e.name for d in r.decisions):
        has.append("net benefit")
    text = ", ".join(has) + " with intervals" if has else "nothing"
    return ("Y" if "calibration" in has or e.kind == "continuous" else "PN"), f"{text[0].upper()}{text[1:]}."


def _same_preprocessing(folder: RunFolder, e: EndpointRecord) -> Judged:
    return (
        "Y",
        "One fitted preprocessing for all units of a fold; what happened before the files is for the study to say (data_preparation).",
    )


_DATA = (
    ("1", "Were appropriate data sources used?", ("data_sources",), None),
    ("2", "Was an appropriate study design used?", ("study_design",), None),
    ("3", "Did inclusions and exclusions of participants result in a representative dataset?", ("eligibility", "representativeness"), None),
)  # fmt: skip
_PREDICTORS = (
    ("1", "Were predictors defined and assessed in a similar way for all participants?", ("predictor_definitions",), None),
    ("2", "Was any preprocessing of predictors similar for all participants?", (), _same_preprocessing),
    ("3", "Were predictor assessments made without knowledge of outcome data?", ("predictor_blinding",), None),
    ("4", "Were the predictors available at the time the model was intended to be used?", ("predictor_availability",), None),
)  # fmt: skip
_OUTCOME = (
    ("1", "Were outcomes defined and assessed appropriately?", ("outcome_definition",), None),
    ("2", "Were outcomes defined and assessed in a similar way for all participants?", ("outcome_definition", "outcome_assessors"), None),
    ("3", "Were outcome assessments made without use or knowledge of predictor data?", ("outcome_blinding",), None),
    ("4", "Was the time between predictor and outcome assessment appropriate?", ("outcome_timing",), None),
)  # fmt: skip
_DEVELOPED = (
    ("1", "Was there evidence that the sample size was reasonable?", (), _development_size),
    ("2", "Were continuous and categorical predictors handled appropriately?", (), _continuous),
    ("3", "Were participants with missing or censored data handled appropriately?", (), _missing),
    (
        "4",
        "If methods against class imbalance were used, was the model or were its predictions recalibrated?",
        (),
        _imbalance,
    ),
    ("5", "Were methods used to address potential overfitting?", (), _overfitting),
)
_EVALUATED = (
    ("1", "Was an evaluation by apparent performance only avoided?", (), _not_apparent),
    ("2", "Was there evidence that the sample size was reasonable?", (), _evaluation_size),
    ("3", "Were participants with missing or censored data handled appropriately?", (), _missing),
    (
        "4",
        "If methods against class imbalance were used, was the evaluation done without correction for imbalance?",
        (),
        _unbalanced_test,
    ),
    ("5", "If data were split, was there evidence that data leakage was avoided?", (), _leakage),
    ("6", "If resampling was used, were all steps of development replicated in it?", (), _replicated),
    ("7", "Was performance evaluated appropriately: calibration, discrimination, net benefit?", (), _measures),
)


def _part(
    letter: str, part: str, domains: tuple[tuple[str, tuple[tuple[str, str, tuple[str, ...], Judge | None], ...]], ...]
) -> list[Signal]:
    return [
        Signal(f"{letter}{d}.{n}", f"{part}: {name}", asks, keys, judge)
        for d, (name, rows) in enumerate(domains, start=1)
        for n, asks, keys, judge in rows
    ]  # fmt: skip


PROBAST_AI: tuple[Signal, ...] = (
    *_part("D", "Development", (("participants and data sources", _DATA), ("predictors", _PREDICTORS), ("outcome", _OUTCOME), ("analysis", _DEVELOPED))),
    *_part("E", "Evaluation", (("participants and data sources", _DATA), ("predictors", _PREDICTORS), ("outcome", _OUTCOME), ("analysis", _EVALUATED))),
)  # fmt: skip
"""16 questions on development, 18 on evaluation (here: internal)."""


def answered(signal: Signal, folder: RunFolder, statements: dict[str, str]) -> Judged:
    """(answer, why). Without records or statements: no information."""
    e = ordered_endpoints(folder.results)[0]
    if signal.judge is not None:
        return signal.judge(folder, e)
    stated = [statements[k] for k in signal.keys if k in statements]
    if not stated:
        return "NI", ""
    return "?", " ".join(stated)
