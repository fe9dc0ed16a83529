"""The commands: each parses, calls one verb of the study room and shows what it gives.

Rooms are imported inside the commands, so that ``cohortium --help`` answers at once.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from cohortium.cli import show
from cohortium.cli.progress import progress
from cohortium.cli.show_subtypes import show_subtypes

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


class Preset(enum.StrEnum):
    """How much work a run does."""

    quick = "quick"
    default = "default"
    thorough = "thorough"


class Method(enum.StrEnum):
    """A joint representation."""

    factors = "factors"
    cca = "cca"
    vae = "vae"
    contrastive = "contrastive"


class Clustered(enum.StrEnum):
    """A joint representation in which subtypes are looked for."""

    factors = "factors"
    vae = "vae"


class Imputer(enum.StrEnum):
    """How a modality is predicted from the others."""

    factors = "factors"
    vae = "vae"
    ridge = "ridge"
    knn = "knn"
    mean = "mean"


class Which(enum.StrEnum):
    """Which JSON Schema."""

    study = "study"
    results = "results"


StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="study.yaml, or the folder it is in")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="folder that 'cohortium run' wrote")]
DataFolder = Annotated[Path, typer.Option("--data", help="folder laid out as the study's own")]
Json = Annotated[bool, typer.Option("--json", help="print one JSON object on standard output")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="print nothing but errors")]
Jobs = Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="processes; default one per core")]


def _version(asked: bool) -> None:
    if asked:
        import cohortium

        show.say(f"cohortium {cohortium.__version__}")
        raise typer.Exit()


@app.callback()
def cohortium_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and leave")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="show the Python traceback of an error")] = False,
) -> None:
    """One study file in, an honest leaderboard and a report out.

    Exit codes: 0 done; 2 the input is wrong; 3 check found something serious; 1 a failure of our own.

    \b
    Example:
      cohortium init mydata --endpoint status
      cohortium run mydata/study.yaml
    """


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="folder with the tables of a cohort")],
    endpoint: Annotated[str | None, typer.Option(help="column to predict; default: a guess")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace an existing study.yaml")] = False,
    as_json: Json = False,
) -> None:
    """Look at the files of a folder and propose a commented study file, FOLDER/study.yaml.

    \b
    Example:
      cohortium init mydata --endpoint vital_status
    """
    from cohortium.cli.proposing import write_proposal

    file = write_proposal(folder, endpoint, force)
    if as_json:
        show.emit({"study": file})
    else:
        show.say(f"Wrote {file}. Read it, correct it, then: cohortium check {file}")


@app.command()
def check(study: StudyFile, as_json: Json = False) -> None:
    """Look for what could make the answer wrong: leaks, duplicates, confounding. Fits nothing.

    Exit code 3 when a finding would stop 'run'.

    \b
    Example:
      cohortium check mydata/study.yaml
    """
    from cohortium.study import check as find
    from cohortium.study import load_study

    loaded = load_study(study)
    if show.findings(find(loaded), loaded.spec.name, as_json):
        raise typer.Exit(3)


@app.command()
def run(
    study: StudyFile,
    out: Annotated[Path | None, typer.Option(help="run folder; default: <study>_run beside the study file")] = None,
    jobs: Jobs = None,
    learners: Annotated[str | None, typer.Option(help="learners to compare, with commas between: auto,late")] = None,
    preset: Annotated[Preset | None, typer.Option(help="how much work; default: as the study file says")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Do a study: check, fit, estimate, and write a run folder with the report.

    First prints the number of fits and the time they may take. A run that was stopped goes on from its finished
    folds when the same command is called again.

    \b
    Example:
      cohortium run mydata/study.yaml --out run1 --jobs 2 --preset quick
    """
    from cohortium.study import load_study
    from cohortium.study import run as do

    loaded = load_study(study)
    names = None if learners is None else [n.strip() for n in learners.split(",") if n.strip()]
    if names == []:
        raise typer.BadParameter("give names with commas between, such as auto,late", param_hint="--learners")
    with _resumable("cohortium run"), progress(quiet) as tell:
        found = do(
            loaded,
            out,
            jobs=jobs,
            learners=names,
            preset=None if preset is None else preset.value,
            progress=tell,
        )
    show.result(found, as_json, quiet)


