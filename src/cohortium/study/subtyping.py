"""``subtype``: clusters of the joint representation, or the finding that there are none, with what differs between them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cohortium.errors import DataError, EndpointError, StudyError, did_you_mean
from cohortium.study.load import Study, load_study
from cohortium.study.outfolder import free_folder, whole_folder
from cohortium.study.representing import fit_representation, settings_of
from cohortium.study.runfolder import plain

if TYPE_CHECKING:
    from cohortium.cohort import Cohort
    from cohortium.contracts.subtypes import Curve, Difference, Marker, MarkerSource, SubtypeResults
    from cohortium.experiment import Progress
    from cohortium.joint import Joint
    from cohortium.subtypes import Found

RESULTS = "subtypes.json"
MARK = "cohortium_subtypes"
SHOWN, LEVEL = 12, 0.05
"""Markers of a modality in the records; all of them are in ``markers.csv``."""


METHODS = ("factors", "vae")
"""Representations with a posterior variance and shares of each modality's variance, by which clusters are looked for."""


@dataclass(frozen=True, eq=False)
class Subtyping:
    """results: all records. table: a row for every unit (index ``unit``) with ``patient``, ``subtype``, ``confidence`` and
    ``has_<modality>``, None when no subtypes were found. markers: a row for each feature."""

    results: SubtypeResults
    table: pd.DataFrame | None
    markers: pd.DataFrame
    found: Found


def subtype(
    study: Study | str | Path,
    out: str | Path | None = None,
    *,
    method: str = "factors",
    most: int = 8,
    clusters: int | None = None,
    progress: Progress | None = None,
) -> Subtyping:
    """Look for subtypes of the study's units in what its modalities share; "none" is an answer.

    method: the representation, with the settings of the study's ``joint`` entry. most: the largest number of clusters looked at.
    clusters: their number, whatever the evidence. out: a new folder for labels, records, the model and a page, whole or not at all.
    Endpoints are compared between subtypes and form none.

    Raises :class:`StudyError` for wrong options, :class:`DataError` for too few patients or a folder that is not free.
    """
    from threadpoolctl import threadpool_limits

    from cohortium.experiment import ProgressEvent
    from cohortium.experiment.progress import silent
    from cohortium.study.data import read_study
    from cohortium.subtypes.finding import FEWEST

    tell = progress or silent
    study = study if isinstance(study, Study) else load_study(study)
    if method not in METHODS:
        raise StudyError(f"No method called '{method}'.{did_you_mean(method, METHODS)}")
    if most < 2 or (clusters is not None and clusters < 2):
        raise StudyError("Clusters are two or more: give 2 or more for --most and --clusters.")
    folder = None if out is None else free_folder(Path(out))
    tell(ProgressEvent("read", 0, 1))
    read = read_study(study)
    tell(ProgressEvent("read", 1, 1))
    joint, _ = fit_representation(study, read.cohort, method, tell, FEWEST)
    with threadpool_limits(limits=1):  # the same numbers whatever the machine is doing
        made = _work(study, read, joint, method, most, clusters, tell)
    if folder is not None:
        tell(ProgressEvent("report", 0, 1))
        _write(made, folder)
        tell(ProgressEvent("report", 1, 1))
    return made


def _work(
    study: Study,
    read: Any,
    joint: Joint,
    method: str,
    most: int,
    clusters: int | None,
    tell: Progress,
) -> Subtyping:
    from cohortium.experiment import ProgressEvent
    from cohortium.subtypes import find_subtypes
    from cohortium.subtypes.deciding import DRAWS

    cohort, seed = read.cohort, study.spec.seed
    told = iter(range(1, DRAWS + 1))
    tell(ProgressEvent("clouds", 0, DRAWS))
    each = lambda: tell(ProgressEvent("clouds", next(told), DRAWS))  # noqa: E731
    try:
        found = find_subtypes(cohort, joint, np.random.default_rng([seed, 41]), most, clusters, each=each)
    except ValueError as e:
        raise DataError(f"{study.path.name}: {e}.") from e
    if found.evidence.draws < DRAWS:
        tell(ProgressEvent("clouds", DRAWS, DRAWS))
    empty = (list[Any](), list[Any](), list[Any](), list[Any]())
    differences, curves, sources, markers = empty if found.subtypes is None else _described(study, read, found, tell)
    table = None if found.subtypes is None else _table(cohort, found)
    results = _results(study, cohort, joint, found, method, table, differences, curves, sources, markers)
    return Subtyping(results, table, _marker_frame(markers), found)


