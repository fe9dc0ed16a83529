"""FHIR R4: bundles (JSON) and bulk exports (NDJSON), a file or a folder of them.

Codes are ``<vocabulary>//<code>`` of the first coding whose system is known, else of the first coding. A date
without an hour is known when its day is over. Patients are named by their resource's id.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cohortium.errors import DataError
from cohortium.schema.shapes import EventsSource
from cohortium.sources.events.record import Record
from cohortium.sources.times import read_times

SYSTEMS = {
    "http://snomed.info/sct": "SNOMED",
    "http://loinc.org": "LOINC",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD10CM",
    "http://hl7.org/fhir/sid/icd-10": "ICD10",
    "http://hl7.org/fhir/sid/icd-9-cm": "ICD9CM",
    "http://hl7.org/fhir/sid/cvx": "CVX",
    "http://terminology.hl7.org/CodeSystem/v3-ActCode": "ActCode",
}
"""Code systems, named as OMOP names its vocabularies."""

TIMES = {
    "Condition": ("recordedDate", "onsetDateTime", "onsetPeriod"),
    "Observation": ("effectiveDateTime", "effectiveInstant", "effectivePeriod", "issued"),
    "MedicationRequest": ("authoredOn",),
    "MedicationAdministration": ("effectiveDateTime", "effectivePeriod"),
    "Procedure": ("performedDateTime", "performedPeriod"),
    "Immunization": ("occurrenceDateTime",),
    "Encounter": ("period",),
    "AllergyIntolerance": ("recordedDate", "onsetDateTime"),
}
"""Resource -> where its time may stand, in order of preference; of a period its start."""

_MOST_BYTES = 4 << 30


def read_fhir(source: EventsSource, root: Path) -> tuple[list[Record], list[Path]]:
    """The file, or all ``.json`` and ``.ndjson`` files of the folder in the order of their names."""
    given = root / str(source.folder)
    if not given.exists():
        raise DataError(f"No file or folder {given}; expected FHIR bundles or NDJSON.")
    files = [given] if given.is_file() else sorted(p for p in given.iterdir() if p.suffix in (".json", ".ndjson"))
    if not files:
        raise DataError(f"{given} holds no .json or .ndjson file; expected FHIR bundles or NDJSON.")
    outside = [
        f
        for f in files
        if not f.resolve().is_relative_to(given.resolve() if given.is_dir() else given.parent.resolve())
    ]
    if outside:
        raise DataError(f"{outside[0].name} is a link that leads out of {given}; it is not read.")
    records = [r for f in files if (r := _read(f, source)) is not None]
    if not records:
        raise DataError(f"{given}: no Condition, Observation, medication, procedure or encounter of any patient.")
    return records, files


def _read(file: Path, source: EventsSource) -> Record | None:
    owner, time, code, value, unit, rows = [], [], [], [], [], []
    for row, resource in _resources(file):
        kind = resource.get("resourceType")
        if kind not in TIMES:
            continue
        person = _patient(resource, file, row)
        when = _time(resource, str(kind))
        for c, v, u in _facts(resource, str(kind)):
            owner.append(person)
            time.append(when)
            code.append(c)
            value.append(v)
            unit.append(u)
            rows.append(row)
    if not owner:
        return None
    at = np.array(rows, dtype=np.int64)

    def place(bad: Any) -> str:
        return f"{file.name}, entry {int(at[np.flatnonzero(bad)[0]])}"

    times = read_times(pd.Series(time, dtype=object), source.timezone, place, day=source.resolution == "day")
    from cohortium.sources.ids import apply_rule

    people = apply_rule(pd.Series(owner, dtype=object), source.id_rule, file.name).to_numpy(dtype=object)
    return Record(
        file.name, "patient", people, times, np.array(code, dtype=object), np.array(value, dtype=np.float64),
        np.array(unit, dtype=object), at,
    )  # fmt: skip


def _resources(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(entry number from 1, resource)."""
    if file.stat().st_size > _MOST_BYTES:
        raise DataError(f"{file.name} has {file.stat().st_size >> 30} GB; export it as NDJSON in smaller files.")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise DataError(f"{file.name} is not UTF-8 text (byte {e.start}).") from e
    if file.suffix == ".ndjson":
        for k, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield k, _json(line, file, f"line {k}")
        return
    whole = _json(text, file, "")
    if whole.get("resourceType") == "Bundle":
        for k, entry in enumerate(whole.get("entry") or [], 1):
            resource = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(resource, dict):
                yield k, resource
    else:
        yield 1, whole


def _json(text: str, file: Path, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as e:
        at = where or f"line {getattr(e, 'lineno', '?')}"
        raise DataError(f"{file.name}, {at}: this is no JSON; is the file truncated?") from e
    if not isinstance(found, dict) or "resourceType" not in found:
        raise DataError(f"{file.name}{', ' + where if where else ''}: this is no FHIR resource (no resourceType).")
    return found


def _patient(resource: dict[str, Any], file: Path, row: int) -> str:
    reference = (resource.get("subject") or resource.get("patient") or {}).get("reference", "")
    if not isinstance(reference, str) or not reference:
        raise DataError(f"{file.name}, entry {row}: a {resource['resourceType']} that names no patient.")
    return reference.removeprefix("urn:uuid:").split("/")[-1]


def _time(resource: dict[str, Any], kind: str) -> str | None:
    for name in TIMES[kind]:
        found = resource.get(name)
        if isinstance(found, dict):
            found = found.get("start")
        if isinstance(found, str) and found:
            # A month or a year alone is known at its end, which no clock can tell from here: left without a time.
            return found if len(found) >= 10 else None
    return None


def _facts(resource: dict[str, Any], kind: str) -> Iterator[tuple[str, float, str | None]]:
    """(code, value, unit of measurement) of the resource, and of each component of an observation."""
    concept = {
        "MedicationRequest": "medicationCodeableConcept",
        "MedicationAdministration": "medicationCodeableConcept",
        "Immunization": "vaccineCode",
    }.get(kind, "code")
    if kind == "Encounter":
        given = resource.get("class") or {}
        yield _coded({"coding": [given] if isinstance(given, dict) else []}) or "Encounter//unknown", np.nan, None
        return
    for part in [resource, *(resource.get("component") or [])]:
        code = _coded(part.get(concept) or {})
        quantity = part.get("valueQuantity") or {}
        if code is not None:
            number = quantity.get("value")
            yield (
                code,
                float(number) if isinstance(number, int | float) else np.nan,
                quantity.get("code") or quantity.get("unit"),
            )


def _coded(concept: dict[str, Any]) -> str | None:
    codings = [c for c in concept.get("coding") or [] if isinstance(c, dict) and c.get("code")]
    if not codings:
        text = concept.get("text")
        return f"text//{text}" if text else None
    best = next((c for c in codings if c.get("system") in SYSTEMS), codings[0])
    system = str(best.get("system", ""))
    return f"{SYSTEMS.get(system, system.rstrip('/').split('/')[-1] or 'unknown')}//{best['code']}"
