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
from cohortium.sources.ids import apply_rule
from cohortium.sources.named_columns import MOST_NUMBER
from cohortium.sources.raw import HEADER
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

_MOST_BYTES, _LONGEST = 1 << 30, 1 << 28
"""Of a bundle, which is in memory as a whole, and of a line of NDJSON."""


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
        if not isinstance(kind, str) or kind not in TIMES:
            continue
        place = f"{file.name}, entry {row}"
        person, when = _patient(resource, kind, place), _time(resource, kind)
        for c, v, u in _facts(resource, kind, place):
            owner.append(person)
            time.append(when)
            code.append(c)
            value.append(v)
            unit.append(u)
            rows.append(row)
    if not owner:
        return None
    at = np.array(rows, dtype=np.int64)

    def where(bad: Any) -> str:
        return f"{file.name}, entry {int(at[np.flatnonzero(bad)[0]])}"

    times = read_times(pd.Series(time, dtype=object), source.timezone, where, day=source.resolution == "day")
    labels = pd.Series(owner, dtype=object, index=at - HEADER)
    people = apply_rule(labels, source.id_rule, file.name).to_numpy(dtype=object)
    return Record(
        file.name, "patient", people, times, np.array(code, dtype=object), np.array(value, dtype=np.float64),
        np.array(unit, dtype=object), at,
    )  # fmt: skip


def _resources(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(entry number from 1, resource)."""
    try:
        if file.suffix == ".ndjson":
            yield from _lines(file)
            return
        if file.stat().st_size > _MOST_BYTES:
            raise DataError(f"{file.name} is larger than {_MOST_BYTES:,} bytes, all one bundle. Export it as NDJSON.")
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise DataError(f"{file.name} is not UTF-8 text (byte {e.start}). Is the file damaged?") from e
    except OSError as e:
        raise DataError(f"{file.name} cannot be read: {e.strerror or 'the system refused'}.") from e
    whole = _json(text, file, "")
    if whole["resourceType"] != "Bundle":
        yield 1, whole
        return
    for k, entry in enumerate(_list(whole, "entry", f"{file.name}, Bundle"), 1):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict):
            raise DataError(f"{file.name}, entry {k}: expected an object with a resource. Is the file damaged?")
        yield k, resource


def _lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with file.open(encoding="utf-8-sig", newline="\n") as f:
        number = 0
        while line := f.readline(_LONGEST):
            number += 1
            if len(line) >= _LONGEST:
                raise DataError(
                    f"{file.name}, line {number} is longer than {_LONGEST:,} characters; expected a resource a line."
                )
            if line.strip():
                yield number, _json(line, file, f"line {number}")


def _json(text: str, file: Path, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as e:
        at = where or f"line {getattr(e, 'lineno', '?')}"
        raise DataError(f"{file.name}, {at}: this is no JSON; is the file truncated?") from e
    if not isinstance(found, dict) or "resourceType" not in found:
        raise DataError(f"{file.name}{', ' + where if where else ''}: this is no FHIR resource (no resourceType).")
    return found


def _object(of: dict[str, Any], key: str, place: str) -> dict[str, Any]:
    """An object of a resource; empty when there is none."""
    found = of.get(key)
    if found is not None and not isinstance(found, dict):
        raise DataError(f"{place}: '{key}' is {_called(found)}; FHIR has an object there. Export the data again.")
    return found or {}


def _list(of: dict[str, Any], key: str, place: str) -> list[Any]:
    """A list of a resource; empty when there is none."""
    found = of.get(key)
    if found is not None and not isinstance(found, list):
        raise DataError(f"{place}: '{key}' is {_called(found)}; FHIR has a list there. Export the data again.")
    return found or []


def _called(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "a number")


def _text(value: Any) -> str:
    """A text, or a number that a careless program did not quote; "" for anything else. Half a character becomes a ?."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value).encode("utf-8", "replace").decode("utf-8").strip()


def _patient(resource: dict[str, Any], kind: str, place: str) -> str:
    who = _object(resource, "subject" if resource.get("subject") else "patient", place)
    reference = _text(who.get("reference"))
    found = reference.removeprefix("urn:uuid:").split("/")[-1].strip()
    if not found:
        raise DataError(f"{place}: this {kind} names no patient.")
    return found


def _time(resource: dict[str, Any], kind: str) -> str | None:
    for name in TIMES[kind]:
        found = resource.get(name)
        if isinstance(found, dict):
            found = found.get("start")
        if isinstance(found, str) and found.strip():
            # A month or a year alone is known at its end, which no clock can tell from here: left without a time.
            return found if len(found.strip()) >= 10 else None
    return None


def _facts(resource: dict[str, Any], kind: str, place: str) -> Iterator[tuple[str, float, str | None]]:
    """(code, value, unit of measurement) of the resource, and of each component of an observation."""
    concept = {
        "MedicationRequest": "medicationCodeableConcept",
        "MedicationAdministration": "medicationCodeableConcept",
        "Immunization": "vaccineCode",
    }.get(kind, "code")
    if kind == "Encounter":
        given = _object(resource, "class", place)
        yield _coded({"coding": [given]}, place) or "Encounter//unknown", np.nan, None
        return
    for part in [resource, *_list(resource, "component", place)]:
        if not isinstance(part, dict):
            raise DataError(
                f"{place}: a component is {_called(part)}; FHIR has an object there. Export the data again."
            )
        code = _coded(_object(part, concept, place), place)
        quantity = _object(part, "valueQuantity", place)
        if code is not None:
            unit = _text(quantity.get("code")) or _text(quantity.get("unit"))
            yield code, _number(quantity.get("value")), unit or None


def _number(value: Any) -> float:
    """A value, NaN for what is none: texts and true or false, and what is too large to be a measurement."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    return float(value) if -MOST_NUMBER <= value <= MOST_NUMBER else float("nan")


def _coded(concept: dict[str, Any], place: str) -> str | None:
    codings = [c for c in _list(concept, "coding", place) if isinstance(c, dict) and _text(c.get("code"))]
    if not codings:
        text = _text(concept.get("text"))
        return f"text//{text}" if text else None
    best = next((c for c in codings if _text(c.get("system")) in SYSTEMS), codings[0])
    system = _text(best.get("system"))
    return f"{SYSTEMS.get(system, system.rstrip('/').split('/')[-1] or 'unknown')}//{_text(best['code'])}"
