"""The laws that every learner keeps, runnable on a stranger's: ``check_learner(MyLearner())``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort
from cohortium.cohort.garbage import spoiled
from cohortium.contracts import (
    ClassOutcome,
    CompetingOutcome,
    CumulativeIncidence,
    Fold,
    Learner,
    Outcome,
    Prediction,
    Predictor,
    Probabilities,
    Survival,
    SurvivalOutcome,
    ValueOutcome,
    Values,
)
from cohortium.schema import EndpointKind
from cohortium.testing.simulate import Simulated, simulate_cohort

Floats = NDArray[np.float64]
Restore = Callable[[dict[str, Any]], Predictor]
SIZES = {"labs": 6, "rna": 12, "noise": 80}
TRAINED = 110


class LawBroken(AssertionError):  # noqa: N818  named for what happened
    """A learner broke a law; the message says which, on which endpoint kind, and what was seen."""


def check_learner(
    learner: Learner,
    rng: np.random.Generator,
    kinds: Iterable[EndpointKind | str] = tuple(EndpointKind),
    *,
    restore: Restore | None = None,
    finds_signal: bool = True,
    null_draws: int = 0,
    shapes: Mapping[str, str] | None = None,
) -> list[str]:
    """Fit ``learner`` on simulated folds and hold it to the laws; returns the laws it was held to.

    The folds have modalities ``labs`` and ``rna``, which carry the outcome, and ``noise``; two of them are lacked by
    some units. kinds: endpoint kinds it is meant for. restore: makes a predictor of ``predictor.state()`` again;
    None leaves that law out. finds_signal: its predictions must agree with the planted score. null_draws: fits on
    so many cohorts without signal (at least 10 to mean something) whose mean agreement must be nothing. shapes: of
    ``rna`` and ``noise``, tables unless said otherwise: ``{"rna": "bag", "noise": "events"}``.

    Laws: predictions of the right type, aligned, finite and proper for every pattern of presence; neither the order
    of rows nor absent rows change a prediction; fitting changes no data; fitting again gives the same to the bit;
    garbage in the test rows leaves the model unchanged to the bit; saved and restored predicts the same. Raises :class:`LawBroken`.
    """
    done: dict[str, None] = {}
    for kind in map(EndpointKind, kinds):
        simulated = simulate_cohort(
            rng, 160, SIZES, kind, missing={"rna": 0.3, "noise": 0.2}, nominal={"labs": 1}, shapes=shapes
        )
        predictor = _fit_unchanged(learner, simulated, kind)
        done["fitting changes no data"] = None
        _every_pattern(predictor, simulated, kind)
        done["predicts every pattern of presence"] = None
        _order(predictor, simulated, kind, rng)
        done["row order and absent rows change nothing"] = None
        _again_among_garbage(learner, predictor, simulated, kind, rng)
        done["refit equals fit"] = None
        done["test rows do not reach the fit"] = None
        if restore is not None:
            _restored(predictor, restore, simulated, kind)
            done["restored predicts the same"] = None
        if finds_signal:
            _signal(learner, rng, kind, shapes)
            done["finds the planted signal"] = None
        if null_draws:
            _null(learner, rng, kind, null_draws, shapes)
            done["finds nothing where nothing is"] = None
    return list(done)


def simulated_fold(simulated: Simulated, rows: NDArray[np.intp], inner: int = 3, seed: int = 5) -> Fold:
    """A fold of the given rows with ``inner`` inner splits, whole patients in one part."""
    cohort = simulated.cohort.take(rows)
    groups = cohort.groups()
    part = groups % inner
    splits = tuple((np.flatnonzero(part != j), np.flatnonzero(part == j)) for j in range(inner))
    return Fold(cohort, simulated.outcome.take(rows), groups, splits, seed, f"{simulated.outcome.endpoint.name}/0/0")


def _fold(simulated: Simulated) -> Fold:
    return simulated_fold(simulated, np.arange(TRAINED))


def _test(simulated: Simulated) -> Cohort:
    return simulated.cohort.take(np.arange(TRAINED, len(simulated.cohort)))


def _broken(law: str, kind: EndpointKind, seen: str) -> LawBroken:
    return LawBroken(f"{law}, on a {kind.value} endpoint: {seen}")


def numbers(prediction: Prediction) -> Floats:
    """(n, k) the numbers of a prediction: probabilities, values, or risk beside survival or incidence."""
    if isinstance(prediction, Probabilities):
        return prediction.p
    if isinstance(prediction, Values):
        return prediction.values[:, None]
    curves = prediction.survival if isinstance(prediction, Survival) else prediction.incidence
    return np.column_stack([prediction.risk, curves])


def _content(fold: Fold) -> Iterator[tuple[str, Any]]:
    yield "units", fold.cohort.units.to_numpy().tolist()
    for name, table in fold.cohort.modalities.items():
        yield name, [(key, a.tolist() if a.dtype == object else a.tobytes()) for key, a in table.arrays()]
    for field in ("codes", "values", "time", "event", "entry", "cause"):
        if hasattr(fold.outcome, field):
            yield field, getattr(fold.outcome, field).tobytes()
    yield "groups", fold.groups.tobytes()
    yield "inner", [(a.tobytes(), b.tobytes()) for a, b in fold.inner]


def _fit_unchanged(learner: Learner, simulated: Simulated, kind: EndpointKind) -> Predictor:
    fold = _fold(simulated)
    before = dict(_content(fold))
    predictor = learner.fit(fold)
    changed = [k for k, v in _content(fold) if before[k] != v]
    if changed:
        raise _broken("Fitting changes no data", kind, f"it changed {', '.join(changed)}")
    return predictor


def _every_pattern(predictor: Predictor, simulated: Simulated, kind: EndpointKind) -> None:
    law, test = "Every pattern of presence is predicted", _test(simulated)
    names = list(test.modalities)
    for k in range(len(names) + 1):
        for have in combinations(names, k):
            cohort = test.only(have)
            what = f"with {' and '.join(have) or 'no modality'}"
            try:
                prediction = predictor.predict(cohort)
            except Exception as e:
                raise _broken(law, kind, f"{what} it raised {type(e).__name__}: {e}") from e
            wrong = _improper(prediction, cohort, simulated.outcome)
            if wrong:
                raise _broken(law, kind, f"{what} {wrong}")
    nobody = predictor.predict(test.take(np.arange(0)))
    if len(nobody):
        raise _broken(law, kind, f"for no unit it gave {len(nobody)} predictions")


def _improper(prediction: Prediction, cohort: Cohort, outcome: Outcome) -> str | None:
    """What is wrong with a prediction, in words."""
    expected = {
        ClassOutcome: Probabilities,
        ValueOutcome: Values,
        SurvivalOutcome: Survival,
        CompetingOutcome: CumulativeIncidence,
    }[type(outcome)]
    if not isinstance(prediction, expected):
        return f"it gave {type(prediction).__name__}, not {expected.__name__}"
    if len(prediction) != len(cohort) or list(prediction.units) != list(cohort.ids):
        return "the predictions are not those of the units asked for, in their order"
    x = numbers(prediction)
    if not np.isfinite(x).all():
        return f"{int((~np.isfinite(x)).sum())} of the numbers are not finite"
    if isinstance(prediction, Probabilities):
        if prediction.classes != outcome.endpoint.classes:
            return "the classes are not the endpoint's"
        if x.min() < 0 or np.abs(x.sum(axis=1) - 1).max() > 1e-6:
            return "the probabilities are negative or do not add up to 1"
    if isinstance(prediction, Survival | CumulativeIncidence):
        s, times = (
            prediction.survival if isinstance(prediction, Survival) else 1 - prediction.incidence,
            prediction.times,
        )
        if s.min(initial=0) < 0 or s.max(initial=1) > 1 or (np.diff(s, axis=1) > 1e-9).any():
            return "survival or incidence leaves [0, 1], or runs backwards with time"
        if not len(times) or times[0] <= 0 or (np.diff(times) <= 0).any():
            return "the times are not positive and increasing"
    return None


def _order(predictor: Predictor, simulated: Simulated, kind: EndpointKind, rng: np.random.Generator) -> None:
    test = _test(simulated)
    some = rng.permutation(len(test))[:20]
    whole, part = (numbers(predictor.predict(c)) for c in (test, test.take(some)))
    if not np.allclose(part, whole[some], rtol=1e-9, atol=1e-12):
        gap = np.abs(part - whole[some]).max()
        raise _broken("Neither the order of rows nor absent rows change a prediction", kind, f"it moved by {gap:.2g}")


def _same_to_the_bit(law: str, one: Predictor, two: Predictor, simulated: Simulated, kind: EndpointKind) -> None:
    a, b = (numbers(p.predict(simulated.cohort)) for p in (one, two))
    if a.shape != b.shape or not np.array_equal(a, b):
        seen = "shapes differ" if a.shape != b.shape else f"predictions differ by up to {np.abs(a - b).max():.2g}"
        raise _broken(law, kind, seen)


def _again_among_garbage(
    learner: Learner, predictor: Predictor, simulated: Simulated, kind: EndpointKind, rng: np.random.Generator
) -> None:
    """A second fit, with other values, presence and labels in the rows that are not trained on.

    Equal to the bit it keeps both laws at the price of one fit; only if it is not, a third one says which is broken.
    """
    cohort = simulated.cohort
    turned = simulated.outcome.take(np.r_[np.arange(TRAINED), rng.permutation(np.arange(TRAINED, len(cohort)))])
    other = spoiled(cohort, np.arange(len(cohort)) >= TRAINED, rng)
    spoilt = replace(simulated, cohort=other, outcome=replace(turned, units=cohort.ids))
    try:
        again = learner.fit(_fold(spoilt))
        _same_to_the_bit("Garbage in the test rows leaves the model unchanged", again, predictor, simulated, kind)
    except LawBroken:
        # What a first fit drew from a global generator a second one does not draw again.
        _same_to_the_bit("Refit equals fit", learner.fit(_fold(simulated)), predictor, simulated, kind)
        raise


def _restored(predictor: Predictor, restore: Restore, simulated: Simulated, kind: EndpointKind) -> None:
    again = restore(predictor.state())
    _same_to_the_bit("Restored predicts the same", again, predictor, simulated, kind)


def agreement(prediction: Prediction, score: Floats) -> float:
    """Rank correlation of a prediction with the true score, -1..1; for several classes the mean over classes."""
    from scipy.stats import spearmanr

    if isinstance(prediction, Probabilities):
        p = prediction.p
        pairs = [(p[:, k], score[:, k]) for k in range(p.shape[1])] if score.shape[1] > 1 else [(p @ np.arange(p.shape[1]), score[:, 0])]  # fmt: skip
    else:
        link = prediction.values if isinstance(prediction, Values) else prediction.risk
        pairs = [(link, score[:, 0])]
    return float(np.mean([0.0 if np.ptp(a) < 1e-12 else spearmanr(a, b).statistic for a, b in pairs]))


def _signal(learner: Learner, rng: np.random.Generator, kind: EndpointKind, shapes: Mapping[str, str] | None) -> None:
    s = simulate_cohort(rng, 400, SIZES, kind, signal=3.0, missing={"rna": 0.2, "noise": 0.2}, shapes=shapes)
    predictor = learner.fit(simulated_fold(s, np.arange(250)))
    found = agreement(predictor.predict(s.cohort.take(np.arange(250, 400))), s.score[250:])
    if found < 0.3:
        raise _broken("The planted signal is found", kind, f"predictions agree with the true score by {found:.2f} only")


def _null(
    learner: Learner, rng: np.random.Generator, kind: EndpointKind, draws: int, shapes: Mapping[str, str] | None
) -> None:
    """Labels that nothing tells: over the draws the mean agreement with them is nothing (within 4 standard errors)."""
    found = []
    for _ in range(draws):
        s = simulate_cohort(rng, 150, SIZES, kind, signal=0.0, missing={"rna": 0.2, "noise": 0.2}, shapes=shapes)
        predictor = learner.fit(simulated_fold(s, np.arange(90)))
        width = s.score.shape[1]
        truth = _outcome_score(s.outcome.take(np.arange(90, 150)), width)
        found.append(agreement(predictor.predict(s.cohort.take(np.arange(90, 150))), truth))
    mean, limit = float(np.mean(found)), 4 * 0.13 / np.sqrt(draws)
    if abs(mean) > limit:
        raise _broken(
            "Nothing is found where nothing is", kind, f"agreement with chance labels is {mean:.2f} on average"
        )


def _outcome_score(outcome: Outcome, width: int) -> Floats:
    """(n, width) the outcome itself as a score."""
    if isinstance(outcome, ClassOutcome):
        return np.eye(width)[outcome.codes] if width > 1 else outcome.codes[:, None].astype(np.float64)
    return (outcome.values if isinstance(outcome, ValueOutcome) else -outcome.time)[:, None]
