"""A minimal panel: the fewest features that predict about as well as all, and how well they do in patients that did not choose them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.contracts import Outcome
from cohortium.contracts.estimates import Estimate
from cohortium.discovery.assays import Costs, sets_of_assays
from cohortium.discovery.null import fit_null, residualised
from cohortium.discovery.stability import first_groups
from cohortium.encoders import Encoder, fit_encoder
from cohortium.encoders.block import rotate
from cohortium.heads.families import Family, Gaussian, family_of, to_prediction
from cohortium.heads.linear import RidgePath
from cohortium.heads.newton import fit_ridge
from cohortium.metrics import NotEstimable, from_folds, headline_metric, paired_from_folds, score

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

Key = tuple[int, int]
"""A panel: number of its set of assays, and its size."""

BASE: Key = (-1, 0)
"""Covariates alone."""

SIZES = (1, 2, 3, 5, 8, 12, 20, 30)
FOLDS, REPEATS = 5, 2
SD = 0.5
"""Prior standard deviation of a panel feature's coefficient, per standard deviation of the feature."""

POINTS = (0, 2, 4, 6)
"""Penalties of the full model, positions on the ridge path."""


@dataclass(frozen=True)
class Tried:
    """A size of panel from one set of assays (None: of all). taken: the one that the panel is. loss: mean, of held-out units; excess: beyond the full model's, error: its
    standard error. cost: of the panel for a patient; None without costs."""

    size: int
    loss: float
    excess: float
    error: float
    assays: tuple[str, ...] | None = None
    cost: float | None = None
    taken: bool = False


@dataclass(frozen=True, eq=False)
class Panel:
    """names: (modality, feature) in the order in which they enter. often: share of the outer folds whose own panel holds each.
    within: whether it is within one standard error of the full model. tried: all sizes, of all sets of assays with costs. cost, full_cost: of
    the panel and of all features for a patient, covariates included; costs: of the outer folds' own panels; None and empty without costs.

    panel, full, base: the headline metric in outer folds, which neither chose the panel nor fitted it; base: covariates alone,
    None without. minus_full, minus_base: paired differences. chosen: (outer folds,) sizes chosen there.
    """

    names: list[tuple[str, str]]
    often: list[float]
    within: bool
    tried: list[Tried]
    panel: Estimate
    full: Estimate
    base: Estimate | None
    minus_full: Estimate
    minus_base: Estimate | None
    chosen: list[int]
    cost: float | None = None
    full_cost: float | None = None
    costs: list[float] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Question:
    """candidates: modalities whose features may enter. beyond: covariates. costs: None where panels are compared by size alone.
    sets: of assays to which panels are restricted, all candidates last."""

    candidates: list[str]
    beyond: list[str]
    costs: Costs | None
    sets: list[tuple[str, ...]]

    def cost(self, cohort: Cohort, features: Iterable[tuple[str, int]]) -> float | None:
        """Of a panel for a patient, all covariates included."""
        if self.costs is None:
            return None
        return self.costs.of(features) + sum(self.costs.whole(m, cohort.modalities[m].n_features) for m in self.beyond)

    def full_cost(self, cohort: Cohort) -> float | None:
        """Of all features and covariates."""
        if self.costs is None:
            return None
        every = [*self.candidates, *self.beyond]
        return sum(self.costs.whole(m, cohort.modalities[m].n_features) for m in every)


@dataclass(frozen=True, eq=False)
class _Encoded:
    """Features and covariates as training rows encode them. source: modality and number of the feature behind each column."""

    encoders: dict[str, Encoder]
    covariates: dict[str, Encoder]
    names: list[tuple[str, str]]
    source: list[tuple[str, int]]

    def matrix(self, cohort: Cohort, which: str = "encoders") -> Array:
        """(n, q), 0 where a unit lacks the modality."""
        parts = []
        for m, encoder in getattr(self, which).items():
            data = cohort.modalities[m]
            z = encoder.transform(data)
            block = np.zeros((len(cohort), z.shape[1]))
            block[cohort.units.index.get_indexer(data.units)] = z
            parts.append(block)
        return np.hstack(parts) if parts else np.zeros((len(cohort), 0))


