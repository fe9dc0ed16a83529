"""Guesses from names and values: which column is an endpoint, which was recorded afterwards, which is a design."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pandas as pd

from cohortium.sources.columns import CODE_LIKE, level_name, sorted_levels

AFTERWARDS = re.compile(
    r"surviv|died|^days$|^months$|^surv\d|^prg\d|death|dead|deceas|event|censor|recur|relapse|progress|follow|outcome|discharge|days_to|"
    r"time_to|^status$|vital|\blos\b|slos|charge|cost|tot.*cst|^dnr|last_(contact|information)|(^|_)(os|pfs|dfs|rfs)(_|$)", re.I,
)  # fmt: skip
HARMLESS = re.compile(r"family|history|prior|previous|before|baseline", re.I)
SPLIT = re.compile(r"^(train|test|split|fold|folds|partition|subset|validation|is_train|cv_?fold)$", re.I)
SPLIT_FILE = re.compile(r"split|fold", re.I)
SITE = re.compile(r"^(site|cent(er|re)|hospital|institution|tissue_source_site|tss|clinic)(_?(id|code|name))?$", re.I)
BATCH = re.compile(r"^(batch|plate|run)(_?(id|nr|no))?$", re.I)
LABEL = re.compile(r"^(label|outcome|response|responder|class|target|y|diagnosis|subtype|group|case)$", re.I)

_TIME = re.compile(
    r"time|days|months|years|weeks|surv.*(day|month|year)|(^|_)(os|pfs|dfs|rfs)(_|\.)?(time|days|months|years)?$", re.I
)
_DEATH = re.compile(r"surviv|vital|death|dead|deceas|died|^os(_|\.|$)|status_os", re.I)
_WITHIN = re.compile(r"hosp|\d|icu|within", re.I)
_OTHER_EVENT = re.compile(r"recur|relapse|progress|metasta", re.I)
_GENERIC = re.compile(r"^(event|status|fustat|cens|censor|censored|indicator)$", re.I)
_WHOLE_TIME = re.compile(r"last|follow|overall|surv|futime|^os|^d?[._]?time|death", re.I)
_BAD_END = re.compile(r"dead|deceas|died|yes|true|event|recur|relapse|progress|positive", re.I)
_GOOD_END = re.compile(r"healthy|control|normal|alive|living|^no$|negative|wild|benign|false", re.I)
_WORDS = re.compile(r"[A-Za-z]+")
_EMPTY_WORDS = {"days", "months", "years", "weeks", "time", "to", "event", "status", "of", "the", "in", "last", "is"}


@dataclass(frozen=True)
class EndpointText:
    """lines of the study file; columns that belong to the endpoint; how sure the guess is (higher is surer)."""

    lines: list[str]
    columns: set[str] = field(default_factory=set)
    rank: int = 0


def quote(text: str) -> str:
    """A YAML scalar that reads back as this text."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", text)
    if plain and text.lower() not in ("yes", "no", "true", "false", "null", "on", "off", "y", "n"):
        return text
    return "'" + text.replace("'", "''") + "'"


def values_of(column: pd.Series) -> list[str]:
    """The distinct values of a column of categories, sorted."""
    return sorted_levels([level_name(v) for v in column.dropna().unique()])


def afterwards(name: str) -> bool:
    """A name that suggests recording after the index time."""
    return bool(AFTERWARDS.search(name)) and not HARMLESS.search(name)


def candidates(frame: pd.DataFrame) -> list[EndpointText]:
    """Columns that look like outcomes, surest first: an event with its time, then yes/no columns, then classes."""
    out = []
    for c in map(str, frame.columns):
        n = frame[c].nunique()
        if not 2 <= n <= 8 or SPLIT.match(c) or HARMLESS.search(c):
            continue
        event = n == 2 and (
            _DEATH.search(c) or _OTHER_EVENT.search(c) or _GENERIC.match(c) or re.search("event", c, re.I)
        )
        if event and not re.search("cens", c, re.I):
            text = declare(frame, c)
            timed = any("kind: survival" in line for line in text.lines)
            rank = (6 if timed else 3) + (2 if _DEATH.search(c) or _GENERIC.match(c) else 0)
            out.append(EndpointText(text.lines, text.columns, rank))
        elif LABEL.match(c):
            text = declare(frame, c)
            out.append(EndpointText(text.lines, text.columns, 2 if n == 2 else 1))
    return sorted(out, key=lambda t: -t.rank)


