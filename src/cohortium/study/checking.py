"""``check``: what could make the answer wrong, looked for before anything is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cohortium.contracts.results import Finding

if TYPE_CHECKING:
    from cohortium.experiment import Plan
    from cohortium.study.data import Data
    from cohortium.study.load import Study


def check(study: Study) -> list[Finding]:
    """Read the study's files and look for what could make its answer wrong; fits nothing.

    Serious findings come first; those that the study file acknowledges are marked so. Raises the errors of reading
    and splitting.
    """
    from cohortium.study.data import load_data
    from cohortium.study.plan import make_plan

    data = load_data(study)
    return find(study, data, make_plan(study, data))


def find(study: Study, data: Data, plan: Plan) -> list[Finding]:
    """Findings on a cohort that is read already, serious ones first, acknowledged ones marked."""
    from cohortium.checks import run_checks

    splits = {name: list(e.splits) for name, e in plan.endpoints.items()}
    return run_checks(
        data.cohort,
        dict(data.outcomes),
        splits,
        unmatched=data.read.unmatched,
        transforms=data.read.transforms,
        acknowledge=study.spec.acknowledge,
    )
