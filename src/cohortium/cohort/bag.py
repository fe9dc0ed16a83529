"""A modality of shape ``bag``: many instances a unit (tiles, slices, cells), each with the same features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort.table import Table, feature_frame

QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, eq=False)
class Bag:
    """Instances in memory, those of one unit together.

    units: (n,). values: (N, p), NaN = unknown. offsets: (n + 1,) a unit's instances are ``[offsets[i],
    offsets[i + 1])``, at least one. features: as for :class:`Table`, all numeric. counts: (n,) how many instances the
    unit has, where ``values`` hold a sample of them; default: those that are there.
    """

    units: pd.Index
    values: NDArray[np.floating]
    offsets: NDArray[np.int64]
    features: pd.DataFrame
    counts: NDArray[np.int64] | None = None

    shape: ClassVar[str] = "bag"

    def __post_init__(self) -> None:
        if len(self.offsets) != len(self.units) + 1 or self.offsets[-1] != len(self.values):
            raise ValueError("offsets do not fit the units and the instances")
        if (np.diff(self.offsets) < 1).any():
            raise ValueError("a unit of a bag has no instance: leave it out, it lacks the modality")
        if self.values.shape[1] != len(self.features):
            raise ValueError(f"values have {self.values.shape[1]} columns, there are {len(self.features)} features")
        if self.counts is not None and (self.counts.shape != (len(self.units),) or (self.counts < self.sizes).any()):
            raise ValueError("counts do not fit the units, or are smaller than the sample")

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(n,) instances of each unit that are here."""
        return np.diff(self.offsets)

    @property
    def n_features(self) -> int:
        return len(self.features)

    def take(self, rows: NDArray[np.intp]) -> Bag:
        """A copy of the given units with their instances, in that order."""
        length = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(length)])
        at = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][rows] - offsets[:-1], length)
        counts = None if self.counts is None else self.counts[rows]
        return Bag(self.units[rows], self.values[at], offsets.astype(np.int64), self.features, counts)

    def as_table(self) -> Table:
        """Per feature mean, standard deviation and quantiles over the unit's instances, and their number (log).

        Unknown values are left out; a feature that is unknown in all instances of a unit stays unknown.
        """
        names = [str(f) for f in self.features.index]
        out = np.empty((len(self.units), len(names) * (2 + len(QUANTILES)) + 1))
        for i in range(len(self.units)):
            x = np.asarray(self.values[self.offsets[i] : self.offsets[i + 1]], dtype=np.float64)
            out[i, 1:] = _summary(x)
        out[:, 0] = np.log1p(self.sizes if self.counts is None else self.counts)
        what = ["mean", "sd", *(f"q{round(100 * q)}" for q in QUANTILES)]
        columns = ["instances (log)", *(f"{n} {w}" for w in what for n in names)]
        return Table(self.units, out, feature_frame(columns))

    def arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        yield "values", self.values
        yield "offsets", self.offsets
        yield "features", self.features.index.to_numpy(object)
        if self.counts is not None:
            yield "counts", self.counts


def _summary(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(p * 5,) mean, standard deviation and quantiles of the columns of x (k, p)."""
    unknown = np.isnan(x)
    if not unknown.any():
        return np.concatenate([x.mean(axis=0), x.std(axis=0), *np.quantile(x, QUANTILES, axis=0)])
    out = np.full((2 + len(QUANTILES), x.shape[1]), np.nan)
    known = ~unknown.all(axis=0)
    some = x[:, known]
    out[:, known] = [np.nanmean(some, axis=0), np.nanstd(some, axis=0), *np.nanquantile(some, QUANTILES, axis=0)]
    return out.ravel()
