"""``explain --patient``: what moved one prediction, what a missing modality might change, who is alike and what became of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cohortium.errors import DataError
from cohortium.study import refitting, runfolder
from cohortium.study.explaining import MARK
from cohortium.study.likeness import the_unit
from cohortium.study.load import Study
from cohortium.study.refitting import Source
from cohortium.study.runfolder import plain

if TYPE_CHECKING:
    from cohortium.cohort import Cohort
    from cohortium.contracts import Outcome
    from cohortium.contracts.explanations import FeatureShare, IfMeasured, PartShare, PatientExplanation, Peer
    from cohortium.experiment import EndpointPlan, Progress
    from cohortium.explanation.instances import LeftOut
    from cohortium.explanation.patient import Asked
    from cohortium.joint.similar import Peers

PEERS = 10
LEADING = 12
"""Features of all modalities in the records: those that moved the prediction most."""


def explain_patient(
    run: str | Path,
    patient: str,
    study: Study | str | Path | None = None,
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    endpoint: str | None = None,
    learner: str | None = None,
    progress: Progress | None = None,
) -> PatientExplanation:
    """What moved the prediction of one unit.

    patient: a unit's id, of the study or of the folder ``data``. A unit of the study is explained by a model that was fitted
    without it, one of the run's outer folds made again, where there is one; ``held_out`` says so. out: a file; one that ends with
    ``.html`` is a page with the patient's notes and images in it, any other has the records as JSON.
    study, endpoint, learner: as of :func:`cohortium.explain`.

    Raises :class:`RunFolderError`, :class:`StudyError` and :class:`DataError`.
    """
    from threadpoolctl import threadpool_limits

    from cohortium.experiment import ProgressEvent
    from cohortium.experiment.progress import silent

    tell = progress or silent
    file = None if out is None else _free_file(Path(out), Path(run))
    tell(ProgressEvent("read", 0, 1))
    source = refitting.open_source(run, study)
    name, e = refitting.pick_endpoint(source, endpoint)
    learner = refitting.pick_learner(source, learner, e)
    one = _find(source, patient, data)
    tell(ProgressEvent("read", 1, 1))
    with threadpool_limits(limits=1):
        asked, held_out, notes = _model(source, name, e, learner, one, data is not None, tell)
        found, cuts = _explained(source, name, e, learner, asked, held_out, notes, tell)
    if file is not None and file.suffix.lower() in PAGES:
        from cohortium.study.drawing_patient import draw, write_page

        folder = source.study.folder if data is None else Path(data)
        write_page(file, found, draw(source.study, folder, one, cuts, _column(asked, found.predicted)))
    elif file is not None:
        try:
            runfolder.write_json(file, {MARK: 1, **plain(asdict(found))})
        except OSError as x:
            raise DataError(f"{file} cannot be written: {x.strerror or x}. Give another file with --out.") from x
    return found


PAGES = (".html", ".htm")


def _free_file(file: Path, run: Path) -> Path:
    if file.is_dir() or not file.parent.is_dir():
        what = (
            "is a folder; of one patient a file is written, .html for a page or .json for records"
            if file.is_dir()
            else "is in a folder that does not exist"
        )
        raise DataError(f"{file} {what}. Give another file with --out.")
    if file.resolve().is_relative_to(run.resolve()):
        raise DataError(
            f"{file} is inside the run folder, which holds no patient by name and may be passed on. Give a file elsewhere with --out."
        )
    return file


def _find(source: Source, patient: str, data: str | Path | None) -> Cohort:
    """The unit alone, labelled or not. Raises :class:`DataError` with the nearest id."""
    if data is not None:
        from cohortium.study.predicting import read_new
        from cohortium.study.running import study_of

        return the_unit(read_new(source.folder, study_of(source.folder, data)).cohort, patient, str(data))
    return the_unit(source.data.read.cohort, patient, source.study.path.name)


def _model(
    source: Source, name: str, e: EndpointPlan, learner: str, one: Cohort, new: bool, tell: Progress
) -> tuple[Asked, bool, list[str]]:
    """The model that is asked, whether it was fitted without the unit, and what is to be said of that."""
    from cohortium.experiment import ProgressEvent
    from cohortium.explanation import target_of
    from cohortium.explanation.patient import Asked
    from cohortium.learners import load_predictor

    at = np.flatnonzero(e.outcome.units.astype(str) == str(one.ids[0]))
    inside = bool(len(at)) and not new
    k = next((i for i, s in enumerate(e.splits) if inside and np.isin(at, s.test).any()), None)
    rows = np.arange(len(e.outcome)) if k is None else np.asarray(e.splits[k].train)
    tell(ProgressEvent("fit", 0, 1))
    if k is None and learner == source.plan.headline:
        from cohortium.study import models

        predictor = models.load(source.folder)[name].predictor
    else:
        with refitting.shared_work(source) as shared:
            refitting.refit(shared, name, learner, k)
            predictor = load_predictor(refitting.model_folder(shared, k))
    tell(ProgressEvent("fit", 1, 1))
    trained = source.data.cohort.select(list(e.outcome.units[rows]))
    asked = Asked(predictor, one, trained, target_of(e.outcome.endpoint, refitting.middle_horizon(e)), e.grid)
    return asked, not inside or k is not None, _said(inside, new and bool(len(at)), k is not None)


def _said(inside: bool, same_id: bool, without: bool) -> list[str]:
    if inside and without:
        return [
            "explained by a model of the run's outer folds that was fitted without this patient; 'predict' uses another one, fitted on everyone"
        ]
    if inside:
        return [
            "the model was fitted on this patient, whose outcome it has seen: the prediction looks better than it would be of a new patient"
        ]
    if same_id:
        return [
            "a unit of the same id is among those that the model was fitted on; if it is the same patient, the model has seen the outcome"
        ]
    return []


def _explained(
    source: Source,
    name: str,
    e: EndpointPlan,
    learner: str,
    asked: Asked,
    held_out: bool,
    notes: list[str],
    tell: Progress,
) -> tuple[PatientExplanation, dict[str, LeftOut | None]]:
    """Records, and of each modality what leaving out its parts did."""
    from cohortium.contracts.explanations import ModalityShare, PatientExplanation
    from cohortium.experiment import ProgressEvent
    from cohortium.explanation.instances import left_out
    from cohortium.explanation.patient import shares_of_modalities
    from cohortium.joint.similar import fit_peers

    seed = source.plan.seed
    rng = lambda part: np.random.default_rng([seed, 61, part])  # noqa: E731
    steps = 4
    tell(ProgressEvent("explain", 0, steps))
    modalities, found = shares_of_modalities(asked, rng(0))
    k = _column(asked, found.everything)
    features = _features(asked, modalities, k, seed, notes)
    tell(ProgressEvent("explain", 1, steps))
    peers = fit_peers(asked.trained, seed)
    likeness = peers.like(asked.one).get("")
    near = None if likeness is None else likeness.similarity
    threshold = getattr(asked.predictor, "threshold", None)
    missing = _missing(asked, k, found.everything, near, threshold)
    tell(ProgressEvent("explain", 2, steps))
    cuts = {m: left_out(asked, m) for m in modalities}
    parts, gradients = _parts(asked, cuts, k), _gradients(asked, k, notes)
    tell(ProgressEvent("explain", 3, steps))
    alike = _alike(asked, peers, e.outcome, near)
    tell(ProgressEvent("explain", steps, steps))
    shares = [ModalityShare(m, [float(x) for x in v]) for m, v in zip(modalities, found.values, strict=True)]
    if not modalities:
        notes = [*notes, "the patient has no modality: the prediction is the base rate"]
    label = (
        asked.target.label
        if len(asked.target.names) == 1
        else f"probability of '{asked.target.names[k]}', the likeliest class"
    )
    made = PatientExplanation(
        study=source.study.spec.name, endpoint=name, kind=e.outcome.endpoint.kind.value, learner=learner,
        unit=str(asked.one.ids[0]), held_out=held_out, quantity=label, percent=asked.target.percent,
        names=list(asked.target.names), predicted=[float(x) for x in found.everything],
        usual=[float(x) for x in found.nothing], modalities=sorted(shares, key=lambda s: -abs(s.value[k])), features=features,
        missing=missing, peers=alike, parts=parts, **gradients, threshold=threshold, exact=found.exact, notes=notes,
    )  # fmt: skip
    return made, cuts


def _column(asked: Asked, predicted: Any) -> int:
    """The column that one number is given of: of several classes the likeliest."""
    return int(np.argmax(predicted)) if len(asked.target.names) > 1 else 0


def _features(asked: Asked, modalities: list[str], k: int, seed: int, notes: list[str]) -> list[FeatureShare]:
    """The features of all tables that moved the prediction most."""
    from cohortium.cohort import Table
    from cohortium.explanation import Shown, group_features
    from cohortium.explanation.grouping import SCREENED, in_turn, leaned_on
    from cohortium.explanation.patient import players_of, shares_of_features

    out = list[Any]()
    looked = Shown(asked.predictor, asked.one).looked_at
    for i, name in enumerate(asked.one.modalities):
        table, others = asked.one.modalities[name], asked.trained.modalities[name]
        if name not in modalities or (looked is not None and name not in looked) or not len(others.units):
            continue
        if not isinstance(table, Table) or not isinstance(others, Table):
            continue
        columns = np.arange(table.n_features, dtype=np.intp)
        if table.n_features > SCREENED:
            columns = np.array(in_turn(leaned_on(asked.predictor, name), SCREENED), dtype=np.intp)
        players = players_of(group_features(name, others, columns), table, name)
        value, error = shares_of_features(asked, name, players, np.random.default_rng([seed, 67, i]))
        out += [_share(name, p.columns, table, others, v, s) for p, v, s in zip(players, value, error, strict=True)]
    return sorted(out, key=lambda f: -abs(f.value[k]))[:LEADING]


def _share(name: str, columns: tuple[int, ...], table: Any, others: Any, value: Any, error: Any) -> FeatureShare:
    from cohortium.contracts.explanations import FeatureShare

    shown = list(columns) if len(columns) <= LEADING else []
    labels = [str(table.features.index[j]) for j in shown] or [f"{len(columns):,} further features of {name}"]
    measured = [_text(table, j) for j in shown]
    place = [_place(table, others, j) for j in shown]
    return FeatureShare(name, labels, [float(x) for x in value], [float(x) for x in error], measured, place)


def _text(table: Any, j: int) -> str:
    x, levels = table.values[0, j], table.features["levels"].iloc[j]
    if np.isnan(x):
        return "unknown"
    return str(levels[int(x)]) if levels is not None else f"{float(x):.4g}"


def _place(table: Any, others: Any, j: int) -> float | None:
    """Share of the others with a smaller number, half of those with the same; None of codes, and where it is unknown."""
    x, theirs = table.values[0, j], others.values[:, j]
    theirs = theirs[~np.isnan(theirs)]
    if np.isnan(x) or table.features["levels"].iloc[j] is not None or not len(theirs):
        return None
    return float((theirs < x).mean() + (theirs == x).mean() / 2)


def _missing(asked: Asked, k: int, predicted: Any, near: Any, threshold: float | None) -> list[IfMeasured]:
    """What each modality that the unit lacks might change, the one that may change most first."""
    from cohortium.contracts.explanations import IfMeasured
    from cohortium.explanation import Shown
    from cohortium.explanation.patient import donors_of, if_measured

    out, looked = list[Any](), Shown(asked.predictor, asked.one).looked_at
    for name, data in asked.trained.modalities.items():
        own = asked.one.modalities.get(name)
        if own is not None and len(own.units):
            continue
        donors, base = donors_of(asked.trained, name, near), float(predicted[k])
        reason = None if looked is None or name in looked else "the model does not look at it"
        if reason is not None or len(data.units) < 2 or not len(donors):
            out.append(IfMeasured(name, 0, base, base, base, 0.0, None, reason or "too few units have it"))
            continue
        values = asked.target.of(if_measured(asked, name, donors))[:, k]
        low, high = np.quantile(values, [0.1, 0.9])
        crossing = None if threshold is None else float(((values >= threshold) != (base >= threshold)).mean())
        change = float(np.abs(values - base).mean())
        out.append(IfMeasured(name, len(donors), float(values.mean()), float(low), float(high), change, crossing))
    return sorted(out, key=lambda m: -m.change)


def _parts(asked: Asked, cuts: dict[str, LeftOut | None], k: int) -> list[PartShare]:
    """Of every bag, history and note the parts without which the prediction changes most."""
    from cohortium.contracts.explanations import PartShare
    from cohortium.explanation.gradients import attention

    out = list[Any]()
    for name, found in cuts.items():
        if found is None:
            continue
        looked = attention(asked.predictor, asked.one, name) if asked.one.modalities[name].shape == "bag" else None
        for i in np.argsort(-np.abs(found.change[:, k]), kind="stable")[:LEADING]:
            weight = None if looked is None else float(looked[0][found.groups[i]].sum())
            out.append(PartShare(name, found.labels[i], [float(x) for x in found.change[i]], weight))
    return out


def _gradients(asked: Asked, k: int, notes: list[str]) -> dict[str, Any]:
    """Integrated gradients of a deep learner's network; nothing of others."""
    from cohortium.contracts.explanations import Gradient
    from cohortium.errors import MissingExtra
    from cohortium.explanation.gradients import integrated_gradients, network_of

    node = network_of(asked.predictor)
    if node is None:
        return {}
    try:
        found = integrated_gradients(asked.predictor, asked.one, k if node.n_scores > 1 else 0)
    except MissingExtra as e:
        notes.append(str(e).rstrip("."))
        return {}
    rows = [
        Gradient(m, str(f), float(v))
        for m, values in found.values.items()
        for f, v in zip(found.names[m], values[0], strict=True)
        if not np.isnan(v) and v != 0
    ]
    rows = sorted(rows, key=lambda g: -abs(g.value))[:LEADING]
    return {"gradients": rows, "gradients_total": float(found.change[0]), "gradients_error": float(found.error[0])}


