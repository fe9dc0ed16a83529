"""The part of the federated page about a stack: which parts, their weights, how alike they are."""

from __future__ import annotations

from typing import Any

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_results import FederatedResults, FederatedStack, StackedPart
from cohortium.report.federation_network import AGAINST, HELD, NAMES
from cohortium.report.federation_performance import said
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count

MODELS = {"linear": "linear model", "trees": "boosted trees"}
BETTER_LOW = ("brier", "mae")


def _both(r: FederatedResults) -> tuple[FederatedStack, FederationPlan]:
    assert r.stack is not None
    return r.stack, r.plan


def stack_answer(r: FederatedResults) -> str:
    """The finding in a sentence or two."""
    s, _ = _both(r)
    here = [x for x in r.sites if not x.left]
    fitted = [p for p in s.parts if p.weight is not None]
    used = sorted((p for p in fitted if _moved(p) > 0), key=lambda p: -_moved(p))
    text = f"A stack of {count(len(fitted), 'federated model')} for {r.endpoint}, on {sum(x.units or 0 for x in here):,} units of {count(len(here), 'site')}"
    text += f": fitted{' and evaluated' if r.evaluation else ''} in {count(r.rounds, 'round')}; no row and no score left a site."
    if used:
        total = sum(map(_moved, used))
        text += (
            f" {used[0].name} moves the combined score most: {100 * _moved(used[0]) / total:.0f}% of what all parts do."
        )
    else:
        text += " No part has any weight: nothing predicts the endpoint."
    if lost := [p.name for p in s.parts if p.weight is None]:
        text += f" Without a fit: {', '.join(lost)}."
    if r.evaluation is not None:
        text += said(r.evaluation)
    return text


def _moved(p: StackedPart) -> float:
    """Standard deviation of what a part adds to the combined score."""
    return (p.weight or 0.0) * (p.spread or 0.0)


def stack_section(r: FederatedResults) -> dict[str, Any]:
    """What the template shows of a stack."""
    s, plan = _both(r)
    top = max([*map(_moved, s.parts), 1e-300])
    fitted = [p for p in s.parts if p.weight is not None]
    bars = [(p.name, f"{_moved(p):.3g}", 70 * _moved(p) / top) for p in fitted]  # beside the longest is its number
    return {
        "notes": _notes(s, plan),
        "bars": bars,
        "parts": _parts(s),
        "between": _between(s, fitted) if len(s.correlation) > 1 else None,
        "paired": _paired(s) if any(p.value is not None for p in s.paired) else None,
    }


def _notes(s: FederatedStack, plan: FederationPlan) -> list[str]:
    notes = [
        f"Each part is a federated fit of its own. It was fitted once with all units and {count(s.folds, 'time')} without a fold of each site's, so that every unit has a score by a "
        "model that had not seen it. These scores stay at their sites; weights are fitted to them on sums, none below 0, "
        + ("all the same." if s.penalty >= 1e5 else f"their differences shrunken (penalty {s.penalty:g})."),
        "A part that a unit lacks counts by its expectation, given the parts that the unit has. The bars show how much each part moves the combined score: its weight times the standard "
        "deviation of its score.",
    ]
    if plan.select is not None:
        notes.append(
            f"Each linear part keeps {plan.select.features} of its columns, chosen by {plan.select.by} in each of its fits anew. Which ones is not on this page."
        )
    if plan.prepare is not None:
        how = [
            "unknown cells stand for medians" if plan.prepare.unknown == "median" else "",
            "columns with a skewness beyond 2 are compressed" if plan.prepare.skewed == "compress" else "",
            "standardised values end at 6 and -6" if plan.prepare.clip else "",
        ]
        notes.append(f"Linear parts, each by itself: {', '.join(h for h in how if h)}.")
    if plan.kind == "survival":
        notes.append("Scores are log hazard ratios, of parts and of the whole; a stratum for each site.")
    return notes


