"""The same events as MEDS, OMOP and FHIR, with and without zones: read alike, in whatever order they were written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from cohortium.errors import DataError
from cohortium.schema.declare import UnitsSource
from cohortium.schema.shapes import EventsSource
from cohortium.sources import IndexTime, read_cohort
from tests.fuzz.mangle import folder, fuzz, put

PEOPLE = ["p0", "p1", "007"]
INDEX = datetime(2024, 10, 27, 12, 0, 0)
SYSTEMS = {"SNOMED": "http://snomed.info/sct", "LOINC": "http://loinc.org"}
CODES = ["SNOMED//44054006", "SNOMED//38341003", "LOINC//2160-0", "LOINC//718-7"]
BERLIN = "Europe/Berlin"

Event = tuple[str, datetime, str, float | None]
"""Whose, when (on the clock of the place), what, how much."""


@st.composite
def events(draw: Any) -> list[Event]:
    """Some events around the index time; none at midnight, which OMOP takes for a day without an hour."""
    out: list[Event] = []
    for _ in range(draw(st.integers(1, 8))):
        seconds = draw(st.one_of(st.integers(-3, 3), st.integers(-50_000_000, 10_000_000)))
        when = INDEX + timedelta(seconds=seconds)
        code = draw(st.sampled_from(CODES))
        value = draw(st.none() | st.integers(-1000, 1000).map(lambda n: n / 8)) if code.startswith("LOINC") else None
        if (when.hour, when.minute, when.second) != (0, 0, 0) and not (when.date() == INDEX.date() and when.hour < 4):
            out.append((draw(st.sampled_from(PEOPLE)), when, code, value))
    return out


def zoned(when: datetime, zone: str | None) -> str:
    return when.isoformat() if zone is None else when.replace(tzinfo=ZoneInfo(zone)).isoformat()


def write_meds(rows: list[Event], at: Path, zone: str | None) -> None:
    frame = pd.DataFrame(rows, columns=["subject_id", "time", "code", "numeric_value"]).astype(
        {"numeric_value": "float32"}
    )
    frame["time"] = frame["time"].astype("datetime64[us]")
    if zone is not None:
        frame["time"] = frame["time"].dt.tz_localize(zone).dt.tz_convert("UTC")
    (at / "m").mkdir()
    frame.to_parquet(at / "m" / "0.parquet")


def write_omop(rows: list[Event], at: Path, zone: str | None) -> None:
    """On the clock of the place: the study says which zone that is."""
    concept = {c: 100 + k for k, c in enumerate(CODES)}
    named = [(concept[c], *c.split("//")) for c in CODES]
    put(
        at / "o" / "concept.csv",
        pd.DataFrame(named, columns=["concept_id", "vocabulary_id", "concept_code"]).to_csv(index=False).encode(),
    )
    for table, kind, start in (
        ("condition_occurrence", "condition", "condition_start"),
        ("measurement", "measurement", "measurement"),
    ):
        mine = [r for r in rows if r[2].startswith("LOINC") == (kind == "measurement")]
        frame = pd.DataFrame({
            "PERSON_ID": [r[0] for r in mine], f"{kind}_concept_id": [concept[r[2]] for r in mine],
            f"{start}_date": [r[1].date() for r in mine], f"{start}_datetime": [r[1].isoformat(" ") for r in mine]})  # fmt: skip
        if kind == "measurement":
            frame["value_as_number"] = [r[3] for r in mine]
        put(at / "o" / f"{table}.csv", frame.to_csv(index=False).encode())


def write_fhir(rows: list[Event], at: Path, zone: str | None) -> None:
    entries = []
    for who, when, code, value in rows:
        vocabulary, bare = code.split("//")
        what = {"coding": [{"system": SYSTEMS[vocabulary], "code": bare}]}
        resource: dict[str, Any] = {"resourceType": "Condition", "recordedDate": zoned(when, zone)}
        if vocabulary == "LOINC":
            resource = {"resourceType": "Observation", "effectiveDateTime": zoned(when, zone)}
            if value is not None:
                resource["valueQuantity"] = {"value": value}
        entries.append({"resource": resource | {"subject": {"reference": f"Patient/{who}"}, "code": what}})
    put(at / "f" / "b.json", json.dumps({"resourceType": "Bundle", "entry": entries}).encode())


WRITERS = {"meds": ("m", write_meds), "omop": ("o", write_omop), "fhir": ("f", write_fhir)}


def read(form: str, rows: list[Event], zone: str | None) -> pd.DataFrame | None:
    """What the units see; None when it is nothing."""
    where, write = WRITERS[form]
    with folder() as here:
        at = Path(here)
        pd.DataFrame({"id": PEOPLE, "seen": zoned(INDEX, zone)}).to_csv(at / "units.csv", index=False)
        write(rows, at, zone)
        source = EventsSource(shape="events", format=form, folder=where, timezone=zone)  # type: ignore[arg-type]
        try:
            found = read_cohort(
                UnitsSource(file="units.csv", id="id"), {"r": source}, at, index=IndexTime("seen", zone=zone)
            )
        except DataError as e:
            assert (
                "nobody has an event before the index time" in str(e)
                or "hold no event" in str(e)
                or "no Condition" in str(e)
            )
            return None
        return found.cohort.modalities["r"].frame()  # type: ignore[union-attr]


@fuzz(40)
@given(events(), st.sampled_from([None, BERLIN]), st.randoms(use_true_random=False))
def test_meds_omop_and_fhir_are_read_alike(rows: list[Event], zone: str | None, order: Any) -> None:
    frames = []
    for form in WRITERS:
        order.shuffle(rows)
        frames.append(read(form, rows, zone))
    seen = [r for r in rows if r[1] < INDEX]
    if not seen:
        assert frames == [None] * 3
        return
    wanted = sorted((who, pd.Timestamp(utc(when, zone)), code) for who, when, code, _ in seen)
    for f in frames:
        assert f is not None
        assert sorted(zip(f["unit"], f["time"], f["code"], strict=True)) == wanted
        pd.testing.assert_frame_equal(f, frames[0])


def utc(when: datetime, zone: str | None) -> datetime:
    """On the clock that is compared."""
    return when if zone is None else when.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)
