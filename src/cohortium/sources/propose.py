"""A first study file for a folder of tables, for a person to correct."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cohortium.errors import DataError, StudyError, did_you_mean
from cohortium.schema.declare import FileSource
from cohortium.sources import guessing, molecules
from cohortium.sources.columns import CODE_LIKE
from cohortium.sources.formats import READABLE, read_raw
from cohortium.sources.guessing import EndpointText, quote
from cohortium.sources.propose_shapes import look
from cohortium.sources.raw import Raw

_NARROW = 200  # columns looked at one by one


@dataclass(frozen=True, eq=False)
class _Seen:
    file: str
    raw: Raw

    @property
    def rows(self) -> set[str]:
        return set(self.raw.labels.dropna())

    @property
    def columns(self) -> list[str]:
        return [str(c) for c in self.raw.frame.columns]

    @property
    def has_header_ids(self) -> bool:
        """Its ids stand in a named column (arrays have none)."""
        return not self.raw.path.suffix.startswith((".np", ".h5"))


def _look(folder: Path) -> tuple[list[_Seen], list[str]]:
    """Files that can be read, and what is wrong with those that look as if they could."""
    seen, failed = [], []
    for path in sorted(folder.iterdir()):
        endings = [s.lower() for s in path.suffixes]
        if endings and endings[-1] in (".gz", ".xz"):
            endings.pop()
        if not path.is_file() or path.name.startswith(".") or not endings or endings[-1] not in READABLE:
            continue
        if re.match(r"readme|licen[cs]e", path.name, re.I) or path.name.endswith((".ids.txt", ".ids.csv")):
            continue
        try:
            seen.append(_Seen(path.name, read_raw(folder, FileSource(file=path.name), None)))
        except DataError as e:
            failed.append(str(e))
    return seen, failed


def propose(folder: Path, endpoint: str | None = None) -> str:
    """Text of a commented ``study.yaml``.

    endpoint: a column to predict: an event column, a yes/no column, a class or a number. Raises DataError when
    the folder has no readable table, StudyError when no file has that column or none can be guessed.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    seen, failed = _look(folder)
    if not seen:
        more = f" {failed[0]}" if failed else ""
        raise DataError(f"{folder} holds no table that can be read ({', '.join(READABLE)}; .gz and .xz too).{more}")
    units, text = _endpoint(seen, endpoint)
    units = _with_best_id(units, [s for s in seen if s.file != units.file])
    ids = units.rows
    found = look(folder, units.raw)
    design = _design(units, text) | found.design
    blocks: dict[str, list[str]] = {}
    remarks: list[str] = []
    for s in [units if s.file == units.file else s for s in seen if s.file not in found.taken]:
        turned = len(ids & set(s.columns)) > len(ids & s.rows)
        if not turned and not ids & s.rows:
            s = _with_best_id(s, [units])
        if not turned and not ids & s.rows:
            remarks.append(f"not used, shares no id with the unit table: {s.file}")
        elif guessing.SPLIT_FILE.search(s.file) and s.file != units.file and len(s.columns) <= 5:
            remarks.append(
                f"not used, looks like folds: {s.file}. To take them: evaluation: {{design: file, folds_file: {{file: {s.file}}}}}"
            )
        else:
            block, doubts = _modality(s, units, turned, text, design)
            if block:
                blocks[_free_name(s.file, blocks)] = block
            remarks += doubts
    for other, lines in found.blocks.items():
        blocks[_free_name(other, blocks)] = lines
    remarks += found.remarks
    failed = [f for f in failed if not any(t in f for t in found.taken)]
    if not blocks:
        raise StudyError(
            f"Beside the endpoint no feature was found in {folder}: no other column, and no other file that shares ids."
        )
    remarks += [f"could not be read: {f}" for f in failed]
    return _text(folder, units, blocks, text, design, remarks, len(seen))


def _text(
    folder: Path,
    units: _Seen,
    blocks: dict[str, list[str]],
    text: EndpointText,
    design: dict[str, str],
    remarks: list[str],
    n_files: int,
) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", folder.resolve().name).strip("._-") or "study"
    routine = [n for n in blocks if re.search(r"clin|demog|pheno|patient", n, re.I)]
    lines = [
        f"# Proposed by cohortium init for {n_files} file(s). Read every line; what is a guess says so.",
        f"name: {name}",
        "cohort:",
        f"  units: {{file: {quote(units.file)}, id: {quote(units.raw.id_name)}}}"
        if units.raw.id_name and units.has_header_ids
        else f"  units: {{file: {quote(units.file)}}}",
        "  modalities:",
    ]
    for modality, block in blocks.items():
        lines += [f"    {modality}:", *block]
    if design:
        lines.append(f"design: {{{', '.join(f'{k}: {quote(v)}' for k, v in design.items())}}}   # by their names")
    lines += [
        *text.lines,
        f"reference: [{routine[0] if routine else next(iter(blocks))}]   # a guess: the routine modalities, the model to beat",
        *(f"# {' '.join(r.split())}" for r in remarks),
    ]
    return "\n".join(lines) + "\n"


