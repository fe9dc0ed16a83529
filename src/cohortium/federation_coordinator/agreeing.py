"""One list of columns from what sites say of their features.

A feature is used when more than half of the sites have it; where a site lacks it, it is unknown there. How a feature is
coded is decided by most sites; a site that codes it otherwise, or has none of its levels, is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from cohortium.contracts.federation import Column, FeatureSchema, SiteSchema

FEWEST = 0.5
"""Share of the agreed features that a site must have."""

MOST_RARE = 6

Key = tuple[str, str]


def agree(schemas: Mapping[str, SiteSchema], least: int = 1) -> tuple[tuple[Column, ...], dict[str, str], list[str]]:
    """Columns, site -> why it is left out, and notices. least: patients without whom a level is not named."""
    having: dict[Key, dict[str, FeatureSchema]] = {}
    for site, schema in schemas.items():
        for f in schema.features:
            having.setdefault((f.modality, f.name), {})[site] = f
    used = {k: v for k, v in having.items() if 2 * len(v) > len(schemas)}
    notices = _unknown([(name, len(v)) for (_, name), v in having.items() if 2 * len(v) <= len(schemas)])
    left: dict[str, str] = {}
    for site in schemas:
        shared = sum(site in v for v in used.values())
        if used and shared < FEWEST * len(used):
            left[site] = f"it has {shared} of the {len(used)} features that most sites have: another schema"
    columns: list[Column] = []
    for key, found in used.items():
        found = {s: f for s, f in found.items() if s not in left}
        if found:
            columns += _columns(key, found, left, notices)
    for site in schemas:
        lacking = [n for (_, n), v in used.items() if site not in v]
        if lacking and site not in left:
            notices.append(f"Site '{site}' lacks {_some(lacking)}: unknown there.")
    return tuple(columns), left, [*notices, *_rare(columns, having, left, least)]


def _unknown(rare: list[tuple[str, int]]) -> list[str]:
    """A notice of each feature that too few sites have; of many, one of all."""
    if len(rare) > MOST_RARE:
        return [f"Features {_some([n for n, _ in rare])} are known to half of the sites or fewer, and are not used."]
    return [f"Feature '{name}' is known to {_count(k)} only and is not used." for name, k in rare]


def _rare(
    columns: list[Column], having: dict[Key, dict[str, FeatureSchema]], left: Mapping[str, str], least: int
) -> list[str]:
    """A notice of the levels that some sites do not name."""
    said = []
    for key, levels in {(c.modality, c.feature): c.levels for c in columns if c.kind == "level"}.items():
        for level in levels:
            sites = [s for s, f in having[key].items() if s not in left and f.kind == "level" and level not in f.levels]
            said += [f"{key[1]}={level} ({', '.join(sites)})"] if sites else []
    if not said:
        return []
    more = f" and {len(said) - MOST_RARE} more" if len(said) > MOST_RARE else ""
    shown = "; ".join(said[:MOST_RARE])
    return [f"Levels that fewer than {least} patients of a site have are unknown there: {shown}{more}."]


def _columns(key: Key, found: dict[str, FeatureSchema], left: dict[str, str], notices: list[str]) -> list[Column]:
    modality, name = key
    kind = _kind(found)
    for site, f in found.items():
        if not _fits(f, kind):
            left[site] = f"feature '{name}' is {_said(f.kind)} there and {_said(kind)} elsewhere"
    for what in ("id_space", "unit"):
        said = Counter(getattr(f, what) for s, f in found.items() if s not in left and getattr(f, what))
        for site, f in found.items():
            if len(said) > 1 and getattr(f, what) not in ("", said.most_common(1)[0][0]):
                left[site] = f"feature '{name}' has another {what.replace('_', ' ')} there than elsewhere"
    found = {s: f for s, f in found.items() if s not in left}
    if kind == "numeric":
        return [Column(modality, name, kind, "", ())]
    orders = Counter(f.levels for f in found.values())
    if kind == "ordinal":
        order = orders.most_common(1)[0][0] if orders else ()
        left |= {
            s: f"feature '{name}' has other ordered levels there than elsewhere"
            for s, f in found.items()
            if f.levels != order
        }
        return [Column(modality, name, kind, "", order)]
    sites_of = Counter(n for f in found.values() for n in f.levels)
    for site, f in found.items():
        # Levels of which no other site has even one: f and m here, 1 and 2 there.
        if (
            len(found) > 2
            and f.levels
            and all(sites_of[n] == 1 for n in f.levels)
            and any(c > 1 for c in sites_of.values())
        ):
            left[site] = f"feature '{name}' has no level there that another site has: other coding"
    levels = tuple(_sorted({n for s, f in found.items() if s not in left for n in f.levels}))
    if len(levels) < 2:
        notices.append(f"Feature '{name}' has fewer than two levels that enough patients of a site share: not used.")
        return []
    return [Column(modality, name, kind, level, levels) for level in levels[1:]]


def _kind(found: Mapping[str, FeatureSchema]) -> str:
    kinds = Counter(f.kind for f in found.values())
    numbers = all(f.kind == "numeric" or _numbers(f) for f in found.values() if f.kind != "ordinal")
    if kinds["numeric"] and numbers and 2 * kinds["ordinal"] <= kinds.total():
        return "numeric"  # few different numbers at one site look like levels there
    return max(kinds, key=lambda k: (kinds[k], k))


def _fits(f: FeatureSchema, kind: str) -> bool:
    return f.kind == kind or (kind == "numeric" and f.kind == "level" and _numbers(f))


def _numbers(f: FeatureSchema) -> bool:
    return all(_number(n) is not None for n in f.levels)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _sorted(levels: set[str]) -> list[str]:
    def key(n: str) -> tuple[bool, float, str]:
        x = _number(n)
        return x is None, 0.0 if x is None else x, n

    return sorted(levels, key=key)


def _said(kind: str) -> str:
    return {"numeric": "a number", "ordinal": "ordered levels", "level": "levels"}[kind]


def _count(n: int) -> str:
    return f"{n} site" if n == 1 else f"{n} sites"


def _some(names: list[str]) -> str:
    shown = ", ".join(f"'{n}'" for n in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more features"
