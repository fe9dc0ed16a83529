"""The records of ``results.json`` that say who is in a study and how it was evaluated."""

from __future__ import annotations

import platform
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from cohortium.contracts import ClassOutcome, CompetingOutcome, Outcome, SurvivalOutcome, TimeOutcome
from cohortium.contracts.results import (
    CohortRecord,
    EndpointRecord,
    EvaluationRecord,
    ModalityRecord,
    PatternRecord,
    StudyRecord,
)

if TYPE_CHECKING:
    from cohortium.cohort import Cohort
    from cohortium.experiment import EndpointPlan, Plan
    from cohortium.study.data import Data
    from cohortium.study.load import Study

FEW_FOLDS = 10
_ELEMENTS = {"events": "codes", "bag": "per instance", "texts": "texts"}
"""What the features of a modality that is no table are."""
_PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "lightgbm", "anndata", "pyarrow")


def study_record(study: Study, plan: Plan, learners: list[str]) -> StudyRecord:
    """What was asked. learners: those of the leaderboard."""
    s = study.spec
    currency = "" if s.costs is None else s.costs.currency
    return StudyRecord(
        s.name, s.title, s.primary_name, list(s.reference), learners, s.preset, plan.seed, _choices(study), currency
    )


def _choices(study: Study) -> dict[str, str]:
    """Settings that the checklists name; those that were left at their default too."""
    s, e = study.spec, study.evaluation
    after = sorted(
        f"{name}.{c}" for name, m in s.cohort.modalities.items() for c in getattr(m, "recorded_after_index", ())
    )
    return {
        "recalibration": e.recalibration,
        "presence_as_predictor": "yes" if s.presence_as_predictor else "no",
        "models": ", ".join(study.models),
        "networks": ", ".join(d.name for d in s.deep),
        "balanced": ", ".join(d.name for d in s.deep if d.balanced),
        "joint": ", ".join(j.name for j in s.joint),
        "site": s.design.site or "",
        "batch": s.design.batch or "",
        "index_time": s.design.index_time or s.design.index_after or ("landmarks" if s.design.landmarks else ""),
        "recorded_after_index": ", ".join(after),
        "subgroups": ", ".join(e.subgroups),
        "thresholds": ", ".join(f"{t:g}" for t in e.thresholds),
    }


def _definition(study: Study, name: str) -> str:
    """``time: days; event: metastasis``: what the study file says of an endpoint, without its kind."""
    given = study.spec.endpoints[name].model_dump(mode="json", exclude_unset=True, exclude={"kind", "horizons"})
    return "; ".join(f"{k.replace('_', ' ')}: {_said(v)}" for k, v in given.items() if v not in (None, [], {}))


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_said(v)}" for k, v in value.items() if v is not None)
    return ", ".join(map(_said, value)) if isinstance(value, list) else str(value)


def cohort_record(study: Study, data: Data, plan: Plan) -> CohortRecord:
    """Who is in the study, by modality, pattern and endpoint."""
    endpoints = [endpoint_record(study, data, name, e) for name, e in plan.endpoints.items()]
    primary = next(e for e in endpoints if e.name == study.spec.primary_name)
    return CohortRecord(
        n_units=len(data.cohort),
        n_patients=data.cohort.n_patients,
        n_events=primary.n_events,
        classes=primary.classes,
        excluded=dict(data.unlabelled),
        modalities=_modalities(study, data),
        patterns=_patterns(data.cohort),
        endpoints=endpoints,
        n_rows_read=data.n_rows,
    )


