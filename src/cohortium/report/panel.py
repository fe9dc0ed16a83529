"""The section "A minimal panel" of the page of biomarkers: its words and tables, with what it costs where that is declared."""

from __future__ import annotations

from cohortium.contracts.biomarkers import PanelRecord, PanelSize
from cohortium.report.money import money
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count, estimate_text, metric_name, names, value_text


def panel_text(p: PanelRecord) -> str:
    """The panel in a few sentences."""
    good = "the cheapest" if p.cost is not None else "the smallest"
    rule = (
        f"{good} of those within one standard error of all features"
        if p.within
        else "the best of those tried; none is within one standard error of all features"
    )
    name = metric_name(p.metric)
    beyond = (
        ""
        if p.base is None
        else f", of the covariates alone {estimate_text(p.base)} (panel minus those {estimate_text(p.minus_base, True)})"
    )
    return (
        f"A panel of {count(len(p.members), 'feature')}: {rule}.{_cost(p)} In patients that neither chose nor fitted it, {name} of such panels is "
        f"{estimate_text(p.panel)}, of all features {estimate_text(p.full)} (panel minus all {estimate_text(p.minus_full, True)}){beyond}. "
        f"Sizes chosen in the {len(p.chosen)} outer folds: {min(p.chosen)} to {max(p.chosen)}."
    )


def panel_tables(p: PanelRecord) -> list[Table]:
    """Its members, what was tried, and with costs the cheapest good panel of every set of assays."""
    return [_members(p), *([] if p.cost is None else [_assays(p)]), _sizes(p)]


def _cost(p: PanelRecord) -> str:
    if p.cost is None:
        return ""
    c, beyond = p.cost, ", covariates included" if p.base is not None else ""
    folds = (
        f"the panels of the outer folds {money(c.low, c.currency)}"
        if c.low == c.high
        else f"the panels of the outer folds {money(c.low, '')} to {money(c.high, c.currency)}"
    )
    return f" It costs {money(c.panel, c.currency)} for each patient{beyond}, all features {money(c.full, c.currency)}; {folds}."


def _members(p: PanelRecord) -> Table:
    rows = [
        [Cell(str(i)), Cell(m.feature), Cell(m.modality), Cell(f"{100 * m.often:.0f}%")]
        for i, m in enumerate(p.members, 1)
    ]
    note = "In folds: how many of the outer folds' own panels hold the feature. Features that replace each other share their folds."
    return Table(["place", "feature", "modality", "in folds"], rows, note=note)


def _sizes(p: PanelRecord) -> Table:
    """Of all assays."""
    widest = max(len(s.assays or []) for s in p.sizes)
    shown = [s for s in p.sizes if len(s.assays or []) == widest]
    rows = [
        [
            Cell(str(s.size)), Cell(value_text(s.loss)), Cell(value_text(s.excess, True)), Cell(value_text(s.error)),
            *([] if p.cost is None or s.cost is None else [Cell(money(s.cost, p.cost.currency))]),
        ]
        for s in shown
    ]  # fmt: skip
    head = ["features", "held-out loss", "beyond all features", "standard error"]
    if p.cost is None:
        return Table(head, rows, [i for i, s in enumerate(shown) if s.taken])
    strong = [i for i, s in enumerate(shown) if s.taken]
    return Table([*head, "cost"], rows, strong, "Panels whose features may come from any assay.")


def _assays(p: PanelRecord) -> Table:
    """Of every set of assays the cheapest panel that is good enough, else the best."""
    assert p.cost is not None
    rows, strong = list[list[Cell]](), list[int]()
    sets = list(dict.fromkeys(tuple(s.assays or []) for s in p.sizes))
    best = [_best([s for s in p.sizes if tuple(s.assays or []) == names_]) for names_ in sets]
    order = sorted(best, key=lambda s: (s.excess > s.error, s.cost or 0.0, len(s.assays or [])))
    for s in order:
        if s.taken:
            strong.append(len(rows))
        good = s.excess <= s.error
        rows.append(
            [
                Cell(names(s.assays or [], most=99)), Cell(money(s.cost or 0.0, p.cost.currency)), Cell(str(s.size)),
                Cell(value_text(s.excess, True), f"standard error {value_text(s.error)}"),
                Cell("yes" if good else "no", "", "clear" if good else ""),
            ]
        )  # fmt: skip
    note = (
        "Of every set of assays the cheapest panel within one standard error of all features, or its best one. The more that are tried, the likelier one is good "
        "by luck: the performance above is that of panels chosen in this way in other patients."
    )
    return Table(["features from", "cost", "features", "loss beyond all features", "good enough"], rows, strong, note)


def _best(tried: list[PanelSize]) -> PanelSize:
    good = [s for s in tried if s.excess <= s.error]
    if any(s.taken for s in tried):
        return next(s for s in tried if s.taken)
    return min(good, key=lambda s: (s.cost or 0.0, s.size)) if good else min(tried, key=lambda s: s.loss)
