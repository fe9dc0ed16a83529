"""TRANSBIG as three CSV files and a study file."""

from __future__ import annotations

import csv
import importlib.util
import io
from importlib import resources
from pathlib import Path
from typing import Any

from cohortium.errors import DataError, MissingExtra, StudyError

ARFF = "datasets/data/breast_cancer_GSE7390-metastasis.arff"
CLINICAL = ("age", "size", "grade", "er")
# As the file spells them; a grade that is not known is an empty cell.
GRADES = {
    "well differentiated": "1",
    "intermediate": "2",
    "poorly differentiated": "3",
    "unkown": "",
}


def write(folder: str | Path) -> Path:
    """Write ``clinical.csv``, ``genes.csv``, ``outcomes.csv`` and ``study.yaml``; give the study file's path.

    The same call again writes the same bytes. Raises :class:`MissingExtra` without scikit-survival,
    :class:`StudyError` when the folder holds another study, :class:`DataError` when it cannot be written to.
    """
    folder = Path(folder)
    study = resources.files("cohortium.demo").joinpath("study.yaml").read_text(encoding="utf-8")
    file = folder / "study.yaml"
    if file.exists() and file.read_text(encoding="utf-8", errors="replace") != study:
        raise StudyError(f"{file} is another study, or was changed. Give another folder with --out.")
    names, rows = _read(_source())
    genes = [n for n in names if n not in (*CLINICAL, "t.tdm", "e.tdm")]
    ids = [f"P{i + 1:03d}" for i in range(len(rows))]
    tables = {
        "clinical.csv": (CLINICAL, CLINICAL),
        "genes.csv": (genes, [g.removeprefix("X") for g in genes]),
        "outcomes.csv": (("t.tdm", "e.tdm"), ("days", "metastasis")),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, (columns, titles) in tables.items():
            text = _table(ids, rows, [names.index(c) for c in columns], ["patient", *titles])
            (folder / name).write_text(text, encoding="utf-8")
        file.write_text(study, encoding="utf-8")
    except OSError as e:
        raise DataError(f"{folder} cannot be written to: {e.strerror}. Give another folder with --out.") from e
    return file


def _source() -> Path:
    """The ARFF file inside the installed scikit-survival; the package is found, never imported."""
    found = importlib.util.find_spec("sksurv")
    for place in (found.submodule_search_locations or []) if found is not None else []:
        if (Path(place) / ARFF).is_file():
            return Path(place) / ARFF
    raise MissingExtra(
        "The demo's patients come inside the package 'scikit-survival', which is not installed. "
        "Install it with: pip install 'cohortium[demo]'"
    )


def _read(file: Path) -> tuple[list[str], list[list[str]]]:
    """Column names and the rows as texts."""
    from scipy.io import arff

    data, meta = arff.loadarff(file)
    return list(meta.names()), [[_text(v) for v in row] for row in data.tolist()]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        text = value.decode()
        return GRADES.get(text, text)
    return f"{value:.10g}"


def _table(ids: list[str], rows: list[list[str]], columns: list[int], header: list[str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([i, *(row[c] for c in columns)] for i, row in zip(ids, rows, strict=True))
    return out.getvalue()
