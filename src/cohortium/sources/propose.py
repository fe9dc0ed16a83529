"""A first study file for a folder of tables, for a person to correct."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cohortium.errors import DataError, StudyError, did_you_mean
from cohortium.schema.declare import FileSource
from cohortium.sources.columns import CODE_LIKE
from cohortium.sources.formats import READABLE, read_raw
from cohortium.sources.raw import Raw

AFTERWARDS = re.compile(
    r"surviv|death|dead|deceas|event|censor|recur|relapse|progress|follow|outcome|discharge|hosp.?dead|days_to|time_to|"
    r"status|\blos\b|slos|charge|cost|\bdnr\b|last_(contact|information)|(^|_)(os|pfs|dfs|rfs)(_|$)", re.I,
)  # fmt: skip
TIME = re.compile(
    r"time|days|months|years|futime|surv.*(day|month|year)|(^|_)(os|pfs|dfs|rfs)(_|\.)?(time|days|months)?$", re.I
)
STRONG = re.compile(r"surviv|vital|death|dead|deceas|event|recur|relapse|progress|metasta", re.I)
STATUS = re.compile(r"event|status|death|dead|deceas|cens|recur|relapse|progress", re.I)
ENTITY_NAMES = ("patient_id", "patient", "case_id", "sample_id", "sample", "id", "subject", "subject_id")


@dataclass(frozen=True, eq=False)
class _Seen:
    file: str
    raw: Raw
    turned: bool

    @property
    def ids(self) -> set[str]:
        return set(map(str, self.raw.frame.columns)) if self.turned else set(self.raw.labels.dropna())


def _look(folder: Path) -> list[_Seen]:
    seen = []
    for path in sorted(folder.iterdir()):
        ending = "".join(s for s in path.suffixes[-2:] if s not in (".gz", ".xz")).lower()
        if not path.is_file() or not any(ending.endswith(r) for r in READABLE) or path.name.startswith("."):
            continue
        try:
            seen.append(_Seen(path.name, read_raw(folder, FileSource(file=path.name), None), False))
        except DataError:
            continue
    return seen


def _status_values(column: pd.Series) -> list[str]:
    return sorted({str(v) for v in column.dropna().unique()}) if column.nunique() <= 6 else []


def propose(folder: Path, endpoint: str | None = None) -> str:
    """Text of a commented ``study.yaml``.

    endpoint: a column to predict: an event column, a yes/no column, a class or a number. Raises DataError when
    the folder has no readable table, StudyError when no file has that column or none can be guessed.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    seen = _look(folder)
    if not seen:
        raise DataError(f"{folder} holds no table that can be read ({', '.join(READABLE)}; .gz and .xz too).")
    units, text = _endpoint(seen, endpoint)
    ids = units.ids
    modalities, doubts, strangers = [], [], []
    for s in seen:
        overlap = len(s.ids & ids)
        columns = len(set(map(str, s.raw.frame.columns)) & ids)
        if overlap == 0 and columns == 0:
            strangers.append(s.file)
            continue
        block, doubt = _modality(s, units, columns > overlap, text)
        modalities += block
        doubts += doubt
    names = [
        line.split(":")[0].strip() for line in modalities if line.startswith("    ") and not line.startswith("     ")
    ]
    names = [n for n in names if not n.startswith("#")]
    if not names:
        raise StudyError(
            f"Beside the endpoint no feature was found in {folder}: no other column, and no other file that shares ids."
        )
    lines = [
        f"# Proposed by cohortium init for {len(seen)} file(s). Read every line; what is a guess says so.",
        f"name: {re.sub(r'[^A-Za-z0-9_.-]', '_', folder.resolve().name).strip('._-') or 'study'}",
        "cohort:",
        f"  units: {{file: {_quote(units.file)}, id: {_quote(units.raw.id_name)}}}",
        "  modalities:",
        *modalities,
        *text.lines,
        f"reference: [{_guess_reference(names)}]   # a guess: the routine modalities, the model to beat",
        *(f"# {d}" for d in doubts),
        *(f"# not used, shares no id with the unit table: {s}" for s in strangers),
    ]
    return "\n".join(lines) + "\n"


def _guess_reference(names: list[str]) -> str:
    routine = [n for n in names if re.search(r"clin|demog|pheno|patient", n, re.I)]
    return routine[0] if routine else names[0]


@dataclass(frozen=True)
class _EndpointText:
    lines: list[str]
    columns: set[str]


def _endpoint(seen: list[_Seen], endpoint: str | None) -> tuple[_Seen, _EndpointText]:
    if endpoint is not None:
        having = [s for s in seen if endpoint in s.raw.frame.columns]
        if not having:
            known = [str(c) for s in seen for c in s.raw.frame.columns if s.raw.frame.shape[1] < 200]
            raise StudyError(f"No file has a column '{endpoint}'.{did_you_mean(endpoint, known)}")
        return having[0], _declare(having[0].raw.frame, endpoint)
    small = [s for s in sorted(seen, key=lambda s: s.raw.frame.shape[1]) if s.raw.frame.shape[1] <= 500]
    guesses = []
    for s in small:
        frame = s.raw.frame
        status = [str(c) for c in frame if STRONG.search(str(c)) and 2 <= frame[c].nunique() <= 4]
        status.sort(key=lambda c: not re.search(r"surviv|vital|death|dead", c, re.I))
        guesses += [(s, _declare(frame, c)) for c in status]
    # An event column with a time beside it is what most cohorts are made for.
    timed = [g for g in guesses if any("survival" in line for line in g[1].lines[2:3])]
    if timed or guesses:
        return (timed or guesses)[0]
    raise StudyError(
        "No endpoint could be guessed. Name the column to predict: cohortium init FOLDER --endpoint COLUMN"
    )


