"""Each reader of events: what a unit may see, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from cohortium.errors import DataError
from cohortium.schema.declare import UnitsSource
from cohortium.schema.shapes import EventsSource
from cohortium.sources import IndexTime, read_cohort

PEOPLE = [f"p{k}" for k in range(12)]


def units(folder, index="2024-03-10T12:00:00", column="admitted"):
    given = index if isinstance(index, list) else [index] * len(PEOPLE)
    pd.DataFrame({"id": PEOPLE, column: given}).to_csv(folder / "units.csv", index=False)
    return UnitsSource(file="units.csv", id="id")


def read(folder, source, index=None, zone=None, after=None, numbers=False):
    declared = UnitsSource(file="units.csv", id="id")
    if not (folder / "units.csv").exists():
        units(folder)
    how = index or IndexTime("admitted", after, None, zone, numbers)
    return read_cohort(declared, {"records": source}, folder, index=how)


def tables(**more):
    table = {"file": "events.csv", "id": "id", "time": "time", "code": ["code"]} | more.pop("table", {})
    return EventsSource(shape="events", tables=[table], **more)


def write(folder, times, codes=None, **columns):
    frame = pd.DataFrame({"id": "p0", "time": times, "code": codes or [f"c{k}" for k in range(len(times))], **columns})
    frame.to_csv(folder / "events.csv", index=False)


def seen(result):
    return set(result.cohort.modalities["records"].frame()["code"])


TIMES = {
    "2024-03-10T11:59:59": True,
    "2024-03-10T12:00:00": False,
    "2024-03-10T12:00:01": False,
    "2024-03-10": False,  # that day is not over at noon
    "2024-03-09": True,
    "20240309": True,
    "2025-01-01": False,
}


@pytest.mark.parametrize("time", TIMES)
def test_nothing_at_or_after_the_index_time_is_seen(tmp_path, time):
    write(tmp_path, ["2024-01-01", time], ["early", "late"])
    assert seen(read(tmp_path, tables())) == ({"early", "late"} if TIMES[time] else {"early"})


@pytest.mark.parametrize(
    ("index", "time", "zone", "visible"),
    [
        ("2024-03-10T12:00:00Z", "2024-03-10T12:30:00+01:00", None, True),
        ("2024-03-10T12:00:00Z", "2024-03-10T13:00:00+01:00", None, False),
        ("2024-03-10T12:00:00Z", "2024-03-10T12:59:00", "Europe/Berlin", True),
        ("2024-03-10T12:00:00Z", "2024-03-10T13:00:00", "Europe/Berlin", False),
        ("2024-03-10T23:30:00Z", "2024-03-10", "Europe/Berlin", True),  # the day is over in Berlin, not in London
        ("2024-03-10T22:30:00Z", "2024-03-10", "Europe/Berlin", False),
        # 02:30 is passed twice: the event may be the later one, the index the earlier one.
        ("2024-10-27T00:45:00Z", "2024-10-27T02:30:00", "Europe/Berlin", False),
        ("2024-10-27T02:30:00", "2024-10-27T00:45:00Z", "Europe/Berlin", False),
    ],
)
def test_zones_are_compared_on_one_clock(tmp_path, index, time, zone, visible):
    units(tmp_path, index)
    write(tmp_path, ["2024-01-01T00:00:00Z", time], ["early", "late"])
    found = read(tmp_path, tables(timezone=zone), zone=zone)
    assert ("late" in seen(found)) is visible


def test_times_with_and_without_zone_are_not_compared(tmp_path):
    write(tmp_path, ["2024-01-01T00:00:00Z"])
    with pytest.raises(DataError, match="what came first cannot be told"):
        read(tmp_path, tables())
    write(tmp_path, ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00"])
    with pytest.raises(DataError, match=r"row 3.*has no zone and others have one"):
        read(tmp_path, tables())


def test_what_ended_later_is_seen_to_begin_and_not_to_end(tmp_path):
    write(tmp_path, ["2024-03-01"], ["stay"], until=["2024-03-12"])
    assert seen(read(tmp_path, tables(table={"end": "until"}))) == {"stay"}
    write(tmp_path, ["2024-03-01"], ["stay"], until=["2024-03-05"])
    assert seen(read(tmp_path, tables(table={"end": "until"}))) == {"stay", "stay//end"}


def test_only_the_day_may_be_true(tmp_path):
    write(tmp_path, ["2024-01-01", "2024-03-10T00:00:00"], ["early", "same day"])
    assert seen(read(tmp_path, tables())) == {"early", "same day"}
    assert seen(read(tmp_path, tables(resolution="day"))) == {"early"}


def test_numbers_count_from_each_units_own_zero(tmp_path):
    write(tmp_path, [-60, 0, 1439, 1440], ["before", "zero", "first day", "second day"])
    found = read(tmp_path, tables(time_unit="minutes"), after="24h", numbers=True)
    assert seen(found) == {"before", "zero", "first day"}


def test_a_unit_with_later_events_only_says_so(tmp_path):
    pd.DataFrame({"id": ["p0", "p1"], "time": ["2024-01-01", "2024-12-01"], "code": "c"}).to_csv(
        tmp_path / "events.csv", index=False
    )
    absent = read(tmp_path, tables()).cohort.absent["records"]
    assert list(absent[["p0", "p1", "p2"]]) == ["present", "after_index", "not_measured"]


def meds(folder, when):
    (folder / "meds" / "data").mkdir(parents=True)
    frame = pd.DataFrame(
        {
            "subject_id": ["p0", "p0", "p0"],
            "time": pd.to_datetime([None, "2024-01-01", when], format="ISO8601"),
            "code": ["GENDER//F", "early", "late"],
            "numeric_value": [np.nan, 1.5, 2.0],
        }
    )
    frame.to_parquet(folder / "meds" / "data" / "0.parquet")
    return EventsSource(shape="events", format="meds", folder="meds")


def omop(folder, when):
    (folder / "omop").mkdir()
    rows = pd.DataFrame(
        {
            "person_id": ["p0", "p0"],
            "measurement_concept_id": [1, 2],
            "measurement_date": ["2024-01-01", when[:10]],
            "measurement_datetime": ["2024-01-01T08:00:00", when if len(when) > 10 else None],
            "value_as_number": [1.5, 2.0],
            "unit_concept_id": [9, 9],
        }
    )
    rows.to_csv(folder / "omop" / "MEASUREMENT.csv", index=False)
    concept = {"concept_id": [1, 2, 9], "vocabulary_id": ["LOINC", "LOINC", "UCUM"]}
    pd.DataFrame(concept | {"concept_code": ["early", "late", "mg/dL"]}).to_csv(
        folder / "omop" / "CONCEPT.csv", index=False
    )
    return EventsSource(shape="events", format="omop", folder="omop")


def observation(code, when, value):
    return {
        "resourceType": "Observation",
        "subject": {"reference": "Patient/p0"},
        "effectiveDateTime": when,
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "valueQuantity": {"value": value, "unit": "mg/dL", "code": "mg/dL"},
    }


def fhir(folder, when):
    entries = [observation("early", "2024-01-01T08:00:00", 1.5), observation("late", when, 2.0)]
    bundle = {"resourceType": "Bundle", "entry": [{"resource": r} for r in entries]}
    (folder / "bundle.json").write_text(json.dumps(bundle))
    return EventsSource(shape="events", format="fhir", folder="bundle.json")


@pytest.mark.parametrize("make", [meds, omop, fhir])
@pytest.mark.parametrize(("when", "visible"), [("2024-03-10T11:00:00", True), ("2024-03-10T12:00:00", False)])
def test_every_format_is_cut_at_the_index_time(tmp_path, make, when, visible):
    codes = {c.split("//")[-1] for c in seen(read(tmp_path, make(tmp_path, when)))}
    assert ("late" in codes) is visible
    assert "early" in codes


@pytest.mark.parametrize("make", [omop, fhir])
def test_a_date_alone_is_known_when_its_day_is_over(tmp_path, make):
    codes = {c.split("//")[-1] for c in seen(read(tmp_path, make(tmp_path, "2024-03-10")))}
    assert codes == {"early"}


def test_fhir_and_omop_of_the_same_patients_are_read_alike(tmp_path):
    for name, make in (("a", omop), ("b", fhir)):
        (tmp_path / name).mkdir()
        found = read(tmp_path / name, make(tmp_path / name, "2024-03-09T09:30:00")).cohort.modalities["records"].frame()
        if name == "a":
            first = found
    pd.testing.assert_frame_equal(first, found)


def test_a_static_fact_is_always_known_and_in_no_window(tmp_path):
    events = read(tmp_path, meds(tmp_path, "2024-03-01")).cohort.modalities["records"]
    assert "GENDER//F" in set(events.frame()["code"])
    names = list(events.as_table().features.index)
    assert "GENDER//F | count 30d" not in names


def test_units_of_measurement_are_converted_and_never_guessed(tmp_path):
    write(tmp_path, ["2024-01-01"] * 2, ["glucose"] * 2, value=[90.0, 5.0], unit=["mg/dL", "mmol/L"])
    table = {"value": "value", "unit": "unit"}
    with pytest.raises(DataError, match=r"'glucose' come in 2 units \(mg/dL, mmol/L\)"):
        read(tmp_path, tables(table=table))
    factors = {"glucose": {"mg/dL": 0.0555, "mmol/L": 1.0}}
    values = read(tmp_path, tables(table=table, units=factors)).cohort.modalities["records"].frame()["numeric_value"]
    assert sorted(values) == pytest.approx([4.995, 5.0])
    with pytest.raises(DataError, match="no factor"):
        read(tmp_path, tables(table=table, units={"glucose": {"mmol/L": 1.0}}))


def test_codes_are_rolled_up_and_chosen(tmp_path):
    write(tmp_path, ["2024-01-01"] * 3, ["I50.1", "I50.9", "E11"])
    assert seen(read(tmp_path, tables(rollup={"first": 3}))) == {"I50", "E11"}
    pd.DataFrame({"code": ["I50.1", "I50.9"], "to": ["heart", "heart"]}).to_csv(tmp_path / "map.csv", index=False)
    assert seen(read(tmp_path, tables(rollup={"file": "map.csv"}))) == {"heart", "E11"}
    assert seen(read(tmp_path, tables(rollup={"file": "map.csv", "unmapped": "drop"}))) == {"heart"}
    with pytest.raises(DataError, match="does not say what 'E11' becomes"):
        read(tmp_path, tables(rollup={"file": "map.csv", "unmapped": "error"}))
    assert seen(read(tmp_path, tables(only=["I50*"]))) == {"I50.1", "I50.9"}
    with pytest.raises(DataError, match="no code fits 'J\\*'"):
        read(tmp_path, tables(exclude=["J*"]))


BAD_TIMES = {
    "2024-02-30": "expected a time",
    "yesterday": "expected a time",
    "03/04/2024": "expected a time",
    "0024-01-01": "impossible date|expected a time",
    "2999-01-01": "impossible date|expected a time",
}


@pytest.mark.parametrize("time", BAD_TIMES)
def test_an_impossible_time_is_named_by_its_row(tmp_path, time):
    write(tmp_path, ["2024-01-01", time])
    with pytest.raises(DataError, match=f"events.csv, row 3, column 'time': .*({BAD_TIMES[time]})") as e:
        read(tmp_path, tables())
    assert "p0" not in str(e.value)


def test_hostile_tables(tmp_path):
    with pytest.raises(DataError, match=r"No file 'events\.csv'"):
        read(tmp_path, tables())
    (tmp_path / "events.csv").write_text("")
    with pytest.raises(DataError, match="empty"):
        read(tmp_path, tables())
    (tmp_path / "events.csv").write_text("id,time,code\n")
    with pytest.raises(DataError, match="hold no event"):
        read(tmp_path, tables())
    write(tmp_path, ["2024-01-01"])
    with pytest.raises(DataError, match="no column 'tim'"):
        read(tmp_path, tables(table={"time": "tim"}))
    write(tmp_path, ["2024-01-01", None])
    with pytest.raises(DataError, match="row 3: this event has no time"):
        read(tmp_path, tables())
    assert len(seen(read(tmp_path, tables(no_time="drop")))) == 1
    assert len(seen(read(tmp_path, tables(no_time="static")))) == 2
    frame = pd.DataFrame({"id": ["x1", "x2"], "time": "2024-01-01", "code": "c"})
    frame.to_csv(tmp_path / "events.csv", index=False)
    with pytest.raises(DataError, match="no event of modality 'records' belongs to the cohort"):
        read(tmp_path, tables())
    write(tmp_path, ["2024-12-01"])
    with pytest.raises(DataError, match="nobody has an event before the index time"):
        read(tmp_path, tables())
    import gzip

    whole = gzip.compress(("id,time,code\n" + "p0,2024-01-01,c\n" * 5000).encode())
    (tmp_path / "events.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="truncated"):
        read(tmp_path, tables(table={"file": "events.csv.gz"}))


def test_hostile_bundles(tmp_path):
    source = EventsSource(shape="events", format="fhir", folder="bundle.json")
    for text, says in (
        ('{"resourceType": "Bundle", "entry": [', "is no JSON"),
        ("[1, 2]", "no FHIR resource"),
        ('{"resourceType": "Bundle"}', "no Condition"),
        (json.dumps({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Condition"}}]}), "no patient"),
        ("[" * 100_000, "is no JSON"),
    ):
        (tmp_path / "bundle.json").write_text(text)
        with pytest.raises(DataError, match=says):
            read(tmp_path, source)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link.json").symlink_to("/etc/hostname")
    with pytest.raises(DataError, match="leads out of"):
        read(tmp_path, EventsSource(shape="events", format="fhir", folder="inside"))


def test_events_need_an_index_time(tmp_path):
    write(tmp_path, ["2024-01-01"])
    with pytest.raises(DataError, match="the study names none"):
        read(tmp_path, tables(), index=IndexTime())


@pytest.mark.parametrize("body", ["p0,2024-01-01,drug, forte\n", "p0,2024-01-01,c\np0,2024-01-01,drug, forte\n"])
def test_a_row_with_a_cell_too_many_is_not_read_shifted(tmp_path, body):
    (tmp_path / "events.csv").write_text("id,time,code\n" + body)
    with pytest.raises(DataError, match=r"more cells|cannot be read as a table"):
        read(tmp_path, tables())
