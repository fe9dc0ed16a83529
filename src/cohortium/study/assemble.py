"""All records of ``results.json`` from a finished experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cohortium.contracts.results import Finding, Results, Selected
from cohortium.study.records import cohort_record, evaluation_record, study_record, versions

if TYPE_CHECKING:
    from cohortium.experiment import EndpointPlan, Experiment, Scores
    from cohortium.study.data import Data
    from cohortium.study.load import Study


_ROWS = (
    "selected", "leaderboard", "added_value", "learning_curve", "calibration", "decisions", "subgroups", "coverage", "sensitivity",
)  # fmt: skip
"""Records with rows of every endpoint."""


def assemble(
    study: Study, data: Data, experiment: Experiment, findings: list[Finding], hashes: dict[str, str]
) -> tuple[Results, dict[str, Scores]]:
    """Score the experiment and put every record in its place; also the scores of every fold, by endpoint."""
    from cohortium.experiment import (
        added_value,
        asks_of,
        calibration,
        coverage,
        decisions,
        leaderboard,
        learning_curve,
        score_endpoint,
        subgroups,
        unknown_causes,
    )
    from cohortium.learners import plan as learner_plan
    from cohortium.study.describing import describe
    from cohortium.study.grouping import groupings

    plan = experiment.plan
    rows: dict[str, list[Any]] = {name: [] for name in _ROWS}
    groups = groupings(study, data)
    names: list[str] = []
    every: dict[str, Scores] = {}
    for name, e in plan.endpoints.items():
        infos = learner_plan(plan.config, e.outcome.endpoint, list(data.cohort.modalities), plan.inner_folds)
        names = names or [i.name for i in infos if i.role != "probe"]
        fold_results = experiment.outer[name]
        scores = score_endpoint(e, fold_results, asks_of(e, study.evaluation.metrics), plan.seed)
        every[name] = scores
        of_interest, metric = _of_interest(scores, plan.headline), _metric(study, name, e)
        rows["leaderboard"] += leaderboard(name, scores, infos, fold_results, plan.headline)
        rows["added_value"] += added_value(name, scores, infos, list(data.cohort.modalities))
        rows["learning_curve"] += learning_curve(name, plan.headline, _points(experiment, name, e, scores))
        rows["calibration"] += calibration(name, scores, of_interest)
        rows["decisions"] += decisions(name, scores, of_interest, study.evaluation.thresholds)
        rows["subgroups"] += subgroups(name, scores, plan.headline, groups, metric)
        rows["coverage"] += coverage(
            name, scores, plan.headline, plan.config.coverage, groups, study.evaluation.coverage_by
        )
        rows["sensitivity"] += unknown_causes(name, scores, of_interest, metric)
        facts = experiment.finals[name][1]
        rows["selected"].append(Selected(name, plan.headline, _reason(plan.headline, facts), facts.get("settings", {})))
    results = Results(
        study=study_record(study, plan, names),
        cohort=cohort_record(study, data, plan),
        evaluation=evaluation_record(study, plan, study.spec.design.groups or "patient", _notes(study, experiment)),
        checks=findings,
        descriptions=describe(study, data, plan),
        hashes=hashes,
        versions=versions(),
        **rows,
    )
    return results, every


def _of_interest(scores: Scores, headline: str) -> list[str]:
    """The headline learner, and the reference where there is one."""
    return [headline, *(["reference"] if "reference" in scores.values and headline != "reference" else [])]


def _metric(study: Study, name: str, e: EndpointPlan) -> str:
    """The metric in which the endpoint's answer is given."""
    from cohortium.metrics import headline_metric

    chosen = study.evaluation.headline_metric if name == study.spec.primary_name else None
    return chosen or headline_metric(e.outcome.endpoint.kind)


def _points(experiment: Experiment, name: str, e: EndpointPlan, whole: Any) -> list[tuple[float, Any]]:
    """(fraction, scores) of the learning curve, the full training parts last."""
    from cohortium.experiment import score_endpoint

    fractions = experiment.plan.fractions
    if not fractions:
        return []
    points = []
    for f in sorted(set(fractions)):
        if f < 1:
            points.append((f, score_endpoint(e, experiment.curve[(name, f)], whole.asks, whole.seed)))
        else:
            points.append((f, whole))
    return points


def _reason(headline: str, facts: dict[str, Any]) -> str:
    chosen = facts.get("chosen")
    if headline == "auto":
        return "named before the run: blends the candidates by inner folds only, then refitted on everyone"
    if headline == "best_single":
        return (
            f"named before the run: takes the best single modality by inner folds (here {chosen}), refitted on everyone"
        )
    return "the study asked for this learner; refitted on everyone"


def _notes(study: Study, experiment: Experiment) -> list[str]:
    notes = list(experiment.plan.notes)
    if any(e.grid is not None for e in experiment.plan.endpoints.values()):
        notes.append(
            "tau is the 95th percentile of the event times, no later than the last event of any training part; "
            "censoring weights come from each training part."
        )
    for name, e in experiment.plan.endpoints.items():
        if (share := e.outcome.endpoint.prevalence) is not None:
            notes.append(
                f"{name}: probabilities, calibration and decision curves in this report are those of the cohort as it was sampled; the stored "
                f"model gives probabilities for a population in which {100 * share:g}% are positive, which holds where cases and "
                "controls were each sampled without regard to what the model sees."
            )
        late = e.grid is not None and bool((e.outcome.entry > 0).any())  # type: ignore[union-attr]
        if late and study.evaluation.coverage is not None:
            notes.append(
                f"{name}: no lower bounds of times are made, since observation begins late for some: who had the event before is not in the cohort."
            )
    if study.spec.design.weight is not None:
        notes.append("Sampling weights were read and not used in fitting or scoring.")
    return notes