def _declare(frame: pd.DataFrame, column: str) -> _EndpointText:
    name = re.sub(r"[^A-Za-z0-9_]", "_", column)
    values = frame[column]
    times = [
        str(c) for c in frame
        if TIME.search(str(c)) and c != column and pd.api.types.is_numeric_dtype(frame[c].dtype)
        and frame[c].nunique() > 10 and frame[c].notna().mean() > 0.9 and (frame[c].dropna() >= 0).all()
    ]  # fmt: skip
    if STATUS.search(column) and values.nunique() == 2 and times:
        time = next((t for t in times if re.search(r"last|follow|overall|surv|^os", t, re.I)), times[0])
        unit = next((u for u in ("days", "months", "years", "weeks") if u[:-1] in time.lower()), "days")
        event = (
            _quote(column)
            if set(values.dropna().astype(str)) <= {"0", "1", "0.0", "1.0"}
            else _condition(column, values)
        )
        return _EndpointText(
            ["endpoints:", f"  {name}:", "    kind: survival", f"    time: {_quote(time)}", f"    event: {event}",
             f"    time_unit: {unit}   # a guess from the column's name"],
            {column, *times},
        )  # fmt: skip
    if values.nunique() == 2:
        found = _status_values(values)
        positive = next((v for v in found if v.lower() in ("1", "1.0", "yes", "true", "positive")), found[-1])
        return _EndpointText(
            ["endpoints:", f"  {name}: {{kind: binary, column: {_quote(column)}, positive: {_quote(positive)}}}   # others: {', '.join(v for v in found if v != positive)}"],
            {column},
        )  # fmt: skip
    if pd.api.types.is_numeric_dtype(values.dtype) and values.nunique() > CODE_LIKE:
        return _EndpointText(["endpoints:", f"  {name}: {{kind: continuous, column: {_quote(column)}}}"], {column})
    return _EndpointText(
        [
            "endpoints:",
            f"  {name}: {{kind: multiclass, column: {_quote(column)}}}   # ordered classes? then kind: ordinal with classes",
        ],
        {column},
    )


def _condition(column: str, values: pd.Series) -> str:
    found = _status_values(values)
    bad = next((v for v in found if re.search(r"dead|deceas|yes|event|recur|relapse|progress", v, re.I)), found[-1])
    return f"{{column: {_quote(column)}, equals: {_quote(bad)}}}"


def _modality(s: _Seen, units: _Seen, turned: bool, text: _EndpointText) -> tuple[list[str], list[str]]:
    name = re.sub(r"[^A-Za-z0-9_]", "_", Path(s.file).name.split(".")[0])
    features = s.raw.labels.astype(str).tolist() if turned else [str(c) for c in s.raw.frame.columns]
    features = [f for f in features if not (s.file == units.file and f in text.columns)]
    afterwards = [f for f in features if s.file == units.file and AFTERWARDS.search(f)]
    if not [f for f in features if f not in afterwards]:
        return [], []
    lines = [f"    {name}:", f"      file: {_quote(s.file)}"]
    if turned:
        lines.append("      orientation: units_in_columns")
    elif (
        s.raw.id_name != units.raw.id_name
        and not s.raw.path.suffix.startswith(".np")
        and not s.raw.path.suffix.startswith(".h5")
    ):
        lines.append(f"      id: {_quote(s.raw.id_name)}")
    if afterwards:
        lines.append(f"      recorded_after_index: [{', '.join(map(_quote, afterwards))}]   # by their names: check")
    if s.raw.labels.duplicated().any() and not turned:
        lines.append("      duplicates: mean   # several rows per unit: mean, first or latest")
    doubts = []
    if not turned and s.raw.frame.shape[1] <= 200:
        codes = [
            str(c) for c in s.raw.frame
            if str(c) in features and pd.api.types.is_numeric_dtype(s.raw.frame[c].dtype) and 2 < s.raw.frame[c].nunique() <= CODE_LIKE
            and (s.raw.frame[c].dropna() == s.raw.frame[c].dropna().round()).all()
        ]  # fmt: skip
        if codes:
            doubts.append(
                f"{name}: whole numbers with few values; codes? then kinds: {{column: nominal}}: {', '.join(codes[:12])}"
            )
    return lines, doubts


def _quote(text: str) -> str:
    return (
        text
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", text)
        and text.lower() not in ("yes", "no", "true", "false", "null", "on", "off")
        else "'" + text.replace("'", "''") + "'"
    )
