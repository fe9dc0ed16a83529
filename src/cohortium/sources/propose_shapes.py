"""What in a folder is no table of units: records, images, cells, variants, notes; proposed as modalities."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from cohortium.sources.guessing import quote
from cohortium.sources.raw import Raw

PICTURES = (".dcm", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".nii")
INDEX = re.compile(r"^(index|admit|admission|enrol\w*|baseline|visit|diagnosis)_?(time|date|datetime)?$", re.I)
_PROTEIN = re.compile(r"prot|adt|antibod|cite", re.I)
_LONG = 30  # characters of a cell that is a text rather than a category
_MEDS = {"subject_id", "time", "code", "numeric_value"}


@dataclass
class Found:
    """blocks: name -> lines below the modality's name. design: role -> column. taken: files and folders that are spoken
    for. remarks: what a person should know."""

    blocks: dict[str, list[str]] = field(default_factory=dict)
    design: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)


def look(folder: Path, units: Raw) -> Found:
    """Modalities of other shapes in the folder.

    units: the unit table as read. Records and notes with times are proposed when the unit table has a date column that
    is called like an index time.
    """
    out = Found()
    ids = set(units.labels.dropna())
    index = next((str(c) for c in units.frame.columns if INDEX.match(str(c)) and _dates(units.frame[c])), None)
    # Of several copies of the same records the plainest form is taken.
    for path in sorted(folder.iterdir(), key=lambda p: (p.name.lower() != "meds", p.name)):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            _folder(path, ids, index, out)
        else:
            _file(path, folder, ids, index, out)
    if any(b[0].split()[-1] in ("events", "texts") for b in out.blocks.values()) and index:
        out.design["index_time"] = index
    return out


def _dates(column: pd.Series) -> bool:
    return bool(pd.to_datetime(column.astype(str), errors="coerce", format="ISO8601").notna().mean() > 0.9)


def _folder(path: Path, ids: set[str], index: str | None, out: Found) -> None:
    names = {p.name.lower().split(".")[0] for p in path.iterdir() if not p.name.startswith(".")}
    kind = None
    if any(_is_meds(p) for p in [*path.glob("*.parquet"), *path.glob("data/*.parquet")][:1]):
        kind = "meds"
    elif "person" in names and {"measurement", "condition_occurrence", "drug_exposure"} & names:
        kind = "omop"
    elif any(path.glob("*.ndjson")):
        kind = "fhir"
    if kind is not None:
        _records(path.name, kind, index, out)
        return
    inside = [p for p in path.iterdir() if not p.name.startswith(".")]
    mine = [p for p in inside if p.name in ids or p.name.split(".")[0] in ids]
    if not mine or len(mine) < 0.5 * len(inside):
        return
    some = next((f for m in mine[:20] for f in ([m] if m.is_file() else sorted(m.iterdir())[:1])), None)
    if some is not None and some.name.lower().removesuffix(".gz").endswith(PICTURES):
        _images(path.name, out)
    elif some is not None and some.suffix.lower() == ".fcs":
        out.taken.add(path.name)
        out.blocks[path.name] = ["      shape: cytometry", f"      folder: {quote(path.name)}"]


def _is_meds(file: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return set(pq.read_schema(file).names) >= _MEDS
    except (pa.ArrowException, OSError):
        return False


def _records(name: str, kind: str, index: str | None, out: Found) -> None:
    out.taken.add(name)
    have = next((n for n, b in out.blocks.items() if b[0].split()[-1] == "events"), None)
    if index is None:
        out.remarks.append(
            f"not used: {name} ({kind.upper()} records), for want of a date column for design: {{index_time: ...}}"
        )
    elif have is not None:
        out.remarks.append(f"not used: {name} ({kind.upper()}); {have} holds records already")
    else:
        out.blocks[name] = ["      shape: events", f"      format: {kind}", f"      folder: {quote(name)}"]


def _images(name: str, out: Found) -> None:
    out.taken.add(name)
    deep = find_spec("torch") is not None and find_spec("efficientnet_lite_pytorch") is not None
    encoder = "efficientnet_lite0" if deep else "descriptors"
    lines = ["      shape: images", f"      folder: {quote(name)}", f"      encoder: {encoder}"]
    if not deep:
        lines[-1] += "   # efficientnet_lite0 needs: pip install 'cohortium[deep]'"
    out.blocks[name] = lines


def _file(path: Path, folder: Path, ids: set[str], index: str | None, out: Found) -> None:
    name = path.name.lower()
    if re.search(r"\.(vcf|maf)(\.gz|\.bgz)?$", name):
        from cohortium.sources.reading import READERS

        out.taken.add(path.name)
        if "variants" not in READERS:
            out.remarks.append(f"not used: {path.name}, variants are not read yet")
            return
        lines = ["      shape: variants", f"      file: {quote(path.name)}", "      level: gene"]
        regions = _regions(folder)
        if regions is not None and ".vcf" in name:
            lines.append(f"      genes: {quote(regions)}")
            out.taken.add(regions)
        out.blocks[_short(path)] = lines
    elif name.endswith((".h5ad", ".h5mu")):
        _cells(path, ids, out)
    elif re.search(r"\.(csv|tsv)(\.gz)?$", name):
        _notes(path, ids, index, out)


def _regions(folder: Path) -> str | None:
    for path in sorted(folder.glob("*.csv")):
        header = path.open(encoding="utf-8", errors="replace").readline().strip().lower().split(",")
        if {"chrom", "start", "end", "gene"} <= set(header):
            return path.name
    return None


def _cells(path: Path, ids: set[str], out: Found) -> None:
    """Cells when an ``.obs`` column repeats unit ids that the observations' names are not; each part of an .h5mu file."""
    import h5py

    blocks: dict[str, list[str]] = {}
    try:
        with h5py.File(path, "r") as f:
            parts = {str(m): f["mod"][m] for m in f["mod"]} if path.suffix.lower() == ".h5mu" else {"": f}
            for part, top in parts.items():
                lines = _cells_of(path, part, top, f["obs"], ids)
                if lines:
                    blocks |= _matrices(_short(path) + (f"_{part}" if part else ""), part, lines, top)
    except Exception:  # h5py and anndata raise many kinds; as a table it will be complained about
        return
    if blocks:
        out.taken.add(path.name)
        out.blocks.update(blocks)