def _described(
    study: Study, read: Any, found: Found, tell: Progress
) -> tuple[list[Difference], list[Curve], list[MarkerSource], list[Marker]]:
    """What differs between the subtypes, and what marks them."""
    from cohortium.experiment import ProgressEvent
    from cohortium.subtypes.differences import compare_design, compare_outcome, corrected, curves, first_of_each
    from cohortium.subtypes.markers import find_markers

    assert found.subtypes is not None
    cohort, names, rng = read.cohort, found.subtypes.names, np.random.default_rng([study.spec.seed, 43])
    code = pd.Index(names).get_indexer(found.subtypes.assign(cohort)["subtype"])
    rows = first_of_each(cohort.groups(), code)
    label = dict(zip(cohort.ids[rows], code[rows], strict=True))
    differences, lines = list[Any](), list[Any]()
    for name in study.spec.endpoints:
        outcome = _outcome(study, name, read.raw_units)
        if isinstance(outcome, str):
            differences.append(_untested(study, name, outcome))
        else:
            differences.append(compare_outcome(name, outcome, label, names, rng))
            lines += curves(name, outcome, label, names)
    differences = corrected([*differences, *compare_design(cohort, rows, code[rows], names, rng)])
    steps = len(cohort.modalities)
    told = iter(range(1, steps + 1))
    tell(ProgressEvent("markers", 0, steps))
    sources, markers = find_markers(
        cohort.take(found.rows), code[found.rows], names, rng, settings_of(study, "factors").size,
        getattr(found.subtypes.joint, "cap", None), lambda: tell(ProgressEvent("markers", next(told), steps)),
    )  # fmt: skip
    return differences, lines, sources, markers


def _outcome(study: Study, name: str, raw_units: pd.DataFrame) -> Any:
    """The outcome, or why there is none: an endpoint that cannot be used is no reason not to look for subtypes."""
    from cohortium.study.data import read_endpoint

    try:
        return read_endpoint(study, name, raw_units)[0]
    except EndpointError as e:
        return str(e).rstrip(".")


def _untested(study: Study, name: str, reason: str) -> Difference:
    from cohortium.contracts.subtypes import Difference

    return Difference(name, "endpoint", study.spec.endpoints[name].kind, "", "", 0, [], reason=reason)


def _table(cohort: Cohort, found: Found) -> pd.DataFrame:
    assert found.subtypes is not None
    out = found.subtypes.assign(cohort)
    out.insert(0, "patient", cohort.units["patient"].astype(str).to_numpy())
    have = cohort.presence()
    for name in have.columns:
        out[f"has_{name}"] = have[name].to_numpy(bool)
    return out


def _marker_frame(markers: list[Marker]) -> pd.DataFrame:
    columns = ["modality", "feature", "n", "p", "q"]
    rows = [
        {c: getattr(m, c) for c in columns}
        | {f"effect_{k}": v for k, v in m.effects.items()}
        | {f"naive_effect_{k}": v for k, v in m.naive.items()}
        for m in markers
    ]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)