def _alike(asked: Asked, peers: Peers, outcome: Outcome, near: Any) -> list[Peer]:
    """The most similar training units and what became of them."""
    from cohortium.contracts.explanations import Peer

    if near is None:
        return []
    cohort, have = asked.trained, asked.trained.presence()
    own = [n for n in peers.sides if n in asked.one.modalities and len(asked.one.modalities[n].units)]
    where = {str(u): i for i, u in enumerate(outcome.units)}
    out = []
    for i in np.argsort(-np.nan_to_num(near, nan=-np.inf), kind="stable")[:PEERS]:
        if not np.isnan(near[i]):
            unit = str(cohort.ids[i])
            shared = [n for n in own if have[n].iloc[i]]
            out.append(Peer(unit, float(near[i]), shared, outcome_text(outcome, where[unit])))
    return out


def outcome_text(outcome: Outcome, i: int) -> str:
    """``event at 3.2 years``, ``no event until 5 years``, the class or the value."""
    from cohortium.contracts import ClassOutcome, CompetingOutcome, SurvivalOutcome

    if isinstance(outcome, ClassOutcome):
        return str(outcome.endpoint.classes[outcome.codes[i]])
    if isinstance(outcome, CompetingOutcome):
        cause = int(outcome.cause[i])
        said = f"{outcome.endpoint.classes[cause - 1]} at" if cause else "no event until"
        return f"{said} {outcome.time[i]:.4g} {outcome.endpoint.time_unit}".rstrip()
    if isinstance(outcome, SurvivalOutcome):
        said = "event at" if outcome.event[i] else "no event until"
        return f"{said} {outcome.time[i]:.4g} {outcome.endpoint.time_unit}".rstrip()
    return f"{outcome.values[i]:.4g}"
