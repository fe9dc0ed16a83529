"""The part of the page that speaks of a network: who has which modality, loss by round, and the network beside its rivals."""

from __future__ import annotations

from dataclasses import dataclass

from cohortium.contracts.federation_results import FederatedResults, NetworkFit, Paired
from cohortium.contracts.network_plan import NetworkPlan
from cohortium.federation_coordinator.performance import NAMES
from cohortium.report.federation_performance import said
from cohortium.report.federation_secure import unseen
from cohortium.report.figures.style import Drawing
from cohortium.report.figures.training import losses
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count

STRATEGIES = {"fedavg": "FedAvg", "fedprox": "FedProx", "scaffold": "SCAFFOLD", "fedadam": "FedAdam"}
AGAINST = {"pooled": "the same network on all rows", "own": "each site's own network"}
HELD = {"folds": "folds held out", "leave_one_site_out": "site held out"}
BETTER_LOW = ("brier", "mae")


@dataclass(frozen=True)
class NetworkSection:
    """Notes, tables and the figure of the section."""

    notes: list[str]
    who: Table
    losses: Drawing | None
    paired: Table | None


def network_section(r: FederatedResults) -> NetworkSection:
    """Of results that have a network."""
    n, plan = _both(r)
    what = {
        "survival": "negative log likelihood of intervals"
        if plan.survival == "discrete_time"
        else "negative log partial likelihood",
        "continuous": "half the squared error of the standardised endpoint",
    }.get(r.kind, "negative log likelihood")
    drawn = losses(n.losses[1:], n.inner[1:], n.chosen, what, "federated-loss")
    return NetworkSection(_notes(r, n, plan), _who(r, n), drawn, _paired(n.paired) if n.paired else None)


def _both(r: FederatedResults) -> tuple[NetworkFit, NetworkPlan]:
    assert r.network is not None and r.plan.network is not None
    return r.network, r.plan.network


def _notes(r: FederatedResults, n: NetworkFit, plan: NetworkPlan) -> list[str]:
    order = "all its patients at once" if not plan.batch else f"{plan.batch} patients a step"
    steps = f"{count(plan.local_epochs, 'pass')} over its patients in a round, {order}, {plan.optimiser}, rate {plan.rate:g}"
    steps = steps.replace("passs", "passes")
    out = [
        f"{STRATEGIES[plan.strategy]}: each site trains the network by {steps}; the change of the weights is what leaves it. An encoder is "
        "averaged over the sites that have its modality, by the patients who have it there; a site that lacks it neither needs nor changes it.",
    ]
    if plan.personal:
        out.append(
            "Heads are personal: each site fits its own to the common body, and none leaves its site. At a held-out site each fold has the head "
            "of that site's other folds."
        )
    if plan.aggregate != "mean":
        out.append(
            f"Sites count alike: updates are combined by {plan.aggregate.replace('_', ' ')}, where three or more have the part."
        )
    if r.secure is not None:
        out.append(
            f"Each site cut its change to a norm of at most {plan.clip:g} before it was masked (and its control variate, mean embeddings and losses "
            "to bounds of their own): nobody can see one that is too long. What a site cut is in its own journal."
        )
    if n.chosen >= 0:
        out.append(
            f"The network is that after round {n.chosen}, chosen by the loss of patients whom sites kept from training."
        )
    return out


def _who(r: FederatedResults, n: NetworkFit) -> Table:
    rows = []
    for s in r.sites if r.secure is None else []:
        have = n.have.get(s.site, {})
        rows.append([Cell(s.site), *(Cell(f"{have[m]:,}" if have.get(m) else "lacks it") for m in n.modalities)])
    total = [sum(h.get(m, 0) for h in n.have.values()) for m in n.modalities]
    rows.append([Cell("all"), *(Cell(f"{t:,}") for t in total)])
    note = "Training units that have the modality."
    note += "" if r.secure is None else " Of single sites they are not known with secure aggregation."
    return Table(["site", *n.modalities], rows, {len(rows) - 1}, note=note)


