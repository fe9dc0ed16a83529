"""What fuzzing and reading of calendars found, each as a plain example: refused with a place, or read for what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cohortium.errors import DataError
from cohortium.schema.shapes import EventsSource
from cohortium.sources.named_columns import read_columns
from tests.records.test_readers import observation, omop, read, seen, tables, units, write


def bundle(folder: Path, *resources: Any) -> EventsSource:
    whole = {"resourceType": "Bundle", "entry": [{"resource": r} for r in resources]}
    (folder / "bundle.json").write_text(json.dumps(whole))
    return EventsSource(shape="events", format="fhir", folder="bundle.json")


GOOD = observation("early", "2024-01-01T08:00:00", 1.5)
MISSHAPEN: dict[str, tuple[dict[str, Any], str]] = {
    "subject": ({"subject": True}, "entry 2: 'subject' is true or false; FHIR has an object there"),
    "reference": ({"subject": {"reference": ["p0"]}}, "entry 2: this Observation names no patient"),
    "nobody": ({"subject": {"reference": "Patient/"}}, "entry 2: this Observation names no patient"),
    "code": ({"code": [1, 2]}, "entry 2: 'code' is a list; FHIR has an object there"),
    "coding": ({"code": {"coding": {"code": "x"}}}, "entry 2: 'coding' is an object; FHIR has a list there"),
    "quantity": ({"valueQuantity": "12"}, "entry 2: 'valueQuantity' is a text; FHIR has an object there"),
    "components": ({"component": {"code": 1}}, "entry 2: 'component' is an object; FHIR has a list there"),
    "component": ({"component": [7]}, "entry 2: a component is a number; FHIR has an object there"),
    "time": ({"effectiveDateTime": "2024-02-30"}, "entry 2: expected a time"),
}


@pytest.mark.parametrize("case", MISSHAPEN)
def test_a_resource_of_another_shape_is_named_by_its_entry(tmp_path: Path, case: str) -> None:
    change, says = MISSHAPEN[case]
    with pytest.raises(DataError, match=says) as e:
        read(tmp_path, bundle(tmp_path, GOOD, observation("late", "2024-02-01", 2.0) | change))
    assert "p0" not in str(e.value)


def test_what_stands_in_a_bundle_without_a_resource_is_no_silence(tmp_path: Path) -> None:
    source = bundle(tmp_path, GOOD)
    for entry, says in (("text", "entry 2: expected an object"), ({"fullUrl": "urn:x"}, "entry 2: expected an object")):
        whole = {"resourceType": "Bundle", "entry": [{"resource": GOOD}, entry]}
        (tmp_path / "bundle.json").write_text(json.dumps(whole))
        with pytest.raises(DataError, match=says):
            read(tmp_path, source)
    (tmp_path / "bundle.json").write_text(json.dumps({"resourceType": "Bundle", "entry": 5}))
    with pytest.raises(DataError, match="'entry' is a number; FHIR has a list there"):
        read(tmp_path, source)


@pytest.mark.parametrize("value", [True, "5.1", 10**400, float("inf"), float("nan"), None, [1], 1e300])
def test_what_is_no_measurement_is_an_event_without_a_value(tmp_path: Path, value: Any) -> None:
    found = (
        read(tmp_path, bundle(tmp_path, GOOD, observation("odd", "2024-02-01", value)))
        .cohort.modalities["records"]
        .frame()
    )
    assert list(found["code"]) == ["LOINC//early", "LOINC//odd"] and np.isnan(found["numeric_value"][1])


def test_codes_without_quotation_marks_and_half_characters(tmp_path: Path) -> None:
    odd = observation("x", "2024-02-01", 1.0)
    odd["code"]["coding"][0]["code"] = 44054006
    half = observation("\ud800", "2024-02-01", 1.0)
    assert seen(read(tmp_path, bundle(tmp_path, GOOD, odd, half))) == {"LOINC//early", "LOINC//44054006", "LOINC//?"}


def test_a_folder_that_is_called_like_a_file(tmp_path: Path) -> None:
    (tmp_path / "in" / "bundle.json").mkdir(parents=True)
    with pytest.raises(DataError, match=r"bundle\.json cannot be read"):
        read(tmp_path, EventsSource(shape="events", format="fhir", folder="in"))


def meds(folder: Path, **columns: Any) -> EventsSource:
    (folder / "m").mkdir(exist_ok=True)
    frame = {
        "subject_id": ["p0", "p0"],
        "time": pd.to_datetime(["2024-01-01", "2024-02-01"]),
        "code": ["a", "b"],
        "numeric_value": [1.0, 2.0],
    }
    pd.DataFrame(frame | columns).to_parquet(folder / "m" / "0.parquet")
    return EventsSource(shape="events", format="meds", folder="m")


MISTYPED: dict[str, tuple[dict[str, Any], str]] = {
    "lists": ({"code": [["a"], ["b"]]}, r"0\.parquet, column 'code' holds list<.*>; expected texts, numbers or times"),
    "objects": ({"numeric_value": [{"a": 1}] * 2}, r"0\.parquet, column 'numeric_value' holds struct"),
    "bytes": ({"code": [b"\xff"] * 2}, r"0\.parquet, column 'code' holds binary"),
    "durations": ({"time": pd.to_timedelta([1, 2], unit="D")}, r"0\.parquet, column 'time' holds duration"),
    "nobody": ({"subject_id": ["p0", None]}, r"0\.parquet, row 2: the id cell is empty"),
    "no code": ({"code": ["a", None]}, r"0\.parquet, row 2, column 'code': no code"),
    "months": ({"time": ["2024-01", "2024-02"]}, r"0\.parquet, row 1, column 'time': expected a time"),
    "long ago": ({"time": np.array(["0001-01-01"] * 2, "datetime64[ms]")}, r"0\.parquet, row 1, column 'time': an impossible date"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTYPED)
def test_columns_of_another_type(tmp_path: Path, case: str) -> None:
    columns, says = MISTYPED[case]
    with pytest.raises(DataError, match=says):
        read(tmp_path, meds(tmp_path, **columns))


@pytest.mark.parametrize(
    "value", [["5", "x"], [np.inf, -np.inf], [1e300, -1e300], pd.to_datetime(["2024-01-01"] * 2), [None, None]]
)
def test_values_that_are_no_numbers_are_unknown(tmp_path: Path, value: Any) -> None:
    found = read(tmp_path, meds(tmp_path, numeric_value=value)).cohort.modalities["records"]
    known = found.frame()["numeric_value"]
    assert (known.isna() | (known == 5)).all() and not np.isinf(found.as_table().values).any()


def test_parquet_of_other_programs(tmp_path: Path) -> None:
    """Categories, decimals, an index that pandas made of a column, a folder that is called like a partition."""
    source = meds(tmp_path, code=pd.Categorical(["a", "b"]))
    path = tmp_path / "m" / "0.parquet"
    expected = read(tmp_path, source).cohort.modalities["records"].frame()
    table = pq.read_table(path)
    table = table.set_column(3, "numeric_value", table["numeric_value"].cast(pa.decimal128(20, 2)))
    (tmp_path / "m" / "code=x").mkdir()
    pq.write_table(table, tmp_path / "m" / "code=x" / "0.parquet")
    path.unlink()
    pd.testing.assert_frame_equal(read(tmp_path, source).cohort.modalities["records"].frame(), expected)
    (tmp_path / "m" / "code=x" / "0.parquet").unlink()
    table.to_pandas().set_index("code").to_parquet(path)
    pd.testing.assert_frame_equal(read(tmp_path, source).cohort.modalities["records"].frame(), expected)
    twice = pa.Table.from_arrays([table["code"], table["code"]], names=["code", "code"])
    pq.write_table(twice, path)
    with pytest.raises(DataError, match="column 1 has the name of another one"):
        read_columns(path, ["code"])


def test_concepts_that_are_no_numbers_match_nothing(tmp_path: Path) -> None:
    source = omop(tmp_path, "2024-02-01T09:30:00")
    (tmp_path / "omop" / "CONCEPT.csv").write_text(
        "concept_id,vocabulary_id,concept_code\ninf,LOINC,x\n1e400,LOINC,y\n1,LOINC,early\n2,,late\n"
    )
    assert seen(read(tmp_path, source)) == {"LOINC//early", "OMOP//2"}


def test_dates_of_omop_are_over_at_the_end_of_their_day_where_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "omop").mkdir()
    rows = pd.DataFrame(
        {
            "person_id": "p0",
            "condition_concept_id": [1, 2, 3],
            "condition_start_date": ["2024-01-01", "2024-03-10", "2024-03-10"],
        }
    )
    file = tmp_path / "omop" / "condition_occurrence.csv"
    source = EventsSource(shape="events", format="omop", folder="omop", timezone="Europe/Berlin")
    for index, visible in (
        ("2024-03-10T12:00:00Z", False),
        ("2024-03-10T22:59:59Z", False),
        ("2024-03-10T23:00:00Z", True),
    ):
        units(tmp_path, index)
        rows.to_csv(file, index=False)
        assert ("OMOP//2" in seen(read(tmp_path, source, zone="Europe/Berlin"))) is visible
    # Midnight is what stands there when nobody knows the hour.
    units(tmp_path, "2024-03-10T12:00:00")
    plain = source.model_copy(update={"timezone": None})
    rows.assign(condition_start_datetime=["2024-01-01T08:00:00", "2024-03-10T00:00:00", "2024-03-10T00:01:00"]).to_csv(
        file, index=False
    )
    assert seen(read(tmp_path, plain)) == {"OMOP//1", "OMOP//3"}
    rows.assign(condition_start_datetime=["2024-01-01T08:00:00Z", None, "2024-03-10T01:00:00Z"]).to_csv(
        file, index=False
    )
    units(tmp_path, "2024-03-10T12:00:00Z")
    with pytest.raises(DataError, match="row 3, column 'condition_start_date': there is a date alone"):
        read(tmp_path, plain)


def test_rows_are_counted_in_the_file_after_a_filter(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("id,time,code\np0,2024-01-01,b\np0,2024-01-01,a\n,2024-01-01,a\n")
    with pytest.raises(DataError, match=r"events\.csv, row 4: the id cell is empty"):
        read(tmp_path, tables(table={"where": {"column": "code", "equals": "a"}}))


def test_times_that_are_numbers_beyond_any_life(tmp_path: Path) -> None:
    from cohortium.sources import IndexTime

    write(tmp_path, [1, 1e300])
    with pytest.raises(DataError, match="row 3, column 'time': a time of more than 500 years from zero"):
        read(tmp_path, tables(time_unit="hours"), IndexTime(after="24h", numbers=True))


@pytest.mark.parametrize("after", ["all", "9999999999y"])
def test_index_times_beyond_any_life(tmp_path: Path, after: str) -> None:
    write(tmp_path, ["2024-01-01"])
    with pytest.raises(DataError, match="index_after and landmarks are times within a life"):
        read(tmp_path, tables(), after=after)


def test_a_file_without_a_header_tells_nothing_of_its_first_patient(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("p0,2024-01-01,Jane Doe has a cough,MRN 12345678\n")
    with pytest.raises(DataError, match="has the file a header") as e:
        read(tmp_path, tables())
    assert not any(x in str(e.value) for x in ("12345678", "2024", "Doe", "p0"))


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("id,time,code,code\np0,2024-01-01,a,b\n")
    with pytest.raises(DataError, match="column 3 has the name of another one"):
        read(tmp_path, tables())


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    write(tmp_path, ["2024-01-01"])
    (tmp_path / "study" / "events.csv").symlink_to(tmp_path / "events.csv")
    with pytest.raises(DataError, match=r"events\.csv leads out of its folder"):
        read(tmp_path / "study", tables())


def test_a_folder_behind_a_link_is_not_passed_over(tmp_path: Path) -> None:
    source = meds(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "m" / "train").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="a link to a folder, 'train', which is not followed"):
        read(tmp_path, source)
