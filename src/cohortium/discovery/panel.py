"""A minimal panel: the fewest features that predict about as well as all, and how well they do in patients that did not choose them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.contracts import Outcome
from cohortium.contracts.estimates import Estimate
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

SIZES = (1, 2, 3, 5, 8, 12, 20, 30)
FOLDS, REPEATS = 5, 2
SD = 0.5
"""Prior standard deviation of a panel feature's coefficient, per standard deviation of the feature."""

POINTS = (0, 2, 4, 6)
"""Penalties of the full model, positions on the ridge path."""


@dataclass(frozen=True, eq=False)
class Panel:
    """names: (modality, feature) in the order in which they enter. often: share of the outer folds whose own panel holds each.
    within: whether it is within one standard error of the full model. sizes, loss, excess, error: the sizes tried, their mean loss of held-out
    units, by how much it exceeds the full model's, and the standard error of that.

    panel, full, base: the headline metric in outer folds, which neither chose the panel nor fitted it; base: covariates alone,
    None without. minus_full, minus_base: paired differences. chosen: (outer folds,) sizes chosen there.
    """

    names: list[tuple[str, str]]
    often: list[float]
    within: bool
    sizes: list[int]
    loss: list[float]
    excess: list[float]
    error: list[float]
    panel: Estimate
    full: Estimate
    base: Estimate | None
    minus_full: Estimate
    minus_base: Estimate | None
    chosen: list[int]


@dataclass(frozen=True, eq=False)
class _Encoded:
    """Features and covariates as training rows encode them."""

    encoders: dict[str, Encoder]
    covariates: dict[str, Encoder]
    names: list[tuple[str, str]]

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


def _encode(cohort: Cohort, candidates: list[str], beyond: list[str]) -> _Encoded:
    encoders = {m: fit_encoder(cohort.modalities[m]) for m in candidates if len(cohort.modalities[m].units)}
    names = [(m, str(f)) for m, e in encoders.items() for f in e.names_]
    return _Encoded(dict(encoders), {m: fit_encoder(cohort.modalities[m]) for m in beyond}, names)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """order: columns as they enter. fits: size -> coefficients of covariates and the first columns, and nuisance parameters.
    full: position on the ridge path -> those of all columns."""

    encoded: _Encoded
    family: Family
    order: list[int]
    fits: dict[int, tuple[Array, Array]]
    full: dict[int, tuple[Array, Array]]

    def scores(self, cohort: Cohort) -> tuple[dict[int, Array], dict[int, Array]]:
        """(n, K) scores of every size (0: covariates alone), and of the full model at every point."""
        x, c = self.encoded.matrix(cohort), self.encoded.matrix(cohort, "covariates")
        every = np.hstack([c, x])
        sizes = {s: np.hstack([c, x[:, self.order[:s]]]) @ b for s, (b, _) in self.fits.items()}
        return sizes, {k: every @ b for k, (b, _) in self.full.items()}


def _fit(cohort: Cohort, outcome: Outcome, candidates: list[str], beyond: list[str], sizes: tuple[int, ...]) -> _Fitted:
    encoded = _encode(cohort, candidates, beyond)
    x, c = encoded.matrix(cohort), encoded.matrix(cohort, "covariates")
    null, family = fit_null(outcome, c), family_of(outcome)
    order = first_groups(residualised(x, null), null.residual, np.arange(x.shape[1]), max(sizes))
    fits = {}
    for s in (0, *sizes):
        design = np.hstack([c, x[:, order[:s]]])
        penalty = np.concatenate([np.full(c.shape[1], 1e-3), np.full(design.shape[1] - c.shape[1], SD**-2)])
        fits[s] = fit_ridge(design, family, penalty, (np.zeros((design.shape[1], family.n_scores)), family.start()))
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
    size: int
    point: int
    within: bool
    loss: Array
    excess: Array
    error: Array


