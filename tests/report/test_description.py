"""The tables of who the patients are."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from cohortium.contracts.description import DescribedGroup, DescribedVariable, Description, Summary
from cohortium.report.description import described, table, unlike, words
from cohortium.report.validation import validation_sections
from tests.report.runs import make_results


def texts(t, name: str) -> list[tuple[str, str, str]]:
    row = next(r for r in t.rows if r.name == name)
    return [(c.text, c.small, c.gap) for c in row.cells]


def test_what_is_withheld_missing_or_absent_is_said() -> None:
    made = described(make_results(("survival",)))
    assert [t.title for t in made[0]["tables"]] == ["By available modalities", "By partition: test folds"]
    by = made[0]["tables"][0]
    assert by.head == [("everyone in the study", "288"), ("all modalities", "90"), ("other patterns", "198")]
    assert (
        texts(by, "f") == [("188 (65%)", "", ""), ("< 5", "", ""), ("90 (49%)", "", "")]
        or texts(by, "f")[1][0] == "< 5"
    )
    assert texts(by, "m")[1] == ("withheld", "", "")
    assert texts(by, "age")[0] == ("61.3 (53 to 70.2)", "missing 4, without the modality 3", "")
    assert texts(by, "age")[1] == ("58.1 (50 to 67.4)", "missing 6", "0.31")
    assert texts(by, "age")[2] == ("not measured", "", "")
    assert texts(by, "follow-up")[1][0] == "not reached"
    assert next(r for r in by.rows if r.name == "age").cells[1].unlike
    assert made[0]["notes"] == ["12 further columns of clinical are not described."]


def test_folds_are_a_range() -> None:
    folds = described(make_results(("survival",)))[0]["tables"][1]
    assert folds.head[1] == ("range over 25 test folds", "57–58")
    assert texts(folds, "age")[1] == ("58–64 (50–56 to 66–73)", "missing 0–2, without the modality 0–1", "0.02–0.08")
    assert texts(folds, "f")[1][0] == "20–33"
    assert any("every unit is tested in turn" in w for w in words(make_results(("survival",))))


def test_where_groups_are_unlike_is_a_sentence() -> None:
    r = make_results(("survival",))
    assert unlike(r) == "Groups differ (d of 0.1 or more in at least one of them) in 1 variable, most in age (0.31)."
    assert unlike(dataclasses.replace(r, descriptions=[])) == ""


def test_few_known_values_have_no_quantiles() -> None:
    t = table(
        "t", [DescribedVariable("x", "a", "numeric")], [DescribedGroup("everyone", "everyone", 9, [Summary(3, 6)])]
    )
    assert [(c.text, c.small) for c in t.rows[0].cells] == [("fewer than 5 known", "missing 6")]


def test_new_data_stand_beside_the_study() -> None:
    r = make_results(("survival",))
    d: Description = r.descriptions[0]
    new = dataclasses.asdict(
        DescribedGroup(
            "external",
            "hospital_b",
            80,
            [Summary(80, median=30.0), d.groups[1].summaries[1], Summary(80, counts=[30, 50])],
        )
    )
    (section,) = validation_sections([{"endpoint": "os", "data": "hospital_b", "description": new}], r)
    assert section["described"].head == [("everyone in the study", "288"), ("hospital_b", "80")]
    assert texts(section["described"], "m")[1][0] == "50 (62%)"
    for damaged in (None, {"summaries": new["summaries"][:1]}):
        (section,) = validation_sections([{"endpoint": "os", "data": "b", "description": damaged}], r)
        assert section["described"] is None


def test_it_is_in_the_page_for_every_endpoint(every_kind: Path) -> None:
    text = (every_kind / "report.html").read_text(encoding="utf-8")
    assert text.count('<table class="one">') == 10 and text.count("The units with a known ") == 4
