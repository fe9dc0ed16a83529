"""Ids: from cells, matched between files, and what to try when none match."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from cohortium.errors import DataError
from cohortium.schema.declare import IdRule
from cohortium.sources.raw import HEADER

_ENOUGH = 500  # ids looked at for a hint


def apply_rule(labels: pd.Series, rule: IdRule, file: str) -> pd.Series:
    """Ids from id cells. Raises DataError for a missing id."""
    missing = (labels.isna() | (labels == "")).to_numpy()
    if missing.any():
        row = int(labels.index[np.flatnonzero(missing)[0]]) + HEADER
        raise DataError(f"{file}, row {row}: the id cell is empty.")
    ids = labels.astype(str)
    if rule.split is not None:
        parts = ids.str.split(rule.split, regex=False)
        shortest = parts.map(len).min()
        if not -shortest <= rule.part < shortest:
            raise DataError(
                f"{file}: id_rule asks for part {rule.part}, and some ids have {shortest} part(s) after splitting."
            )
        ids = parts.map(lambda p: p[rule.part])
    return ids.str[: rule.first] if rule.first is not None else ids


def apply_leniently(labels: Iterable[str], rule: IdRule) -> list[str]:
    """As :func:`apply_rule` for texts of which not all are ids (column names); those stay as they are."""
    out = []
    for label in labels:
        text = str(label).strip()
        if rule.split is not None:
            parts = text.split(rule.split)
            text = parts[rule.part] if -len(parts) <= rule.part < len(parts) else text
        out.append(text[: rule.first] if rule.first is not None else text)
    return out


def hint(found: list[str], wanted: pd.Index) -> str:
    """What to try when no id of a file is a unit's: a sentence, or "". Never holds an id."""
    known = set(wanted)
    some = found[:_ENOUGH]
    longest, shortest = max(map(len, known)), min(map(len, known))
    if longest == shortest and any(v[:longest] in known for v in some if len(v) > longest):
        return f" Try id_rule: {{first: {longest}}}."
    for separator in "-_.:|/ ":
        for part in range(3):
            cut = [v.split(separator)[part] for v in some if v.count(separator) >= max(part, 1)]
            if cut and sum(v in known for v in cut) >= 0.5 * len(cut):
                return f" Try id_rule: {{split: '{separator}', part: {part}}}."
    lengths = {len(v) for v in some}
    if len(lengths) == 1 and max(lengths) < shortest:
        n = max(lengths)
        if {w[:n] for w in known} & set(some):
            return f" The unit table's ids begin with them: say id_rule: {{first: {n}}} of the unit table."
    bare = {w.lstrip("0") for w in known}
    if any(v.lstrip("0") in bare for v in some if v.lstrip("0")):
        return " Some ids differ by leading zeros only: a program has read them as numbers."
    lower = {w.lower() for w in known}
    if any(v.lower() in lower for v in some):
        return " Some ids differ by capital letters only."
    if longest == shortest and len(lengths) == 1 and max(lengths) > longest:
        return f" Try id_rule: {{first: {longest}}}."
    return ""


def lengths(ids: Iterable[str]) -> str:
    """``"12"`` or ``"3 to 5"``: how many characters ids have."""
    n = sorted({len(v) for v in ids})
    return str(n[0]) if n[0] == n[-1] else f"{n[0]} to {n[-1]}"
