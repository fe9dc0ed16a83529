"""The page of a federated fit: coefficients, sites, and what left each of them."""

from __future__ import annotations

import math

from cohortium.contracts.federation import ENVELOPE
from cohortium.contracts.federation_results import Coefficient, FederatedResults, SiteRecord
from cohortium.report.federation_attacks import attack_answer, attack_notes, attack_table
from cohortium.report.federation_baseline import baseline_facts, baseline_model
from cohortium.report.federation_network import network_answer, network_exposed, network_facts, network_section
from cohortium.report.federation_performance import (
    across_table,
    calibration_table,
    performance_notes,
    said,
    site_table,
)
from cohortium.report.federation_preparing import batch_table, chosen_table, preparing_notes
from cohortium.report.federation_privacy import (
    COEFFICIENTS_NOTE,
    PRIVATE_MODELS,
    kinds_table,
    privacy_section,
    private_answer,
    private_tiles,
)
from cohortium.report.federation_private_network import (
    network_kinds_table,
    private_network_facts,
    private_network_section,
)
from cohortium.report.federation_secure import cost, events, kinds, protected, units, unprotected, unseen
from cohortium.report.federation_stack import stack_answer, stack_exposed, stack_facts, stack_section
from cohortium.report.federation_trees import trees_answer, trees_exposed, trees_facts, trees_section
from cohortium.report.html import render
from cohortium.report.page import Tile
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count

RATIOS = {"survival": "hazard ratio", "binary": "odds ratio", "multiclass": "odds ratio", "continuous": "difference"}
MODELS = {
    "survival": "Cox model stratified by site",
    "binary": "logistic regression",
    "multiclass": "multinomial regression",
    "continuous": "linear regression",
}


def federation_page(r: FederatedResults) -> str:
    """One HTML file without outside references."""
    answers = [m for m in r.messages if m.to == "coordinator"]
    net = r.network
    return render(
        "federation.html.j2",
        name=r.study,
        title=r.study,
        endpoint=r.endpoint,
        answer=answer(r),
        tiles=_tiles(r),
        coefficients=None if r.trees or net or r.stack else _coefficients(r),
        network=None if net is None else private_network_section(r, r.privacy) if r.privacy else network_section(r),
        trees=trees_section(r) if r.trees else None,
        stack=stack_section(r) if r.stack else None,
        beside=_beside(r) if any(c.local is not None for c in r.coefficients) else None,
        across=None if r.evaluation is None else across_table(r.evaluation),
        by_site=None if r.evaluation is None or not r.evaluation.sites else site_table(r.evaluation),
        evaluation_notes=[]
        if r.evaluation is None
        else performance_notes(r.evaluation, r.plan.least_cell, r.secure is not None),
        lines=None if r.evaluation is None else calibration_table(r.evaluation),
        preparing=preparing_notes(r),
        chosen=None if r.preparing is None else chosen_table(r.preparing),
        batches=None if r.preparing is None else batch_table(r.preparing),
        attacks=attack_table(r) if r.attacks else None,
        attack_notes=[attack_answer(r), *attack_notes(r)] if r.attacks else [],
        sites=_sites(r),
        notices=r.notices,
        left=_left(r),
        kinds=_left_kinds(r),
        protected=protected(r),
        cost=cost(r),
        exposed=(unprotected(r) or exposed(r)) if r.privacy is None else [],
        privacy=None if r.privacy is None else privacy_section(r, r.privacy),
        facts=[
            ("study", r.study),
            *_about(r),
            ("plan", r.digest),
            _minima(r),
            ("quorum", count(r.plan.quorum, "site")),
            ("rounds", str(r.rounds)),
            ("messages from sites", f"{len(answers)}, {_size(sum(m.size for m in answers))}"),
            ("seconds per round", _seconds(r)),
            ("engine", r.engine),
            ("version", r.version),
        ],
    )


def _left_kinds(r: FederatedResults) -> Table:
    if r.privacy is None or r.secure:
        return _kinds(r)
    return network_kinds_table() if r.network else kinds_table()


def _about(r: FederatedResults) -> list[tuple[str, str]]:
    """What was fitted."""
    if r.stack is not None:
        return stack_facts(r)
    if r.network is not None:
        return private_network_facts(r) if r.privacy is not None else network_facts(r)
    return trees_facts(r) if r.trees else _model_facts(r)


def _model_facts(r: FederatedResults) -> list[tuple[str, str]]:
    return [("model", _model(r)), *baseline_facts(r), ("ridge penalty", f"{r.plan.penalty:g}")]


