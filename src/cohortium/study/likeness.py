"""``similar``: the units of a study that are most like a given one, of the study or new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cohortium.errors import DataError, StudyError
from cohortium.study.load import Study, load_study

if TYPE_CHECKING:
    from cohortium.cohort import Cohort
    from cohortium.experiment import Progress
    from cohortium.joint.similar import Likeness, Peers

TOGETHER = "together"
"""What all modalities of the unit together are called in tables."""


@dataclass(frozen=True, eq=False)
class Similar:
    """unit: its id. modalities: those it has and can be compared by; lacks: the study's others.

    neighbours: rows ``by`` (``together``, or a modality), ``rank`` (from 1), ``unit``, ``similarity`` (how many standard
    deviations nearer than the mean unit of the study), ``distance`` (root mean squared difference of the encoded features, in standard deviations; None together)
    and ``shared`` (modalities that both have, with spaces between).
    unusual: rows ``by``, ``distance`` (to its nearest, mean; together: times the usual one), ``usual`` (median of that over the study's units), ``share`` of the study's
    units that are nearer to their own nearest, 0..1; near 1 for one that is unlike everybody. notes: what should be known.
    """

    unit: str
    modalities: tuple[str, ...]
    lacks: tuple[str, ...]
    neighbours: pd.DataFrame
    unusual: pd.DataFrame
    notes: tuple[str, ...]


def similar(
    study: Study | str | Path,
    unit: str,
    *,
    neighbours: int = 10,
    data: str | Path | None = None,
    progress: Progress | None = None,
) -> Similar:
    """The units of the study most like one of them, or like one of a further folder, by each modality that it has and by all of them.

    neighbours: how many. data: a folder laid out as the study's own, in which ``unit`` then is; those it is compared with are the
    study's. No outcome is looked at. Method: :mod:`cohortium.joint.similar`.

    Raises :class:`StudyError` and :class:`DataError`: an unknown unit, one without any modality, too few units.
    """
    from threadpoolctl import threadpool_limits

    from cohortium.experiment import ProgressEvent
    from cohortium.experiment.progress import silent
    from cohortium.joint.similar import FEWEST, fit_peers
    from cohortium.study.data import read_study

    tell = progress or silent
    study = study if isinstance(study, Study) else load_study(study)
    if neighbours < 1:
        raise StudyError(f"{neighbours} neighbours were asked for; give 1 or more.")
    tell(ProgressEvent("read", 0, 1))
    cohort = read_study(study).cohort
    one = the_unit(cohort, unit, study.path.name) if data is None else _new(study, cohort, unit, Path(data))
    tell(ProgressEvent("read", 1, 1))
    if not one.presence().to_numpy().any():
        raise DataError("This unit has no modality: nobody can be said to be like it.")
    with threadpool_limits(limits=1):  # the same numbers whatever the machine is doing
        peers = fit_peers(cohort, study.spec.seed, lambda done, total: tell(ProgressEvent("fit", done, total)))
        found = peers.like(one)
    if not peers.sides:
        raise DataError(f"{study.path.name}: no modality has {FEWEST} units and a feature that varies.")
    if not found:
        has = " and ".join(str(n) for n, x in one.presence().iloc[0].items() if x)
        raise DataError(
            f"This unit has {has} only, which fewer than {FEWEST} of the study's units have, or in which nothing varies: nobody "
            "can be said to be like it."
        )
    return _said(unit, cohort, one, peers, found, neighbours, data is None)


def the_unit(cohort: Cohort, unit: str, where: str) -> Cohort:
    """The unit alone. Raises :class:`DataError` with the nearest id."""
    at = cohort.units.index.get_indexer(pd.Index([unit], dtype=object))
    if at[0] < 0:
        near = get_close_matches(unit, [str(i) for i in cohort.ids], n=1, cutoff=0.6)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise DataError(f"No unit '{unit}' among the {len(cohort)} of {where}.{hint} Ids are those of the unit table.")
    return cohort.take(at)


def _new(study: Study, cohort: Cohort, unit: str, folder: Path) -> Cohort:
    """The unit of another folder, its modalities coded as the study's."""
    from cohortium.study.predicting import read_aligned

    expected = {}
    for name, modality in cohort.modalities.items():
        expected[name] = modality.features.copy()
        expected[name].attrs["shape"] = modality.shape
    return the_unit(read_aligned(replace(study, folder=folder), expected).cohort, unit, str(folder))


def _said(
    unit: str, cohort: Cohort, one: Cohort, peers: Peers, found: dict[str, Likeness], neighbours: int, inside: bool
) -> Similar:
    """Tables of what was found. inside: the unit is one of the study's."""
    ids, have = cohort.ids, cohort.presence()
    own = [n for n in found if n]
    shared = [" ".join(n for n, x in zip(own, row, strict=True) if x) for row in have[own].to_numpy(bool)]
    rows, unusual = list[dict[str, object]](), list[dict[str, object]]()
    for name in ("", *own):
        f, by = found[name], name or TOGETHER
        order = np.argsort(-np.nan_to_num(f.similarity, nan=-np.inf), kind="stable")[:neighbours]
        for rank, i in enumerate(order, 1):
            if not np.isnan(f.similarity[i]):
                far = None if f.distance is None else float(f.distance[i])
                rows.append({"by": by, "rank": rank, "unit": str(ids[i]), "similarity": float(f.similarity[i]), "distance": far, "shared": shared[i]})  # fmt: skip
        unusual.append({"by": by, "distance": f.reach, "usual": f.usual, "share": f.unusual})
    lacks = tuple(n for n in cohort.modalities if n not in one.modalities or not len(one.modalities[n].units))
    columns = ["by", "rank", "unit", "similarity", "distance", "shared"]
    return Similar(
        unit, tuple(own), lacks, pd.DataFrame(rows, columns=columns), pd.DataFrame(unusual),
        tuple(_notes(one, peers, rows, neighbours, inside)),
    )  # fmt: skip


def _notes(one: Cohort, peers: Peers, rows: Sequence[dict[str, object]], neighbours: int, inside: bool) -> list[str]:
    out = []
    has = [str(n) for n, x in one.presence().iloc[0].items() if x and n not in peers.sides]
    if has:
        out.append(f"not compared by {' and '.join(has)}: too few units have it, or nothing in it varies")
    same = int((peers.patients == one.units["patient"].iloc[0]).sum()) - int(inside)
    if same > 0:
        out.append(f"{same} {'further ' if inside else ''}unit{'s' if same > 1 else ''} of the same patient left out")
    count = sum(r["by"] == TOGETHER for r in rows)
    if count < neighbours:
        out.append(f"only {count} units have a modality in common with it")
    return out
