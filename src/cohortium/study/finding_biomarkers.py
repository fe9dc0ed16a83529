"""The work of ``biomarkers``: univariate tests, knockoffs, stability and agreement put side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cohortium.errors import DataError

if TYPE_CHECKING:
    from cohortium.contracts.biomarkers import BiomarkerResults, Group, PanelRecord, Source, StabilityRule
    from cohortium.discovery import Discovery
    from cohortium.discovery.assays import Costs
    from cohortium.discovery.stability import Stability
    from cohortium.discovery.univariate import Univariate
    from cohortium.experiment import Progress
    from cohortium.study.discovering import Material
    from cohortium.study.load import Study

SHOWN, FITTED, FOLDS = 40, 500, 5
"""Groups in the records beside those found, features whose effects are fitted beside those shown, folds of agreement."""

QUANTITY = {
    "survival": "log hazard ratio",
    "binary": "log odds ratio",
    "ordinal": "log odds ratio of a higher class",
    "continuous": "difference in the endpoint",
    "multiclass": "difference in the feature between the class and the others",
}


def find(
    study: Study, endpoint: str, material: Material, fdr: float, beyond: list[str], draws: int, sets: list[Any], panel: bool, tell: Progress
) -> tuple[BiomarkerResults, pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """Records, a row for each feature, a row for each gene set."""
    from cohortium.discovery import discover, univariate
    from cohortium.discovery.finding import AGAIN, all_groups
    from cohortium.discovery.univariate import with_fits
    from cohortium.experiment import ProgressEvent

    outcome, features, c, seed = material.outcome, material.features, material.covariates, study.spec.seed
    alone = univariate(outcome, features, c)
    groups = all_groups(features)
    total = max(draws, 1) + AGAIN
    found = discover(
        outcome, features, np.random.default_rng([seed, 51]), covariates=c, fdr=fdr, draws=draws, groups=groups,
        each=_counter("knockoffs", total, tell),
    )  # fmt: skip
    if found.refused:
        tell(ProgressEvent("knockoffs", total, total))
    steady = _steady(material, groups, np.random.default_rng([seed, 52]), tell)
    shown = _shown(alone, found, steady, groups, fdr)
    members = np.flatnonzero(np.isin(groups, shown))
    best = np.argsort(np.nan_to_num(alone.p, nan=1.0), kind="stable")[:FITTED]
    alone = with_fits(alone, outcome, features, c, np.union1d(members, best))
    records = _groups(material, alone, found, steady, shown, np.random.default_rng([seed, 53]))
    enrichment, frame = _enrichment(study, material, alone, fdr, sets)
    results = _results(study, endpoint, material, alone, found, steady, records, fdr, beyond, draws, enrichment)
    if panel:
        results = replace(results, panel=_panel(study, material, beyond, tell))
    return results, _table(material, alone, found, steady), frame


def _panel(study: Study, material: Material, beyond: list[str], tell: Progress) -> PanelRecord:
    from cohortium.contracts.biomarkers import PanelCost, PanelMember, PanelRecord, PanelSize
    from cohortium.discovery.panel import FOLDS as OUTER
    from cohortium.discovery.panel import REPEATS, minimal_panel

    names = [m for m in material.cohort.modalities if m not in beyond]
    rng = np.random.default_rng([study.spec.seed, 54])
    each = _counter("panel", OUTER * REPEATS + 1, tell)
    p = minimal_panel(material.cohort, material.outcome, names, beyond, rng, each, _costs(study))
    members = [PanelMember(m, f, o) for (m, f), o in zip(p.names, p.often, strict=True)]
    sizes = [
        PanelSize(t.size, t.loss, t.excess, t.error, None if t.assays is None else list(t.assays), t.cost, t.taken)
        for t in p.tried
    ]
    cost = None
    if study.spec.costs is not None and p.cost is not None and p.full_cost is not None:
        cost = PanelCost(study.spec.costs.currency, p.cost, p.full_cost, min(p.costs), max(p.costs))
    return PanelRecord(
        p.panel.metric, members, p.within, sizes, p.panel, p.full, p.minus_full, p.chosen, p.base, p.minus_base, cost
    )


def _costs(study: Study) -> Costs | None:
    from cohortium.discovery.assays import Costs

    if study.spec.costs is None:
        return None
    assays = study.spec.costs.assays
    return Costs({m: c.assay for m, c in assays.items()}, {m: c.feature for m, c in assays.items()})


def _counter(step: str, total: int, tell: Progress) -> Any:
    from cohortium.experiment import ProgressEvent

    told = iter(range(1, total + 1))
    tell(ProgressEvent(step, 0, total))
    return lambda: tell(ProgressEvent(step, next(told), total))


def _steady(material: Material, groups: Any, rng: np.random.Generator, tell: Progress) -> Stability:
    from cohortium.discovery import fit_null
    from cohortium.discovery.stability import PAIRS, stability

    x = np.nan_to_num(material.features.x)
    null = fit_null(material.outcome, material.covariates)
    return stability(x, null, groups, rng, _counter("stability", PAIRS, tell))


def _shown(alone: Univariate, found: Discovery, steady: Stability, groups: Any, fdr: float) -> Any:
    """Numbers of the groups in the records: found by knockoffs, stable, then the smallest p-values."""
    best = np.full(len(found.selected), np.inf)
    np.minimum.at(best, groups, np.nan_to_num(alone.p, nan=np.inf))
    first = np.argsort(best, kind="stable")[:SHOWN]
    chosen = set(np.flatnonzero(found.selected | (steady.share >= steady.threshold)).tolist())
    given = np.nan_to_num(found.q, nan=np.inf) <= fdr
    chosen |= set(np.flatnonzero(given).tolist()) | {int(g) for g in first if np.isfinite(best[g])}
    return np.array(sorted(chosen, key=lambda g: (not found.selected[g], not given[g], best[g], g)), dtype=np.int64)


def _groups(
    material: Material, alone: Univariate, found: Discovery, steady: Stability, shown: Any, rng: np.random.Generator
) -> list[Group]:
    from cohortium.contracts.biomarkers import Group
    from cohortium.discovery.agreement import same_sign

    f, p = material.features, np.nan_to_num(alone.p, nan=np.inf)
    members = [np.flatnonzero(found.groups == g) for g in shown]
    leads = np.array([at[int(np.argmin(p[at]))] for at in members], dtype=np.intp)
    fold = np.empty(len(material.outcome), dtype=np.int64)
    shuffled = rng.permutation(len(fold))
    fold[shuffled[np.argsort(material.outcome.strata[shuffled], kind="stable")]] = np.arange(len(fold)) % FOLDS
    folds = same_sign(material.outcome, f, material.covariates, fold, leads)
    units = material.cohort.units
    site = pd.factorize(units["site"])[0] if "site" in units else np.full(len(units), -1)
    sites = same_sign(material.outcome, f, material.covariates, site.astype(np.int64), leads)
    out = []
    for i, g in enumerate(shown):
        again = None if found.again is None else _number(found.again[g])
        tested = bool(found.tested[g])
        out.append(
            Group(
                int(g) + 1, str(f.modality[leads[i]]), [str(f.name[j]) for j in members[i]], _association(f, alone, leads[i]),
                bool(found.selected[g]), tested, *(_number(v[g]) for v in (found.p, found.q, found.w, found.e)),
                again, float(steady.share[g]), bool(steady.share[g] >= steady.threshold), folds[i], sites[i],
            )
        )  # fmt: skip
    return out


def _association(features: Any, alone: Univariate, j: int) -> Any:
    from cohortium.contracts.biomarkers import Association

    return Association(
        str(features.modality[j]), str(features.name[j]), int(alone.n[j]), _number(alone.effect[j]),
        _number(alone.low[j]), _number(alone.high[j]), _number(alone.p[j]), _number(alone.q[j]), str(alone.level[j]),
    )  # fmt: skip


def _number(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None


def _table(material: Material, alone: Univariate, found: Discovery, steady: Stability) -> pd.DataFrame:
    f, g = material.features, found.groups
    again = np.full(len(g), np.nan) if found.again is None else found.again[g]
    frame = pd.DataFrame(
        {
            "modality": f.modality,
            "feature": f.name,
            "group": g + 1,
            "n": alone.n,
            "effect": alone.effect,
            "low": alone.low,
            "high": alone.high,
            "fitted": alone.fitted,
            "p": alone.p,
            "q": alone.q,
            "tested": found.tested[g],
            "p_given": found.p[g],
            "q_given": found.q[g],
            "selected": found.selected[g],
            "w": found.w[g],
            "again": again,
            "stability": steady.share[g],
        }
    )
    if alone.level.any():
        frame.insert(4, "level", alone.level)
    return frame


def _sources(material: Material, alone: Univariate, found: Discovery, fdr: float) -> list[Source]:
    from cohortium.contracts.biomarkers import Source

    out, f = [], material.features
    for m in f.modalities:
        at = f.columns(m)
        own = np.unique(found.groups[at])
        n = len(material.cohort.modalities[m].units)
        low = int((alone.q[at] <= fdr).sum())
        out.append(
            Source(
                m,
                n,
                len(at),
                len(own),
                f.rare.get(m, 0),
                int(found.tested[own].sum()),
                int((found.q[own] <= fdr).sum()),
                int(found.selected[own].sum()),
                low,
            )
        )
    return out


def _rule(steady: Stability) -> StabilityRule:
    from cohortium.contracts.biomarkers import StabilityRule

    stable = int((steady.share >= steady.threshold).sum())
    return StabilityRule(steady.halves, steady.each, steady.threshold, steady.bound, stable)


def _enrichment(study: Study, material: Material, alone: Univariate, fdr: float, sets: list[Any]) -> Any:
    from cohortium.contracts.biomarkers import Enrichment, SetScore
    from cohortium.discovery.enrichment import KNOWN, enrich, modality_of
    from cohortium.discovery.null import fit_null, residualised

    out, frames = list[Enrichment](), [pd.DataFrame()]
    f = material.features
    for given in sets:
        modality, known = modality_of(f, given.sets)
        at = f.columns(modality)
        if known < max(KNOWN * len(at), 1):
            raise DataError(
                f"{given.file}: {known:,} of the {len(at):,} features of '{modality}', the modality that knows most of them, are in its "
                f"sets. They are {given.space} ids; features are called as '{f.name[at[0]]}'. Give gene sets in the id space of the "
                "features, or rename the features."
            )
        rows = np.flatnonzero(~np.isnan(f.x[:, at[0]]))
        c = material.covariates
        null = fit_null(material.outcome.take(rows), None if c is None else c[rows])
        x = residualised(f.x[np.ix_(rows, at)], null)
        names = [str(s) for s in f.name[at]]
        frame = enrich(names, alone.p[at], np.sign(alone.effect[at]), alone.q[at] <= fdr, x, given.sets)
        first = frame.sort_values("p", kind="stable").head(SHOWN)
        scores = [SetScore(**{str(k): v for k, v in r.items()}) for r in first.to_dict("records")]
        out.append(Enrichment(given.file, modality, int((~np.isnan(alone.p[at])).sum()), known, scores))
        frames.append(frame.assign(file=given.file, modality=modality))
    return out, pd.concat(frames[1:], ignore_index=True) if sets else frames[0]


def _results(
    study: Study, endpoint: str, material: Material, alone: Univariate, found: Discovery, steady: Stability,
    groups: list[Group], fdr: float, beyond: list[str], draws: int, enrichment: Any,
) -> BiomarkerResults:  # fmt: skip
    import cohortium
    from cohortium.contracts.biomarkers import BiomarkerResults
    from cohortium.discovery.null import effective_size

    o = material.outcome
    kind = o.endpoint.kind.value  # of competing risks that of the cause-specific hazard
    return BiomarkerResults(
        study=study.spec.name, title=study.spec.title or study.spec.name, endpoint=endpoint, kind=kind,
        quantity=QUANTITY[kind], test=alone.test, time_unit=o.endpoint.time_unit, seed=study.spec.seed,
        version=cohortium.__version__, fdr=fdr, adjusted=beyond,
        covariates=0 if material.covariates is None else material.covariates.shape[1], n_units=len(material.cohort),
        n_patients=material.cohort.n_patients, n_effective=effective_size(o), n_features=len(material.features),
        n_groups=len(found.selected), n_tested=int(found.tested.sum()), n_given=int((found.q <= fdr).sum()), n_found=int(found.selected.sum()),
        associated=int((alone.q <= fdr).sum()), refused=found.refused, joint=[list(s) for s in found.sets],
        screening=found.screening, draws=draws, sources=_sources(material, alone, found, fdr), groups=groups,
        stability=_rule(steady), enrichment=enrichment, notes=material.notes,
    )  # fmt: skip
