"""How well a federated model predicts: across sites, and at each."""

from __future__ import annotations

from cohortium.contracts.federation_results import FederatedEvaluation, Performance, SitePerformance
from cohortium.federation_coordinator.performance import NAMES
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count

DESIGNS = {
    "leave_one_site_out": "site held out",
    "folds": "folds held out",
    "own": "own model, folds held out",
    "pooled_site": "all rows, site held out",
    "pooled": "all rows, folds held out",
}


def said(e: FederatedEvaluation) -> str:
    """A sentence for the answer: the first metric with a site held out, or with folds where there is none."""
    for p in e.across:
        if p.value is not None and p.metric in ("c_index", "roc_auc", "r2"):
            where = (
                "sites that it was not fitted on"
                if p.design == "leave_one_site_out"
                else "patients that it was not fitted on"
            )
            text = f" {NAMES[p.metric]} at {where}: {_number(p.value)} (95% {_range(p.low, p.high)}"
            text += "" if p.least is None else f"; without bins {_range(p.least, p.most)}"
            return text + (")." if p.next_low is None else f"; a new site: {_range(p.next_low, p.next_high)}).")
    return (
        " How well it predicts across sites cannot be said: "
        + (e.across[0].reason if e.across else "nobody was held out")
        + "."
    )


def across_table(e: FederatedEvaluation) -> Table:
    """A row for each design and metric."""
    head = ["across sites", "held out", "mean (95%)", "new site (95%)", "I²"]
    reasons = [(f"{NAMES[p.metric]}, {DESIGNS[p.design]}", p.reason) for p in e.across if p.value is None]
    return Table(head, [_across(p) for p in e.across], note=_reasons(reasons))


def _across(p: Performance) -> list[Cell]:
    bins = "" if p.least is None else f"unbinned mean {_range(p.least, p.most)}"
    first = [Cell(NAMES[p.metric], count(p.sites, "site")), Cell(DESIGNS[p.design], bins)]
    if p.value is None:
        return [*first, Cell("–"), Cell("–"), Cell("–")]
    return [
        *first, Cell(_number(p.value), _range(p.low, p.high)), Cell(_range(p.next_low, p.next_high)),
        Cell("–") if p.i2 is None else Cell(f"{100 * p.i2:.0f}%", f"τ {_number(p.tau or 0.0)}"),
    ]  # fmt: skip


def site_table(e: FederatedEvaluation) -> Table:
    """A row for each metric and site, a column for each design."""
    designs = [d for d in DESIGNS if any(r.design == d for r in e.sites)]
    keys = list(dict.fromkeys((r.metric, r.site) for r in e.sites))
    found = {(r.metric, r.site, r.design): r for r in e.sites}
    rows = []
    for metric, site in keys:
        cells = [found.get((metric, site, d)) for d in designs]
        units = max((r.units for r in cells if r is not None), default=0)
        rows.append([Cell(NAMES[metric]), Cell(site, count(units, "unit")), *map(_at_site, cells)])
    reasons = [(f"{r.site}, {DESIGNS[r.design]}", r.reason) for r in e.sites if r.value is None]
    return Table(["at each site", "site", *(DESIGNS[d] for d in designs)], rows, note=_reasons(reasons))


def _at_site(r: SitePerformance | None) -> Cell:
    if r is None or r.value is None:
        return Cell("–")
    wide = _range(r.low, r.high) if r.low is not None else "no interval"
    return Cell(_number(r.value), wide + (f"; bins ±{_number(r.bound)}" if r.bound else ""))


def calibration_table(e: FederatedEvaluation) -> Table | None:
    """Intercept and slope of all who were held out, a row for each design."""
    if not e.calibration:
        return None
    rows = []
    for c in e.calibration:
        a = Cell("–") if c.intercept is None else Cell(_number(c.intercept), _range(c.intercept_low, c.intercept_high))
        b = Cell("–") if c.slope is None else Cell(_number(c.slope), _range(c.slope_low, c.slope_high))
        rows.append([Cell(DESIGNS[c.design], count(c.sites, "site")), a, b])
    lines = any(c.intercept is not None for c in e.calibration)
    note = "Regression of the outcome on the score of all who were held out, as one group: 1 is a slope that is right"
    note += ", 0 an intercept that is" if lines else ""
    note += "; below 1 predictions are too far apart. " + _reasons(
        [(DESIGNS[c.design], c.reason) for c in e.calibration if c.reason]
    )
    return Table(["all together", "intercept (95%)", "slope (95%)"], rows, note=note)


def _reasons(several: list[tuple[str, str]]) -> str:
    """Why there is no value, each reason once."""
    who: dict[str, list[str]] = {}
    for name, reason in several:
        if name not in who.setdefault(reason, []):
            who[reason].append(name)
    return " ".join(f"– for {'; '.join(names)}: {reason.rstrip('.')}." for reason, names in who.items())


def performance_notes(e: FederatedEvaluation, least: int, secure: bool = False) -> list[str]:
    """How the numbers were made, and what went wrong."""
    if secure:
        return [
            f"Folds held out: every site deals its patients into {e.folds} folds (seed {e.seed}); the model fitted on the others of all sites, at "
            "those in the fold; the mean over folds. Sums over sites of what is right and of what is counted: C-index and ROC-AUC are those of pairs "
            "of the same site, weighted by their number, the others of all patients. Intervals: jackknife over patients, on the scale of logits "
            "(C-index, ROC-AUC) or logarithms (errors, ratios); for the sites there are, not for new ones. Weights are not used.",
            *e.notices,
        ]
    names = {r.metric for r in e.sites}
    notes = [
        "Site held out: the model fitted on all other sites, at that site. Folds held out: every site deals its patients into "
        f"{e.folds} folds (seed {e.seed}); the model fitted on the others of all sites, at the site's own fold; a site's value is the mean "
        "of its folds. Weights are not used.",
        "Across sites: random effects (Paule and Mandel; interval of Hartung and Knapp, never narrower than without differences). New "
        "site: what 95% of sites like these would show, by t with two degrees of freedom fewer than sites. I²: the share of the "
        "differences that is more than chance; τ: standard deviation between sites, "
        "of logits (C-index, ROC-AUC) or logarithms (errors, ratios).",
    ]
    if "c_index" in names:
        notes.append(
            "C-index: Harrell's, of pairs of the same site alone, since pairs across sites would expose times; folds count by their "
            "pairs; standard errors by the jackknife over patients."
        )
    if "roc_auc" in names:
        notes.append(
            f"ROC-AUC: of counts by bin of the score, each bin with at least {least} patients of either class. A pair within a bin counts "
            "one half: ± says how far the value can be from that of unbinned scores. Intervals are without that."
        )
    if "calibration_slope" in names:
        notes.append(
            "Calibration: slope (and intercept) of a regression of the outcome on the score, of each site by itself, and of all together; "
            "by Newton's method on sums of two numbers. Of survival a Cox model with the score alone, its strata sites and folds."
        )
    return [*notes, *e.notices]


def _range(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{_number(low)} to {_number(high)}"


def _number(x: float) -> str:
    text = f"{x:.3f}" if abs(x) < 100 else f"{x:.4g}"
    return "0.000" if text == "-0.000" else text
