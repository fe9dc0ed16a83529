"""The commands that say how far a run is to be trusted; they join those of :mod:`cohortium.cli.app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cohortium.cli.app import DataFolder, Jobs, Json, Quiet, RunFolder, StudyFile, app
from cohortium.cli.progress import progress
from cohortium.cli.show_audit import show_audit
from cohortium.cli.show_biomarkers import show_biomarkers
from cohortium.cli.show_drift import show_drift

__all__ = ["app"]


@app.command()
def audit(
    run: RunFolder,
    study: Annotated[
        Path | None, typer.Argument(metavar="[STUDY]", help="study.yaml of the run; default: where 'run' put RUN")
    ] = None,
    folds: Annotated[int, typer.Option(min=1, max=100, help="outer folds of each endpoint to fit again")] = 2,
    shuffles: Annotated[int, typer.Option(min=0, max=100, help="fits on shuffled labels for each endpoint")] = 5,
    jobs: Jobs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show that nothing of the test units reached a model: fit outer folds again with garbage in their place.

    Values, labels and presence of the test units are replaced; a model that changes by a bit is accused. Writes
    audit.json and audit.html into RUN. Exit code 3 when something is accused.

    \b
    Example:
      cohortium audit mydata/study_run
      cohortium audit run1 mydata/study.yaml --folds 5 --shuffles 0
    """
    from cohortium.study import audit as make

    with progress(quiet) as tell:
        found = make(run, study, folds=folds, shuffles=shuffles, jobs=jobs, progress=tell)
    show_audit(found, run, as_json, quiet)
    if found.accused:
        raise typer.Exit(3)


@app.command()
def drift(
    run: RunFolder,
    data: DataFolder,
    out: Annotated[Path | None, typer.Option(help="CSV file to write every feature to")] = None,
    as_json: Json = False,
) -> None:
    """Whether new units are like those that the models of a run have seen.

    \b
    Example:
      cohortium drift run --data newpatients --out drift.csv
    """
    from cohortium.study import drift as look

    show_drift(look(run, data, out), as_json)


@app.command()
def explain(
    run: RunFolder,
    study: Annotated[
        Path | None, typer.Argument(metavar="[STUDY]", help="study.yaml of the run; default: where 'run' put RUN")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="new folder for page, records and table; of a patient a file, .html or .json")
    ] = None,
    patient: Annotated[str | None, typer.Option(help="a unit's id: explain the prediction of this one")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="folder of new units that the patient is in")] = None,
    endpoint: Annotated[str | None, typer.Option(help="default: the primary one")] = None,
    learner: Annotated[str | None, typer.Option(help="of the leaderboard; default: the headline")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="of the outer folds that are fitted again")] = 1,
    jobs: Jobs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """What predictions rest on: modalities and features on held-out units, or for one patient.

    Fits the learner again on outer folds, since a run keeps no fold models. With --patient, prints that patient's
    values, and the ids of similar ones.

    \b
    Example:
      cohortium explain run1 mydata/study.yaml --out explained
      cohortium explain run1 mydata/study.yaml --patient 0042
      cohortium explain run1 mydata/study.yaml --patient 0042 --out 0042.html
    """
    from cohortium.cli.show_explanation import show_explanation, show_patient
    from cohortium.study import explain as find
    from cohortium.study import explain_patient

    chosen = {"endpoint": endpoint, "learner": learner}
    with progress(quiet) as tell:
        if patient is not None:
            one = explain_patient(run, patient, study, out, data=data, progress=tell, **chosen)
        else:
            if data is not None:
                raise typer.BadParameter("goes with --patient", param_hint="--data")
            found = find(run, study, out, repeats=repeats, jobs=jobs, progress=tell, **chosen)
    if patient is not None:
        show_patient(one, out, as_json, quiet)
    else:
        show_explanation(found.results, out, as_json, quiet)


@app.command()
def biomarkers(
    study: StudyFile,
    out: Annotated[Path | None, typer.Option(help="new folder for tables, records and page")] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="instead: keep it in the run folder of the study, and show it in its report"),
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="default: the primary one")] = None,
    fdr: Annotated[float, typer.Option(help="share of false discoveries that is allowed")] = 0.1,
    beyond: Annotated[str | None, typer.Option(help="modalities to adjust for, with commas between: clinical")] = None,
    gene_sets: Annotated[list[Path] | None, typer.Option("--gene-sets", help="GMT file; may be given again")] = None,
    id_space: Annotated[str, typer.Option("--id-space", help="of the gene sets' members")] = "symbol",
    draws: Annotated[int, typer.Option(min=1, help="of knockoffs; more: a shorter list, less up to chance")] = 1,
    panel: Annotated[
        bool, typer.Option("--panel", help="also the fewest features that predict about as well as all")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Look for the features an endpoint depends on, over all modalities, with false discoveries controlled.

    Every feature by itself, and groups of features given all others (knockoffs, stability selection), side by side.
    Nobody is left out for lacking a modality, and nothing is imputed for them.

    \b
    Example:
      cohortium biomarkers mydata/study.yaml --beyond clinical --gene-sets hallmark.gmt --out biomarkers
      cohortium biomarkers mydata/study.yaml --run run1
    """
    from cohortium.study import biomarkers as find

    if (out is None) == (run is None):
        raise typer.BadParameter("give either --out or --run", param_hint="--out")
    names = [] if beyond is None else [n.strip() for n in beyond.split(",") if n.strip()]
    with progress(quiet) as tell:
        found = find(
            study, out, endpoint=endpoint, fdr=fdr, beyond=names, gene_sets=gene_sets or [], id_space=id_space,
            draws=draws, panel=panel, run=run, progress=tell,
        )  # fmt: skip
    assert found.folder is not None
    show_biomarkers(found.results, found.folder, as_json, quiet, run)
