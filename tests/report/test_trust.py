"""What the report says of calibration, decisions, subgroups and certainty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cohortium.contracts.estimates import Estimate
from cohortium.report.calibration import calibration_section
from cohortium.report.certainty import certainty_section
from cohortium.report.decisions import decisions_section
from cohortium.report.methods import paragraph
from cohortium.report.subgroups import subgroups_section
from cohortium.report.words import headline_row
from tests.report.runs import make_results


def net(value: float, half: float, **more) -> Estimate:
    return Estimate("net_benefit", value, value - half, value + half, 100, 40, "nadeau_bengio_paired", **more)


def test_words_say_the_side_only_where_the_interval_excludes_one() -> None:
    r = make_results(("binary",))
    e, (row, *_) = r.cohort.endpoints[0], r.calibration
    headline = headline_row(r, e.name)

    def said(low: float, value: float, high: float) -> str:
        new = [
            replace(x, value=value, low=low, high=high) if x.metric == "expected_observed" else x for x in row.estimates
        ]
        made = calibration_section([replace(row, estimates=new)], e, headline, [], "k")
        assert made is not None and len(made["drawings"]) == 1 and len(made["table"].rows) == 1
        return str(made["words"][0])

    assert "120 were expected (95% interval 110 to 131): predictions are too high" in said(1.1, 1.2, 1.31)
    assert "80 were expected (95% interval 70 to 91): predictions are too low" in said(0.7, 0.8, 0.91)
    assert "no clear sign" in said(0.9, 1.1, 1.3)
    assert calibration_section([], e, headline, [], "k") is None


def test_a_row_without_any_value_is_a_table_with_its_reasons() -> None:
    r = make_results(("survival",))
    e, row = r.cohort.endpoints[0], r.calibration[0]
    nothing = [Estimate(x.metric, None, horizon=x.horizon, reason="too few") for x in row.estimates]
    made = calibration_section([replace(row, estimates=nothing, curve=None)], e, headline_row(r, e.name), [], "k")
    assert made is not None and made["words"] == [] and made["drawings"] == []
    assert [(c.text, c.small) for c in made["table"].rows[0][1:]] == [("not estimable", "too few")] * 5


def test_clear_gains_are_counted_in_patients_and_unclear_ones_are_not() -> None:
    r = make_results(("binary",))
    e, row = r.cohort.endpoints[0], r.decisions[0]
    clear = [replace(p, versus_reference=net(0.0125, 0.005)) for p in row.points]
    made = decisions_section([replace(row, points=clear)], e, "k")
    assert made is not None
    assert "at 5% 12 more true decisions (95% interval +8 to +18), one for every 80 patients" in made["words"][0]
    assert [c[-1].text for c in made["table"].rows] == ["80"] * 3 and made["table"].rows[0][-2].mark == "clear"
    unclear = [replace(p, versus_reference=net(-0.004, 0.005)) for p in row.points]
    made = decisions_section([replace(row, points=unclear)], e, "k")
    assert made is not None and "At none of the thresholds 5%, 10% and 20%" in made["words"][0]
    assert "−4 true decisions per 1,000 patients (95% interval −9 to +1)" in made["words"][0]
    assert [c[-1].text for c in made["table"].rows] == ["–"] * 3
    assert decisions_section([], e, "k") is None


def test_without_a_reference_it_is_compared_with_treating_all_or_nobody() -> None:
    r = make_results(("binary",), reference=())
    e, row = r.cohort.endpoints[0], r.decisions[0]
    made = decisions_section([row], e, "k")
    assert made is not None and "treating all or nobody" in made["words"][0] and len(made["drawings"]) == 1
    assert len(made["table"].head) == 4


def test_groups_are_named_where_they_differ_after_correction_and_where_too_small() -> None:
    r = make_results(("binary",))
    e = r.cohort.endpoints[0]
    rows = [x for x in r.subgroups if x.endpoint == e.name]
    made = subgroups_section(rows, e, None, "k")
    assert made is not None and "none is clear after correction" in made["words"][0]
    assert "Too small to say anything of site Žďár;" in made["words"][1]
    assert [len(t.head) for _, t in made["tables"]] == [4, 8] and made["drawing"] is not None
    assert made["tables"][0][1].rows[2][2].text == "not estimable" and made["tables"][0][1].rows[2][3].text == "–"
    clear = replace(rows[0].versus_rest[1], estimate=net(-0.2, 0.05), p=0.0001, p_holm=0.0008)
    turned = [replace(rows[0], versus_rest=[rows[0].versus_rest[0], clear, *rows[0].versus_rest[2:]]), *rows[1:]]
    made = subgroups_section(turned, e, None, "k")
    assert made is not None
    assert "Of 12 differences" in made["words"][0] and "1 stays clear" in made["words"][0]
    assert "0.200 lower for site north" in made["words"][0]
    cell = made["tables"][1][1].rows[0][3]
    assert cell.mark == "clear" and "p < 0.001" in cell.small
    small = [x for x in rows if x.group == "Žďár"]
    made = subgroups_section(small, e, None, "k")
    assert made is not None and made["drawing"] is None and "No group can be compared" in made["words"][0]
    assert subgroups_section([], e, None, "k") is None


def test_all_sections_are_on_the_page(every_kind: Path) -> None:
    html = (every_kind / "report.html").read_text(encoding="utf-8")
    assert html.count("Are the predicted probabilities right?") == 4
    assert html.count("What would be decided?") == 2
    assert html.count("For whom does it work?") == 5


def test_the_methods_paragraph_says_what_was_computed() -> None:
    r = make_results(("binary",))
    said = paragraph(r)
    assert "On the same folds calibration (slope" in said and "net benefit (decision curves)" in said
    assert "performance by site and availability, with Holm's correction" in said
    assert "On the same folds" not in paragraph(replace(r, calibration=[], decisions=[], subgroups=[], coverage=[]))


def test_what_is_held_is_said_against_what_is_meant_and_a_group_below_it_is_named() -> None:
    r = make_results(("binary", "continuous", "survival"))
    said = {}
    for e in r.cohort.endpoints:
        rows = [x for x in r.coverage if x.endpoint == e.name]
        made = certainty_section(rows, e, "k")
        assert made is not None and made["drawing"] is not None and len(made["table"].rows) == 3
        said[e.kind] = made["words"]
        assert "91 of 100 (95% interval 88 to 94)" in made["words"][0]
        assert made["words"][1].startswith("Held less often than meant for site south:")
        level = [replace(rows[0], estimates=[replace(x, high=0.95) for x in rows[0].estimates])]
        alone = certainty_section(level, e, "k")
        assert alone is not None and len(alone["words"]) == 2 and alone["drawing"] is None
    assert "for the others the model abstains" in said["binary"][0]
    assert "a median width of 0.6" in said["continuous"][0]
    assert "lost to follow-up" in said["survival"][-1]
    assert certainty_section([], r.cohort.endpoints[0], "k") is None