def _parts(s: FederatedStack) -> Table:
    rows = []
    for p in s.parts:
        what = Cell(p.name, f"{MODELS[p.method]} of {', '.join(p.modalities)}")
        if p.weight is None or p.spread is None:
            rows.append([what, Cell("–"), Cell("–"), Cell("–"), Cell(p.reason, mark="prose")])
            continue
        sites = Cell(count(len(p.sites), "site"), ", ".join(p.sites))
        rows.append(
            [
                what,
                Cell(f"{p.weight:.3g}"),
                Cell(f"{p.spread:.3g}"),
                Cell(f"{p.units or 0:,}"),
                sites,
            ]
        )
    note = (
        f"Of {s.units:,.0f} units with a score of any part. Spread: standard deviation of the part's score where there is one. A site that has a table at too few patients takes "
        "no part in its fit; those patients are scored by the others' model."
    )
    return Table(["part", "weight", "spread", "units", "fitted at"], rows, note=note)


def _between(s: FederatedStack, fitted: list[StackedPart]) -> Table:
    names = [p.name for p in fitted]
    rows = [
        [Cell(n), *(Cell("" if j > i else f"{s.correlation[i][j]:.2f}") for j in range(len(names)))]
        for i, n in enumerate(names)
    ]
    return Table(
        ["correlation", *names],
        rows,
        note="Of units that have both scores. Parts that say the same share their weight.",
    )


def _paired(s: FederatedStack) -> Table:
    rows = []
    for p in s.paired:
        if p.value is None:
            continue
        wide = "–" if p.low is None or p.high is None else f"{p.low:+.3f} to {p.high:+.3f}"
        better = " (lower is better)" if p.metric in BETTER_LOW else ""
        rows.append([
            Cell(f"{NAMES[p.metric]}{better}", HELD[p.design]), Cell(AGAINST[p.against].replace("network", "stack")), Cell(f"{p.value:+.3f}", wide), Cell(str(p.sites)),
        ])  # fmt: skip
    note = (
        "Federated less other, of the same patients at the same site; mean over sites and 95% interval by t over sites. The pooled stack deals all rows into folds of its own. "
        "A site's own stack is always scored on its own folds."
    )
    return Table(["metric", "against", "difference (95%)", "sites"], rows, note=note)


def stack_facts(r: FederatedResults) -> list[tuple[str, str]]:
    """For the list of facts."""
    s, plan = _both(r)
    linear = [f"{p.name} {p.penalty:g}" for p in plan.stack.parts if p.method == "linear"] if plan.stack else []
    trees = plan.trees
    facts = [("model", f"stack of {count(len(s.parts), 'part')}"), ("folds within sites", str(s.folds))]
    facts += [("penalty on differences of weights", f"{s.penalty:g}")]
    facts += [("ridge of linear parts", ", ".join(linear))] if linear else []
    facts += (
        [("trees of a part", f"{trees.rounds}, depth {trees.depth}, rate {trees.learning_rate:g}")] if trees else []
    )
    return facts


def stack_exposed(r: FederatedResults) -> list[str]:
    """What a reader of the messages could still learn."""
    plan = r.plan
    notes = [
        "Each site's sums are seen by the coordinator one by one, without noise: those of every part, as in a study of that part alone. A Hessian of a linear part holds, for two levels, "
        "how many patients have both.",
        f"Sums of all units less those of a training part are sums of a fold: each fold, of each part, holds at least {plan.least_patients} patients and {plan.least_events} events, but fewer of it may share a level.",
        f"Scores of parts never leave. Their moments and the sums of the fit of weights are a handful of numbers over at least {plan.least_cell} patients.",
        "Counts tell how many of a site's units have each table, and each two; where nearly the same patients have two tables, how many of the few who have only one had the outcome. The coordinator chooses models and weights that sites are asked about; sites refuse those of no model of the plan, "
        "another plan and too many rounds.",
    ]
    if plan.folds:
        notes.append(
            "The evaluation fits everything anew without a site, or a fold of each: the same sums, of training parts."
        )
    return notes
