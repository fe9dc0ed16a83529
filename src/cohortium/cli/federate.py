"""The commands of federated studies; they join those of :mod:`cohortium.cli.trust`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cohortium.cli.app import Json, Quiet, StudyFile
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
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Fit the primary endpoint as sites would that keep their patients: all of them on this machine.

    Linear, logistic, multinomial and Cox models (stratified by site), equal to the fit on all rows together. Says what left
    each site.

    \b
    Example:
      cohortium federate simulate mydata/study.yaml --by hospital --out federated
    """
    from cohortium.cli.show_federation import show_federation
    from cohortium.study import simulate_federation

    found = simulate_federation(study, out, by=by, compare=compare)
    show_federation(found, out, as_json, quiet)
