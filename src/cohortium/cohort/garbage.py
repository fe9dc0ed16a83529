"""Garbage in place of what some units have: what must not reach a model is replaced, and the model must not care."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort.bag import Bag
from cohortium.cohort.cells import Cells
from cohortium.cohort.cohort import Cohort
from cohortium.cohort.events import DAY, Events
from cohortium.cohort.modality import Modality
from cohortium.cohort.table import Table
from cohortium.cohort.texts import Texts

HUGE = 1e6


def spoiled(cohort: Cohort, outside: NDArray[np.bool_], rng: np.random.Generator) -> Cohort:
    """The cohort with other values and other presence in the units ``outside`` (n,) bool; all else as it is.

    Values are huge and random, codes and words such as nobody else has, columns of the unit table but the patient are dealt
    anew among these units; about half of what they have is gone.
    """
    units = cohort.units.copy()
    rows = np.flatnonzero(outside)
    for column in units.columns.drop("patient"):
        values = units[column].to_numpy(object).copy()
        values[rows] = values[rng.permutation(rows)]
        units[column] = pd.Series(values, index=units.index, dtype=units[column].dtype)
    modalities: dict[str, Modality] = {}
    for name, data in cohort.modalities.items():
        theirs = outside[cohort.units.index.get_indexer(data.units)]
        bad = spoiled_modality(data, theirs, rng)
        modalities[name] = bad.take(np.flatnonzero(~theirs | (rng.random(len(theirs)) < 0.5)))
    return Cohort(units, modalities, cohort.absent)


def spoiled_modality(data: Modality, outside: NDArray[np.bool_], rng: np.random.Generator) -> Modality:
    """The modality with garbage in its units ``outside`` (m,) bool; the others as they are."""
    if isinstance(data, Table):
        values = data.values.copy()
        values[outside] = rng.normal(0, HUGE, size=(int(outside.sum()), data.n_features))
        return replace(data, values=values)
    if isinstance(data, Bag):
        values = data.values.copy()
        inside = np.repeat(outside, data.sizes)
        values[inside] = rng.normal(0, HUGE, size=(int(inside.sum()), data.n_features))
        return replace(data, values=values)
    if isinstance(data, Texts):
        texts = data.texts.copy()
        texts[outside] = [f"nobody wrote word{k}" for k in rng.integers(0, 10**9, int(outside.sum()))]
        vectors = data.vectors
        if vectors is not None:
            vectors = vectors.copy()
            vectors[outside] = rng.normal(0, HUGE, size=(int(outside.sum()), vectors.shape[1]))
        return replace(data, texts=texts, vectors=vectors)
    if isinstance(data, Cells):
        sums, seen = data.sums.copy(), data.expressing.copy()
        inside = np.repeat(outside, np.diff(data.offsets))
        sums[inside] = rng.exponential(HUGE, size=(int(inside.sum()), data.n_features))
        seen[outside] = rng.permuted(seen[outside], axis=1)
        return replace(data, sums=sums, expressing=seen)
    assert isinstance(data, Events), f"no garbage for a modality of shape {data.shape}"
    unit, at = data.seen()
    theirs = at[outside[unit]]
    code, value, time = data.code.copy(), data.value.copy(), data.time.copy()
    vocabulary = np.append(data.vocabulary, ["never seen", "a code of others"]).astype(object)
    code[theirs] = rng.integers(0, len(vocabulary), size=len(theirs))
    value[theirs] = rng.normal(0, HUGE, size=len(theirs))
    time[theirs] -= 5000 * DAY
    return Events(
        data.units, vocabulary, data.owner, time, code, value, data.start, data.stop, data.index, data.windows
    )
