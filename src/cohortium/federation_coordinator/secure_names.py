"""Features and levels that enough sites have: a sum over a column that one site alone knows would be that site's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cohortium.contracts.federation import Column, SiteSchema
from cohortium.contracts.federation_secure import SiteNames

MOST_NAMED = 6


def shared_by(schemas: Mapping[str, SiteSchema], least: int) -> tuple[dict[str, SiteSchema], list[str]]:
    """Schemas without features and levels that fewer than ``least`` sites know, and notices of what is gone."""
    every = [(f.modality, f.name) for a in schemas.values() for f in a.features]
    known = Counter(every)
    levels = Counter((f.modality, f.name, n) for a in schemas.values() for f in a.features for n in f.levels)
    out = {
        s: replace(a, features=tuple(
            replace(f, levels=f.levels if f.kind == "ordinal" else tuple(
                n for n in f.levels if levels[f.modality, f.name, n] >= least
            ))
            for f in a.features if known[f.modality, f.name] >= least
        ))
        for s, a in schemas.items()
    }  # fmt: skip
    ordinal = {(f.modality, f.name) for a in schemas.values() for f in a.features if f.kind == "ordinal"}
    gone = [f"'{key[1]}'" for key, n in known.items() if n < least]
    gone += [
        f"{key[1]}={key[2]}" for key, n in levels.items() if n < least <= known[key[:2]] and key[:2] not in ordinal
    ]
    if not gone:
        return out, []
    more = f" and {len(gone) - MOST_NAMED} more" if len(gone) > MOST_NAMED else ""
    shown = ", ".join(gone[:MOST_NAMED])
    return out, [
        f"Known to fewer than {least} sites, and unknown in sums, which would show a single one's: {shown}{more}."
    ]


def not_shared(columns: Sequence[Column], names: Mapping[str, SiteNames], least: int) -> list[str]:
    """Columns that fewer than ``least`` of these sites know, by name."""
    having = [{(f.modality, f.name): f for f in a.features} for a in names.values()]
    out = []
    for c in columns:
        found = [h[c.modality, c.feature] for h in having if (c.modality, c.feature) in h]
        if c.kind == "level" and any(sum(n in f.levels for f in found) < least for n in c.levels):
            out.append(f"a level of '{c.feature}'")
        elif len(found) < least:
            out.append(f"'{c.feature}'")
    return list(dict.fromkeys(out))
