"""results.json: deterministic, read back to equal records, described by its schema."""

from __future__ import annotations

import dataclasses
import json

import jsonschema
import numpy as np
import pytest

from cohortium.contracts.results import Selected
from cohortium.errors import RunFolderError
from cohortium.report import from_json, results_schema, to_json, write_report
from tests.report.runs import make_results


def test_reading_gives_back_what_was_written():
    results = make_results(("survival", "ordinal"))
    assert from_json(to_json(results)) == results


def test_the_schema_accepts_what_is_written_and_refuses_what_is_not():
    schema = results_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    tree = json.loads(to_json(make_results(("binary",))))
    jsonschema.validate(tree, schema)
    tree["leaderboard"][0]["role"] = "winner"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tree, schema)


def test_unordered_maps_are_sorted_and_ordered_ones_keep_their_order():
    results = make_results(("ordinal",))
    turned = dataclasses.replace(results, versions=dict(reversed(results.versions.items())))
    assert to_json(turned) == to_json(results)
    classes = json.loads(to_json(results))["cohort"]["endpoints"][0]["classes"]
    assert list(classes) == ["grade 1", "grade 2", "grade 3"]


def test_numbers_that_json_does_not_know():
    settings = {
        "a": float("nan"),
        "b": np.float64(0.1),
        "c": np.int64(3),
        "d": np.array([1.5, np.inf]),
        "e": {"z", "y"},
    }
    results = dataclasses.replace(make_results(), selected=[Selected("os", "auto", "", settings)])
    got = json.loads(to_json(results))["selected"][0]["settings"]
    assert got == {"a": None, "b": 0.1, "c": 3, "d": [1.5, None], "e": ["y", "z"]}
    assert '"b": 0.1,' in to_json(results)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "schema_version"),
        ('{"schema_version": "9.0"}', "'9.0'"),
        ('{"schema_version": "1.0"}', "does not fit its schema"),
    ],
)
def test_a_wrong_file_is_named(text, says):
    with pytest.raises(RunFolderError, match=says):
        from_json(text)


@pytest.mark.parametrize(
    ("version", "unknown"),
    [("1.0", ["calibration", "decisions", "subgroups", "coverage", "descriptions"]), ("1.2", ["descriptions"])],
)
def test_results_of_an_earlier_version_are_read(version, unknown, tmp_path):
    """1.0 knew no calibration, decisions or subgroups, 1.2 no table one."""
    made = make_results(("binary",), modalities=("a", "b"))
    less = dataclasses.replace(made, leaderboard=[], added_value=[], learning_curve=[])
    tree = json.loads(to_json(dataclasses.replace(less, calibration=[], decisions=[], subgroups=[], coverage=[])))
    for key in unknown:
        del tree[key]
    text = json.dumps({**tree, "schema_version": version})
    old = from_json(text)
    assert all(getattr(old, key) == [] for key in unknown)
    if version == "1.0":
        return
    (tmp_path / "results.json").write_text(text)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert 'id="described"' not in page and "Patient flow" in page
