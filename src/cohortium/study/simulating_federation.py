"""``federate simulate``: a federated fit with all sites on one machine, cut out of one study."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_results import Coefficient, FederatedResults, MessageRow, SitePerformance
from cohortium.errors import FederationError, StudyError, did_you_mean
from cohortium.study.attacking import FEWEST_SHADOWS, attack
from cohortium.study.comparing_networks import compared
from cohortium.study.comparing_stack import compared_stack
from cohortium.study.comparing_trees import compared_trees
from cohortium.study.federating import asking, drive, keys_for, plan_of
from cohortium.study.outfolder import free_folder, whole_folder

if TYPE_CHECKING:
    import pandas as pd

    from cohortium.experiment import ProgressEvent
    from cohortium.federation_coordinator import State
    from cohortium.federation_site import Site
    from cohortium.study.data import Data
    from cohortium.study.load import Study

FILE, PAGE, LOG = "federation.json", "federation.html", "messages.csv"
MOST_SITES = 100
NO_COMPARISON = (
    "--compare puts exact fits on the page, and federation.privacy promises that nothing exact leaves a site. Take one of them out: for "
    "the comparison, simulate a study file without it into another folder."
)

Tell = Callable[[int, str], None]


def simulate_federation(
    study: Study | str | Path,
    out: str | Path | None = None,
    *,
    by: str | None = None,
    compare: bool = False,
    evaluate: bool = False,
    secure: bool = False,
    shadows: int = 0,
    tell: Tell | None = None,
    progress: Callable[[ProgressEvent], None] | None = None,
) -> FederatedResults:
    """Fit the study's primary endpoint as sites that share nothing but sums would.

    by: column of the unit table whose values are the sites; default ``design.site``. compare: also each site's own fit, and
    the fit on all rows together, which no real federation has. evaluate: also how well the model predicts, by sites and folds held
    out, as ``federation: {evaluate: true}`` says in the study file. secure: the coordinator sees only sums over sites, as
    ``federation: {secure: true}`` says. shadows: also attacks on what is released, by so many further fits
    (at least 64). progress: is told of them. out: new folder for records, log of messages and page. tell: called
    with round and phase.

    Raises :class:`StudyError`, :class:`DataError` and :class:`FederationError`; then nothing is written.
    """
    import cohortium
    from cohortium.federation_coordinator import results
    from cohortium.study.data import load_data
    from cohortium.study.load import Study, load_study

    if shadows and shadows < FEWEST_SHADOWS:
        raise StudyError(
            f"An attack takes at least {FEWEST_SHADOWS} shadow models; {shadows} would find less than there is."
        )
    loaded = study if isinstance(study, Study) else load_study(study)
    plan = plan_of(loaded, evaluate, secure)
    folder = None if out is None else free_folder(Path(out), ours)
    if plan.privacy is not None and compare:
        raise StudyError(NO_COMPARISON)
    column = _column(loaded, by)
    data = load_data(loaded)
    sites, unknown = cut(loaded, data, plan, column)
    if plan.privacy is not None:
        from cohortium.study.private_plan import as_simulated

        sites = as_simulated(sites, plan, loaded.path.name)
    keys = keys_for(plan, list(sites))
    driven = drive(plan, {n: asking(s, plan, keys[n]) for n, s in sites.items()}, tell)
    found = results(driven.state, driven.messages, driven.seconds, "in one process", cohortium.__version__)
    if plan.privacy is None:  # under privacy these would be counts without noise
        notices = _excluded(data, plan, column, unknown)
        found = replace(found, notices=[*notices, *found.notices, *_split(sites, data), *_cautions(plan, sites)])
    if compare:
        how = {"trees": compared_trees, "network": compared, "stack": compared_stack}.get(plan.method, _compared)
        found = how(found, driven.state, sites, plan)
    if shadows:
        found = replace(found, attacks=attack(plan, sites, driven.state, shadows, progress))
    if folder is not None:
        write(folder, found)
    return found


def _excluded(data: Data, plan: FederationPlan, column: str, unknown: int) -> list[str]:
    notices = [f"{n} units have no usable label: {reason}." for reason, n in data.excluded[plan.endpoint].items() if n]
    return [*notices, *([f"{unknown} units have no value in '{column}' and belong to no site."] if unknown else [])]


def ours(folder: Path) -> bool:
    """Whether a folder holds the answer of an earlier federated fit, and nothing else that matters."""
    return (folder / FILE).is_file() and (folder / LOG).is_file()


def _column(study: Study, by: str | None) -> str:
    declared = study.spec.design.site
    if by is None or (by == "site" and declared is not None):
        by = declared
    if by is None:
        raise StudyError(
            f"{study.path.name}: which patients are whose? Say design: {{site: <column>}}, or give a column of the unit table "
            "with --by."
        )
    return by


def cut(study: Study, data: Data, plan: FederationPlan, column: str) -> tuple[dict[str, Site], int]:
    """The sites of a study, by a column of its unit table, and how many labelled units belong to none.

    Raises :class:`StudyError` for a column that there is not, or with too few or too many values.
    """
    from cohortium.federation_site import site_of

    spec = study.spec
    if column not in data.raw_units:
        known = [str(c) for c in data.raw_units.columns]
        raise StudyError(f"{spec.cohort.units.file} has no column '{column}'.{did_you_mean(column, known)}")
    outcome = data.outcomes[plan.endpoint]
    labels = _texts(data.raw_units[column].reindex(data.cohort.ids))
    names = sorted(set(labels) - {""})
    if not 2 <= len(names) <= MOST_SITES:
        raise StudyError(
            f"Column '{column}' of {spec.cohort.units.file} holds {len(names)} different values; sites are 2 to {MOST_SITES}."
        )
    if len(names) < plan.quorum:
        raise StudyError(f"federation.quorum is {plan.quorum}, and column '{column}' names {len(names)} sites.")
    labelled = set(outcome.units)
    unknown = sum(u in labelled for u, n in zip(data.cohort.ids, labels, strict=True) if n == "")
    return {
        n: site_of(n, data.cohort.take(np.flatnonzero(labels == n)), outcome, plan) for n in names
    }, unknown  # fmt: skip


def _texts(values: pd.Series) -> np.ndarray:
    def text(x: object) -> str:
        if x is None or x != x:
            return ""
        return f"{x:g}" if isinstance(x, float | np.floating) else str(x).strip()

    return np.array([text(x) for x in values], dtype=object)


def _split(sites: Mapping[str, Site], data: Data) -> list[str]:
    """A notice where patients have several units: standard errors take units for independent."""
    several = any(s.patients() < len(s) for s in sites.values())
    return (
        ["Some patients have several units, which are taken for independent: intervals are too narrow."]
        if several
        else []
    )


def _cautions(plan: FederationPlan, sites: Mapping[str, Site]) -> list[str]:
    return (
        ["Weights are taken for counts of patients: standard errors are not those of a weighted sample."]
        if plan.weighted
        else []
    )


def _compared(
    found: FederatedResults, state: State, sites: Mapping[str, Site], plan: FederationPlan
) -> FederatedResults:
    """The results with each site's own coefficients (and performance), and those of all rows together, beside them."""
    from cohortium.federation_coordinator.performance import alone_performance, with_own
    from cohortium.federation_coordinator.secure_state import SecureState

    local: dict[str, dict[tuple[str, str], float]] = {}
    reasons: dict[str, str] = {}
    own: list[SitePerformance] = []
    if isinstance(state, SecureState):  # all sites are one to its model; here they are told apart
        state = replace(state.lanes[0].model, sites=state.sites, left=state.left)
    alone = replace(plan, quorum=1, secure=None)
    for name in state.here:
        try:
            fitted = drive(alone, {name: asking(sites[name], alone)}).state
            local[name] = _coefficients(fitted)
            own += alone_performance(fitted)
        except FederationError as e:
            reasons[name] = str(e)
    pooled = _coefficients(drive(*_pooled(state, sites, plan)).state)
    rows: list[Coefficient] = []
    for c in found.coefficients:
        key = (c.column, c.outcome)
        rows.append(replace(c, local={n: v[key] for n, v in local.items() if key in v}, pooled=pooled.get(key)))
    gaps = [abs(c.estimate - c.pooled) for c in rows if c.estimate is not None and c.pooled is not None]
    records = [replace(s, local_reason=reasons.get(s.site, "")) for s in found.sites]
    if found.evaluation is not None:
        found = replace(found, evaluation=with_own(found.evaluation, own))
    return replace(found, coefficients=rows, sites=records, largest_difference=max(gaps, default=None))