def _choose(
    cohort: Cohort, outcome: Outcome, candidates: list[str], beyond: list[str], rng: np.random.Generator
) -> _Choice:
    """The smallest size whose held-out loss exceeds the full model's by no more than one standard error of the difference
    (the rule of Breiman et al. 1984, paired); the best size where none does."""
    fold, n, family = _deal(outcome.strata, rng), len(outcome), family_of(outcome)
    loss, full = np.zeros((len(SIZES), n)), np.zeros((len(POINTS), n))
    for f in range(FOLDS):
        train, test = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
        own = family.take(test)
        fitted = _fit(cohort.take(train), outcome.take(train), candidates, beyond, SIZES)
        sizes, every = fitted.scores(cohort.take(test))
        for i, s in enumerate(SIZES):
            loss[i, test] = own.unit_loss(*_on_scale(fitted, family, sizes[s], fitted.fits[s][1]))
        for i, k in enumerate(POINTS):
            full[i, test] = own.unit_loss(*_on_scale(fitted, family, every[k], fitted.full[k][1]))
    best = int(full.mean(axis=1).argmin())
    excess = loss - full[best]
    error = excess.std(axis=1, ddof=1) / np.sqrt(n)
    good = np.flatnonzero(excess.mean(axis=1) <= error)
    at = int(good[0]) if len(good) else int(loss.mean(axis=1).argmin())
    return _Choice(SIZES[at], POINTS[best], bool(len(good)), loss.mean(axis=1), excess.mean(axis=1), error)


def minimal_panel(
    cohort: Cohort, outcome: Outcome, candidates: list[str], beyond: list[str], rng: np.random.Generator,
    each: Callable[[], None] = lambda: None,
) -> Panel:  # fmt: skip
    """outcome: of the cohort's units, in their order, one of each patient. Encoders, order, size and coefficients of an outer fold come
    from its training part alone; features enter in the order of the lasso. each: called after each of the 11 rounds."""
    metric = headline_metric(outcome.endpoint.kind)
    values: dict[str, list[float]] = {"panel": [], "full": [], "base": []}
    held, chosen, n_test = list[set[tuple[str, str]]](), list[int](), list[int]()
    for _ in range(REPEATS):
        fold = _deal(outcome.strata, rng)
        for f in range(FOLDS):
            train, test = np.flatnonzero(fold != f), np.flatnonzero(fold == f)
            part, labels = cohort.take(train), outcome.take(train)
            choice = _choose(part, labels, candidates, beyond, rng)
            fitted = _fit(part, labels, candidates, beyond, (choice.size,))
            sizes, every = fitted.scores(cohort.take(test))
            tried = {
                "panel": (sizes[choice.size], fitted.fits[choice.size]),
                "full": (every[choice.point], fitted.full[choice.point]),
                "base": (sizes[0], fitted.fits[0]),
            }
            known, known_full = fitted.scores(part)
            own = {"panel": known[choice.size], "full": known_full[choice.point], "base": known[0]}
            for key, (eta, (_, theta)) in tried.items():
                values[key].append(_score(metric, outcome.take(test), eta, fitted.family.finish(own[key], theta)))
            held.append({fitted.encoded.names[j] for j in fitted.order[: choice.size]})
            chosen.append(choice.size)
            n_test.append(len(test))
            each()
    choice = _choose(cohort, outcome, candidates, beyond, rng)
    last = _fit(cohort, outcome, candidates, beyond, (choice.size,))
    each()
    names = [last.encoded.names[j] for j in last.order[: choice.size]]
    return _panel(metric, outcome, beyond, values, np.array(n_test), names, held, chosen, choice)


def _score(metric: str, outcome: Outcome, eta: Array, finish: dict[str, Any]) -> float:
    """The metric in the test part; NaN where it has no value there."""
    try:
        return float(score(metric, outcome, to_prediction(outcome.endpoint, outcome.units, eta, finish)))
    except NotEstimable:
        return float("nan")


def _panel(
    metric: str, outcome: Outcome, beyond: list[str], values: dict[str, list[float]], n_test: NDArray[np.int64],
    names: list[tuple[str, str]], held: list[set[tuple[str, str]]], chosen: list[int], choice: _Choice,
) -> Panel:  # fmt: skip
    n_train, n = len(outcome) - n_test, len(outcome)

    def estimate(key: str) -> Estimate:
        return from_folds(metric, values[key], n_train, n_test, n=n)

    def minus(key: str) -> Estimate:
        return paired_from_folds(metric, values["panel"], values[key], n_train, n_test, n=n)

    often = [float(np.mean([f in h for h in held])) for f in names]
    return Panel(
        names, often, choice.within, list(SIZES), *([float(v) for v in x] for x in (choice.loss, choice.excess, choice.error)),
        estimate("panel"), estimate("full"), estimate("base") if beyond else None, minus("full"),
        minus("base") if beyond else None, chosen,
    )  # fmt: skip