def _encode(cohort: Cohort, q: _Question) -> _Encoded:
    encoders = {m: fit_encoder(cohort.modalities[m]) for m in q.candidates if len(cohort.modalities[m].units)}
    names = [(m, str(f)) for m, e in encoders.items() for f in e.names_]
    source = [(m, int(j)) for m, e in encoders.items() for j in _sources(e)]
    return _Encoded(dict(encoders), {m: fit_encoder(cohort.modalities[m]) for m in q.beyond}, names, source)


def _sources(encoder: Encoder) -> Any:
    """Number of the feature behind each column: the levels of one column are one measurement."""
    inner = getattr(encoder, "encoder_", encoder)
    return getattr(inner, "source_", np.arange(len(encoder.names_)))


@dataclass(frozen=True, eq=False)
class _Fitted:
    """order: set of assays -> columns as they enter. fits: (set, size) -> coefficients of covariates and the first columns, and
    nuisance parameters. full: position on the ridge path -> those of all columns."""

    encoded: _Encoded
    family: Family
    order: dict[int, list[int]]
    fits: dict[Key, tuple[Array, Array]]
    full: dict[int, tuple[Array, Array]]

    def members(self, key: Key) -> list[int]:
        """Columns of a panel."""
        return self.order[key[0]][: key[1]] if key[1] else []

    def sources(self, key: Key) -> list[tuple[str, int]]:
        """Modality and feature behind each of them."""
        return [self.encoded.source[j] for j in self.members(key)]

    def scores(self, cohort: Cohort) -> tuple[dict[Key, Array], dict[int, Array]]:
        """(n, K) scores of every panel (BASE: covariates alone), and of the full model at every point."""
        x, c = self.encoded.matrix(cohort), self.encoded.matrix(cohort, "covariates")
        every = np.hstack([c, x])
        sizes = {key: np.hstack([c, x[:, self.members(key)]]) @ b for key, (b, _) in self.fits.items()}
        return sizes, {k: every @ b for k, (b, _) in self.full.items()}


def _fit(cohort: Cohort, outcome: Outcome, q: _Question, keys: Sequence[Key]) -> _Fitted:
    encoded = _encode(cohort, q)
    x, c = encoded.matrix(cohort), encoded.matrix(cohort, "covariates")
    null, family = fit_null(outcome, c), family_of(outcome)
    z = residualised(x, null)
    most = dict[int, int]()
    for i, size in keys:
        most[i] = max(size, most.get(i, 0))
    order, fits = dict[int, list[int]](), dict[Key, tuple[Array, Array]]()
    for i, size in most.items():
        at = np.array([j for j, (m, _) in enumerate(encoded.source) if m in q.sets[i]], dtype=np.intp)
        first = first_groups(z[:, at], null.residual, np.arange(len(at)), size) if len(at) else []
        order[i] = [int(at[j]) for j in first]
    made = dict[tuple[int, ...], tuple[Array, Array]]()  # panels of sets that run out of features are the same
    for key in (BASE, *keys):
        columns = tuple(order[key[0]][: key[1]]) if key[1] else ()
        if columns not in made:
            design = np.hstack([c, x[:, list(columns)]])
            penalty = np.concatenate([np.full(c.shape[1], 1e-3), np.full(design.shape[1] - c.shape[1], SD**-2)])
            start = (np.zeros((design.shape[1], family.n_scores)), family.start())
            made[columns] = fit_ridge(design, family, penalty, start)
        fits[key] = made[columns]
    return _Fitted(encoded, family, order, fits, _full(np.hstack([c, x]), family))


