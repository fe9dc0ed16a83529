"""The part of the page that speaks of a private network: what is trained, by which noisy steps, at which sites."""

from __future__ import annotations

from cohortium.contracts.federation_private import PRIVATE_NETWORK_ANSWERS
from cohortium.contracts.federation_results import FederatedResults, NetworkFit
from cohortium.contracts.network_plan import NetworkPlan
from cohortium.contracts.private_results import PrivacyStatement
from cohortium.report.federation_network import STRATEGIES, NetworkSection
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count

LOSSES = {
    "survival": "discrete-time hazards of the declared intervals",
    "binary": "likelihood of the classes",
    "multiclass": "likelihood of the classes",
    "continuous": "squared error between the declared bounds",
}
UNCOVERED = (
    "Rounding of a network: patients' gradients are computed side by side, and the last digits of one's may depend on who is beside him. They are cut "
    "to a grid that is far coarser, so that this is seldom more than nothing; it is not accounted for.",
    "Which modalities a site has: its study file says so, and it leaves. Which patients have them is protected.",
)
"""What the promise of a network does not cover, beside what is true of all private studies."""


def _both(r: FederatedResults) -> tuple[NetworkFit, NetworkPlan]:
    assert r.network is not None and r.plan.network is not None
    return r.network, r.plan.network


def private_network_section(r: FederatedResults, p: PrivacyStatement) -> NetworkSection:
    """Of results that have a network and a budget."""
    n, _ = _both(r)
    rows = [
        [Cell(s.site), *(Cell("has it" if n.have.get(s.site, {}).get(m) else "lacks it") for m in n.modalities)]
        for s in r.sites
        if s.site in n.have
    ]
    note = "By the sites' study files. How many patients have a modality is known to nobody but the site."
    return NetworkSection(_notes(r, p), Table(["site", *n.modalities], rows, note=note), None, None)


def _notes(r: FederatedResults, p: PrivacyStatement) -> list[str]:
    n, plan = _both(r)
    who = "all its patients" if p.sampled == 1 else f"patients each of whom is in it with a chance of {p.sampled:g}"
    each = p.steps // max(p.rounds, 1)
    out = [
        f"In each of {count(p.rounds, 'round')} a site takes {count(each, 'step')} from the common network, on {who}: each patient's gradient over all of the network's "
        f"{n.parameters:,} numbers is cut to a norm of {p.clip:g}, their sum gets noise, and the change is what leaves. The network is the mean of "
        "those of the second half of the rounds.",
        "An encoder is averaged over the sites that have its modality, by their noisy counts of patients. Embeddings are not centred, since a mean "
        "of them would be another release; nothing is dropped; no loss was looked at, so that there is no curve and no choice of a round.",
    ]
    if plan.aggregate != "mean":
        out.append(f"Sites count alike: their mean changes are combined by {plan.aggregate.replace('_', ' ')}.")
    return out


def private_network_facts(r: FederatedResults) -> list[tuple[str, str]]:
    """For the list of facts."""
    n, plan = _both(r)
    return [
        ("model", f"{plan.fusion} fusion of an encoder for each modality, width {plan.width}, no dropout, no centring"),
        ("numbers", f"{n.parameters:,}"),
        ("trained for", LOSSES[r.kind]),
        ("strategy", STRATEGIES[plan.strategy]),
    ]


def private_network_words(r: FederatedResults) -> str:
    """What was fitted, for a sentence."""
    n, _ = _both(r)
    return f"a network of {count(len(n.modalities), 'modality').replace('modalitys', 'modalities')} ({LOSSES[r.kind]})"


def network_kinds_table() -> Table:
    """What each message of a private network holds."""
    rows = [
        [Cell(t.__name__), Cell(f), Cell(said, mark="prose")]
        for t in PRIVATE_NETWORK_ANSWERS
        for f, said in t.LEAVES.items()  # type: ignore[attr-defined]
    ]
    rows.append([Cell("Withdrawn"), Cell("reason"), Cell("why, in words without counts or values", mark="prose")])
    return Table(
        ["message", "field", "what it is"], rows, note="Beside these: the site's name, the plan's digest, the round."
    )
