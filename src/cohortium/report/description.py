"""The section "Who the patients are": table one by availability, site and partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cohortium.contracts.description import FEWEST, DescribedGroup, DescribedVariable, Description, Summary
from cohortium.contracts.results import Results
from cohortium.report.words import count, names, number, ordered_endpoints

UNLIKE = 0.1
"""Standardised difference from which on groups are called unlike (Austin 2009)."""

_BLOCKS = (
    ("availability", "By available modalities"),
    ("site", "By site"),
    ("partition", "By partition"),
    ("test_folds", "By partition: test folds"),
)


@dataclass(frozen=True)
class Entry:
    """A cell. text: the numbers. small: what is missing. gap: the standardised difference; unlike: it is large."""

    text: str = ""
    small: str = ""
    gap: str = ""
    unlike: bool = False


@dataclass(frozen=True)
class Row:
    """name: of the variable, or of a level. small: unit and kind. level: it belongs to the variable above. first: a modality
    begins here, ``source`` is its name."""

    name: str
    small: str
    cells: list[Entry]
    level: bool = False
    source: str = ""


@dataclass(frozen=True)
class TableOne:
    """title: of the block. head: (group, its number of units). rows: in order."""

    title: str
    head: list[tuple[str, str]]
    rows: list[Row]
    notes: list[str] = field(default_factory=list)


def described(r: Results) -> list[dict[str, Any]]:
    """One entry per endpoint, primary first; none for runs without the records."""
    by_name = {d.endpoint: d for d in r.descriptions}
    ordered = [by_name[e.name] for e in ordered_endpoints(r) if e.name in by_name]
    return [
        {"endpoint": d.endpoint, "tables": tables(d), "notes": [f"{n[0].upper()}{n[1:]}." for n in d.notes]}
        for d in ordered
    ]


def tables(d: Description) -> list[TableOne]:
    """One table per way in which everyone falls into parts; everyone alone where there is none."""
    everyone, out = d.groups[0], []
    for kind, title in _BLOCKS:
        own = [g for g in d.groups if g.kind == kind]
        if own:
            out.append(table(title, d.variables, [everyone, *own]))
    return out or [table("Everyone", d.variables, [everyone])]


def beside(d: Description, new: DescribedGroup) -> TableOne:
    """New data beside the study's everyone."""
    return table("New data beside the study", d.variables, [d.groups[0], new])


def table(title: str, variables: Sequence[DescribedVariable], groups: Sequence[DescribedGroup]) -> TableOne:
    """The groups side by side."""
    head = [
        (g.name if g.kind != "everyone" else "everyone in the study", _span(g.n_units, g.most_units)) for g in groups
    ]
    rows, source = list[Row](), ""
    for k, v in enumerate(variables):
        begins = v.source if v.source != source else ""
        source = v.source
        pairs = [(g.summaries[k], g.most[k] if g.most else None) for g in groups]
        rows.append(Row(v.name, _kind(v), [_entry(v, a, b) for a, b in pairs], source=begins))
        if v.kind == "levels":
            rows += [Row(x, "", [_level(a, b, i) for a, b in pairs], True) for i, x in enumerate(v.levels)]
    return TableOne(title, head, rows)


def _kind(v: DescribedVariable) -> str:
    unit = f"{v.unit}; " if v.unit else ""
    return {"numeric": f"{unit}median (quartiles)", "follow_up": f"{unit}median", "levels": "n (%)"}[v.kind]


def _entry(v: DescribedVariable, a: Summary, b: Summary | None) -> Entry:
    """The line of the variable itself: median and quartiles, or of levels what is missing alone."""
    if a.n == 0 and a.missing == 0 and a.absent and (b is None or b.n == 0):
        return Entry("not measured")
    lacking = [
        f"{word} {_span(getattr(a, key), None if b is None else getattr(b, key))}"
        for key, word in (("missing", "missing"), ("absent", "without the modality"))
        if getattr(a, key) or (b is not None and getattr(b, key))
    ]
    gap, unlike = "", False
    if a.difference is not None:
        last = a.difference if b is None or b.difference is None else b.difference
        gap, unlike = _range(f"{a.difference:.2f}", f"{last:.2f}"), round(last, 2) >= UNLIKE
    return Entry(_quantiles(v, a, b), ", ".join(lacking), gap, unlike)


