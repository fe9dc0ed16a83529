"""What was done before a federated fit: columns that were chosen, effects of sites that were taken out."""

from __future__ import annotations

from cohortium.contracts.federation_results import FederatedResults, Preparing
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count

MOST_ROWS = 50


def preparing_notes(r: FederatedResults) -> list[str]:
    """How it was done, in words."""
    p = r.preparing
    if p is None:
        return []
    notes = []
    if p.chosen:
        by = (
            "the score test of the endpoint, each column by itself and no others in the model"
            if p.by == "association"
            else "their variance, in their own units"
        )
        notes.append(
            f"{count(len(p.chosen), 'column')} of {p.candidates:,} were chosen by {by}. Sites sent sums as long as there are columns, "
            "and not of pairs of columns."
        )
        if p.by == "association":
            notes.append(
                "Coefficients, intervals and p of columns that were chosen by the same outcomes are too good: the choice is not in them. "
                + ("Performance is not touched by that: every fit of the evaluation chose anew, without who was held out." if p.fits else
                   "How well the model predicts patients whom it was not chosen by, an evaluation would say.")
            )  # fmt: skip
    if p.batches:
        notes.append(
            "Effects of sites were taken out of numeric columns by ComBat (location and scale, shrunken over the columns of a table), "
            "from counts, means and sums of squares. Differences between sites that are real are taken out with them. A site that a model "
            "was not fitted on keeps its values."
        )
    return [*notes, *shaping_notes(p)]


def shaping_notes(p: Preparing) -> list[str]:
    """What was done about unknown cells, skewed columns and outliers, in words."""
    s = p.shaping
    if s is None:
        return []
    notes = []
    if s.unknown == "median":
        notes.append(
            f"Unknown cells of units that have the table stand for the median of all sites, in {count(s.filled, 'column')}. Medians and quartiles are "
            f"read off cells of counts: they are off by at most {s.width:.1g} standard deviations, and by groups of the least number of patients."
        )
    if s.compressed:
        names = ", ".join(f"{n} ({k:.1f})" for n, k in list(s.compressed.items())[:12])
        more = f" and {len(s.compressed) - 12} more" if len(s.compressed) > 12 else ""
        notes.append(
            f"{count(len(s.compressed), 'column')} with a skewness beyond 2 were compressed (asinh of the distance from the median in robust standard "
            f"deviations), so that their coefficients are per unit of that: {names}{more}."
        )
    if s.clip:
        notes.append("Standardised values end at 6 and -6, so that one cell cannot carry a prediction.")
    return notes


def chosen_table(p: Preparing) -> Table | None:
    """A row for each column, the best first."""
    if not p.chosen:
        return None
    tested = p.by == "association"
    head = ["column", *(["score (chi-squared)", "p, not corrected"] if tested else ["variance"])]
    head += [f"chosen in {p.fits} other fits"] if p.fits else []
    rows = []
    for c in p.chosen[:MOST_ROWS]:
        row = [Cell(c.column), Cell(f"{c.score:.4g}", f"df {c.freedom}" if c.freedom > 1 else "")]
        row += [Cell(f"{c.p:.2g}")] if tested else []
        rows.append(row + ([Cell(str(c.times))] if p.fits else []))
    more = len(p.chosen) - MOST_ROWS
    note = f"{more} more are in federation.json. " if more > 0 else ""
    note += f"p: of one test, and {p.candidates:,} were made." if tested else ""
    return Table(head, rows, note=note)


def batch_table(p: Preparing) -> Table | None:
    """A row for each site and table."""
    if not p.batches:
        return None
    rows = [
        [Cell(b.site), Cell(b.modality), Cell(f"{b.columns:,}"), Cell(f"{b.shift:.3g}"),
         Cell(f"{b.factor:.3g}", f"{b.factor_low:.3g} to {b.factor_high:.3g}")]
        for b in p.batches
    ]  # fmt: skip
    note = (
        "Shift: how far the mean of a column was moved, in its standard deviations; factor: what deviations were multiplied by; both the "
        "median over columns, with the middle 90% of factors. A column that does not vary at some site is left as it is."
    )
    return Table(["site", "table", "columns", "shift", "factor"], rows, note=note)