def _full(x: Array, family: Family) -> dict[int, tuple[Array, Array]]:
    """Ridge on all columns."""
    z, dual, primal = rotate(x)
    scale = np.sqrt(max(x.shape[1], 1))
    path, out = RidgePath(z / scale, family), {}
    for k in POINTS:
        b = path.coef(k) / scale
        out[k] = (primal @ b if primal.shape[1] else x.T @ (dual @ b)), path.points[k][1]
    return out


def _on_scale(fitted: _Fitted, family: Family, eta: Array, theta: Array) -> tuple[Array, Array]:
    """Scores and nuisance parameters as another sample's family takes them: values have the scale of their own sample."""
    if isinstance(family, Gaussian) and isinstance(fitted.family, Gaussian):
        value = (eta + theta) * fitted.family.scale + fitted.family.centre
        return (value - family.centre) / family.scale, np.zeros(1)
    return eta, theta


def _deal(strata: Codes, rng: np.random.Generator) -> Codes:
    """Fold of every unit, alike in outcomes."""
    fold = np.empty(len(strata), dtype=np.int64)
    shuffled = rng.permutation(len(strata))
    fold[shuffled[np.argsort(strata[shuffled], kind="stable")]] = np.arange(len(strata)) % FOLDS
    return fold


@dataclass(frozen=True, eq=False)
class _Choice:
    """key: the panel taken. fitted: all panels, on all units of the part. keys, loss, excess, error, cost: of those tried."""

    key: Key
    point: int
    within: bool
    fitted: _Fitted
    keys: list[Key]
    loss: Array
    excess: Array
    error: Array
    cost: list[float | None]


def _choose(cohort: Cohort, outcome: Outcome, q: _Question, rng: np.random.Generator) -> _Choice:
    """Of the panels whose held-out loss exceeds the full model's by no more than one standard error of the difference
    (the rule of Breiman et al. 1984, paired) the cheapest, without costs the smallest; where none does, that of the least loss."""
    fold, n, family = _deal(outcome.strata, rng), len(outcome), family_of(outcome)
    keys = [(i, s) for i in range(len(q.sets)) for s in SIZES]
    loss, full = np.zeros((len(keys), n)), np.zeros((len(POINTS), n))
    for f in range(FOLDS):
        train, test = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        own = family.take(test)
        fitted = _fit(cohort.take(train), outcome.take(train), q, keys)
        sizes, every = fitted.scores(cohort.take(test))
        for i, key in enumerate(keys):
            loss[i, test] = own.unit_loss(*_on_scale(fitted, family, sizes[key], fitted.fits[key][1]))
        for i, k in enumerate(POINTS):
            full[i, test] = own.unit_loss(*_on_scale(fitted, family, every[k], fitted.full[k][1]))
    best = int(full.mean(axis=1).argmin())
    excess = loss - full[best]
    error = excess.std(axis=1, ddof=1) / np.sqrt(n)
    good = np.flatnonzero(excess.mean(axis=1) <= error)
    whole = _fit(cohort, outcome, q, keys)
    cost = [q.cost(cohort, whole.sources(key)) for key in keys]
    rank = [(cost[i] or 0.0, len(whole.members(keys[i])), float(loss[i].mean())) for i in range(len(keys))]
    at = min(good, key=lambda i: rank[i]) if len(good) else int(loss.mean(axis=1).argmin())
    return _Choice(
        keys[at], POINTS[best], bool(len(good)), whole, keys, loss.mean(axis=1), excess.mean(axis=1), error, cost
    )