def declare(frame: pd.DataFrame, column: str) -> EndpointText:
    """The endpoint that a column holds, as lines of a study file."""
    name, values = re.sub(r"[^A-Za-z0-9_]", "_", column), frame[column]
    time = _time_of(frame, column) if values.nunique() == 2 else None
    if time is not None:
        return EndpointText(_survival(name, frame, column, time), {column, time})
    if values.nunique() == 2:
        found = values_of(values)
        positive = _worse(found)
        others = ", ".join(v for v in found if v != positive)
        line = (
            f"  {name}: {{kind: binary, column: {quote(column)}, positive: {quote(positive)}}}   # the other: {others}"
        )
    elif pd.api.types.is_numeric_dtype(values.dtype) and values.nunique() > CODE_LIKE:
        line = f"  {name}: {{kind: continuous, column: {quote(column)}}}"
    else:
        line = f"  {name}: {{kind: multiclass, column: {quote(column)}}}   # ordered classes? then kind: ordinal with classes"
    return EndpointText(["endpoints:", line], {column})


def _time_of(frame: pd.DataFrame, event: str) -> str | None:
    """The time column of an event column: one that shares a word with it, else the whole follow-up for a death."""
    if not re.search(r"event|status|cens", event, re.I) and not _DEATH.search(event) and not _OTHER_EVENT.search(event):
        return None
    times = [
        str(c) for c in frame
        if _TIME.search(str(c)) and str(c) != event and pd.api.types.is_numeric_dtype(frame[c].dtype)
        and frame[c].nunique() > CODE_LIKE and frame[c].notna().mean() > 0.9 and (frame[c].dropna() > 0).mean() > 0.9
    ]  # fmt: skip
    words = {w.lower() for w in _WORDS.findall(event)} - _EMPTY_WORDS
    near = [t for t in times if words & {w.lower() for w in _WORDS.findall(t)}]
    if near:
        return near[0]
    if _WITHIN.search(event) or not (_DEATH.search(event) or _GENERIC.match(event)):
        return None
    whole = [t for t in times if _WHOLE_TIME.search(t)]
    return whole[0] if whole else times[0] if len(times) == 1 else None


def _worse(values: list[str]) -> str:
    """Of two values the one that reads like the event."""
    bad = [v for v in values if v == "1" or _BAD_END.search(v)]
    return (bad or [v for v in values if not _GOOD_END.search(v)] or values)[-1]


def _survival(name: str, frame: pd.DataFrame, column: str, time: str) -> list[str]:
    values = values_of(frame[column])
    unit = next((u for u in ("days", "months", "years", "weeks") if u[:-1] in time.lower()), "days")
    event = quote(column)
    if values != ["0", "1"]:
        bad = _worse(values)
        event = f"{{column: {quote(column)}, equals: {quote(bad)}}}   # the other: {', '.join(v for v in values if v != bad)}"
    lines = [
        "endpoints:",
        f"  {name}:",
        "    kind: survival",
        f"    time: {quote(time)}   # a guess from the column's name",
        f"    event: {event}",
        f"    time_unit: {unit}   # a guess from the column's name",
    ]
    negative, zero = int((frame[time] < 0).sum()), int((frame[time] == 0).sum())
    if negative:
        lines += [
            f"    exclude_where: [{{column: {quote(time)}, below: 0}}]   # {negative} row(s) have a negative time: why?"
        ]
    if zero:
        lines += [f"    zero_times: exclude   # {zero} row(s) have the time 0"]
    return lines