def answer(r: FederatedResults) -> str:
    """The finding in a sentence or two."""
    if r.privacy is not None:
        return private_answer(r, r.privacy)
    if r.network is not None:
        return network_answer(r)
    if r.trees is not None:
        return trees_answer(r)
    if r.stack is not None:
        return stack_answer(r)
    here = [s for s in r.sites if not s.left]
    model = baseline_model(r) or MODELS[r.kind]
    text = f"{model[:1].upper()}{model[1:]}, of {r.endpoint} on {units(r):,} units of {count(len(here), 'site')}"
    text += f": fitted on sums{' over sites' if r.secure else ''}{' and evaluated' if r.evaluation else ''} in {count(r.rounds, 'round')}; no row left a site{unseen(r)}."
    if r.preparing is not None and r.preparing.chosen:
        text += f" {len(r.preparing.chosen)} of {r.preparing.candidates:,} columns were chosen by {r.preparing.by}."
    if r.plan.penalty:
        text += f" Coefficients are shrunken (ridge {r.plan.penalty:g}) and have no intervals."
    else:
        clear = [c for c in r.coefficients if c.p is not None and c.p < 0.05]
        text += f" {len(clear)} of {count(len(r.coefficients), 'coefficient')} differ from none (p < .05, not corrected for their number)."
    if r.largest_difference is not None:
        text += f" The fit on all rows together differs by at most {r.largest_difference:.1g}."
    if r.evaluation is not None:
        text += said(r.evaluation)
    if r.heterogeneity is not None and r.heterogeneity < 0.05:
        what = "coefficients and hazards" if r.plan.baseline else "coefficients"
        text += f" The sites do not agree: one set of {what} for all is refuted (p = {r.heterogeneity:.2g})."
    return text


def _minima(r: FederatedResults) -> tuple[str, str]:
    if r.privacy is not None:
        return "fewest patients of a site, by its noisy count", str(r.plan.least_patients)
    minima = f"{r.plan.least_patients}, {r.plan.least_events}, {r.plan.least_cell}"
    return "fewest patients, events, patients in a cell", minima


def _model(r: FederatedResults) -> str:
    if r.privacy is not None:
        return PRIVATE_MODELS[r.kind]
    if r.plan.baseline is not None:
        return baseline_model(r)
    return MODELS[r.kind] + (" (ties as Efron has them)" if r.kind == "survival" else "")


def _tiles(r: FederatedResults) -> list[Tile]:
    if r.privacy is not None:
        return private_tiles(r, r.privacy)
    here = [s for s in r.sites if not s.left]
    answers = [m for m in r.messages if m.to == "coordinator"]
    tiles = [
        Tile("sites", f"{len(here)} of {len(r.sites)}", f"quorum {r.plan.quorum}"),
        Tile("units", f"{units(r):,}", _events(r)),
        Tile("rounds", str(r.rounds), _seconds(r) + " a round" if r.seconds else ""),
        Tile("left the sites", _size(sum(m.size for m in answers)), count(len(answers), "message")),
    ]
    return tiles


def _events(r: FederatedResults) -> str:
    if r.kind != "survival":
        return ""
    return count(events(r), "event")


def _coefficients(r: FederatedResults) -> Table:
    ratio = "odds ratio of the hazard" if r.privacy is not None and r.kind == "survival" else RATIOS[r.kind]
    if r.plan.penalty or r.privacy:
        head = ["column", ratio, "coefficient"]
        rows = [[Cell(c.column, c.outcome), _ratio(c, r), Cell(_text(c.estimate))] for c in r.coefficients]
    else:
        head = ["column", f"{ratio} (95%)", "coefficient", "standard error", "p", "I²"]
        rows = [[Cell(c.column, c.outcome), _ratio(c, r), *_numbers(c)] for c in r.coefficients]
    note = "Per unit of the column; a level against the first one. "
    if r.privacy is not None:
        return Table(head, rows, note=note + COEFFICIENTS_NOTE)
    if r.plan.penalty:
        note += "Penalised coefficients are biased on purpose: they have no standard errors and no intervals. "
    elif r.kind != "continuous":
        note += "Intervals of Wald. "
    if r.reference and r.kind == "multiclass":
        note += f"Odds against '{r.reference}'. "
    if r.secure:
        note += "Differences between sites are not known with secure aggregation."
    elif not r.plan.penalty:
        note += (
            "I²: the share of the differences between sites that is more than chance, from sums that left anyway; – where fewer "
            "than two sites can tell."
        )
    return Table(head, rows, note=note)


def _ratio(c: Coefficient, r: FederatedResults) -> Cell:
    if c.estimate is None:
        return Cell("–", "combination of others")
    change = (lambda x: x) if r.kind == "continuous" else (lambda x: math.exp(min(x, 700)))
    text = f"{change(c.estimate):.3g}"
    if c.low is None or c.high is None:
        return Cell(text)
    return Cell(text, f"{change(c.low):.3g} to {change(c.high):.3g}")


def _numbers(c: Coefficient) -> list[Cell]:
    def cell(x: float | None, form: str) -> Cell:
        return Cell("–" if x is None else format(x, form))

    share = Cell("–") if c.i2 is None else Cell(f"{100 * c.i2:.0f}%", count(c.sites, "site"))
    return [Cell(_text(c.estimate)), cell(c.error, ".3g"), cell(c.p, ".2g"), share]


def _text(x: float | None) -> str:
    return "–" if x is None else "0" if abs(x) < 1e-9 else f"{x:.4g}"