def minimal_panel(
    cohort: Cohort, outcome: Outcome, candidates: list[str], beyond: list[str], rng: np.random.Generator,
    each: Callable[[], None] = lambda: None, costs: Costs | None = None,
) -> Panel:  # fmt: skip
    """outcome: of the cohort's units, in their order, one of each patient. Encoders, order, size and coefficients of an outer fold come
    from its training part alone; features enter in the order of the lasso. each: called after each of the 11 rounds. costs: of
    every modality; then panels of sets of assays are tried too, and of those that are good enough the cheapest is taken."""
    sets = [tuple(candidates)] if costs is None else sets_of_assays(candidates, costs)
    q, metric = _Question(candidates, beyond, costs, sets), headline_metric(outcome.endpoint.kind)
    values: dict[str, list[float]] = {"panel": [], "full": [], "base": []}
    held, chosen, n_test = list[set[tuple[str, str]]](), list[int](), list[int]()
    spent = list[float]()
    for _ in range(REPEATS):
        fold = _deal(outcome.strata, rng)
        for f in range(FOLDS):
            train, test = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
            part, labels = cohort.take(train), outcome.take(train)
            choice = _choose(part, labels, q, rng)
            for key, value in _scored(metric, choice, part, cohort.take(test), outcome.take(test)).items():
                values[key].append(value)
            members = choice.fitted.members(choice.key)
            held.append({choice.fitted.encoded.names[j] for j in members})
            cost = q.cost(part, choice.fitted.sources(choice.key))
            spent += [] if cost is None else [cost]
            chosen.append(choice.key[1])
            n_test.append(len(test))
            each()
    choice = _choose(cohort, outcome, q, rng)
    each()
    made = _panel(metric, outcome, beyond, values, np.array(n_test), held, chosen, choice, q)
    return replace(made, full_cost=q.full_cost(cohort), costs=spent)


def _scored(metric: str, choice: _Choice, part: Cohort, test: Cohort, labels: Outcome) -> dict[str, float]:
    """The metric of panel, full model and covariates alone in a test part."""
    fitted = choice.fitted
    sizes, every = fitted.scores(test)
    known, known_full = fitted.scores(part)
    tried = {
        "panel": (sizes[choice.key], fitted.fits[choice.key][1], known[choice.key]),
        "full": (every[choice.point], fitted.full[choice.point][1], known_full[choice.point]),
        "base": (sizes[BASE], fitted.fits[BASE][1], known[BASE]),
    }
    return {
        key: _score(metric, labels, eta, fitted.family.finish(own, theta)) for key, (eta, theta, own) in tried.items()
    }


def _score(metric: str, outcome: Outcome, eta: Array, finish: dict[str, Any]) -> float:
    """The metric in the test part; NaN where it has no value there."""
    try:
        return float(score(metric, outcome, to_prediction(outcome.endpoint, outcome.units, eta, finish)))
    except NotEstimable:
        return float("nan")


def _panel(
    metric: str, outcome: Outcome, beyond: list[str], values: dict[str, list[float]], n_test: NDArray[np.int64],
    held: list[set[tuple[str, str]]], chosen: list[int], choice: _Choice, q: _Question,
) -> Panel:  # fmt: skip
    n_train, n = len(outcome) - n_test, len(outcome)
    names = [choice.fitted.encoded.names[j] for j in choice.fitted.members(choice.key)]

    def estimate(key: str) -> Estimate:
        return from_folds(metric, values[key], n_train, n_test, n=n)

    def minus(key: str) -> Estimate:
        return paired_from_folds(metric, values["panel"], values[key], n_train, n_test, n=n)

    often = [float(np.mean([f in h for h in held])) for f in names]
    tried = [
        Tried(
            size, float(choice.loss[i]), float(choice.excess[i]), float(choice.error[i]),
            None if q.costs is None else q.sets[k], choice.cost[i], (k, size) == choice.key,
        )
        for i, (k, size) in enumerate(choice.keys)
    ]  # fmt: skip
    return Panel(
        names, often, choice.within, tried, estimate("panel"), estimate("full"),
        estimate("base") if beyond else None, minus("full"), minus("base") if beyond else None, chosen,
        cost=choice.cost[choice.keys.index(choice.key)],
    )  # fmt: skip
