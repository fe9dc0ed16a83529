"""The commands of federated studies; they join those of :mod:`cohortium.cli.trust`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cohortium.cli import show
from cohortium.cli.app import Json, Quiet, StudyFile
from cohortium.cli.progress import progress
from cohortium.cli.trust import app

__all__ = ["app"]

federate = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="""Fit a model across sites that share nothing but sums.

    \b
    Example:
      cohortium federate simulate mydata/study.yaml --by hospital --out federated
    """)  # fmt: skip
app.add_typer(federate, name="federate")


@federate.command()
def simulate(
    study: StudyFile,
    out: Annotated[Path, typer.Option(help="new folder for records, log of messages and page")],
    by: Annotated[
        str | None, typer.Option(help="column of the unit table whose values are the sites; default: design.site")
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="also each site's own fit, and the fit on all rows together")
    ] = False,
    evaluate: Annotated[
        bool,
        typer.Option("--evaluate", help="also how well the model predicts sites and folds that it was not fitted on"),
    ] = False,
    secure: Annotated[
        bool, typer.Option("--secure", help="the coordinator sees only sums over sites; needs the extra 'secure'")
    ] = False,
    attack: Annotated[
        bool, typer.Option("--attack", help="also attacks on what is released: who took part, and what his row was")
    ] = False,
    shadows: Annotated[
        int | None, typer.Option(help="further fits that an attack takes, 64 at least; default: 64")
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fit the primary endpoint as sites would that keep their patients: all of them on this machine.

    Linear, logistic, multinomial and Cox models (stratified by site), equal to the fit on all rows together. Says what left
    each site.

    \b
    Example:
      cohortium federate simulate mydata/study.yaml --by hospital --out federated
      cohortium federate simulate mydata/study.yaml --by hospital --out federated --evaluate
      cohortium federate simulate mydata/study.yaml --by hospital --out federated --secure
      cohortium federate simulate mydata/study.yaml --by hospital --out federated --attack
    """
    from cohortium.cli.show_federation import show_federation
    from cohortium.study import simulate_federation

    if shadows is not None and not attack:
        raise typer.BadParameter("goes with --attack", param_hint="--shadows")
    with progress(quiet or as_json) as tell:
        found = simulate_federation(
            study,
            out,
            by=by,
            compare=compare,
            evaluate=evaluate,
            secure=secure,
            shadows=(64 if shadows is None else shadows) if attack else 0,
            progress=tell,
        )
    show_federation(found, out, as_json, quiet)


@federate.command()
def keys(
    sites: Annotated[str, typer.Option(help="names of the sites, with commas between: north,south,west")],
    out: Annotated[Path, typer.Option(help="new folder for the kits")],
    host: Annotated[str, typer.Option(help="name by which sites reach the server")] = "localhost",
    port: Annotated[int, typer.Option(help="of the server")] = 8102,
    days: Annotated[int, typer.Option(help="that certificates last")] = 365,
    as_json: Json = False,
) -> None:
    """Make a kit with keys of its own for the server, for each site, and for the lead who may start a study.

    A kit lets its holder in: give each to whom it is for, and to nobody else. Needs the extra 'federated'.

    \b
    Example:
      cohortium federate keys --sites north,south,west --host study.hospital.org --out kits
    """
    from cohortium.federation_engine import make_kits

    names = [s.strip() for s in sites.split(",") if s.strip()]
    made = make_kits(names, out, host, port, days)
    if as_json:
        show.emit({"folder": made, "kits": ["server", "lead", *names]})
        return
    show.say(
        f"Wrote {made}: kits 'server', 'lead', {', '.join(names)}. Give each to whom it is for, by a safe way. Then"
    )
    show.say(f"  on the server:     cohortium federate server {made}/server")
    show.say(f"  at each site:      cohortium federate site {made}/{names[0]} study.yaml")
    show.say(f"  where the lead is: cohortium federate start study.yaml --kit {made}/lead --out federated")


KitFolder = Annotated[Path, typer.Argument(metavar="KIT", help="folder that 'cohortium federate keys' wrote")]


@federate.command()
def server(kit: KitFolder) -> None:
    """Run the server of a federation until it is stopped. It sees sums of each site, never a row.

    \b
    Example:
      cohortium federate server kits/server
    """
    from cohortium.federation_engine import run_server

    run_server(kit, show.say)


@federate.command()
def preview(
    study: StudyFile,
    name: Annotated[str, typer.Option(help="of the site")] = "this site",
    as_json: Json = False,
) -> None:
    """Say what would leave this site in a federated study: every message, its fields, shapes and counts. Sends nothing.

    A trial run with this site's own files alone. Needs no kit and no server.

    \b
    Example:
      cohortium federate preview mydata/study.yaml
    """
    from cohortium.cli.show_leaving import show_leaving
    from cohortium.study import preview as preview_study

    show_leaving(preview_study(study, name), as_json)


@federate.command()
def site(
    kit: KitFolder,
    study: StudyFile,
    approve: Annotated[
        bool, typer.Option("--approve", help="you read what would leave (federate preview), and it may")
    ] = False,
) -> None:
    """Let this site take part in a study with its own files, until it is stopped. The study is read first.

    Before anything leaves, a person here is shown what would, and approves it; the approval is kept in KIT/approval.json.
    The site answers questions about this study file and no other, and runs no code that it is sent. Every message is logged in
    KIT/messages.csv.

    \b
    Example:
      cohortium federate site kits/north mydata/study.yaml
    """
    from cohortium.cli.show_leaving import asked_to_approve
    from cohortium.federation_engine import run_site

    run_site(kit, study, show.say, lambda leaving: asked_to_approve(leaving, approve))


@federate.command()
def start(
    study: StudyFile,
    kit: Annotated[Path, typer.Option(help="the lead's kit")],
    out: Annotated[Path, typer.Option(help="new folder for records, log of messages and page")],
    anew: Annotated[bool, typer.Option("--anew", help="from the first round, whatever was broken off before")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Have the sites fit the primary endpoint of a study, wait for the answer, and write it. Reads no data.

    Sites and server may go down and come back: the study goes on from its last round.

    \b
    Example:
      cohortium federate start study.yaml --kit kits/lead --out federated
    """
    from cohortium.cli.show_federation import show_federation
    from cohortium.federation_engine import start_study

    found = start_study(study, kit, out, None if quiet else lambda text: typer.echo(text, err=True), anew)
    show_federation(found, out, as_json, quiet)
