"""What assays cost, in words and tables of the report and of the page of biomarkers."""

from __future__ import annotations

from dataclasses import replace

from cohortium.contracts.biomarkers import PanelCost, PanelMember, PanelRecord, PanelSize
from cohortium.contracts.estimates import Estimate
from cohortium.report.decisions import decisions_section
from cohortium.report.money import further, money
from cohortium.report.panel import panel_tables, panel_text
from cohortium.report.words import headline_row
from tests.report.runs import make_results


def test_money_has_cents_only_where_they_matter() -> None:
    assert [money(x, "EUR") for x in (0, 12.5, 1234.56, 40.0)] == ["EUR 0", "EUR 12.50", "EUR 1,235", "EUR 40"]
    assert money(5, "") == "5"


def priced(**cost: float):
    r = make_results(("binary",))
    modalities = [replace(m, cost=cost.get(m.name)) for m in r.cohort.modalities]
    return replace(r, study=replace(r.study, currency="EUR"), cohort=replace(r.cohort, modalities=modalities))


def test_a_clear_gain_has_a_price_and_an_unclear_one_has_none() -> None:
    r = make_results(("binary",))
    names = [m.name for m in r.cohort.modalities]
    beyond = [m for m in r.cohort.modalities if m.name not in r.study.reference]
    r = priced(**dict.fromkeys(names, 100.0))
    e, row = r.cohort.endpoints[0], headline_row(r, r.cohort.endpoints[0].name)
    assert row is not None
    row = replace(row, modalities=names)
    paid = further(r, row)
    assert paid is not None
    each = 100.0 * sum(m.n_units for m in beyond) / r.cohort.n_units
    assert paid.each == each and "EUR 100 for each patient who is measured" in paid.words
    net = Estimate("net_benefit", 0.0125, 0.005, 0.02, 100, 40, "nadeau_bengio_paired")
    points = [replace(p, versus_reference=net) for p in r.decisions[0].points]
    made = decisions_section([replace(r.decisions[0], points=points)], e, "k", paid)
    assert made is not None and f"one for every 80 patients, at {money(each / 0.0125, 'EUR')}" in made["words"][0]
    assert made["table"].head[-1] == "cost per further true decision"
    cell = made["table"].rows[0][-1]
    assert cell.text == money(each / 0.0125, "EUR")
    assert cell.small == f"{money(each / 0.02, 'EUR')} to {money(each / 0.005, 'EUR')}"
    unclear = [replace(p, versus_reference=replace(net, low=-0.01)) for p in points]
    made = decisions_section([replace(r.decisions[0], points=unclear)], e, "k", paid)
    assert made is not None and [c[-1].text for c in made["table"].rows] == ["–"] * 3
    # Without costs, without a reference, of the reference itself, and of what picks one modality, nothing is counted.
    assert further(make_results(("binary",)), row) is None
    assert further(r, replace(row, modalities=list(r.study.reference))) is None
    assert further(r, replace(row, learner="best_single")) is None
    assert further(replace(r, study=replace(r.study, reference=[])), row) is None


def test_the_panel_says_its_cost_and_shows_what_other_assays_would() -> None:
    auc = Estimate("roc_auc", 0.8, 0.7, 0.9, 100, 40, "nadeau_bengio")
    sizes = [
        PanelSize(1, 0.5, 0.1, 0.05, ["blood"], 12.0),
        PanelSize(2, 0.41, 0.01, 0.05, ["blood"], 14.0, True),
        PanelSize(1, 0.40, 0.0, 0.05, ["rna"], 300.0),
        PanelSize(2, 0.40, 0.0, 0.05, ["rna"], 300.0),
        PanelSize(1, 0.60, 0.2, 0.05, ["blood", "rna"], 300.0),
        PanelSize(2, 0.40, 0.0, 0.05, ["blood", "rna"], 312.0),
    ]
    members = [PanelMember("blood", "b0", 1.0), PanelMember("blood", "b1", 0.4)]
    p = PanelRecord(
        "roc_auc", members, True, sizes, auc, auc, auc, [1, 2], cost=PanelCost("EUR", 14.0, 320.0, 12.0, 14.0)
    )
    said = panel_text(p)
    assert "the cheapest of those within one standard error" in said
    assert "It costs EUR 14 for each patient, all features EUR 320; the panels of the outer folds 12 to EUR 14." in said
    _, assays, all_sizes = panel_tables(p)
    assert [[c.text for c in row[:3]] for row in assays.rows] == [
        ["blood", "EUR 14", "2"], ["rna", "EUR 300", "1"], ["blood and rna", "EUR 312", "2"],
    ]  # fmt: skip
    assert assays.strong == [0] and [len(all_sizes.rows), all_sizes.strong, all_sizes.head[-1]] == [2, [], "cost"]
    plain = replace(p, cost=None, sizes=[PanelSize(1, 0.5, 0.1, 0.05), PanelSize(2, 0.4, 0.0, 0.05, taken=True)])
    assert "the smallest of those" in panel_text(plain) and "cost" not in panel_text(plain)
    assert [t.strong for t in panel_tables(plain)] == [[], [1]]