def _paired(pairs: list[Paired]) -> Table:
    rows = []
    for p in pairs:
        if p.value is None:
            continue
        wide = "–" if p.low is None or p.high is None else f"{p.low:+.3f} to {p.high:+.3f}"
        better = " (lower is better)" if p.metric in BETTER_LOW else ""
        rows.append(
            [
                Cell(f"{NAMES[p.metric]}{better}", HELD[p.design]),
                Cell(AGAINST[p.against]),
                Cell(f"{p.value:+.3f}", wide),
                Cell(str(p.sites)),
            ]
        )
    note = (
        "Federated less other, of the same patients at the same site; mean over sites and 95% interval by t over sites. The rivals have the same "
        "network, seed and passes over the data. A site's own network is always scored on its own folds."
    )
    return Table(["metric", "against", "difference (95%)", "sites"], rows, note=note)


def network_answer(r: FederatedResults) -> str:
    """The finding in a sentence or two."""
    n, plan = _both(r)
    here = [s for s in r.sites if not s.left]
    units = sum(s.units or 0 for s in here) if r.secure is None else r.secure.units
    lacking = sum(any(not n.have.get(s.site, {}).get(m) for m in n.modalities) for s in here if r.secure is None)
    text = (
        f"A network of {count(len(n.modalities), 'modality').replace('modalitys', 'modalities')} for {r.endpoint}, on {units:,} units of "
        f"{count(len(here), 'site')}: trained by {STRATEGIES[plan.strategy]} in {count(plan.rounds, 'round')}; no row left a site{unseen(r)}."
    )
    if lacking:
        text += (
            f" {count(lacking, 'site')} {'lacks' if lacking == 1 else 'lack'} a modality and took part all the same."
        )
    if r.evaluation is not None:
        text += said(r.evaluation)
    for p in n.paired:
        if (
            (p.design, p.low is not None) == ("folds", True)
            and p.metric in ("c_index", "roc_auc", "r2")
            and p.value is not None
        ):
            text += f" {NAMES[p.metric]} less that of {AGAINST[p.against]}: {p.value:+.3f} (95% {p.low:+.3f} to {p.high:+.3f})."
    return text


def network_facts(r: FederatedResults) -> list[tuple[str, str]]:
    """For the list of facts."""
    n, plan = _both(r)
    return [
        ("model", f"{plan.fusion} fusion of an encoder for each modality, width {plan.width}"),
        ("weights", f"{n.parameters:,}"),
        ("strategy", STRATEGIES[plan.strategy] + (", personal heads" if plan.personal else "")),
        ("rounds of training", str(plan.rounds)),
        (
            "steps of a site",
            f"{plan.optimiser}, rate {plan.rate:g}, batch {plan.batch or 'all'}, passes {plan.local_epochs}",
        ),
        ("dropout, of modalities", f"{plan.dropout:g}, {plan.modality_dropout:g}"),
        ("updates are combined by", plan.aggregate.replace("_", " ")),
        ("updates are clipped to", f"{plan.clip:g}" if plan.clip else "no norm"),
        ("seed", str(plan.seed)),
    ]


def network_exposed(r: FederatedResults) -> list[str]:
    """What a reader of the messages could still learn."""
    _, plan = _both(r)
    return [
        "The coordinator sees each site's update one by one: there is no secure aggregation and no noise here. An update is a sum of gradients over "
        f"at least {r.plan.least_patients} patients and several steps, but a network has more weights than a site has patients: gradients can be "
        "inverted, the more so the fewer patients a step has. Do not take updates for anonymous.",
        "Zeros tell: a column that no patient of a site has leaves its weights unmoved.",
        "The first step of the intercepts tells a site's event rate by interval."
        if r.kind == "survival"
        else "The head's intercepts tell the outcomes' rates.",
        "The coordinator chooses the network that sites are asked about, within bounds: finite weights, the declared number of rounds, intervals of "
        "the fixed grid. One that lies can choose weights at which an update shows more.",
        *(
            ["SCAFFOLD sends the gradient of all training patients too, in each round."]
            if plan.strategy == "scaffold"
            else []
        ),
        *(
            ["Fits of the evaluation differ by a fold: differences of their updates tell of that fold."]
            if r.plan.folds
            else []
        ),
    ]