def _endpoint(seen: list[_Seen], endpoint: str | None) -> tuple[_Seen, EndpointText]:
    if endpoint is not None:
        having = [s for s in seen if endpoint in s.columns]
        if not having:
            known = [c for s in seen if len(s.columns) < _NARROW for c in s.columns]
            raise StudyError(f"No file has a column '{endpoint}'.{did_you_mean(endpoint, known)}")
        largest = max(having, key=lambda s: len(s.raw.frame))
        return largest, guessing.declare(largest.raw.frame, endpoint)
    narrow = [s for s in sorted(seen, key=lambda s: len(s.columns)) if len(s.columns) <= _NARROW]
    guesses = [(s, g) for s in narrow for g in guessing.candidates(s.raw.frame)]
    if guesses:
        return max(guesses, key=lambda g: (g[1].rank, len(g[0].raw.frame)))
    possible = [
        f"{c} ({s.file})"
        for s in narrow
        for c in s.columns
        if 2 <= s.raw.frame[c].nunique() <= 8 and len(s.columns) <= 20
    ]
    listed = f" Perhaps: {', '.join(possible[:8])}." if possible else ""
    raise StudyError(
        f"No endpoint could be guessed. Name the column to predict: cohortium init FOLDER --endpoint COLUMN.{listed}"
    )


def _loose(values: pd.Series | set[str]) -> set[str]:
    """Ids without leading zeros: a column that was not read as ids may have lost them."""
    return {guessing.level_name(v).lstrip("0") for v in values if pd.notna(v)} - {""}


def _with_best_id(s: _Seen, others: list[_Seen]) -> _Seen:
    """The file read with the id column that most of the other files' ids are in; the first column when none is better."""
    if not s.has_header_ids or len(s.columns) > _NARROW:
        return s
    exact = [o.rows | (set(o.columns) if len(o.columns) > 20 else set()) for o in others]
    theirs = [_loose(e) for e in exact]
    # The first column was read as ids, as written; the others may have lost their leading zeros.
    n, best, most = len(s.raw.frame), None, sum(len(s.rows & e) for e in exact)
    for c in s.raw.frame.columns:
        column = s.raw.frame[c]
        if pd.api.types.is_float_dtype(column.dtype) or column.isna().any() or column.nunique() < 0.2 * n:
            continue
        values = _loose(column)
        here = sum(len(values & t) for t in theirs)
        if here > most and here > 0.5 * column.nunique():
            best, most = str(c), here
    if best is None and s.raw.labels.duplicated().any() and not others:
        unique = [str(c) for c in s.columns if s.raw.frame[c].nunique() == n and re.search(r"id$|^id", str(c), re.I)]
        best = unique[0] if unique else None
    if best is None:
        return s
    return _Seen(s.file, read_raw(s.raw.path.parent, FileSource(file=s.file, id=best), None))


def _design(units: _Seen, text: EndpointText) -> dict[str, str]:
    out = {}
    for c in units.columns if len(units.columns) <= _NARROW else []:
        repeated = 2 <= units.raw.frame[c].nunique() < 0.5 * len(units.raw.frame) and c not in text.columns
        for role, pattern in (("site", guessing.SITE), ("batch", guessing.BATCH)):
            if repeated and pattern.match(c) and role not in out:
                out[role] = c
    return out


def _free_name(file: str, taken: dict[str, list[str]]) -> str:
    name = re.sub(r"[^A-Za-z0-9_]", "_", Path(file).name.split(".")[0]) or "table"
    name = name if re.match(r"[A-Za-z_]", name) else f"m_{name}"
    k, free = 2, name
    while free in taken:
        free, k = f"{name}_{k}", k + 1
    return free


def _modality(
    s: _Seen, units: _Seen, turned: bool, text: EndpointText, design: dict[str, str]
) -> tuple[list[str], list[str]]:
    """Lines below the modality's name (none when it has no feature), and doubts to remark."""
    same = s.file == units.file
    features = s.raw.labels.astype(str).tolist() if turned else s.columns
    features = [f for f in features if not (same and (f in text.columns or f in design.values()))]
    few = not turned and len(features) <= _NARROW
    late = [f for f in features if few and guessing.afterwards(f)]
    splits = [f for f in features if few and guessing.SPLIT.match(f) and f not in late]
    if not set(features) - set(late) - set(splits):
        return [], []
    lines = [f"      file: {quote(s.file)}"]
    if turned:
        lines.append("      orientation: units_in_columns")
    elif s.raw.id_name != units.raw.id_name and s.raw.id_name and s.has_header_ids:
        lines.append(f"      id: {quote(s.raw.id_name)}")
    if late:
        lines.append(f"      recorded_after_index: [{', '.join(map(quote, late))}]   # by their names: check")
    if splits:
        lines.append(f"      exclude: [{', '.join(map(quote, splits))}]   # by their names: say who is in which part")
    if s.raw.labels.duplicated().any() and not turned:
        lines.append("      duplicates: mean   # several rows per unit: mean, first or latest")
    lines += molecules.declared(s.raw, features, [i for i in s.columns if i in units.rows] if turned else None)
    name = Path(s.file).name.split(".")[0]
    codes = [f for f in features if few and f not in late and f not in splits and _code_like(s.raw.frame[f])]
    doubts = []
    if codes:
        doubts.append(
            f"{name}: whole numbers with few values; codes? then kinds: {{column: nominal}}: {', '.join(codes[:20])}"
        )
    return lines, doubts


def _code_like(column: pd.Series) -> bool:
    if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return False
    known = column.dropna()
    return 2 < known.nunique() <= CODE_LIKE and bool((known == known.round()).all())
