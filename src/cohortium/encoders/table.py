"""Imputation, coding and scaling of one table."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Table
from cohortium.schema import ColumnKind

Array = NDArray[np.float64]

MIN_LEVEL = 5
"""A nominal level with fewer training units gets no column of its own."""

SKEW = 2.0
"""Numeric columns more skewed than this are compressed by asinh of their robust z-score."""

CLIP = 6.0
"""Standardised values are clipped here, so that one outlying cell cannot carry a prediction."""


class TableEncoder:
    """Median imputation, asinh for skewed columns, one column per level of nominal features, z-scores.

    After ``fit``: ``names_`` (q,) output columns, ``source_`` (q,) position of the input feature,
    ``level_`` (q,) level code or -1, ``fill_``, ``centre_``, ``spread_`` (q,) before, ``asinh_`` (q,) bool,
    ``mean_``, ``sd_`` (q,) after. Constant columns are left out. Everything comes from the fitted rows.
    """

    def fit(self, table: Table) -> TableEncoder:
        """Learn from the rows of ``table`` (n, p)."""
        self._columns(table)
        x = self._expand(table)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            missing = np.isnan(x)
            some = missing.any(axis=0)
            fill = np.zeros(x.shape[1])
            plain = ~some
            fill[plain] = np.median(x[:, plain], axis=0) if plain.any() else 0.0
            if some.any():
                fill[some] = np.nan_to_num(np.nanmedian(x[:, some], axis=0))
        self.fill_ = fill
        np.copyto(x, fill, where=missing)
        mean, sd = x.mean(axis=0), x.std(axis=0)
        safe = np.where(sd > 0, sd, 1.0)
        z = (x - mean) / safe
        skew = (z * z * z).mean(axis=0)  # a power of 3 would be thirty times slower
        del z
        numeric = self.level_ < 0
        self.asinh_ = (np.abs(skew) > SKEW) & numeric & self.is_numeric_[self.source_]
        self.centre_, self.spread_ = fill.copy(), safe
        if self.asinh_.any():
            low, high = np.quantile(x[:, self.asinh_], [0.25, 0.75], axis=0)
            iqr = (high - low) / 1.349
            self.spread_[self.asinh_] = np.where(iqr > 1e-12 * safe[self.asinh_], iqr, safe[self.asinh_])
        x = self._compress(x)
        self.mean_, sd = x.mean(axis=0), x.std(axis=0)
        keep = sd > 1e-9 * np.maximum(1.0, np.abs(self.mean_))
        self.sd_ = np.where(keep, sd, 1.0)
        self._keep(np.flatnonzero(keep))
        return self

    def _columns(self, table: Table) -> None:
        kinds = table.features["kind"].to_numpy(dtype=object)
        nominal = kinds == ColumnKind.NOMINAL.value
        self.is_numeric_ = kinds == ColumnKind.NUMERIC.value
        plain = np.flatnonzero(~nominal & (kinds != ColumnKind.DATE.value))
        source, level, names = [plain], [np.full(len(plain), -1)], list(table.features.index[plain])
        for j in np.flatnonzero(nominal):
            codes = table.values[:, j]
            labels = table.features["levels"].iloc[j] or ()
            counts = np.bincount(codes[~np.isnan(codes)].astype(int), minlength=len(labels))
            used = np.flatnonzero(counts >= min(MIN_LEVEL, max(len(codes) // 20, 1)))
            source.append(np.full(len(used), j))
            level.append(used)
            names += [f"{table.features.index[j]}={labels[c]}" for c in used]
        self.source_ = np.concatenate(source).astype(np.int64)
        self.level_ = np.concatenate(level).astype(np.int64)
        self.names_ = np.array(names, dtype=object)

    def _expand(self, table: Table) -> Array:
        whole = len(self.source_) == table.n_features and (self.level_ < 0).all() and (np.diff(self.source_) == 1).all()
        x = table.values.astype(np.float64) if whole else table.values[:, self.source_].astype(np.float64)
        for c in np.flatnonzero(self.level_ >= 0):
            raw = x[:, c]
            x[:, c] = np.where(np.isnan(raw), np.nan, raw == self.level_[c])
        x[np.isinf(x)] = np.nan
        return x

    def _compress(self, x: Array) -> Array:
        a = self.asinh_
        if a.any():
            x[:, a] = np.arcsinh((x[:, a] - self.centre_[a]) / self.spread_[a])
        return x

    def _keep(self, columns: NDArray[np.intp]) -> None:
        for name in ("source_", "level_", "names_", "fill_", "centre_", "spread_", "asinh_", "mean_", "sd_"):
            setattr(self, name, getattr(self, name)[columns])

    def transform(self, table: Table, impute: bool = True) -> Array:
        """(n, q) complete, standardised, clipped values; features in the order of ``names_``.

        impute: False leaves unknown cells NaN, for models that take them as unknown.
        """
        x = self._expand(table)
        if impute:
            np.copyto(x, self.fill_, where=np.isnan(x))
        return self.encode(x)

    def raw(self, table: Table) -> Array:
        """(n, q) the values behind ``transform``: numbers and codes as they are, 0 or 1 for a level, NaN where unknown."""
        return self._expand(table)

    def encode(self, x: Array) -> Array:
        """(n, q) of raw values (n, q) the standardised, clipped ones; changes x. ``decode`` is the way back."""
        x = self._compress(x)
        x -= self.mean_
        x /= self.sd_
        return np.clip(x, -CLIP, CLIP, out=x)

    def decode(self, z: Array) -> Array:
        """(n, q) what standardised values stand for, in the units of the features (0 or 1 for a level)."""
        x = z * self.sd_ + self.mean_
        a = self.asinh_
        if a.any():
            x[:, a] = self.centre_[a] + self.spread_[a] * np.sinh(x[:, a])
        return x

    def only(self, columns: NDArray[np.intp]) -> TableEncoder:
        """An encoder that makes the given output columns only."""
        other = TableEncoder()
        other.__dict__.update(self.__dict__)
        other._keep(columns)
        return other

    def state(self) -> dict[str, Any]:
        """Arrays and lists; :meth:`restore` makes the encoder again."""
        out: dict[str, Any] = {k: v for k, v in self.__dict__.items() if k != "names_"}
        out["names_"] = list(self.names_)
        return out

    @staticmethod
    def restore(state: dict[str, Any]) -> TableEncoder:
        encoder = TableEncoder()
        encoder.__dict__.update({k: np.asarray(v) for k, v in state.items()})
        encoder.names_ = np.array(state["names_"], dtype=object)
        for name in ("asinh_", "is_numeric_"):
            setattr(encoder, name, getattr(encoder, name).astype(bool))
        return encoder
