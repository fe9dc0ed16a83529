"""What a study file says of preparing columns, and of stacking, as parts of a federated plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cohortium.contracts.prepare_plan import PreparePlan
from cohortium.errors import StudyError

if TYPE_CHECKING:
    from cohortium.study.load import Study


def prepare_plan(study: Study, secure: bool) -> PreparePlan | None:
    """How columns are prepared; None for the plain way. Raises :class:`StudyError`."""
    f = study.spec.federation
    found = PreparePlan(f.prepare.unknown, f.prepare.skewed, f.prepare.outliers == "clip")
    if found == PreparePlan():
        return None
    if f.method == "trees":
        reason = "trees take unknown cells as they are, and bins do not mind skewness or outliers"
    elif f.privacy is not None:
        reason = "a private fit takes nothing from the data that is not paid for, and cuts values to declared bounds"
    elif secure:
        reason = "it asks for counts by cell of single sites, which secure aggregation hides"
    else:
        return found
    raise StudyError(f"{study.path.name}: federation.prepare: {reason}. Leave one of the two out.")
