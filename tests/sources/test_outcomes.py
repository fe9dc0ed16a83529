"""Endpoints from columns: who has a usable label, who has none and why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from cohortium.contracts import ClassOutcome, SurvivalOutcome, ValueOutcome
from cohortium.errors import DataError, EndpointError
from cohortium.schema.declare import EndpointSpec, IdRule, ModalitySource, UnitsSource
from cohortium.sources import endpoint_columns, read_cohort, read_outcome

N = 20
IDS = [f"{i:03d}" for i in range(N)]


def spec(**keys: Any) -> Any:
    return TypeAdapter(EndpointSpec).validate_python(keys)


def table(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns, index=pd.Index(IDS, dtype=object, name="unit"))


def outcome(frame: pd.DataFrame, root: Path = Path(), **keys: Any):
    return read_outcome("y", spec(**keys), frame, root, "id", IdRule())


def _with(values: list[Any], default: Any) -> list[Any]:
    return [*values, *[default] * (N - len(values))]


@pytest.mark.parametrize(
    ("values", "positive", "classes"),
    [
        ([1, 0], None, ("0", "1")),
        ([1.0, 0.0], 1, ("0", "1")),
        (["yes", "no"], None, ("no", "yes")),
        (["Yes ", "no"], "yes", ("no", "yes")),
        ([True, False], None, ("False", "True")),
        (["1", "0"], 1.0, ("0", "1")),
        (["dead", "alive"], "dead", ("alive", "dead")),
        (["a", "b"], "b", ("a", "b")),
    ],
)
def test_binary(values: list[Any], positive: Any, classes: tuple[str, str]) -> None:
    column = values * 9 + [None, None]
    got, excluded = outcome(
        table(c=pd.Series(column, index=IDS, dtype=object)), kind="binary", column="c", positive=positive
    )
    assert isinstance(got, ClassOutcome)
    assert got.endpoint.classes == classes
    assert excluded == {"outcome missing": 2}
    assert list(got.units) == IDS[:-2]
    assert got.units.dtype == object
    yes = classes[1].lower()
    expected = [int(str(v).strip().lower().removesuffix(".0") == yes) for v in column[:-2]]
    assert list(got.codes) == expected


def test_binary_by_condition_and_with_a_named_negative() -> None:
    frame = table(stage=_with(["I", "II", "III", None] * 4, "II"), bmi=np.arange(N) * 2.0)
    got, excluded = outcome(frame, kind="binary", positive={"column": "stage", "one_of": ["II", "III"]})
    assert got.endpoint.classes == ("not y", "y")
    assert excluded == {"outcome missing": 4}
    assert got.codes.sum() == 12
    got, excluded = outcome(frame, kind="binary", column="stage", positive="III", negative="II")
    assert got.endpoint.classes == ("II", "III")
    assert excluded == {"outcome missing": 4, "stage is neither III nor II": 4}
    above, _ = outcome(frame, kind="binary", positive={"column": "bmi", "above": 20})
    at_least, _ = outcome(frame, kind="binary", positive={"column": "bmi", "at_least": 20})
    assert above.codes.sum() == 9
    assert at_least.codes.sum() == 10


def test_excluded_by_rule_comes_first() -> None:
    frame = table(c=_with([None, 1, 1, 1], 0), stage=_with([4, 4, 1, None], 2))
    got, excluded = outcome(frame, kind="binary", column="c", exclude_where=[{"column": "stage", "equals": "4"}])
    assert excluded == {"excluded by the study file (stage)": 2}
    assert list(got.units) == IDS[2:]


def test_multiclass_and_ordinal() -> None:
    frame = table(c=_with(["10", "9", "x", None] * 3, "9"), grade=_with([3, 1, 2.0, np.nan], 1))
    got, excluded = outcome(frame, kind="multiclass", column="c")
    assert got.endpoint.classes == ("9", "10", "x")
    assert list(got.codes[:3]) == [1, 0, 2]
    assert excluded == {"outcome missing": 3}
    got, excluded = outcome(frame, kind="multiclass", column="c", classes=["x", 9, 10])
    assert got.endpoint.classes == ("x", "9", "10")
    got, _ = outcome(frame, kind="ordinal", column="grade", classes=[1, 2, 3])
    assert list(got.codes[:4]) == [2, 0, 1, 0]
    some, excluded = outcome(table(c=["a", "b", "c", "d"] * 5), kind="multiclass", column="c", classes=["a", "b", "c"])
    assert excluded == {"c is none of the classes": 5}
    assert len(some) == 15


def test_continuous() -> None:
    frame = table(x=_with([1.0, None, np.inf, 0.5], 2.0))
    got, excluded = outcome(frame, kind="continuous", column="x", transform="log1p")
    assert isinstance(got, ValueOutcome)
    assert excluded == {"outcome missing": 2}
    np.testing.assert_allclose(got.values[:2], np.log1p([1.0, 0.5]))


SURVIVAL = {"kind": "survival", "time": "t", "time_unit": "months"}


@pytest.mark.parametrize(
    ("status", "event"),
    [
        ([1, 0], "e"),
        ([1.0, 0.0], "e"),
        (["1", "0"], "e"),
        ([True, False], "e"),
        (["Yes", "no"], "e"),
        (["dead", "alive"], "e"),
        ([2, 1], {"column": "e", "equals": "2"}),
        (["deceased", "living"], {"column": "e", "equals": "Deceased"}),
        ([True, False], {"column": "e", "equals": 1}),
    ],
)
def test_survival(status: list[Any], event: Any) -> None:
    frame = table(t=np.arange(1.0, N + 1), e=pd.Series(status * 9 + [None, None], index=IDS, dtype=object))
    frame.iloc[3, 0] = np.nan
    got, excluded = outcome(frame, event=event, horizons=[5, 10], **SURVIVAL)
    assert isinstance(got, SurvivalOutcome)
    assert excluded == {"event status missing": 2, "time missing": 1}
    assert list(got.event[:4]) == [True, False, True, True]
    assert list(got.time[:4]) == [1, 2, 3, 5]
    assert got.endpoint.time_unit == "months"
    assert got.endpoint.horizons == (5, 10)
    assert not got.entry.any()


def test_delayed_entry_and_zero_times() -> None:
    frame = table(t=np.arange(N) * 1.0, e=[0, 1] * 10, entry=[0.0, 0.5, None, *[1.0] * 17])
    got, excluded = outcome(frame, event="e", entry="entry", zero_times="exclude", **SURVIVAL)
    assert excluded == {"entry missing": 1, "time is zero": 1}
    assert list(got.entry[:3]) == [0.5, 1, 1]
    frame.loc["005", "entry"] = 5.0
    with pytest.raises(EndpointError, match=r"row 7: entry \('entry'\) must be at least 0 and before the time"):
        outcome(frame, event="e", entry="entry", zero_times="exclude", **SURVIVAL)


GOOD = {"t": np.arange(1.0, N + 1), "e": [0, 1] * 10, "c": ["a", "b"] * 10, "x": np.arange(N) * 1.0}
BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "unknown column": ({}, {"kind": "binary", "column": "cc"}, "uses column 'cc'.*does not have. Did you mean|Known"),
    "one class": ({"c": ["a"] * N}, {"kind": "binary", "column": "c", "positive": "a"}, "has one class: all 20 units"),
    "nobody positive": ({}, {"kind": "binary", "column": "c", "positive": "z"}, "nobody has 'c' equal.*The column holds: a, b"),
    "which is positive": ({}, {"kind": "binary", "column": "c"}, "say which value of 'c' is positive. It has 2 .*: a, b"),
    "condition for nobody": (
        {},
        {"kind": "binary", "positive": {"column": "c", "equals": "z"}},
        r"condition on 'c' holds for nobody. The column has 2 distinct value\(s\): a, b",
    ),
    "condition for everybody": (
        {},
        {"kind": "binary", "positive": {"column": "c", "one_of": ["a", "B"]}},
        "condition on 'c' holds for everybody",
    ),
    "condition on measurements": (
        {},
        {"kind": "binary", "positive": {"column": "x", "equals": 777}},
        r"holds for nobody. The column has 20 distinct value\(s\)\.$",
    ),
    "few": ({"c": _with(["a", "b"], None)}, {"kind": "binary", "column": "c", "positive": "a"}, r"only 2 unit\(s\) have a usable"),
    "no events": ({"e": [0] * N}, {**SURVIVAL, "event": "e"}, "has no events: all 20 units are censored"),
    "events coded 1 2": ({"e": [1, 2] * 10}, {**SURVIVAL, "event": "e"}, "should hold 1 and 0 .*: 1, 2. Say event"),
    "negative": ({"t": np.arange(-2.0, N - 2)}, {**SURVIVAL, "event": "e"}, r"row 2, column 't': the time of endpoint 'y' is negative \(2"),
    "zero": ({"t": np.arange(-0.0, N)}, {**SURVIVAL, "event": "e"}, "row 2, column 't': .* is zero .*zero_times: exclude"),
    "text time": ({"t": ["5"] * 5 + ["x7"] + ["6"] * 14}, {**SURVIVAL, "event": "e"}, "row 7, column 't': the time .* is not a number"),
    "two classes": ({}, {"kind": "multiclass", "column": "c"}, "has two classes: declare kind: binary"),
    "many classes": ({"c": [f"k{i}" for i in range(N)]}, {"kind": "ordinal", "column": "c", "classes": ["a", "b", "d"]}, "holds 20 value.s. that 'classes' does not order"),
    "empty class": (
        {"c": ["a", "b"] * 10},
        {"kind": "ordinal", "column": "c", "classes": ["a", "b", "d"]},
        "no unit has class d",
    ),
    "same value": ({"x": [3.0] * N}, {"kind": "continuous", "column": "x"}, "all units have the same value"),
    "log of negative": ({}, {"kind": "continuous", "column": "x", "transform": "log"}, "needs positive values"),
    "text value": ({"x": ["5"] * 19 + ["q"]}, {"kind": "continuous", "column": "x"}, "row 21, column 'x'.*not a number"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BAD))
def test_bad_endpoint(case: str) -> None:
    columns, keys, message = BAD[case]
    with pytest.raises(EndpointError) as caught:
        outcome(table(**(GOOD | columns)), **keys)
    text = str(caught.value)
    assert re.search(message, text, re.S), text
    assert "endpoint 'y'" in text or "column '" in text
    assert not re.search(r"\b0\d\d\b|x7|777|k1", text), "an id or a measurement is in the message"


def test_an_endpoint_of_another_file(tmp_path: Path) -> None:
    ids = [*IDS[::-1][1:], "999"]
    follow = pd.DataFrame({"pid": ids, "t": np.arange(1.0, N + 1), "e": [0, 1] * 10})
    follow.to_csv(tmp_path / "follow.csv", index=False)
    keys = {**SURVIVAL, "event": "e", "file": "follow.csv", "id": "pid"}
    got, excluded = outcome(table(a=1), tmp_path, **keys)
    assert list(got.units) == IDS[:-1]
    assert list(got.time) == list(np.arange(1.0, N)[::-1])
    assert excluded == {"time missing": 1}
    follow.loc[4, "t"] = -1
    follow.to_csv(tmp_path / "follow.csv", index=False)
    with pytest.raises(EndpointError, match=r"follow.csv, row 6, column 't': the time of endpoint 'y' is negative"):
        outcome(table(a=1), tmp_path, **keys)
    pd.concat([follow, follow[:1]]).to_csv(tmp_path / "follow.csv", index=False)
    with pytest.raises(DataError, match=r"follow.csv, row 22: this id stands in an earlier row too"):
        outcome(table(a=1), tmp_path, **keys)
    follow.assign(pid=[f"P-{i}" for i in ids]).to_csv(tmp_path / "follow.csv", index=False)
    with pytest.raises(DataError, match=r"no row of endpoint 'y' belongs to a unit.*split: '-', part: 1"):
        outcome(table(a=1), tmp_path, **keys)


def test_rows_of_a_filtered_unit_table_are_counted_in_its_file(tmp_path: Path) -> None:
    lines = [
        f"{i},{'in' if k % 2 else 'out'},{k + 1 if k != 15 else -4},{int(k % 3 == 0)}"
        for k, i in enumerate([*IDS, *"abcdef"])
    ]
    (tmp_path / "units.csv").write_text("id,arm,t,e\n\n" + "\n".join(lines) + "\n")
    (tmp_path / "lab.csv").write_text("id,x\n001,1\n003,2\n")
    units = UnitsSource(file="units.csv", where={"column": "arm", "equals": "in"})
    got = read_cohort(units, {"lab": ModalitySource(file="lab.csv")}, tmp_path)
    assert len(got.cohort) == 13
    with pytest.raises(EndpointError, match=r"units.csv, row 18, column 't': the time of endpoint 'y' is negative"):
        outcome(got.raw_units, event="e", **SURVIVAL)


def test_endpoint_columns() -> None:
    keys = {**SURVIVAL, "event": {"column": "status", "equals": 1}, "entry": "start", "id": "pid"}
    assert endpoint_columns(spec(**keys, exclude_where=[{"column": "stage", "equals": 4}])) == {
        "t",
        "status",
        "start",
        "pid",
        "stage",
    }
    assert endpoint_columns(spec(kind="binary", positive={"column": "c", "equals": 1})) == {"c"}