def _cells_of(path: Path, part: str, top: Any, shared: Any, ids: set[str]) -> list[str]:
    """Lines below the name of a modality of cells; none when they are nobody's."""
    from anndata.io import read_elem

    obs = read_elem(top["obs"])
    owner = _owner(obs, ids)
    if owner is None and part:
        owner = _owner(read_elem(shared), ids)
    if owner is None or obs.index.isin(ids).mean() > 0.5:
        return []
    lines = ["      shape: cells", f"      file: {quote(path.name)}", f"      id: {quote(owner)}"]
    if part:
        lines.append(f"      modality: {quote(part)}")
    kind = next((str(c) for c in obs.columns if re.search(r"cell_?type|cluster|annotation", str(c), re.I)), None)
    return lines if kind is None else [*lines, f"      cell_type: {quote(kind)}"]


def _owner(obs: pd.DataFrame, ids: set[str]) -> str | None:
    return next((str(c) for c in obs.columns if obs[c].astype(str).isin(ids).mean() > 0.5), None)


def _matrices(name: str, part: str, lines: list[str], top: Any) -> dict[str, list[str]]:
    """The modality, and further ones of surface proteins that lie beside it in .obsm."""
    proteins = "      values: clr   # by its name: counts of surface proteins"
    out = {name: [*lines, proteins] if _PROTEIN.search(part) else lines}
    beside = [str(m) for m in top.get("obsm", {}) if "column-order" in top["obsm"][m].attrs and _PROTEIN.search(str(m))]
    # Which cells there are of each type stands in the first modality already.
    without = [line for line in lines if "cell_type:" not in line]
    return out | {f"{name}_{m}": [*without, f"      obsm: {quote(m)}", proteins] for m in beside}


def _notes(path: Path, ids: set[str], index: str | None, out: Found) -> None:
    """Notes when rows belong to units and a column holds long texts that hardly repeat."""
    try:
        head = pd.read_csv(path, nrows=200, dtype=str, sep="\t" if ".tsv" in path.name.lower() else ",")
    except (ValueError, OSError, EOFError):
        return
    owner = next((str(c) for c in head.columns if head[c].isin(ids).mean() > 0.5), None)
    if owner is None or len(head.columns) > 40:
        return
    texts = [
        str(c) for c in head.columns if (head[c].str.len() > _LONG).mean() > 0.5 and head[c].nunique() > 0.5 * len(head)
    ]
    if not texts:
        return
    time = next(
        (str(c) for c in head.columns if c not in texts and re.search(r"time|date", str(c), re.I) and _dates(head[c])),
        None,
    )
    out.taken.add(path.name)
    if time is not None and index is None:
        out.remarks.append(f"not used: {path.name} (notes), for want of a date column for design: {{index_time: ...}}")
        return
    lines = ["      shape: texts", f"      file: {quote(path.name)}", f"      id: {quote(owner)}"]
    lines.append(f"      columns: [{', '.join(map(quote, texts))}]")
    if time is not None:
        lines.append(f"      time: {quote(time)}")
    out.blocks[_short(path)] = lines


def _short(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", path.name.split(".")[0]) or "modality"
