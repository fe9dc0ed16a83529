"""Readers of events on damaged files: what they give is well formed and cut at the index time, or they say what is wrong."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from cohortium.cohort.events import STATIC, Events
from cohortium.errors import CohortiumError
from cohortium.schema.declare import UnitsSource
from cohortium.schema.shapes import EventsSource
from cohortium.sources import IndexTime, read_cohort
from tests.fuzz.mangle import JUNK, damaged, folder, fuzz, mangled_frame, mangled_json, nasty, put

PEOPLE = ["p0", "p1", "p2"]
INDEX = pd.Timestamp("2024-03-10T12:00:00")
CSV = b"""id,time,code,value,unit,until
p0,2024-01-01,c1,1.5,mg/dL,2024-01-02
p0,2024-02-01T08:00:00,c2,2,mg/dL,
p1,2024-03-10T11:59:59,"c,3",<5,mg/dL,2024-04-01
p2,2024-03-11,c1,,,
"""


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": "?"}], "text": code}


BUNDLE: dict[str, Any] = {
    "resourceType": "Bundle",
    "entry": [
        {"resource": {"resourceType": "Patient", "id": "p0"}},
        {"resource": {
            "resourceType": "Condition", "subject": {"reference": "Patient/p0"}, "recordedDate": "2024-01-01",
            "code": concept("http://snomed.info/sct", "44054006")}},
        {"resource": {
            "resourceType": "Observation", "subject": {"reference": "urn:uuid:p1"}, "effectivePeriod": {"start": "2024-02-02T08:00:00"},
            "code": concept("http://loinc.org", "2160-0"), "valueQuantity": {"value": 1.25, "unit": "mg/dL", "code": "mg/dL"},
            "component": [{"code": concept("http://loinc.org", "8480-6"), "valueQuantity": {"value": 120, "unit": "mm[Hg]"}}]}},
        {"resource": {"resourceType": "Encounter", "subject": {"reference": "Patient/p2"}, "period": {"start": "2024-03-01T00:00:00"},
                      "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}}},
        {"resource": {"resourceType": "Immunization", "patient": {"reference": "Patient/p2"}, "occurrenceDateTime": "2024-03-12",
                      "vaccineCode": concept("http://hl7.org/fhir/sid/cvx", "207")}},
    ],
}  # fmt: skip
OMOP = {
    "measurement": b"person_id,measurement_concept_id,measurement_date,measurement_datetime,value_as_number,unit_concept_id,unit_source_value\n"
    b"p0,1,2024-01-01,2024-01-01T08:00:00,1.5,9,mg/dL\np1,2,2024-02-01,,2,,\np2,3,2024-03-10,2024-03-10T12:00:00,3,0,x\n",
    "condition_occurrence": b"person_id,condition_concept_id,condition_start_date\np0,4,2024-01-01\np1,0,2024-03-09\n",
    "concept": b"concept_id,vocabulary_id,concept_code\n1,LOINC,2160-0\n2,LOINC,718-7\n9,UCUM,mg/dL\n4,SNOMED,1\n",
}
MEDS = pd.DataFrame(
    {
        "subject_id": ["p0", "p0", "p1", "p2"],
        "time": pd.to_datetime([None, "2024-01-01", "2024-03-10T11:00:00", "2024-03-10T12:00:00"], format="ISO8601"),
        "code": ["GENDER//F", "a", "b", "c"],
        "numeric_value": [np.nan, 1.5, 2.0, 3.0],
    }
)


def read(at: Path, most: int, index: str = INDEX.isoformat(), zone: str | None = None, **source: Any) -> None:
    """Read; what comes back must be well formed, and hold no more events than the input can (``most``)."""
    pd.DataFrame({"id": PEOPLE, "seen": index}).to_csv(at / "units.csv", index=False)
    declared = EventsSource(shape="events", timezone=zone, **source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            found = read_cohort(
                UnitsSource(file="units.csv", id="id"), {"r": declared}, at, index=IndexTime("seen", zone=zone)
            )
        except CohortiumError as e:
            assert str(e).strip() and not any(f"'{p}'" in str(e) for p in PEOPLE), e
            return
    events = found.cohort.modalities["r"]
    assert isinstance(events, Events)
    assert set(events.units) <= set(PEOPLE) and (events.n_events > 0).all()
    assert events.time.dtype == np.int64 and events.value.dtype == np.float64
    assert all(isinstance(c, str) and c for c in events.vocabulary)
    assert not np.isinf(events.value).any(), "infinity is no measurement"
    unit, event = events.seen()
    assert (events.time[event] < events.index[unit]).all()
    dated = events.time[event] != STATIC
    assert (pd.to_datetime(events.time[event][dated], unit="us") >= pd.Timestamp("1799-01-01")).all()
    assert len(event) + found.unmatched["r"] <= most
    assert not np.isinf(events.as_table().values).any()


def table(**more: Any) -> dict[str, Any]:
    return {"tables": [{"file": "events.csv", "id": "id", "time": "time", "code": ["code"], "value": "value", "unit": "unit", "end": "until"} | more]}  # fmt: skip


WAYS: list[dict[str, Any]] = [
    table(),
    table() | {"no_time": "drop", "no_code": "drop", "units": {"c1": {"mg/dL": 1.0}}},
    table(end=None, where={"column": "unit", "equals": "mg/dL"}) | {"no_time": "static", "resolution": "day"},
    table(value=None, unit=None, end=None, code=[], values=["value", "code"]),
    {"tables": [{"file": "events.csv", "id": "id", "time": "value", "code": ["code"]}], "time_unit": "hours", "no_time": "drop"},
]  # fmt: skip


@fuzz(60)
@given(damaged(CSV, b","), st.sampled_from(WAYS), st.sampled_from([None, "Europe/Berlin"]))
def test_tables(raw: bytes, way: dict[str, Any], zone: str | None) -> None:
    with folder() as here:
        put(Path(here) / "events.csv", raw)
        if "time_unit" in way:
            numbers(Path(here), way)
            return
        read(Path(here), 4 * (raw.count(b"\n") + raw.count(b"\r") + 1), zone=zone, **way)


def numbers(at: Path, way: dict[str, Any]) -> None:
    pd.DataFrame({"id": PEOPLE}).to_csv(at / "units.csv", index=False)
    declared = EventsSource(shape="events", **way)
    try:
        found = read_cohort(
            UnitsSource(file="units.csv", id="id"), {"r": declared}, at, index=IndexTime(after="24h", numbers=True)
        )
    except CohortiumError:
        return
    events = found.cohort.modalities["r"]
    assert isinstance(events, Events)
    unit, event = events.seen()
    assert (events.time[event] < events.index[unit]).all()


@fuzz(60)
@given(mangled_json(BUNDLE), st.sampled_from([None, "UTC"]))
def test_bundles(whole: Any, zone: str | None) -> None:
    with folder() as here:
        put(Path(here) / "b.json", json.dumps(whole).encode("utf-8", "surrogatepass"))
        read(Path(here), 40, zone=zone, format="fhir", folder="b.json", no_time="drop")


@fuzz(50)
@given(damaged(json.dumps(BUNDLE).encode()))
def test_bundles_of_damaged_bytes(raw: bytes) -> None:
    with folder() as here:
        put(Path(here) / "b.json", raw)
        read(Path(here), 40, format="fhir", folder="b.json")


@fuzz(40)
@given(st.data())
def test_lines_of_resources(data: st.DataObject) -> None:
    lines = [data.draw(st.one_of(mangled_json(e["resource"], 2), st.sampled_from(JUNK))) for e in BUNDLE["entry"]]
    raw = "\n".join(json.dumps(x) for x in lines).encode()
    if data.draw(st.booleans()):
        raw = data.draw(damaged(raw))
    with folder() as here:
        put(Path(here) / "f" / "b.ndjson", raw)
        read(Path(here), 40, format="fhir", folder="f", no_time=data.draw(st.sampled_from(["drop", "static"])))


@fuzz(60)
@given(st.sampled_from(sorted(OMOP)), st.data(), st.booleans())
def test_omop(spoilt: str, data: st.DataObject, parquet: bool) -> None:
    with folder() as here:
        for name, raw in OMOP.items():
            put(Path(here) / "o" / f"{name}.csv", data.draw(damaged(raw, b",")) if name == spoilt else raw)
        if parquet:
            file = Path(here) / "o" / f"{spoilt}.csv"
            put(file, OMOP[spoilt])
            frame = data.draw(mangled_frame(pd.read_csv(file)))
            if not writable(frame, Path(here) / "o" / f"{spoilt}.parquet"):
                return
            file.unlink()
        read(Path(here), 60, format="omop", folder="o", no_time="drop")


def writable(frame: pd.DataFrame, path: Path) -> bool:
    """Whether Parquet can hold such a table (then it is written)."""
    try:
        frame.to_parquet(path)
    except Exception:
        return False
    return True


@fuzz(60)
@given(mangled_frame(MEDS), st.data())
def test_meds(frame: pd.DataFrame, data: st.DataObject) -> None:
    with folder() as here:
        path = Path(here) / "m" / "data" / "0.parquet"
        path.parent.mkdir(parents=True)
        if not writable(frame, path):
            return
        if data.draw(st.integers(0, 4)) == 0:
            path.write_bytes(data.draw(damaged(path.read_bytes(), most=2)))
        read(Path(here), 8, format="meds", folder="m")


@fuzz(50)
@given(
    st.lists(st.one_of(nasty(), st.datetimes().map(str), st.dates().map(str)), min_size=3, max_size=3),
    st.sampled_from([None, "Europe/Berlin"]),
)
def test_index_times(index: list[str], zone: str | None) -> None:
    with folder() as here:
        put(Path(here) / "events.csv", CSV)
        read(Path(here), 8, index=index, zone=zone, **table())  # type: ignore[arg-type]
