"""ComBat: batch effects of location and scale, shrunken over features (Johnson, Li & Rabinovic 2007, Biostatistics 8:118).

Fitted on training rows. A row of a batch that they hold is adjusted by that batch's parameters. **A row of any other
batch, or of none known, is left as it is**: its batch's location and scale would have to be estimated from the rows to
be predicted, which a prediction must not depend on. Standardisation by the training rows comes after, for all alike.

Where ``sva::ComBat`` is followed and where not:

- the fixed point is iterated to 1e-10 of each feature's own scale; ``sva`` stops at a relative change of 1e-4;
- one batch of a single row makes ``sva`` adjust means only everywhere, here in that batch only;
- cells may be missing; where a batch has none of a feature, the batch's prior stands for it;
- a feature without variance in one of the batches is not adjusted, as in ``sva``.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Table
from cohortium.cohort.batches import Batches
from cohortium.metrics.shrinkage import shrunken
from cohortium.schema import ColumnKind

Array = NDArray[np.float64]

FEWEST_FEATURES = 2
"""Features over which effects are shrunken; a single one has nothing to be shrunken towards."""


class ComBat:
    """Parametric ComBat of (n, p) values.

    After :meth:`fit`: ``labels_`` batches; ``mean_``, ``sd_`` (p,); ``slope_`` (k, p) of covariates; ``gamma_``,
    ``delta_`` (batches, p) location and variance of each batch, after standardisation; ``adjusted_`` (p,) bool.
    """

    def fit(self, x: Array, label: NDArray[np.object_], z: Array | None = None) -> ComBat:
        """Learn. x: (n, p), NaN = unknown. label: (n,), None = not known, not learned from. z: (n, k) centred covariates."""
        use = np.array([b is not None for b in label], dtype=bool)
        x, z = x[use], np.zeros((int(use.sum()), 0)) if z is None else z[use]
        self.labels_ = sorted({str(b) for b in label[use]})
        code = np.array([self.labels_.index(str(b)) for b in label[use]], dtype=np.int64)
        n, p, m = len(x), x.shape[1], len(self.labels_)
        self.mean_, self.sd_, self.slope_ = np.zeros(p), np.ones(p), np.zeros((z.shape[1], p))
        self.gamma_, self.delta_ = np.zeros((m, p)), np.ones((m, p))
        self.adjusted_ = np.zeros(p, dtype=bool)
        if m < 2 or p < FEWEST_FEATURES:
            return self
        design = np.hstack([np.eye(m)[code], _independent(z, code, m)])
        known = ~np.isnan(x)
        count = np.eye(m)[code].T @ known
        coef = _least_squares(design, x, known)
        weight = np.bincount(code, minlength=m)[:, None] * (count > 0)
        self.mean_ = (weight * coef[:m]).sum(axis=0) / np.maximum(weight.sum(axis=0), 1)
        self.slope_ = coef[m:]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            varies = self._varies(x, code)
            # sva divides by n, but by n - 1 as soon as a cell is missing anywhere.
            self.sd_ = np.nanstd(x - design @ coef, axis=0, ddof=0 if known[:, varies].all() else 1)
            self.adjusted_ = varies & (self.sd_ > 0) & ((count > 0).sum(axis=0) > 1)
        keep = np.flatnonzero(self.adjusted_)
        if len(keep) < FEWEST_FEATURES or n < 3:
            self.adjusted_[:] = False
            return self
        s = (x[:, keep] - self.mean_[keep] - design[:, m:] @ self.slope_[:, keep]) / self.sd_[keep]
        for b in range(m):
            self.gamma_[b, keep], self.delta_[b, keep] = _shrunken(s[code == b])
        return self

    def _varies(self, x: Array, code: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(p,) whether a feature has variance in every batch in which two cells or more are known."""
        out = np.ones(x.shape[1], dtype=bool)
        for b in range(len(self.labels_)):
            part = x[code == b]
            several = (~np.isnan(part)).sum(axis=0) > 1
            out &= ~several | (np.nanmax(part, axis=0) > np.nanmin(part, axis=0))
        return out

    def transform(self, x: Array, label: NDArray[np.object_], z: Array | None = None) -> Array:
        """(n, p) adjusted values; rows of batches that were not learned as they are. Arguments as for :meth:`fit`."""
        out = x.astype(np.float64, copy=True)
        where = {b: k for k, b in enumerate(self.labels_)}
        code = np.array([-1 if b is None else where.get(str(b), -1) for b in label], dtype=np.int64)
        rows, keep = np.flatnonzero(code >= 0), np.flatnonzero(self.adjusted_)
        if not len(rows) or not len(keep):
            return out
        base = np.broadcast_to(self.mean_[keep], (len(rows), len(keep)))
        if z is not None and z.shape[1]:
            base = base + z[rows] @ self.slope_[:, keep]
        sd, at = self.sd_[keep], code[rows]
        s = (out[np.ix_(rows, keep)] - base) / sd
        s -= self.gamma_[np.ix_(at, keep)]
        s /= np.sqrt(self.delta_[np.ix_(at, keep)])
        out[np.ix_(rows, keep)] = s * sd + base
        return out


def _independent(z: Array, code: NDArray[np.int64], m: int) -> Array:
    """Covariates, with zeros for those that batches and earlier covariates determine already."""
    out, basis = np.zeros_like(z), np.eye(m)[code]
    for j in range(z.shape[1]):
        column = z[:, j]
        rest = column - basis @ np.linalg.lstsq(basis, column, rcond=None)[0]
        if rest @ rest > 1e-10 * max(column @ column, 1e-300):
            out[:, j] = column
            basis = np.column_stack([basis, column])
    return out


