"""Competing risks from columns: causes, who is censored, events of unknown cause; hostile declarations and tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError

from cohortium.contracts import CompetingOutcome
from cohortium.errors import EndpointError
from cohortium.schema.declare import EndpointSpec, IdRule
from cohortium.sources import endpoint_columns, read_outcome

N = 20
IDS = [f"{i:03d}" for i in range(N)]
KEYS = {
    "kind": "competing_risks",
    "time": "t",
    "cause": "c",
    "causes": {"relapse": "rel", "death": ["dead", "killed"]},
    "censored": "alive",
    "time_unit": "days",
}
CODES = ["alive", "rel", "dead", "killed"] * 5


def table(**columns: Any) -> pd.DataFrame:
    made = {"t": np.arange(1.0, N + 1), "c": CODES, **columns}
    return pd.DataFrame(made, index=pd.Index(IDS, dtype=object, name="unit"))


def outcome(frame: pd.DataFrame, **keys: Any) -> tuple[CompetingOutcome, dict[str, int]]:
    made, excluded = read_outcome(
        "y", TypeAdapter(EndpointSpec).validate_python(KEYS | keys), frame, Path(), "id", IdRule()
    )
    assert isinstance(made, CompetingOutcome)
    return made, excluded


def test_causes_have_numbers_in_the_order_of_the_study_file() -> None:
    y, excluded = outcome(table(), horizons=[5])
    assert y.cause.tolist() == [0, 1, 2, 2] * 5 and not excluded
    assert y.endpoint.classes == ("relapse", "death") and y.endpoint.horizons == (5,)
    assert (
        y.endpoint.model == "fine_gray"
        and outcome(table(), model="cause_specific")[0].endpoint.model == "cause_specific"
    )
    turned, _ = outcome(table(), causes={"death": ["dead", "killed"], "relapse": "rel"})
    assert turned.cause.tolist() == [0, 2, 1, 1] * 5
    codes, _ = outcome(table(c=[0, 1, 2, 2] * 5), causes={"a": 1, "b": "2.0"}, censored=0)
    assert codes.cause.tolist() == y.cause.tolist()
    assert y.any_cause.event.tolist() == [False, True, True, True] * 5
    assert y.of_cause(2).event.sum() == 10 and y.event.sum() == 5


def test_events_of_unknown_cause_are_another_cause_unless_they_are_excluded() -> None:
    frame = table(c=["alive", "rel", "dead", "died?"] * 5)
    y, excluded = outcome(frame, unknown="died?")
    assert y.endpoint.classes == ("relapse", "death", "unknown cause")
    assert y.cause.tolist() == [0, 1, 2, 3] * 5 and not excluded
    y, excluded = outcome(frame, unknown=["died?", "?"], unknown_as="exclude")
    assert len(y) == 15 and excluded == {"event of unknown cause": 5} and y.endpoint.classes == ("relapse", "death")
    y, _ = outcome(table(), unknown="never seen")
    assert y.endpoint.classes == ("relapse", "death")
    y, _ = outcome(table(c=["alive", "rel", "died?", "rel"] * 5), causes={"relapse": "rel"}, unknown="died?")
    assert y.endpoint.classes == ("relapse", "unknown cause")


def test_who_has_no_label_is_counted_by_reason() -> None:
    frame = table(t=[np.nan, 0.0, *np.arange(3.0, N + 1)], c=["alive", "rel", None, *CODES[3:]])
    y, excluded = outcome(frame, zero_times="exclude")
    assert excluded == {"time missing": 1, "time is zero": 1, "event status missing": 1} and len(y) == 17


def test_a_cause_that_nobody_has_stays_a_cause() -> None:
    y, _ = outcome(table(), causes=KEYS["causes"] | {"transplant": "ltx"})  # type: ignore[operator]
    assert y.endpoint.classes == ("relapse", "death", "transplant") and y.cause.max() == 2


BAD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "unknown column": ({}, {"cause": "cc"}, "uses column 'cc'"),
    "a value without meaning": ({"c": ["lost", *CODES[1:]]}, {}, r"row 2, column 'c': 1 value\(s\) are neither .*: lost. Say what"),
    "a value with two meanings": ({}, {"censored": ["alive", "dead"]}, "row 4, column 'c': .* names one value twice"),
    "one value under two spellings": ({}, {"unknown": "DEAD "}, "row 4, column 'c': .* names one value twice"),
    "measurements": ({"c": np.arange(N) * 1.5}, {}, r"20 value\(s\) are neither among the causes .* nor unknown\. Say"),
    "nobody of interest": ({"c": ["alive", "dead"] * 10}, {}, "no events of interest: none of 20 units has cause 'relapse'"),
    "everybody censored": ({"c": ["alive"] * N}, {}, "no events of interest"),
    "nothing competes": ({"c": ["alive", "rel"] * 10}, {}, "no unit has an event of another cause.*kind: survival"),
    "few": ({"c": [*CODES[:8], *[None] * 12]}, {}, r"only 8 unit\(s\) have a usable"),
    "negative": ({"t": np.arange(-2.0, N - 2)}, {}, "row 2, column 't': .* is negative"),
    "zero": ({"t": np.arange(-0.0, N)}, {}, "row 2, column 't': .* is zero"),
    "text time": ({"t": ["5"] * 5 + ["x7"] + ["6"] * 14}, {}, "row 7, column 't': the time .* is not a number"),
    "infinite time": ({"t": [np.inf] * 12 + [1.0] * 8}, {}, r"only 8 unit\(s\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BAD))
def test_bad_tables(case: str) -> None:
    columns, keys, message = BAD[case]
    with pytest.raises(EndpointError) as caught:
        outcome(table(**columns), **keys)
    assert re.search(message, str(caught.value), re.S), str(caught.value)
    assert not re.search(r"\b0\d\d\b|x7|1\.5", str(caught.value)), "an id or a measurement is in the message"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"causes": {"relapse": "rel"}}, "at least two"),
        ({"causes": {"relapse": "rel"}, "unknown": "x", "unknown_as": "exclude"}, "at least two"),
        ({"causes": {}}, "at least two"),
        ({"causes": {"relapse": "rel", "unknown cause": "x"}}, "take another name"),
        ({"model": "cox"}, "fine_gray"),
        ({"entry": "start"}, "Extra inputs"),
        ({"censored": None}, "censored"),
        ({"censored": []}, "give a value of the column, or a list"),
        ({"causes": {"relapse": {"x": 1}, "death": 2}}, "give a value of the column, or a list"),
        ({"causes": "relapse"}, "dictionary"),
    ],
)
def test_bad_declarations(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(EndpointSpec).validate_python(KEYS | keys)


def test_what_is_excluded_by_rule_needs_no_meaning_and_columns_are_no_predictors() -> None:
    frame = table(c=["lost", *CODES[1:]], seen=["no", *["yes"] * 19])
    keys = {"exclude_where": [{"column": "seen", "equals": "no"}]}
    assert len(outcome(frame, **keys)[0]) == 19
    assert endpoint_columns(TypeAdapter(EndpointSpec).validate_python(KEYS | keys)) == {"t", "c", "seen"}
