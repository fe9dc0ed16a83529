"""Which features are looked at one by one, and which of them go together.

Of wide tables those that the model leans on most are looked at; what it leans on is read from the model, which never saw the outcomes of
its held-out units. Features that tell the same are shuffled together too: alone, each seems dispensable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Table
from cohortium.encoders import TableEncoder
from cohortium.heads.trees import Boosted, Forest
from cohortium.learners.nodes import Input, LinearNode, ScorePredictor, TreeNode, walk
from cohortium.schema import ColumnKind

Array = NDArray[np.float64]
Columns = NDArray[np.intp]

SCREENED = 60
"""Features of a table that are looked at, when it has more."""

TOGETHER = 0.7
"""Mean absolute rank correlation from which features form a group."""

MOST_ROWS = 2000


@dataclass(frozen=True)
class FeatureGroup:
    """Features of one table that are shuffled together. columns: their positions; one for a feature by itself. encoded: of another
    shape, features as they are encoded, by their names, without positions."""

    modality: str
    features: tuple[str, ...]
    columns: tuple[int, ...]
    encoded: bool = False


def group_features(name: str, table: Table, columns: Columns) -> list[FeatureGroup]:
    """The given features one by one, then groups of them that correlate.

    Average linkage of one minus the absolute Spearman correlation, cut at :data:`TOGETHER`; unknown cells count as the
    mean rank. Codes without an order stay alone.
    """
    names = [str(f) for f in table.features.index]
    alone = [FeatureGroup(name, (names[j],), (int(j),)) for j in columns]
    plain = np.array([j for j in columns if table.features["kind"].iloc[j] != ColumnKind.NOMINAL.value], dtype=np.intp)
    found = [FeatureGroup(name, tuple(names[j] for j in g), tuple(int(j) for j in g)) for g in _clusters(table, plain)]
    return [*alone, *sorted(found, key=lambda g: g.columns)]


def _clusters(table: Table, columns: Columns) -> list[Columns]:
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    rows = np.unique(np.linspace(0, len(table.units) - 1, min(len(table.units), MOST_ROWS)).astype(np.intp))
    if len(columns) < 2 or len(rows) < 3:
        return []
    z = _ranks(table.values[np.ix_(rows, columns)])
    varies = np.square(z).sum(axis=0) > 0
    columns, z = columns[varies], z[:, varies]
    if len(columns) < 2:
        return []
    distance = np.clip(1.0 - np.abs(z.T @ z), 0.0, 1.0)
    np.fill_diagonal(distance, 0.0)
    label = fcluster(linkage(squareform(distance, checks=False), "average"), 1.0 - TOGETHER, "distance")
    return [np.sort(columns[label == k]) for k in np.unique(label) if (label == k).sum() > 1]


def _ranks(x: NDArray[np.floating]) -> Array:
    """(n, p) centred ranks of unit length, 0 where unknown or in a column that does not vary."""
    from scipy.stats import rankdata

    out = np.zeros(x.shape)
    for j in range(x.shape[1]):
        known = np.isfinite(x[:, j])
        if known.sum() > 2:
            r = rankdata(x[known, j])
            out[known, j] = r - r.mean()
    length = np.sqrt(np.square(out).sum(axis=0))
    return out / np.where(length > 1e-9, length, 1.0)


def leaned_on(predictor: Any, name: str) -> list[Columns]:
    """Positions of a table's features by how much each linear or tree part of a predictor leans on them, most first.

    By the largest coefficient of standardised features, and by gain; features that a part does not use are left out.
    Empty where the predictor does not say.
    """
    if not isinstance(predictor, ScorePredictor):
        return []
    out = []
    for node in (n for n in walk(predictor.node) if isinstance(n, LinearNode | TreeNode)):
        for k, source in enumerate(node.inputs):
            if source.modality == name and isinstance(source.encoder, TableEncoder):
                weight = _coefficients(node, k) if isinstance(node, LinearNode) else _gains(node, k)
                out.append(_by_source(source, source.encoder, weight))
    return [c for c in out if len(c)]


def leaned_on_encoded(predictor: Any, name: str) -> list[list[str]]:
    """The same of the encoded features of a modality of another shape: codes, words, genes of cell types; their names."""
    out = []
    for node in (n for n in walk(predictor.node) if isinstance(n, LinearNode | TreeNode)):
        for k, source in enumerate(node.inputs):
            if source.modality == name:
                weight = _coefficients(node, k) if isinstance(node, LinearNode) else _gains(node, k)
                names = source.encoder.names_
                if len(weight) != len(names):
                    assert source.columns is not None
                    names = names[source.columns]
                order = np.argsort(-weight, kind="stable")
                out.append([str(names[j]) for j in order if weight[j] > 0])
    return [names for names in out if names]


def _coefficients(node: LinearNode, k: int) -> Array:
    """(q',) largest absolute coefficient of each encoded column that the node sees."""
    return np.asarray(np.abs(node.coefs[k]).max(axis=1))


def _gains(node: TreeNode, k: int) -> Array:
    """(q,) gain of each encoded column, that of components spread over their columns."""
    import lightgbm as lgb

    model = node.model
    texts = model.texts if isinstance(model, Forest) else (model.text,) if isinstance(model, Boosted) else ()
    rounds = model.rounds if isinstance(model, Boosted) else None
    gain = sum(
        np.asarray(lgb.Booster(model_str=t).feature_importance("gain", iteration=rounds), dtype=float) for t in texts
    )
    widths = [len(i.columns) + i.basis.shape[1] for i in node.inputs if i.columns is not None and i.basis is not None]
    source, at = node.inputs[k], sum(widths[:k])
    assert source.columns is not None and source.basis is not None
    own = np.asarray(gain)[at : at + widths[k]]
    out = np.zeros(len(source.encoder.names_))
    out[source.columns] = own[: len(source.columns)]
    if source.basis.shape[1]:
        share = np.abs(source.basis) / np.maximum(np.abs(source.basis).sum(axis=0), 1e-300)
        out += share @ own[len(source.columns) :]
    return out


def _by_source(source: Input, encoder: TableEncoder, weight: Array) -> Columns:
    columns = np.arange(len(encoder.source_))
    if len(weight) != len(columns):
        assert source.columns is not None
        columns = source.columns
    of = encoder.source_[columns]
    best = np.zeros(int(encoder.source_.max(initial=-1)) + 1)
    np.maximum.at(best, of, weight)
    order = np.argsort(-best, kind="stable")
    return order[best[order] > 0].astype(np.intp)


def in_turn(orders: Sequence[Iterable[Any]], most: int) -> list[Any]:
    """The first of every order, then the second of every one, and so on, each once, ``most`` at most; sorted."""
    seen: dict[Any, None] = {}
    lists = [list(o) for o in orders]
    for k in range(max(map(len, lists), default=0)):
        for o in lists:
            if k < len(o) and len(seen) < most:
                seen.setdefault(o[k])
    return sorted(seen)
