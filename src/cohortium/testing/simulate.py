"""Cohorts in which it is known which features carry the outcome, and how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Bag, Cohort, Events, Modality, Table
from cohortium.cohort.events import DAY
from cohortium.cohort.table import feature_frame
from cohortium.contracts import ClassOutcome, CompetingOutcome, Outcome, SurvivalOutcome, ValueOutcome
from cohortium.errors import did_you_mean
from cohortium.schema import ColumnKind, Endpoint, EndpointKind

Floats = NDArray[np.float64]

CLASS_NAMES = {
    EndpointKind.BINARY: ("no", "yes"),
    EndpointKind.MULTICLASS: ("A", "B", "C"),
    EndpointKind.ORDINAL: ("mild", "moderate", "severe"),
    EndpointKind.COMPETING_RISKS: ("relapse", "death"),
}


@dataclass(frozen=True, eq=False)
class Simulated:
    """A cohort, its outcome, and the truth behind it.

    causal: modality -> names of the features that carry the outcome; every other feature is noise.
    effects: modality -> (its causal features, K) effects on the score, in the order of ``causal``.
    score: (n, K) true score of each unit, its absent modalities counted too; K is the number of classes of a
    multiclass endpoint, else 1. Larger means: the positive or a higher class, a larger value, an earlier event (of interest).
    complete: modality -> (n, p) values as they were before anything went missing; of a bag the means that its
    instances are drawn around, of events the logarithm of how often a code comes, and the mean of its values.
    """

    cohort: Cohort
    outcome: Outcome
    causal: Mapping[str, tuple[str, ...]]
    effects: Mapping[str, Floats]
    score: Floats
    complete: Mapping[str, Floats]


def simulate_cohort(
    rng: np.random.Generator,
    n: int = 200,
    modalities: Mapping[str, int] | None = None,
    kind: EndpointKind | str = EndpointKind.BINARY,
    *,
    informative: Mapping[str, int] | None = None,
    signal: float = 1.5,
    missing: float | Mapping[str, float] = 0.0,
    missing_cells: float = 0.0,
    presence_effect: float = 0.0,
    units_per_patient: int = 1,
    nominal: Mapping[str, int] | None = None,
    sites: int = 0,
    prevalence: float = 0.5,
    delayed_entry: bool = False,
    name: str = "y",
    shapes: Mapping[str, str] | None = None,
) -> Simulated:
    """A cohort of ``n`` units with planted truth.

    modalities: name -> number of features; default ``{"clinical": 8, "rna": 60}``. kind: endpoint kind.
    informative: modality -> how many of its features carry the outcome; default 3 of each of the first two.
    signal: standard deviation of the true score; 0: no feature says anything. missing: share of units that lack
    a modality, one number or one per modality. missing_cells: share of unknown cells (NaN) in what is measured.
    presence_effect: how much likelier a modality is to be there per unit of score (log odds): above 0,
    presence is informative. units_per_patient: at most so many, drawn evenly; features of one patient's units
    correlate by 0.7. nominal: modality -> how many of its noise features are codes of three levels. sites: number
    of sites, drawn evenly. prevalence: share of positives (binary) or of events (survival; competing risks: of any
    cause, the other one is not told by features). delayed_entry: survival with left truncation. name: of the endpoint. shapes: modality -> ``bag`` or ``events``, whose features are
    then seen through 3 to 25 instances a unit, or through codes over the two years before an index time; else ``table``.

    Raises ValueError for an unknown modality or a number that does not fit.
    """
    kind = EndpointKind(kind)
    sizes = dict(modalities) if modalities is not None else {"clinical": 8, "rna": 60}
    causal_n = dict(informative) if informative is not None else {m: min(3, sizes[m]) for m in list(sizes)[:2]}
    shares = dict(missing) if isinstance(missing, Mapping) else dict.fromkeys(sizes, float(missing))
    codes = dict(nominal or {})
    _check(n, sizes, causal_n, shares, codes, prevalence, units_per_patient)
    _check_shapes(dict(shapes or {}), sizes, codes)

    patient = _patients(rng, n, units_per_patient)
    complete = {m: _features(rng, patient, p) for m, p in sizes.items()}
    names = {m: [f"{m}_{j}" for j in range(p)] for m, p in sizes.items()}
    causal, effects, score = _truth(rng, kind, complete, names, causal_n, signal)
    units = _units(rng, patient, units_per_patient, sites)
    endpoint = Endpoint(name, kind, CLASS_NAMES.get(kind, ()), _time_unit(kind))
    outcome = _outcome(rng, endpoint, units, score, prevalence, delayed_entry)

    tables: dict[str, Modality] = {}
    for m, x in complete.items():
        kinds = _codes(rng, x, codes.get(m, 0), set(causal.get(m, ())), names[m])
        lean = presence_effect * score[:, 0] if presence_effect else np.zeros(n)
        rows = np.flatnonzero(_have(rng, lean, shares.get(m, 0.0)))
        shape = (shapes or {}).get(m, "table")
        tables[m] = _modality(rng, shape, units.index[rows], x[rows], names[m], kinds, missing_cells)
    return Simulated(Cohort(units, tables), outcome, causal, effects, score, complete)


def _modality(
    rng: np.random.Generator, shape: str, ids: pd.Index, x: Floats, names: list[str], kinds: list[str], missing: float
) -> Modality:
    if shape != "table":
        return (_bag if shape == "bag" else _events)(rng, ids, x, names, missing)
    seen = x.copy()
    seen[rng.random(seen.shape) < missing] = np.nan
    levels = [("p", "q", "r") if k == ColumnKind.NOMINAL.value else None for k in kinds]
    return Table(ids, seen, feature_frame(names, kinds, levels))


def _check(
    n: int,
    sizes: Mapping[str, int],
    causal: Mapping[str, int],
    shares: Mapping[str, float],
    codes: Mapping[str, int],
    prevalence: float,
    units_per_patient: int,
) -> None:
    if n < 2 or units_per_patient < 1 or not 0 < prevalence < 1 or not sizes or min(sizes.values()) < 1:
        raise ValueError("n >= 2, units_per_patient >= 1, 0 < prevalence < 1 and features in every modality are needed")
    for m in {**causal, **shares, **codes}:
        if m not in sizes:
            raise ValueError(f"No modality called '{m}'.{did_you_mean(m, sizes)}")
    for m in sizes:
        if causal.get(m, 0) + codes.get(m, 0) > sizes[m]:
            raise ValueError(f"'{m}' has {sizes[m]} features, fewer than its informative and nominal ones together")
        if not 0 <= shares.get(m, 0.0) < 1:
            raise ValueError(f"the missing share of '{m}' is not in [0, 1)")


def _check_shapes(shapes: dict[str, str], sizes: Mapping[str, int], codes: Mapping[str, int]) -> None:
    for m, shape in shapes.items():
        if m not in sizes:
            raise ValueError(f"No modality called '{m}'.{did_you_mean(m, sizes)}")
        if shape not in ("table", "bag", "events"):
            raise ValueError(f"No shape called '{shape}'.{did_you_mean(shape, ('table', 'bag', 'events'))}")
        if shape != "table" and codes.get(m):
            raise ValueError(f"'{m}' is of shape {shape}: it has no nominal features")


def _bag(rng: np.random.Generator, units: pd.Index, x: Floats, names: list[str], missing: float) -> Bag:
    """Instances around the unit's means x (m, p)."""
    sizes = rng.integers(3, 26, size=len(x))
    values = np.repeat(x, sizes, axis=0) + rng.normal(size=(int(sizes.sum()), x.shape[1]))
    values[rng.random(values.shape) < missing] = np.nan
    return Bag(units, values, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), feature_frame(names))