def endpoint_record(study: Study, data: Data, name: str, e: EndpointPlan) -> EndpointRecord:
    """One endpoint: units, events or classes, exclusions, times."""
    from cohortium.metrics import headline_metric, median_follow_up

    o = e.outcome
    patients = data.cohort.units["patient"].reindex(o.units).nunique()
    chosen = study.spec.evaluation.headline_metric if name == study.spec.primary_name else None
    followed = o.any_cause if isinstance(o, CompetingOutcome) else o
    follow_up = median_follow_up(followed) if isinstance(followed, SurvivalOutcome) else None
    return EndpointRecord(
        name=name,
        kind=o.endpoint.kind.value,
        n_units=len(o),
        n_patients=int(patients),
        n_events=n_events(o),
        classes=_classes(o),
        excluded=dict(data.excluded.get(name, {})),
        time_unit=o.endpoint.time_unit,
        horizons=[float(h) for h in e.horizons],
        tau=e.tau,
        median_follow_up=None if follow_up is None else float(follow_up),
        headline_metric=chosen or headline_metric(o.endpoint.kind),
        definition=_definition(study, name),
    )


def n_events(o: Outcome) -> int | None:
    """Events (of interest) of a survival outcome, positives of a binary one, else None."""
    if isinstance(o, TimeOutcome):
        return int(o.event.sum())
    if isinstance(o, ClassOutcome) and o.endpoint.kind.value == "binary":
        return int((o.codes == 1).sum())
    return None


def _classes(o: Outcome) -> dict[str, int] | None:
    """Class -> units; of competing risks cause -> events."""
    if isinstance(o, CompetingOutcome):
        return {c: int((o.cause == k).sum()) for k, c in enumerate(o.endpoint.classes, start=1)}
    if not isinstance(o, ClassOutcome):
        return None
    counts = np.bincount(o.codes, minlength=len(o.endpoint.classes))
    return {c: int(k) for c, k in zip(o.endpoint.classes, counts, strict=True)}


def _modalities(study: Study, data: Data) -> list[ModalityRecord]:
    out = []
    costs = study.spec.costs
    for name, table in data.cohort.modalities.items():
        cost = None if costs is None else costs.assays[name]
        kinds = Counter(str(k) for k in table.features["kind"])
        if table.shape != "table":
            word = getattr(study.spec.cohort.modalities[name], "word", None)
            kinds = Counter({word or _ELEMENTS.get(table.shape, table.shape): table.n_features})
        out.append(
            ModalityRecord(
                name=name,
                n_units=len(table.units),
                n_features=table.n_features,
                kinds=dict(sorted(kinds.items())),
                reference=name in study.spec.reference,
                left_out=data.left_out.get(name, []),
                notes=data.notes.get(name, []),
                id_space=", ".join(sorted({str(i) for i in table.features["id_space"]} - {""})),
                shape=study.spec.cohort.modalities[name].shape,
                cost=None if cost is None else cost.assay + cost.feature * table.n_features,
            )
        )
    return out


def _patterns(cohort: Cohort) -> list[PatternRecord]:
    presence = cohort.presence()
    names = list(presence.columns)
    counts = Counter(tuple(row) for row in presence.to_numpy(bool))
    rows = sorted(counts.items(), key=lambda x: (-x[1], x[0]))
    return [PatternRecord([n for n, has in zip(names, row, strict=True) if has], k) for row, k in rows]


def evaluation_record(study: Study, plan: Plan, grouped_by: str, notes: list[str]) -> EvaluationRecord:
    """How the estimates were made, for the primary endpoint's splits."""
    splits = plan.endpoints[study.spec.primary_name].splits
    repeats = len({s.repeat for s in splits})
    return EvaluationRecord(
        design=study.evaluation.design,
        repeats=repeats,
        folds=max(Counter(s.repeat for s in splits).values()),
        inner_folds=plan.inner_folds,
        n_outer=len(splits),
        grouped_by=grouped_by,
        low_powered=1 < len(splits) < FEW_FOLDS,
        notes=notes,
    )


def versions() -> dict[str, str]:
    """Versions that numbers depend on."""
    import cohortium

    out = {"python": platform.python_version(), "cohortium": cohortium.__version__}
    for name in _PACKAGES:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            continue
    return out


def machine() -> dict[str, Any]:
    """Where it ran, without names: system, processor kind, cores."""
    import os

    return {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()}