def _beside(r: FederatedResults) -> Table:
    names = [s.site for s in r.sites if not s.left]
    rows = []
    for c in r.coefficients:
        values = [c.estimate, c.pooled, *((c.local or {}).get(n) for n in names)]
        rows.append([Cell(c.column, c.outcome), *(Cell(_text(v)) for v in values)])
    reasons = [f"{s.site}: {s.local_reason}" for s in r.sites if s.local_reason]
    note = "Coefficients. Only a simulation can fit all rows together. " + " ".join(reasons)
    return Table(["column", "federated", "all rows", *names], rows, note=note)


def _sites(r: FederatedResults) -> Table:
    if r.secure:
        rows = [[Cell(s.site), Cell(s.left or "to the end", mark="prose")] for s in r.sites]
        note = f"All together: {count(r.secure.units, 'unit')} of {count(r.secure.patients, 'patient')}"
        if r.privacy is not None:
            note = f"By noisy counts, all together: about {count(r.secure.patients, 'patient')}"
        note += f"; by class {', '.join(map(str, r.secure.counts))}" if r.kind != "continuous" else ""
        return Table(["site", "took part"], rows, note=f"{note}. Counts by site are not known with secure aggregation.")
    if r.privacy is not None:
        rows = [[Cell(s.site), *_counts(s, r)[1:], Cell(s.left or "to the end", mark="prose")] for s in r.sites]
        what = "by class" if r.kind in ("binary", "multiclass") else "events"
        return Table(["site", "patients (noisy)", f"{what} (noisy)", "took part"], rows)
    head = ["site", "units", "patients", "by class" if r.kind in ("binary", "multiclass") else "events", "took part"]
    return Table(head, [[Cell(s.site), *_counts(s, r), Cell(s.left or "to the end", mark="prose")] for s in r.sites])


def _counts(s: SiteRecord, r: FederatedResults) -> list[Cell]:
    if s.units is None:
        return [Cell("–")] * 3
    counts = ", ".join(map(str, s.counts)) if r.kind in ("binary", "multiclass") else str(s.counts[-1])
    return [Cell(f"{s.units:,}"), Cell(f"{s.patients:,}"), Cell(counts if r.kind != "continuous" else "–")]


def _left(r: FederatedResults) -> Table:
    """By site and kind of message: how often, how much."""
    rows = []
    for site in [s.site for s in r.sites]:
        own = [m for m in r.messages if m.to == "coordinator" and m.site == site]
        for kind in dict.fromkeys(m.kind for m in own):
            of_kind = [m for m in own if m.kind == kind]
            holds = "; ".join(f"{k} {v}" for k, v in of_kind[-1].holds.items() if k not in ENVELOPE)
            size = _size(sum(m.size for m in of_kind))
            rows.append([Cell(site), Cell(kind), Cell(str(len(of_kind))), Cell(size), Cell(holds, mark="prose")])
    note = "Every message with its size and digest is in messages.csv."
    return Table(["site", "message", "times", "bytes", "last one held"], rows, note=note)


def _kinds(r: FederatedResults) -> Table:
    rows = [[Cell(t.__name__), Cell(f), Cell(said, mark="prose")] for t in kinds(r) for f, said in t.LEAVES.items()]
    return Table(
        ["message", "field", "what it is"], rows, note="Beside these: the site's name, the plan's digest, the round."
    )


def exposed(r: FederatedResults) -> list[str]:
    """What a reader of the messages could still learn."""
    if r.network is not None:
        return network_exposed(r)
    if r.trees is not None:
        return trees_exposed(r)
    if r.stack is not None:
        return stack_exposed(r)
    cells = (
        f"Counts of one level at a site are at least {r.plan.least_cell}, or nothing of it left. Two columns together are not "
        "held to that: a Hessian holds, for two levels, how many patients have both."
    )
    folds = [
        "The evaluation's sums of a training part, taken from those of all, are sums of a fold: a fold holds the declared fewest "
        "patients and events, but fewer of it may share a level. A coordinator that lies can ask for scores by bins of its choosing."
    ]
    batches = [
        "Where effects of sites are taken out, the questions hold for every site by how much its columns are moved and stretched: other "
        "sites can tell its means and variances from them."
    ]
    return [
        "Each site's sums are seen by the coordinator one by one: without secure aggregation (federation: {secure: true}), and without noise.",
        cells,
        "With more columns than patients sums can be solved for single rows. Use few columns for the patients that a site has.",
        "The coordinator chooses the parameters that sites are asked about. Sites refuse parameters that no model has, another "
        "plan and too many rounds; a coordinator that lies within these bounds can learn more than an honest one.",
        *(folds if r.plan.folds else []),
        *(batches if r.plan.harmonise else []),
    ]


def _size(n: int) -> str:
    return f"{n:,} B" if n < 10_000 else f"{n / 1000:,.0f} kB" if n < 10_000_000 else f"{n / 1e6:,.0f} MB"


def _seconds(r: FederatedResults) -> str:
    if not r.seconds:
        return "–"
    mean = sum(r.seconds) / len(r.seconds)
    return f"{mean:.3f} s" if mean < 0.1 else f"{mean:.1f} s"