def _results(
    study: Study, cohort: Cohort, joint: Joint, found: Found, method: str, table: pd.DataFrame | None,
    differences: list[Difference], curves: list[Curve], sources: list[MarkerSource], markers: list[Marker],
) -> SubtypeResults:  # fmt: skip
    import cohortium
    from cohortium.contracts.subtypes import Candidate, Cluster, SubtypeResults
    from cohortium.subtypes.deciding import LEVEL as FOUND_AT

    e, have = found.evidence, cohort.presence()
    candidates = [Candidate(k, float(s), float(v)) for k, s, v in zip(e.ks, e.separation, e.valley, strict=True)]
    clusters = []
    if found.subtypes is not None and found.consensus is not None and table is not None:
        c = found.consensus
        for i, name in enumerate(found.subtypes.names):
            own = table["subtype"] == name
            middle = float(table.loc[own, "confidence"].median()) if own.any() else 0.0
            clusters.append(
                Cluster(
                    name,
                    int(own.sum()),
                    float(own.sum() / table["subtype"].notna().sum()),
                    float(c.stability[i]),
                    float(c.within[i]),
                    float(c.between[i]),
                    middle,
                )
            )
    return SubtypeResults(
        study=study.spec.name, title=study.spec.title or study.spec.name, method=method, seed=study.spec.seed,
        version=cohortium.__version__, n_units=len(cohort), n_patients=cohort.n_patients, n_clustered=len(found.rows),
        n_without=int((~have.any(axis=1)).sum()), modalities={m: int(have[m].sum()) for m in have.columns},
        latent=joint.size, shared=found.shared, p=e.p, level=FOUND_AT, draws=e.draws, n_clusters=len(clusters), forced=found.forced,
        candidates=candidates, clusters=clusters, differences=differences, curves=curves, sources=sources,
        markers=_leading(markers), notes=_notes(cohort, found, joint),
    )  # fmt: skip


def _leading(markers: list[Marker]) -> list[Marker]:
    """Of every modality some features for each subtype: the largest effects of those that passed, or of all where none was
    tested."""
    chosen = set[int]()
    for name in dict.fromkeys(m.modality for m in markers):
        own = [m for m in markers if m.modality == name]
        tested = any(m.q is not None for m in own)
        own = [m for m in own if m.q is not None and m.q < LEVEL] if tested else own
        subtypes = list(own[0].naive) if own else []
        for s in subtypes:
            size = {id(m): abs((m.effects if tested else m.naive)[s] or 0.0) for m in own}
            chosen |= set(sorted(size, key=lambda i: -size[i])[: max(SHOWN // len(subtypes), 1)])
    return [m for m in markers if id(m) in chosen]


def _notes(cohort: Cohort, found: Found, joint: Joint) -> list[str]:
    out = []
    without = int((~cohort.presence().any(axis=1)).sum())
    if without:
        what = "unit has no modality: it is" if without == 1 else "units have no modality: they are"
        out.append(f"{without} {what} listed, without a subtype")
    rest = len(cohort) - without - len(found.rows)
    if rest:
        out.append(
            f"{len(found.rows)} units, at most one of each patient, were clustered; {rest} more were not looked at for that"
        )
    if len(joint.names) > 1 and not found.shared:
        out.append("no latent variable is common to two modalities: each modality's own variation was clustered")
    if found.consensus is not None and (found.consensus.stability < 0.6).any():
        out.append("a cluster with a stability below 0.6 is not to be trusted")
    return out


def _write(made: Subtyping, folder: Path) -> None:
    """All files into a hidden folder beside, which then takes the place of ``folder``."""
    from cohortium.report.subtypes import subtype_page
    from cohortium.study.runfolder import write_json, write_private
    from cohortium.subtypes.saving import save_subtypes

    with whole_folder(folder) as part:
        if made.table is not None and made.found.subtypes is not None:
            write_private(part / "subtypes.csv", made.table.reset_index().to_csv(index=False, float_format="%.4f"))
            write_private(part / "markers.csv", made.markers.to_csv(index=False, float_format="%.6g"))
            save_subtypes(made.found.subtypes, part)
        write_json(part / RESULTS, {MARK: 1, **plain(asdict(made.results))})
        write_private(part / "subtypes.html", subtype_page(made.results, *_pictures(made)))


def _pictures(made: Subtyping) -> tuple[Any, Any, Any]:
    """Coordinates on two axes, subtypes (-1: none) and the consensus matrix in the order of the clusters."""
    from cohortium.subtypes.maps import consensus_picture, two_axes

    found = made.found
    if found.subtypes is None or found.consensus is None:
        return two_axes(found.points, None), None, None
    code = found.subtypes.of(found.points).argmax(axis=1)
    return two_axes(found.points, code), code, consensus_picture(found.consensus.together, code)