def _quantiles(v: DescribedVariable, a: Summary, b: Summary | None) -> str:
    if v.kind == "levels":
        return "" if a.n >= FEWEST or b is not None else f"fewer than {FEWEST} known"
    if a.median is None:
        return f"fewer than {FEWEST} known" if a.n < FEWEST else "not reached"
    more = a if b is None else b
    median = _numbers(a.median, more.median)
    return median if a.q1 is None else f"{median} ({_numbers(a.q1, more.q1)} to {_numbers(a.q3, more.q3)})"


def _level(a: Summary, b: Summary | None, k: int) -> Entry:
    if a.n == 0 and b is None:
        return Entry("–")
    n, most = a.counts[k], None if b is None else b.counts[k]
    if n is None:
        small = k in a.few, b is not None and k in b.few
        return Entry("withheld" if not any(small) else f"< {FEWEST}" if b is None or all(small) else f"some < {FEWEST}")
    if b is not None and most is not None:
        return Entry(_span(n, most))
    return Entry(f"{n:,} ({100 * n / a.n:.0f}%)" if a.n else "–")


def _numbers(low: float | None, high: float | None) -> str:
    return _range(_plain(low), _plain(high))


def _span(low: int, high: int | None) -> str:
    return _range(f"{low:,}", f"{low if high is None else high:,}")


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low}–{high}"


def _plain(x: float | None) -> str:
    """Three digits that matter, no powers of ten in between."""
    if x is None:
        return "–"
    size = abs(x)
    if size >= 100 or x == int(x):
        return f"{x:,.0f}".replace("-", "−")
    text = f"{x:.1f}" if size >= 10 else f"{x:.2f}" if size >= 1 else f"{x:.3f}" if size >= 0.01 else f"{x:.2g}"
    text = text if "e" in text else text.rstrip("0").rstrip(".")
    return text.replace("-", "−")


def words(r: Results) -> list[str]:
    """What the table shows and does not."""
    folds = any(g.kind == "test_folds" for d in r.descriptions for g in d.groups)
    said = [
        f"Numbers: median and quartiles. Levels: units and per cent of those known. Counts of 1 to {FEWEST - 1} are printed as "
        f"“< {FEWEST}”; “withheld” is a count from which one of these would follow.",
        f"d is the standardised difference of a group to all other units: the difference of the means in standard deviations; from {UNLIKE} on "
        "(bold, with an arrow) groups are usually called unlike. There are no p-values: they say how many patients there are as much as how "
        "unlike they are, and that folds drawn at random differ by chance is known.",
    ]  # fmt: skip
    if folds:
        said.append(
            "In cross-validation every unit is tested in turn, so there is no one training and no one test part: shown is the "
            "range of each number over all test folds, and of d between a test fold and its training part."
        )
    return said


def unlike(r: Results) -> str:
    """Where groups are unlike, in a sentence; empty where nowhere or not known."""
    primary = next((d for d in r.descriptions if d.endpoint == r.study.primary), None)
    if primary is None:
        return ""
    found = {}
    for g in primary.groups:
        for v, s in zip(primary.variables, g.summaries, strict=True):
            if (
                g.kind in ("availability", "site", "partition")
                and s.difference is not None
                and round(s.difference, 2) >= UNLIKE
            ):
                found[v.name] = max(found.get(v.name, 0.0), s.difference)
    if not found:
        return ""
    first = sorted(found, key=lambda n: -found[n])
    return (
        f"Groups differ (d of {UNLIKE} or more in at least one of them) in {count(len(found), 'variable')}, most in "
        f"{names([f'{n} ({number(found[n], 2)})' for n in first], most=4)}."
    )
