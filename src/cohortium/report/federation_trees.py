"""The part of the federated page about boosted trees: what they use, how their loss fell, how they compare with all rows in one place."""

from __future__ import annotations

from typing import Any

from cohortium.contracts.federation_results import FederatedResults, FederatedTrees
from cohortium.report.federation_performance import said
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count

LOSSES = {
    "survival": "Cox's partial likelihood, a stratum for each site (ties as Efron has them), by event",
    "binary": "log loss",
    "multiclass": "log loss over the classes",
    "continuous": "half the squared error, of the endpoint in standard deviations",
}
MOST_BARS = 15
MOST_ROWS = 60


def trees_answer(r: FederatedResults) -> str:
    """The finding in a sentence or two."""
    t = r.trees
    assert t is not None
    here = [s for s in r.sites if not s.left]
    units = sum(s.units or 0 for s in here)
    text = f"Boosted trees, of {r.endpoint} on {units:,} units of {count(len(here), 'site')}: {_trees(r)} grown on histograms of gradients"
    text += f"{' and evaluated' if r.evaluation else ''} in {count(r.rounds, 'round')}; no row left a site."
    if t.importance:
        first = t.importance[0]
        text += f" {first.column} explains most: {100 * first.gain:.0f}% of what splits gained."
    if t.pooled is not None:
        text += f" Boosting on all rows together, by the same rules, differs by at most {t.pooled.same:.1g} from it; {_plain(t)}."
    if r.evaluation is not None:
        text += said(r.evaluation)
    return text


def _trees(r: FederatedResults) -> str:
    t = r.trees
    assert t is not None
    each = f" for each of {len(r.classes)} classes" if r.kind == "multiclass" else ""
    return f"{count(t.trees, 'tree')}{each}"


def _plain(t: FederatedTrees) -> str:
    """The difference from boosting that has no rule of small counts."""
    p = t.pooled
    assert p is not None
    if p.plain < 1e-9:
        return f"without the rule of small counts by {p.plain:.1g}"
    alike = "" if p.correlation is None else f", correlation {p.correlation:.3f}"
    return f"without the rule of small counts by at most {p.plain:.2g} (standard deviation of the scores {p.spread:.2g}{alike})"


def trees_section(r: FederatedResults) -> dict[str, Any]:
    """What the template shows of trees."""
    t = r.trees
    assert t is not None
    top = max((i.gain for i in t.importance), default=1.0)
    bars = [(i.column, f"{100 * i.gain:.1f}%", 100 * i.gain / top) for i in t.importance[:MOST_BARS]]
    rows = [[Cell(i.column), Cell(f"{100 * i.gain:.1f}%"), Cell(str(i.splits))] for i in t.importance[:MOST_ROWS]]
    unused = len(t.columns) - len(t.importance)
    note = f"{count(unused, 'column')} of {len(t.columns)} without a split." if unused else ""
    return {
        "bars": bars,
        "importance": Table(["column", "gain", "splits"], rows, note=note),
        "notes": _notes(r, t),
    }


def _notes(r: FederatedResults, t: FederatedTrees) -> list[str]:
    plan = r.plan.trees
    assert plan is not None
    notes = [
        "Gain: by how much the splits on a column lowered the penalised loss, as a share of all. It says what the trees use, not what "
        "causes the outcome; of columns that say the same the first is used."
    ]
    if t.losses:
        notes.append(
            f"Loss ({LOSSES[r.kind]}): {t.losses[0]:.4g} before the first tree, {t.losses[-1]:.4g} before the last question."
        )
    if t.held_losses:
        best = min(t.held_losses)
        notes.append(
            f"{t.held:,} units were held out to know when to stop: their loss was least, {best:.4g}, with {count(t.trees, 'tree')}."
        )
    elif plan.stop:
        notes.append("No site has enough patients to hold some out: all declared trees were grown.")
    if t.off:
        notes.append(
            f"Of columns with all {plan.bins} bins the edges are at most {100 * t.off:.1f}% of units from the quantiles they stand for."
        )
    if t.pooled is not None:
        notes.append(
            "All rows in one place, the same edges of bins: with the same groups of neighbouring values and the same shared bins scores differ by at most "
            f"{t.pooled.same:.1g}; {_plain(t)}. Only a simulation can tell."
        )
    return notes


def trees_facts(r: FederatedResults) -> list[tuple[str, str]]:
    """Model and settings."""
    p, t = r.plan.trees, r.trees
    assert p is not None and t is not None
    return [
        ("model", f"gradient boosted trees: {LOSSES[r.kind]}"),
        ("trees", f"{_trees(r)}, {p.rounds} declared; depth {p.depth}, learning rate {p.learning_rate:g}"),
        ("bins of a column", f"at most {p.bins}"),
        ("leaves", f"ridge {p.ridge:g}; at least {p.least_leaf} units and curvature {p.least_curvature:g} over all sites"),
        ("stopping", f"after {count(p.stop, 'tree')} without gain, on {100 * p.held:g}% held out" if p.stop else "after the declared trees"),
    ]  # fmt: skip


def trees_exposed(r: FederatedResults) -> list[str]:
    """What a reader of the messages could still learn."""
    plan, least = r.plan.trees, r.plan.least_cell
    assert plan is not None
    notes = [
        "Each site's sums are seen by the coordinator one by one: boosting has no secure aggregation and no noise yet.",
        f"A number of a patient is counted with those of at least {least - 1} others of his site that are nearest, where their mean is: about one "
        f"column no answer, nor any difference of two, is of fewer than {least} patients.",
        "Gradients are outcome less prediction: the first histogram tells, for each group, how many had the outcome.",
    ]
    if plan.depth > 1:
        notes.append(
            f"Below the root a bin of a node holds at least {least} patients of the site, or shares the sums of its neighbours; so does what is left "
            "of a node without its child. Nodes of two different trees are not held to that: where two trees cut two columns almost alike, the difference of "
            "their nodes may be of few patients. With depth: 1 all sums are of one column, and there are no such differences."
        )
    notes.append(
        "The coordinator chooses edges, splits and values of leaves. Sites refuse those that no model of the plan has, another plan and too "
        "many rounds; a coordinator that lies within these bounds can learn more than an honest one."
    )
    if r.plan.folds:
        notes.append(
            "The evaluation's sums of a training part, taken from those of all, are sums of a fold: a fold holds the declared fewest "
            "patients and events, but its groups may hold fewer."
        )
    return notes