def _events(rng: np.random.Generator, units: pd.Index, x: Floats, names: list[str], missing: float) -> Events:
    """Codes as frequent as exp(x) says, x (m, p), the first half with a value around x; index times differ."""
    often = rng.poisson(np.exp(np.minimum(0.7 * x, 3.0)))
    owner, code = (np.repeat(at, often.ravel()) for at in np.indices(often.shape).reshape(2, -1))
    index = rng.integers(15_000, 20_000, size=len(x)) * DAY
    time = index[owner] - 1 - rng.integers(0, 730 * DAY, size=len(owner))
    value = np.where(code < (x.shape[1] + 1) // 2, x[owner, code] + rng.normal(size=len(owner)), np.nan)
    value[rng.random(len(value)) < missing] = np.nan
    order = np.lexsort((time, owner))
    stop = np.cumsum(np.bincount(owner, minlength=len(x)))
    vocabulary = np.array(names, dtype=object)
    seen = (a[order] for a in (owner, time, code.astype(np.int32), value))
    return Events(units, vocabulary, *seen, np.r_[0, stop[:-1]], stop, index)


def _patients(rng: np.random.Generator, n: int, most: int) -> NDArray[np.int64]:
    """(n,) patient number of each unit."""
    counts = rng.integers(1, most + 1, size=n) if most > 1 else np.ones(n, dtype=np.int64)
    return np.repeat(np.arange(n), counts)[:n]


def _features(rng: np.random.Generator, patient: NDArray[np.int64], p: int) -> Floats:
    """(n, p) standard normal; units of one patient correlate by 0.7."""
    own = rng.normal(size=(len(patient), p))
    if patient[-1] == len(patient) - 1:
        return own
    shared = rng.normal(size=(int(patient[-1]) + 1, p))[patient]
    return np.asarray(np.sqrt(0.7) * shared + np.sqrt(0.3) * own)


def _truth(
    rng: np.random.Generator,
    kind: EndpointKind,
    complete: Mapping[str, Floats],
    names: Mapping[str, list[str]],
    causal_n: Mapping[str, int],
    signal: float,
) -> tuple[dict[str, tuple[str, ...]], dict[str, Floats], Floats]:
    """Which features are causal, their effects (equal in size), and the score with standard deviation ``signal``."""
    n = len(next(iter(complete.values())))
    width = len(CLASS_NAMES[kind]) if kind is EndpointKind.MULTICLASS else 1
    total = sum(causal_n.values())
    score = np.zeros((n, width))
    causal, effects = {}, {}
    for m, k in causal_n.items():
        at = np.sort(rng.choice(len(names[m]), size=k, replace=False))
        sign = rng.choice([-1.0, 1.0], size=(k, width))
        causal[m] = tuple(names[m][j] for j in at)
        effects[m] = signal * sign / np.sqrt(max(total, 1))
        score += complete[m][:, at] @ effects[m]
    return causal, effects, score


def _units(rng: np.random.Generator, patient: NDArray[np.int64], most: int, sites: int) -> pd.DataFrame:
    digits = max(4, len(str(len(patient))))
    people = [f"P{i:0{digits}d}" for i in patient]
    ids = people if most == 1 else [f"U{i:0{digits}d}" for i in range(len(patient))]
    units = pd.DataFrame({"patient": people}, index=pd.Index(ids, dtype=object, name="unit"))
    if sites:
        of_patient = rng.integers(0, sites, size=int(patient[-1]) + 1)
        units["site"] = [f"site{i}" for i in of_patient[patient]]
    return units


def _time_unit(kind: EndpointKind) -> str:
    return "years" if kind in (EndpointKind.SURVIVAL, EndpointKind.COMPETING_RISKS) else ""


def _outcome(
    rng: np.random.Generator, endpoint: Endpoint, units: pd.DataFrame, score: Floats, prevalence: float, delayed: bool
) -> Outcome:
    ids = units.index.to_numpy(dtype=object)
    n, first = len(ids), score[:, 0]
    if endpoint.kind is EndpointKind.MULTICLASS:
        # Gumbel noise makes this a multinomial logistic model.
        return ClassOutcome(endpoint, ids, (score + rng.gumbel(size=score.shape)).argmax(axis=1).astype(np.int64))
    if endpoint.kind.is_classes:
        latent = first + rng.logistic(size=n)
        cuts = [1 - prevalence] if endpoint.kind is EndpointKind.BINARY else [1 / 3, 2 / 3]
        return ClassOutcome(endpoint, ids, np.digitize(latent, np.quantile(latent, cuts)).astype(np.int64))
    if endpoint.kind is EndpointKind.CONTINUOUS:
        return ValueOutcome(endpoint, ids, 10.0 + first + rng.normal(size=n))
    if endpoint.kind is EndpointKind.COMPETING_RISKS:
        return _competing(rng, endpoint, ids, first, prevalence)
    # Exponential times have no memory: entry + a fresh exponential is the time given survival to entry.
    entry = np.round(rng.uniform(0, 1, size=n), 3) if delayed else np.zeros(n)
    died, lost = rng.exponential(np.exp(-first)), rng.exponential(size=n)
    died = np.maximum(died, 1e-3)
    scale = _censoring_scale(died, lost, prevalence)
    time = entry + np.maximum(np.minimum(died, scale * lost), 1e-3)
    return SurvivalOutcome(endpoint, ids, time, died <= scale * lost, entry)


def _competing(
    rng: np.random.Generator, endpoint: Endpoint, ids: NDArray[np.object_], score: Floats, prevalence: float
) -> CompetingOutcome:
    """Exponential times: the hazard of interest is exp(score), the other one half, for everybody."""
    own, other, lost = (
        rng.exponential(np.exp(-score)),
        rng.exponential(2.0, size=len(ids)),
        rng.exponential(size=len(ids)),
    )
    came = np.maximum(np.minimum(own, other), 1e-3)
    lost = _censoring_scale(came, lost, prevalence) * lost
    cause = np.where(came <= lost, np.where(own <= other, 1, 2), 0).astype(np.int64)
    return CompetingOutcome(endpoint, ids, np.maximum(np.minimum(came, lost), 1e-3), cause)


def _censoring_scale(died: Floats, lost: Floats, rate: float) -> float:
    """Scale of the censoring times with which a share ``rate`` of the events is seen."""
    ratio = died / np.maximum(lost, 1e-12)  # the event is seen when the scale is at least this
    return float(np.quantile(ratio, rate, method="higher"))


def _have(rng: np.random.Generator, lean: Floats, share: float) -> NDArray[np.bool_]:
    """(n,) who has the modality: exactly ``share`` lack it, those with a small ``lean`` likelier."""
    order = np.argsort(lean + rng.logistic(size=len(lean)), kind="stable")
    have = np.ones(len(lean), dtype=bool)
    have[order[: round(share * len(lean))]] = False
    return have


def _codes(rng: np.random.Generator, x: Floats, k: int, causal: set[str], names: list[str]) -> list[str]:
    """Turn ``k`` noise columns of x into codes 0..2, in place; returns the kinds of all."""
    kinds = [ColumnKind.NUMERIC.value] * len(names)
    free = [j for j, name in enumerate(names) if name not in causal]
    for j in free[len(free) - k :] if k else []:
        x[:, j] = rng.integers(0, 3, size=len(x))
        kinds[j] = ColumnKind.NOMINAL.value
    return kinds