@app.command()
def report(
    run: RunFolder,
    study: Annotated[
        Path | None, typer.Argument(metavar="[STUDY]", help="study.yaml of the run: take up what it states now")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write report, checklists and model card of a finished run anew, and print its answer.

    With STUDY, what is written there under 'statements' answers the open items of the checklists. Nothing is fitted.

    \b
    Example:
      cohortium report run1
      cohortium report run1 mydata/study.yaml
    """
    from cohortium.study import report as write

    show.result(write(run, study), as_json, quiet=False)


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="folder of a finished run")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="folder of another")],
    as_json: Json = False,
) -> None:
    """Hold two runs against each other, fold by fold where both tested the same units in the same folds.

    \b
    Example:
      cohortium compare run1 run2
    """
    from cohortium.study import compare as hold

    found = hold(run_a, run_b)
    if as_json:
        show.emit({"run_a": run_a, "run_b": run_b, "comparisons": found})
    else:
        show.comparisons(found)


@app.command()
def predict(
    run: RunFolder,
    data: DataFolder,
    out: Annotated[Path, typer.Option(help="file to write")] = Path("predictions.csv"),
    as_json: Json = False,
) -> None:
    """Predict new units with the finished model, from whatever modalities they have. No endpoint needed.

    \b
    Example:
      cohortium predict run1 --data newpatients --out predictions.csv
    """
    from cohortium.study import predict as apply

    frame = apply(run, data, out)
    if as_json:
        show.emit({"file": out, "n_units": len(frame), "columns": list(frame.columns)})
    else:
        show.say(f"Wrote {out}: {len(frame)} units, columns {', '.join(map(str, frame.columns))}.")
        for name in [c for c in map(str, frame.columns) if ".calibrated_" in c]:
            shared = int((~frame[name].astype(str).str.startswith("within ")).sum())
            if shared:
                show.say(
                    f"Note: {shared} of {len(frame)} units are of groups too small to calibrate within, or of none: {name} says with whom."
                )


@app.command()
def validate(run: RunFolder, data: DataFolder, as_json: Json = False) -> None:
    """External validation: the finished model on units with outcomes; adds a page to the report.

    \b
    Example:
      cohortium validate run1 --data otherhospital
    """
    from cohortium.study import validate as test

    found = test(run, data)
    file = run / "report.html"
    if as_json:
        show.emit({"run": run, "data": data, "report": file, "endpoints": found})
        return
    for name, values in found.items():
        show.estimates(f"{name}, external validation on {data}", values)
    show.say(f"Report: {file}")


@app.command()
def embed(
    study: StudyFile,
    out: Annotated[Path, typer.Option(help="file to write, .h5ad")] = Path("embedding.h5ad"),
    method: Annotated[Method, typer.Option(help="which representation")] = Method.factors,
    train_only: Annotated[
        bool, typer.Option("--train-only", help="fit on the training part of the study's only split")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """One vector for every unit from whatever modalities it has, as h5ad, which scanpy opens. Sees no outcome.

    Fitted on all units of the study unless --train-only is given; the file says so, and so does this command.

    \b
    Example:
      cohortium embed mydata/study.yaml --out embedding.h5ad
    """
    from cohortium.study import embed as make

    with progress(quiet) as tell:
        found = make(study, out, method=method.value, train_only=train_only, progress=tell)
    show.embedding(found, out, as_json, quiet)


@app.command()
def impute(
    study: StudyFile,
    target: Annotated[str, typer.Option(help="the modality to predict, of shape table")],
    out: Annotated[Path | None, typer.Option(help="new folder for the tables; without it only the scores")] = None,
    method: Annotated[Imputer, typer.Option(help="how; nothing is chosen for you")] = Imputer.factors,
    folds: Annotated[int, typer.Option(min=2, max=20, help="in which the target is hidden for the scores")] = 5,
    csv: Annotated[bool, typer.Option("--csv", help="CSV instead of Parquet")] = False,
    jobs: Jobs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Predict a modality for the units that lack it, with its uncertainty, and say how well that goes.

    The scores come from units that have it, of whom it was hidden on purpose, beside the mean, nearest neighbours and
    ridge. What is written is marked as imputed and holds no measured row.

    \b
    Example:
      cohortium impute mydata/study.yaml --target protein --out protein_imputed
    """
    from cohortium.study import impute as make

    with progress(quiet) as tell:
        found = make(study, target, out, method=method.value, folds=folds, csv=csv, jobs=jobs, progress=tell)
    show.imputation(found, out, as_json, quiet)


@app.command()
def similar(
    study: StudyFile,
    unit: Annotated[str, typer.Argument(metavar="UNIT", help="its id; with --data, of a unit in that folder")],
    neighbours: Annotated[int, typer.Option("--neighbours", "-k", min=1, help="how many to show")] = 10,
    data: Annotated[
        Path | None, typer.Option("--data", help="folder of new units, laid out as the study's own")
    ] = None,
    as_json: Json = False,
) -> None:
    """The units of a study that are most like one, by each modality it has and by all; and how unusual it is.

    Prints the ids of patients. Sees no outcome. A unit without any modality is like nobody, and is refused.

    \b
    Example:
      cohortium similar mydata/study.yaml 0042
      cohortium similar mydata/study.yaml 0007 --data newpatients -k 5
    """
    from cohortium.study import similar as find

    with progress() as tell:
        found = find(study, unit, neighbours=neighbours, data=data, progress=tell)
    show.likeness(found, as_json)


@app.command()
def subtype(
    study: StudyFile,
    out: Annotated[Path, typer.Option(help="new folder for labels, records, model and page")],
    method: Annotated[Clustered, typer.Option(help="which representation")] = Clustered.factors,
    most: Annotated[int, typer.Option(min=2, max=20, help="largest number of clusters looked at")] = 8,
    clusters: Annotated[int | None, typer.Option(min=2, max=20, help="so many, whatever the evidence")] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Look for subtypes of patients in what the modalities share. "None" is an answer.

    Says how stable each is, how endpoints differ between them (which formed none), and which features mark them, tested
    against clusters that the features' own modality did not help to form.

    \b
    Example:
      cohortium subtype mydata/study.yaml --out subtypes
    """
    from cohortium.study import subtype as find

    with progress(quiet) as tell:
        found = find(study, out, method=method.value, most=most, clusters=clusters, progress=tell)
    show_subtypes(found.results, out, as_json, quiet)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder to write")] = Path("cohortium_demo"),
    jobs: Jobs = None,
    as_json: Json = False,
) -> None:
    """Write the TRANSBIG breast-cancer cohort (198 patients) as files, and run its study: about a minute.

    Needs the extra 'demo' (scikit-survival, which brings the data).

    \b
    Example:
      cohortium demo --out demo
    """
    from cohortium.demo import write
    from cohortium.study import run as do

    study = write(out)
    if not as_json:
        show.say(f"Wrote {study} and its tables. Does the gene signature add to the clinical variables?")
    with _resumable("cohortium demo"), progress() as tell:
        found = do(study, jobs=jobs, progress=tell)
    show.result(found, as_json, quiet=False)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="new folder to write")],
    patients: Annotated[int, typer.Option(min=40, max=100_000, help="how many patients")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other patients")] = 0,
    as_json: Json = False,
) -> None:
    """Write a made-up cohort with all four families of data, in the files that hospitals and labs write.

    RNA and protein tables, variants (VCF), single cells (h5ad), CT (DICOM), pathology tiles (PNG), health records
    (MEDS, OMOP and FHIR), notes, and a patient table. truth.json says what causes the outcome.

    \b
    Example:
      cohortium simulate hospital --patients 300
      cohortium init hospital --endpoint relapse
      cohortium run hospital/study.yaml --preset quick
    """
    from cohortium.testing.hospital import write_hospital

    write_hospital(folder, patients, seed, progress=lambda what: None if as_json else show.say(f"writing {what}"))
    if as_json:
        show.emit({"folder": folder, "patients": patients, "seed": seed})
    else:
        show.say(f"Wrote {folder}. Next: cohortium init {folder} --endpoint relapse")


@app.command()
def schema(
    which: Annotated[Which, typer.Argument(help="of the study file or of results.json")] = Which.study,
) -> None:
    """Print the JSON Schema of the study file (editors complete with it) or of results.json.

    \b
    Example:
      cohortium schema study > study.schema.json
    """
    if which is Which.results:
        from cohortium.report import results_schema

        show.emit(results_schema())
    else:
        from cohortium.study import study_schema

        show.emit(study_schema())


class _resumable:  # noqa: N801 - reads as a verb where it is used
    """Ctrl-C inside says how to go on, and leaves with 130 as shells expect."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            typer.echo(f"\nStopped. Call the same '{self.command}' again to go on from the finished folds.", err=True)
            raise typer.Exit(130)