def _least_squares(design: Array, x: Array, known: NDArray[np.bool_]) -> Array:
    """(q, p) coefficients of each feature on its known cells."""
    q = design.shape[1]
    right = design.T @ np.where(known, x, 0.0)
    if known.all():
        return np.linalg.pinv(design.T @ design, hermitian=True) @ right
    squares = np.empty((x.shape[1], q, q))
    cells = known.astype(np.float64)
    for a in range(q):
        for b in range(a + 1):
            squares[:, a, b] = squares[:, b, a] = (design[:, a] * design[:, b]) @ cells
    return np.einsum("jab,bj->aj", np.linalg.pinv(squares, hermitian=True), right)


def _shrunken(s: Array) -> tuple[Array, Array]:
    """(p,) location and variance of one batch by empirical Bayes; s: its standardised rows (n, p), NaN = unknown."""
    known = ~np.isnan(s)
    n = known.sum(axis=0).astype(np.float64)
    mean = np.where(known, s, 0.0).sum(axis=0) / np.maximum(n, 1)
    return shrunken(n, mean, np.where(known, (s - mean) ** 2, 0.0).sum(axis=0))


class CombatRepresentation:
    """A table with its numeric features harmonised; other kinds stay as they are.

    Covariates are numbers (a missing one counts as the training mean), or texts: a column per level of training but the
    first, at its training share where the level is missing or new.
    """

    def fit(self, data: Table) -> CombatRepresentation:
        """Learn from the rows of ``data``, which carries its batches."""
        kinds = data.features["kind"].to_numpy(dtype=object)
        self.columns_ = np.flatnonzero(kinds == ColumnKind.NUMERIC.value)
        batches = _batches(data)
        self.coding_: list[dict[str, Any]] = []
        for name in batches.covariates:
            column = batches.covariates[name]
            if pd.api.types.is_numeric_dtype(column):
                number = column.to_numpy(float)
                mean = float(np.nanmean(number)) if np.isfinite(number).any() else 0.0
                self.coding_.append({"name": str(name), "levels": None, "centre": [mean]})
            else:
                texts = [t for t in map(_text, column) if t is not None]
                levels = sorted(set(texts))
                share = [texts.count(v) / max(len(texts), 1) for v in levels[1:]]
                self.coding_.append({"name": str(name), "levels": levels, "centre": share})
        self.combat_ = ComBat().fit(self._values(data), batches.label, self._coded(batches))
        return self

    def _values(self, data: Table) -> Array:
        x = data.values[:, self.columns_].astype(np.float64)
        x[np.isinf(x)] = np.nan
        return x

    def _coded(self, batches: Batches) -> Array:
        """(n, k) covariates as numbers with training mean 0."""
        parts = [np.zeros((len(batches), 0))]
        for c in self.coding_:
            column = batches.covariates.get(c["name"], pd.Series(np.nan, index=range(len(batches))))
            if c["levels"] is None:
                z = pd.to_numeric(column, errors="coerce").to_numpy(float)[:, None] - np.array(c["centre"])
                parts.append(np.nan_to_num(z, nan=0.0))
                continue
            texts = np.array([_text(v) for v in column], dtype=object)
            seen = np.array([t in c["levels"] for t in texts], dtype=bool)
            hits = np.array([[t == v for v in c["levels"][1:]] for t in texts], dtype=float)
            hits = hits.reshape(len(texts), len(c["centre"]))
            parts.append(np.where(seen[:, None], hits - np.array(c["centre"]), 0.0))
        return np.hstack(parts)

    def table(self, data: Table) -> Table:
        """The table with adjusted values, without its batches."""
        batches = _batches(data)
        values = data.values.astype(np.float64, copy=True)
        values[:, self.columns_] = self.combat_.transform(self._values(data), batches.label, self._coded(batches))
        return Table(data.units, values, data.features)

    def state(self) -> dict[str, Any]:
        """JSON-able, arrays as leaves; :meth:`restore` makes the representation again."""
        learned = {k: v for k, v in self.combat_.__dict__.items() if k != "labels_"}
        return {
            "kind": "combat",
            "columns": self.columns_,
            "coding": self.coding_,
            "labels": list(self.combat_.labels_),
            "combat": learned,
        }

    @staticmethod
    def restore(state: dict[str, Any]) -> CombatRepresentation:
        """The representation of a state that :meth:`state` gave."""
        out = CombatRepresentation()
        out.columns_ = np.asarray(state["columns"], dtype=np.intp)
        out.coding_ = [dict(c) for c in state["coding"]]
        out.combat_ = ComBat()
        out.combat_.__dict__.update({k: np.asarray(v) for k, v in state["combat"].items()})
        out.combat_.adjusted_ = out.combat_.adjusted_.astype(bool)
        out.combat_.labels_ = list(state["labels"])
        return out


def _text(value: Any) -> str | None:
    """A covariate's level; a file of new units may hold numbers where training had texts."""
    if pd.isna(value):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _batches(data: Table) -> Batches:
    """The batches that a table carries; without, all rows are of a batch that is not known."""
    if data.batches is not None:
        return data.batches
    n = len(data.units)
    return Batches(np.full(n, None, dtype=object), pd.DataFrame(index=range(n)))
