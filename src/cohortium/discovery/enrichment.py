"""Gene sets: over-represented on a list, or shifted as a whole, against the features that were measured and tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.discovery.features import Features
from cohortium.metrics import benjamini_hochberg

Array = NDArray[np.float64]

SMALLEST, LARGEST = 5, 500
"""Measured members of a set that is scored."""

KNOWN = 0.05
"""Share of a modality's features that have to be in some set, lest the ids are taken for another space's."""


def modality_of(features: Features, sets: Mapping[str, frozenset[str]]) -> tuple[str, int]:
    """The modality with the most features in any set, and how many they are."""
    known = frozenset[str]().union(*sets.values())
    counts = {m: sum(str(f) in known for f in features.name[features.columns(m)]) for m in features.modalities}
    best = max(counts, key=lambda m: counts[m])
    return best, counts[best]


def enrich(
    names: Sequence[str], p: Array, sign: Array, listed: NDArray[np.bool_], x: Array, sets: Mapping[str, frozenset[str]]
) -> pd.DataFrame:
    """One row for each set with 5 to 500 measured members, columns as of ``SetScore``.

    p, sign: of every feature by itself; features without a p-value are no part of the background. listed: on the list. x: (n, q) what covariates leave of the features.

    Over-representation: hypergeometric upper tail. Rank-based: the mean signed normal score of the members against that of the
    others, with the variance that their correlation gives it (CAMERA; Wu & Smyth 2012, Nucleic Acids Res 40:e133); without
    that, sets of co-regulated genes are "enriched" in noise.
    """
    from scipy.stats import hypergeom, norm, t

    tested = np.flatnonzero(~np.isnan(p))
    place = {names[j]: k for k, j in enumerate(tested)}
    z = sign[tested] * norm.isf(np.clip(p[tested], 1e-300, 1.0) / 2)
    on = listed[tested]
    columns = x[:, tested]
    sd = columns.std(axis=0)
    columns = (columns - columns.mean(axis=0)) / np.where(sd > 0, sd, 1.0)
    total, rows = len(tested), list[dict[str, object]]()
    for name, members in sets.items():
        at = np.array(sorted(place[m] for m in members if m in place), dtype=np.intp)
        m = len(at)
        if not SMALLEST <= m <= min(LARGEST, total - 3):
            continue
        inside, rest = z[at], np.delete(z, at)
        rho = (float((columns[:, at].sum(axis=1) ** 2).mean()) - m) / (m * (m - 1))
        inflation = 1.0 + (m - 1) * max(rho, 0.0)
        pooled = (((inside - inside.mean()) ** 2).sum() + ((rest - rest.mean()) ** 2).sum()) / (total - 2)
        shift = float(inside.mean() - rest.mean()) / np.sqrt(max(pooled, 1e-300) * (inflation / m + 1 / len(rest)))
        hits = int(on[at].sum())
        rows.append(
            {
                "name": name,
                "size": m,
                "direction": int(np.sign(shift)),
                "p": float(2 * t.sf(abs(shift), total - 2)),
                "correlation": rho,
                "listed": hits,
                "over_p": float(hypergeom.sf(hits - 1, total, int(on.sum()), m)),
            }
        )
    order = ["name", "size", "direction", "p", "q", "correlation", "listed", "over_p", "over_q"]
    if not rows:
        return pd.DataFrame(columns=order)
    frame = pd.DataFrame(rows)
    frame["q"] = benjamini_hochberg(frame["p"].to_numpy(np.float64))
    frame["over_q"] = benjamini_hochberg(frame["over_p"].to_numpy(np.float64))
    return frame[order]
