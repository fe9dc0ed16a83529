"""What a study file says of preparing columns, and of stacking, as parts of a federated plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cohortium.contracts.prepare_plan import PreparePlan
from cohortium.contracts.stack_plan import StackPart, StackPlan
from cohortium.errors import StudyError, did_you_mean

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


def stack_plan(study: Study, modalities: Sequence[str]) -> StackPlan | None:
    """The parts of a stack; None where there is none. Raises :class:`StudyError`."""
    f, where = study.spec.federation, study.path.name
    if f.method != "stack":
        if f.stack.model_dump() != type(f.stack)().model_dump():
            raise StudyError(f"{where}: federation.stack is of method: stack, and the method is {f.method}.")
        return None
    methods = list(dict.fromkeys(f.stack.parts))
    ridge = f.stack.penalties
    for t, x in ridge.items():
        if t not in modalities or not 0 <= x < float("inf"):
            raise StudyError(
                f"{where}: federation.stack.penalties says '{t}: {x:g}': a table of the fit and a number not below 0 are expected."
                f"{did_you_mean(t, list(modalities)) if t not in modalities else ''} The fit takes: {', '.join(modalities)}."
            )
    parts = []
    for m in methods:
        if f.stack.by in ("modality", "both"):
            parts += [
                StackPart(f"{m}:{t}", m, (t,), ridge.get(t, f.penalty) if m == "linear" else 0.0) for t in modalities
            ]
        if f.stack.by == "all" or (f.stack.by == "both" and len(modalities) > 1):
            parts.append(
                StackPart(
                    f"{m}:all" if len(modalities) > 1 else f"{m}:{modalities[0]}",
                    m,
                    tuple(modalities),
                    f.penalty if m == "linear" else 0.0,
                )
            )
    if len(parts) < 2:
        raise StudyError(
            f"{where}: a stack of one part is that part. Name two methods under federation: {{stack: {{parts: [linear, trees]}}}}, or more tables "
            "under federation: {modalities: [...]}."
        )
    if f.privacy is not None:
        raise StudyError(
            f"{where}: federation.privacy: method: stack has no private form yet. Take one of the two out."
        )
    check_lacking(study)
    return StackPlan(tuple(parts), f.stack.folds, f.stack.penalty)


def check_lacking(study: Study) -> None:
    """What a site says that it lacks is one of the study's tables, and none of its own. Raises :class:`StudyError`."""
    f, where = study.spec.federation, study.path.name
    for m in f.lacks:
        if m in study.spec.cohort.modalities:
            raise StudyError(f"{where}: federation.lacks names '{m}', which is a modality of this study file.")
        if m not in (f.modalities or []):
            raise StudyError(
                f"{where}: federation.lacks names '{m}', which federation.modalities does not: it lists those of all sites, in "
                "the same order at each."
            )
