"""The section of attacks that were tried on what a federated study releases."""

from __future__ import annotations

from cohortium.contracts.federation_results import AttackRecord, FederatedResults
from cohortium.report.tables import Cell, Table


def attack_answer(r: FederatedResults) -> str:
    """The finding in a sentence."""
    found = [a for a in r.attacks if a.tpr is not None and a.auc is not None]
    if not found:
        return "No attack could be carried out; the table says why."
    worst = max(found, key=lambda a: (a.tpr or 0.0, a.auc or 0.0))
    where = _surface(worst)
    if worst.tpr_low is not None and worst.tpr_low > worst.fpr:
        return (
            f"Who took part can be told better than by chance from {where}: at {worst.fpr:.0%} false alarms {worst.tpr:.1%} of "
            f"the members are found (chance {worst.fpr:.0%})."
        )
    return (
        f"By this attack nobody can be told to have taken part: at {worst.fpr:.0%} false alarms {worst.tpr:.1%} of the members are found "
        f"from {where}, and chance is {worst.fpr:.0%}."
    )


def attack_notes(r: FederatedResults) -> list[str]:
    """What was tried, and how to read it."""
    shadows = max((a.shadows for a in r.attacks), default=0)
    return [
        f"Membership: the study was fitted {shadows + 1} more times on random halves of every site's patients; the attacker knows each candidate's "
        "whole row and outcome and asks of each fit whether he was in it, by a likelihood ratio (Carlini 2022). He knows more than a real one: "
        "what he finds bounds this way of attack, not others. Intervals: bootstrap of candidates.",
        *(
            ["Rows of a site are looked for by matching all sums that it sent, outcomes known; recovered: nearer than a quarter of a standard deviation. "
             "Chance: rows drawn from the means, variances and shares of levels, which left too."]
            if any(a.attack == "reconstruction" and a.surface == "sums" for a in r.attacks)
            else []
        ),
        *(
            ["Rows of the smallest site are looked for by matching its gradient in an early round, outcomes known, as if it took one step on all its "
             "patients with nothing dropped and no clipping: the most that an update tells. Recovered and chance as for sums."]
            if r.privacy is None and any(a.surface == "update" for a in r.attacks)
            else []
        ),
        *(
            ["Rows of the smallest site are looked for whose cut gradients add up to what it released in an early round, noise included, outcomes known. "
             "Recovered: nearer than a quarter of a standard deviation. Chance: rows drawn from means, variances and shares of levels."]
            if r.privacy is not None and any(a.surface == "update" for a in r.attacks)
            else []
        ),
        *(["These figures are exact, and no part of the budget: only a simulation, which has all patients, can show them."] if r.privacy else []),
    ]  # fmt: skip


def attack_table(r: FederatedResults) -> Table:
    """A row for each attack."""
    rows = [[Cell(_name(a)), Cell(_surface(a)), *_figures(a)] for a in r.attacks]
    return Table(["attack", "on", "found", "chance", "AUC", "of"], rows)


def _name(a: AttackRecord) -> str:
    return "who took part" if a.attack == "membership" else "his row"


def _surface(a: AttackRecord) -> str:
    if a.surface == "model":
        return "the model"
    if a.surface == "gradients":
        return f"the noisy gradients of site '{a.site}'"
    if a.surface == "update":
        return f"an update of site '{a.site}'"
    return f"the first sums of site '{a.site}'" if a.attack == "membership" else f"all sums of site '{a.site}'"


def _figures(a: AttackRecord) -> list[Cell]:
    none = Cell("–")
    if a.tpr is not None and a.auc is not None:
        lost = f"; {a.reason}" if a.reason else ""
        return [
            Cell(f"{a.tpr:.1%}", f"{a.tpr_low:.1%} to {a.tpr_high:.1%}"), Cell(f"{a.fpr:.0%}"),
            Cell(f"{a.auc:.3f}", f"{a.auc_low:.3f} to {a.auc_high:.3f}"), Cell(f"{a.candidates:,} candidates{lost}", mark="prose"),
        ]  # fmt: skip
    if a.share is not None:
        size = Cell(f"{a.candidates:,} rows of {a.columns} columns, {a.rounds} rounds", mark="prose")
        return [Cell(f"{a.share:.0%}", f"median distance {a.distance:.2f} sd"), Cell(f"{a.chance:.0%}"), none, size]
    return [none, none, none, Cell(a.reason, mark="prose")]
