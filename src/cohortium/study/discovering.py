"""``biomarkers``: which features an endpoint depends on, with the share of false discoveries controlled and said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cohortium.errors import DataError, EndpointError, StudyError, did_you_mean
from cohortium.study import keeping
from cohortium.study.load import Study, load_study
from cohortium.study.outfolder import free_folder, whole_folder
from cohortium.study.runfolder import plain

if TYPE_CHECKING:
    from cohortium.cohort import Cohort
    from cohortium.contracts import Outcome
    from cohortium.contracts.biomarkers import BiomarkerResults
    from cohortium.discovery import Features
    from cohortium.experiment import Progress

CROWDED = 5
"""Units that each column of a covariate needs."""


@dataclass(frozen=True, eq=False)
class Biomarkers:
    """results: all records. table: a row for every feature. sets: a row for every gene set; empty without them. folder: where they
    were written, if they were."""

    results: BiomarkerResults
    table: pd.DataFrame
    sets: pd.DataFrame
    folder: Path | None = None


@dataclass(frozen=True, eq=False)
class Material:
    """One unit of each patient that has an outcome, a candidate modality and the covariates. covariates: (n, c)."""

    cohort: Cohort
    outcome: Outcome
    features: Features
    covariates: Any
    notes: list[str]


def biomarkers(
    study: Study | str | Path,
    out: str | Path | None = None,
    *,
    endpoint: str | None = None,
    fdr: float = 0.1,
    beyond: Sequence[str] = (),
    gene_sets: Sequence[str | Path] = (),
    id_space: str = "symbol",
    draws: int = 1,
    panel: bool = False,
    run: str | Path | None = None,
    progress: Progress | None = None,
) -> Biomarkers:
    """Features and groups of features that an endpoint depends on.

    endpoint: default the primary one. fdr: false discovery rate. beyond: modalities whose columns are covariates; the others
    are then asked what they add. gene_sets: GMT files in ``id_space``. draws: of knockoffs, whose e-values are averaged. panel: also look for the fewest features that predict about as well as all. out: a new folder, written whole or not at all.
    run: instead of ``out``, a finished run of the same study on the same data: what is found is kept in it, in the place of what was
    found of that endpoint before, and its report is written anew with a section on it.

    Raises :class:`StudyError` for wrong options, :class:`EndpointError`, :class:`DataError`, :class:`RunFolderError` for a run of
    something else.
    """
    from threadpoolctl import threadpool_limits

    from cohortium.experiment import ProgressEvent
    from cohortium.experiment.progress import silent
    from cohortium.study.finding_biomarkers import find

    tell = progress or silent
    study = study if isinstance(study, Study) else load_study(study)
    name = _options(study, endpoint, fdr, beyond, draws)
    sets = _gene_sets(gene_sets, id_space)
    if out is not None and run is not None:
        raise StudyError("Give either out or run: what is found goes into one folder.")
    folder = None if out is None else free_folder(Path(out))
    tell(ProgressEvent("read", 0, 1))
    if run is not None:
        folder = keeping.place(Path(run), study, name)
    material = _material(study, name, list(beyond))
    tell(ProgressEvent("read", 1, 1))
    with threadpool_limits(limits=1):  # the same numbers whatever the machine is doing
        results, table, frame = find(study, name, material, fdr, list(beyond), draws, sets, panel, tell)
    made = Biomarkers(results, table, frame, folder)
    if folder is not None:
        tell(ProgressEvent("report", 0, 1))
        if run is None:
            _write(made, folder)
        else:
            keeping.keep(Path(run), folder, lambda: _write(made, folder))
        tell(ProgressEvent("report", 1, 1))
    return made


def _options(study: Study, endpoint: str | None, fdr: float, beyond: Sequence[str], draws: int) -> str:
    spec = study.spec
    name = spec.primary_name if endpoint is None else endpoint
    if name not in spec.endpoints:
        raise StudyError(f"No endpoint called '{name}'.{did_you_mean(name, spec.endpoints)}")
    if not 0 < fdr <= 0.5:
        raise StudyError(
            f"A false discovery rate of {fdr:g} cannot be used: give one above 0 and up to 0.5, such as 0.1."
        )
    if draws < 1:
        raise StudyError("Give --draws of 1 or more.")
    for m in beyond:
        if m not in spec.cohort.modalities:
            raise StudyError(f"No modality called '{m}' to go beyond.{did_you_mean(m, spec.cohort.modalities)}")
    if set(beyond) >= set(spec.cohort.modalities):
        raise StudyError("Nothing is left to look at: --beyond names every modality.")
    return name


def _gene_sets(files: Sequence[str | Path], id_space: str) -> list[Any]:
    if not files:
        return []
    from cohortium.sources.gene_sets import read_gene_sets

    return [read_gene_sets(Path(f), id_space) for f in files]


def _material(study: Study, name: str, beyond: list[str]) -> Material:
    """Reads the study and lines up what is needed."""
    from cohortium.contracts import CompetingOutcome
    from cohortium.discovery import encoded_features
    from cohortium.encoders import fit_encoder
    from cohortium.schema import EndpointKind
    from cohortium.study.data import read_endpoint, read_study

    read = read_study(study)
    cohort, notes = read.cohort, list[str]()
    outcome, _ = read_endpoint(study, name, read.raw_units)
    if isinstance(outcome, CompetingOutcome):
        notes.append(f"hazards are those of {outcome.endpoint.classes[0]}; follow-up ends with another cause")
        outcome = replace(
            outcome.of_cause(1), endpoint=replace(outcome.endpoint, kind=EndpointKind.SURVIVAL, classes=())
        )
    where = pd.Index(outcome.units).get_indexer(cohort.units.index)
    candidates = [m for m in cohort.modalities if m not in beyond]
    have = cohort.presence()
    usable = (where >= 0) & have[candidates].any(axis=1).to_numpy(bool)
    for m in beyond:
        lacking = int((usable & ~have[m].to_numpy(bool)).sum())
        if lacking:
            notes.append(f"{lacking:,} units without {m} are left out: what they lack cannot be adjusted for")
        usable &= have[m].to_numpy(bool)
    rows = np.flatnonzero(usable)
    first = np.sort(np.unique(cohort.groups()[rows], return_index=True)[1]) if len(rows) else rows
    if len(first) < len(rows):
        notes.append(
            f"{len(rows) - len(first):,} further units of the same patients are left out: units are to be independent"
        )
    rows = rows[first]
    if len(rows) < 20:
        raise DataError(
            f"{study.path.name}: {len(rows)} patients have endpoint '{name}' and what is asked for; 20 are needed to look for "
            "biomarkers."
        )
    cohort, outcome = cohort.take(rows), outcome.take(where[rows])
    _check_outcome(study, name, outcome)
    features = encoded_features(cohort, candidates)
    if not len(features):
        raise DataError(f"{study.path.name}: no feature differs in enough patients to be looked at.")
    parts = []
    for m in beyond:
        encoder = fit_encoder(cohort.modalities[m])
        parts.append(encoder.transform(cohort.modalities[m]))
    covariates = np.hstack(parts) if parts else None
    if covariates is not None and covariates.shape[1] * CROWDED > len(rows):
        raise StudyError(
            f"--beyond {','.join(beyond)} stands for {covariates.shape[1]:,} columns, too many to adjust for in {len(rows):,} "
            f"patients: {CROWDED} patients for each are needed. Go beyond a modality of fewer columns."
        )
    for m, k in features.rare.items():
        if k:
            notes.append(f"{k:,} features of {m} differ in fewer than 5 patients and are not looked at")
    return Material(cohort, outcome, features, covariates, notes)


def _check_outcome(study: Study, name: str, outcome: Outcome) -> None:
    from cohortium.discovery.univariate import testable

    if not testable(outcome):
        raise EndpointError(
            f"{study.path.name}: endpoint '{name}' is the same for all patients that can be looked at, or none of them has an "
            "event: nothing can be associated with it."
        )


def _write(made: Biomarkers, folder: Path) -> None:
    """All files into a hidden folder beside, which then takes the place of ``folder``."""
    from cohortium.report.biomarkers import biomarker_page
    from cohortium.report.found import FILE, MARK, PAGE
    from cohortium.study.runfolder import write_json, write_private

    with whole_folder(folder) as part:
        write_private(part / "biomarkers.csv", made.table.to_csv(index=False, float_format="%.6g"))
        if len(made.sets):
            write_private(part / "gene_sets.csv", made.sets.to_csv(index=False, float_format="%.6g"))
        write_json(part / FILE, {MARK: 1, **plain(asdict(made.results))})
        write_private(part / PAGE, biomarker_page(made.results, made.table))