def _coefficients(state: State) -> dict[tuple[str, str], float]:
    from cohortium.federation_coordinator.results import estimates

    others = state.classes[1:] if state.plan.kind == "multiclass" else ("",)
    coef = estimates(state).coef
    every = {(c.name, o): float(coef[j, k]) for j, c in enumerate(state.columns) for k, o in enumerate(others)}
    return {key: v for key, v in every.items() if np.isfinite(v)}


def _pooled(state: State, sites: Mapping[str, Site], plan: FederationPlan) -> tuple[FederationPlan, dict[str, object]]:
    """All rows as one site with a stratum for each, coded and prepared as they were federated."""
    from cohortium.federation_site import Feature, Site
    from cohortium.federation_site.shaping import filled

    here = [sites[n] for n in state.here]
    from cohortium.federation_site.secure_batches import own_columns

    x = np.vstack([filled(s, own_columns(s, plan, state.columns), plan.least_cell) for s in here])
    features = tuple(Feature(c.modality, c.name, "numeric", (), "", "", x[:, j]) for j, c in enumerate(state.columns))
    stratum = np.repeat(np.arange(len(here)), [len(s) for s in here])
    y = [s.y for s in here]
    if plan.kind == "multiclass":
        y = [np.array([state.classes.index(c) for c in s.classes])[s.y.astype(int)].astype(float) for s in here]
    every = [np.concatenate(a) for a in ([s.weight for s in here], y, [s.time for s in here], [s.entry for s in here])]
    one = Site("all", features, np.arange(len(x)), every[0], stratum, every[1], state.classes, every[2], every[3])
    free = replace(plan, quorum=1, least_patients=1, least_events=1, least_cell=1, folds=0, secure=None)
    if plan.baseline is not None:  # on the same bins
        from cohortium.federation_coordinator.binned import binned

        free = replace(free, baseline=replace(plan.baseline, times=tuple(map(float, binned(state).cuts))))
    if plan.prepare is not None:
        free = replace(free, prepare=replace(plan.prepare, unknown="mean", skewed="leave"))
    return free, {"all": asking(one, free)}


def write(folder: Path, found: FederatedResults) -> None:
    """``federation.json``, ``messages.csv`` and ``federation.html``, whole or not at all. Raises :class:`DataError`."""
    from cohortium.report.federation import federation_page

    with whole_folder(folder) as part:
        (part / FILE).write_text(json.dumps(_finite(asdict(found)), indent=1, ensure_ascii=False), encoding="utf-8")
        (part / LOG).write_text(log_text(found.messages), encoding="utf-8")
        (part / PAGE).write_text(federation_page(found), encoding="utf-8")


def log_text(messages: list[MessageRow]) -> str:
    """The log of messages as CSV: round, site, to, kind, size, digest, holds."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["round", "site", "to", "kind", "bytes", "blake2b", "holds"])
    for m in messages:
        said = "; ".join(f"{k}: {v}" for k, v in m.holds.items())
        rows.writerow([m.round, m.site, m.to, m.kind, m.size, m.digest, said])
    return text.getvalue()


def _finite(x: object) -> object:
    if isinstance(x, dict):
        return {k: _finite(v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return [_finite(v) for v in x]
    return None if isinstance(x, float) and not np.isfinite(x) else x
