"""``explain``: what a learner's predictions rest on, measured on units that it was not fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cohortium.errors import StudyError
from cohortium.study import refitting
from cohortium.study.load import Study
from cohortium.study.outfolder import free_folder, whole_folder
from cohortium.study.refitting import Ask, Source
from cohortium.study.runfolder import plain

if TYPE_CHECKING:
    from cohortium.contracts.explanations import Explanation
    from cohortium.experiment import EndpointPlan, Progress
    from cohortium.explanation import FeatureGroup, FoldValues, Target
    from cohortium.explanation.deleting import Deleted
    from cohortium.explanation.randomised import Randomised

MARK, RESULTS = "cohortium_explanation", "explanation.json"


@dataclass(frozen=True, eq=False)
class Explained:
    """results: all records. features: a row for each feature and group that was shuffled, with ``modality, features,
    group, shuffled, shuffled_low, shuffled_high, moves, moves_low, moves_high``."""

    results: Explanation
    features: pd.DataFrame


def explain(
    run: str | Path,
    study: Study | str | Path | None = None,
    out: str | Path | None = None,
    *,
    endpoint: str | None = None,
    learner: str | None = None,
    repeats: int = 1,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Explained:
    """What the predictions of a run's learner rest on: modalities, groups of features, features, on held-out units.

    study: the study of the run, default the file beside which ``run`` wrote. endpoint: default the primary one. learner: default the headline. repeats: of the outer
    folds that are fitted again, all of one at least. out: a new folder for records, table and page, whole or not at all. jobs: processes; results do not depend on it.

    Raises :class:`RunFolderError`, :class:`StudyError` and :class:`DataError`.
    """
    from cohortium.experiment import ProgressEvent
    from cohortium.experiment.progress import silent
    from cohortium.experiment.run import cores

    tell = progress or silent
    if repeats < 1:
        raise StudyError(f"{repeats} repeats were asked for; give 1 or more.")
    folder = None if out is None else free_folder(Path(out))
    tell(ProgressEvent("read", 0, 1))
    source = refitting.open_source(run, study)
    name, e = refitting.pick_endpoint(source, endpoint)
    learner = refitting.pick_learner(source, learner, e)
    tell(ProgressEvent("read", 1, 1))
    found = _work(source, name, e, learner, repeats, jobs or cores(), tell)
    made = Explained(found, feature_frame(found))
    if folder is not None:
        tell(ProgressEvent("report", 0, 1))
        _write(made, folder)
        tell(ProgressEvent("report", 1, 1))
    return made


def splits_of(e: EndpointPlan, repeats: int) -> list[int]:
    """Positions of the splits of the first repeats."""
    first = sorted({s.repeat for s in e.splits})[:repeats]
    return [k for k, s in enumerate(e.splits) if s.repeat in first]


def _work(
    source: Source, name: str, e: EndpointPlan, learner: str, repeats: int, jobs: int, tell: Progress
) -> Explanation:
    from cohortium.experiment import ProgressEvent
    from cohortium.explanation import target_of
    from cohortium.explanation.summary import deletion_order, randomised_record
    from cohortium.metrics import METRICS

    ask, at = refitting.ask_of(source, name, e), splits_of(e, repeats)
    target = target_of(e.outcome.endpoint, refitting.middle_horizon(e))
    jobs = min(jobs, len(at))

    def each(stage: str, do: Any, calls: list[tuple[Any, ...]], before: int = 0, total: int | None = None) -> list[Any]:
        out = list[Any]()
        tell(ProgressEvent(stage, before, total or len(calls)))
        for x in refitting.in_processes(do, calls, jobs):
            out.append(x)
            tell(ProgressEvent(stage, before + len(out), total or len(calls)))
        return out

    with refitting.shared_work(source) as shared:
        leaned = each("folds", refitting.refit, [(shared, name, learner, k) for k in at])
        items, skipped, looked = _items(source, leaned)
        both = each("explain", _explain_part, [(shared, name, k, ask, target, items) for k in at], 0, 2 * len(at))
        values, reasons = [v for v, _ in both], [r for _, said in both for r in said]
        order = deletion_order(items, values)
        gone = each("explain", _delete_part, [(shared, name, k, ask, order) for k in at], len(at), 2 * len(at))
        drawn = each("random weights", _random_part, [(shared, name, k, ask, target, items) for k in at])
    made = _records(source, name, e, learner, ask, at, target, items, values, gone, skipped, looked, reasons)
    sign = 1.0 if METRICS[ask[0]].higher_is_better else -1.0
    return replace(made, randomised=randomised_record(drawn, values, made.n_units, ask[0], sign))


def _explain_part(
    shared: Path, name: str, k: int, ask: Ask, target: Target, items: Sequence[FeatureGroup]
) -> tuple[FoldValues, list[str]]:
    from threadpoolctl import threadpool_limits

    from cohortium.explanation import explain_fold

    reasons = list[str]()
    with threadpool_limits(limits=1):
        return explain_fold(refitting.fold_model(shared, name, k, ask, reasons), target, items), reasons[:1]


def _delete_part(shared: Path, name: str, k: int, ask: Ask, items: Sequence[FeatureGroup]) -> Deleted:
    from threadpoolctl import threadpool_limits

    from cohortium.explanation import deletion

    with threadpool_limits(limits=1):
        return deletion(refitting.fold_model(shared, name, k, ask, []), items)


def _random_part(
    shared: Path, name: str, k: int, ask: Ask, target: Target, items: Sequence[FeatureGroup]
) -> Randomised | None:
    from threadpoolctl import threadpool_limits

    from cohortium.explanation.randomised import randomised

    with threadpool_limits(limits=1):
        return randomised(refitting.fold_model(shared, name, k, ask, []), target, items)


def _items(
    source: Source, leaned: Sequence[Mapping[str, Any]]
) -> tuple[list[FeatureGroup], dict[str, str], dict[str, int]]:
    """Features and groups to be shuffled; modality -> why none of its are; modality -> how many are."""
    from cohortium.cohort import Table
    from cohortium.explanation import FeatureGroup, group_features
    from cohortium.explanation.grouping import SCREENED, in_turn

    items, skipped, looked = list[Any](), dict[str, str](), dict[str, int]()
    for name, table in source.data.cohort.modalities.items():
        if not isinstance(table, Table):
            features = in_turn([order for fold in leaned for order in fold[name]], SCREENED)
            items += [FeatureGroup(name, (f,), (), True) for f in features]
            if features:
                looked[name] = len(features)
            else:
                skipped[name] = (
                    f"is of shape {table.shape}, and its features are not looked at: it is shuffled as a whole only"
                )
            continue
        columns = np.arange(table.n_features, dtype=np.intp)
        if table.n_features > SCREENED:
            columns = np.array(in_turn([order for fold in leaned for order in fold[name]], SCREENED), dtype=np.intp)
            if not len(columns):
                skipped[name] = (
                    f"has {table.n_features:,} features, and the learner does not say which of them it leans on: it is shuffled as "
                    "a whole only"
                )
        looked[name] = len(columns)
        items += group_features(name, table, columns)
    return items, skipped, looked


def _records(
    source: Source, name: str, e: EndpointPlan, learner: str, ask: Ask, at: list[int], target: Target,
    items: Sequence[FeatureGroup], values: Sequence[FoldValues], gone: Sequence[Deleted], skipped: dict[str, str],
    looked: dict[str, int], reasons: list[str],
) -> Explanation:  # fmt: skip
    import cohortium
    from cohortium.contracts.explanations import Explanation
    from cohortium.explanation.summary import deletion_record, estimator, feature_records, modality_records
    from cohortium.metrics import METRICS

    tested = np.unique(np.concatenate([np.asarray(e.splits[k].test) for k in at]))
    n, cohort = len(tested), source.data.cohort
    say = estimator(values, n, next(iter(reasons), None))
    sign, spec = 1.0 if METRICS[ask[0]].higher_is_better else -1.0, source.study.spec
    full, nothing = (say(ask[0], sign * np.array([getattr(v, k) for v in values]), True) for k in ("full", "nothing"))
    have = cohort.presence().loc[list(e.outcome.units[tested])].sum().astype(int).to_dict()
    return Explanation(
        study=spec.name, title=spec.title or spec.name, endpoint=name, kind=e.outcome.endpoint.kind.value, learner=learner,
        metric=ask[0], quantity=target.label, percent=target.percent, seed=source.plan.seed, version=cohortium.__version__,
        n_units=n, n_folds=len(at), n_outer=len(e.splits), full=full, nothing=nothing, exact=all(v.exact for v in values),
        modalities=modality_records(have, values, ask[0], say), features=feature_records(items, values, ask[0], say),
        deletion=deletion_record(gone, ask[0], say, sign), n_looked=looked, skipped=skipped,
        notes=_notes(source, e, at, values),
    )  # fmt: skip


def _notes(source: Source, e: EndpointPlan, at: list[int], values: Sequence[FoldValues]) -> list[str]:
    out = []
    if len(at) == 1:
        out.append("the study has one test part: nothing is said of how much another one would change the figures")
    elif len(at) < 10:
        more = "; --repeats takes more of them" if len(at) < len(e.splits) else ""
        out.append(f"intervals over {len(at)} folds are low-powered{more}")
    lost = sum(np.isnan(v.full) for v in values)
    if lost:
        out.append(f"the metric has no value in {lost} of {len(values)} folds, which say nothing of it here")
    if source.study.spec.presence_as_predictor:
        out.append("having a modality is itself a predictor in this study: hiding one also hides that it is there")
    return out


def feature_frame(r: Explanation) -> pd.DataFrame:
    """The features and groups as a table."""
    rows = []
    for f in r.features:
        row: dict[str, Any] = {
            "modality": f.modality,
            "features": "; ".join(f.features),
            "together": len(f.features) > 1,
        }
        row["group"] = "; ".join(f.group)
        for what in ("shuffled", "moves"):
            made = getattr(f, what)
            row |= {what: made.value, f"{what}_low": made.low, f"{what}_high": made.high}
        rows.append(row)
    columns = ["modality", "features", "together", "group"]
    columns += [f"{w}{end}" for w in ("shuffled", "moves") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=columns)


def _write(made: Explained, folder: Path) -> None:
    """All files into a hidden folder beside, which then takes the place of ``folder``."""
    from cohortium.report.explanation import explanation_page
    from cohortium.study.runfolder import write_json, write_private

    with whole_folder(folder) as part:
        write_json(part / RESULTS, {MARK: 1, **plain(asdict(made.results))})
        write_private(part / "features.csv", made.features.to_csv(index=False, float_format="%.6g"))
        write_private(part / "explanation.html", explanation_page(made.results))
