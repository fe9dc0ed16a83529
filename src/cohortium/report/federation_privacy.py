"""The privacy statement of a federated page: what is promised, to whom, what each release spent, and what is not covered."""

from __future__ import annotations

from typing import Any

from cohortium.contracts.federation_private import PRIVATE_ANSWERS
from cohortium.contracts.federation_results import FederatedResults
from cohortium.contracts.private_results import PrivacyStatement
from cohortium.report.federation_private_network import UNCOVERED as NETWORK_UNCOVERED
from cohortium.report.federation_private_network import private_network_words
from cohortium.report.federation_secure import unseen
from cohortium.report.page import Tile
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count

PRIVATE_MODELS = {
    "survival": "discrete-time hazards (logistic, the same at all sites)",
    "binary": "logistic regression",
    "multiclass": "multinomial regression",
    "continuous": "linear regression",
}
METRICS = {
    "c_index": ("C-index", "of binned scores and times, pairs across sites too; ties one half"),
    "roc_auc": ("ROC-AUC", "of binned scores; ties one half"),
    "accuracy": ("accuracy", "share of patients whose class is predicted"),
    "r2": ("R²", "of values and errors cut to their bounds"),
}
RELEASES = {
    "counts": "patients by class, or by last interval and event",
    "moments": "known cells, sums and squares by column",
    "gradient": "gradients, each patient's cut to its norm",
    "evaluation": "patients held out, by score and outcome",
}
PARTS = {"everyone": "all"}
COEFFICIENTS_NOTE = (
    "Coefficients have noise on them, and are drawn to nought by clipping: no standard errors, no intervals, no p-values. A coefficient says less here "
    "than how well the model predicts."
)
UNCOVERED = (
    "Who takes part: that a hospital is a site of this study, and that a patient is one of that hospital's, may be known without it.",
    "Names of sites, features and classes, bounds, levels and intervals: people declared them. If the lead read them off the data, the promise does not hold.",
    "The site itself sees its own patients. So does everyone who can read its files, log or ledger.",
    "What a model says of people like a patient. It may say that with or without that patient: this is what is learned, not what is hidden.",
    "A patient who is at two sites: each site keeps its promise for itself, and for this patient they add up.",
    "Settings that were tuned on the same patients outside of this study, and other publications about them: their cost is in no ledger here.",
    "Whether a site answers, and how long it takes. A site whose files cannot be read withdraws, and that depends on its data.",
    "Other studies: the ledger in a site's kit counts those of this kit alone.",
    "Wrong or poisoned answers of a site that lies: privacy is not integrity. Too large ones are refused.",
)

MASKED = (
    "What secure aggregation adds is in no epsilon: the promise is that of each site's own noisy answer, though only sums are seen. A drop-out, or sites that "
    "join forces, show a single site's noisy sums, which is what the promise is about. How many sites have a feature is told exactly."
)


def private_answer(r: FederatedResults, p: PrivacyStatement) -> str:
    """The finding in a sentence or two."""
    here = [s for s in r.sites if not s.left]
    model = PRIVATE_MODELS[r.kind] if r.network is None else private_network_words(r)
    text = (
        f"{model[:1].upper()}{model[1:]}, of {r.endpoint} on about {sum(p.patients.values()):,.0f} patients of "
        f"{count(len(here), 'site')}: fitted in {count(p.steps, 'noisy step')}, with epsilon {p.epsilon:g} at delta {p.delta:g} for each "
        f"patient; no exact number of patients left a site{unseen(r)}."
    )
    for f in p.performance:
        name = METRICS[f.metric][0]
        text += (
            f" {name} on patients held out: cannot be said ({f.reason})."
            if f.value is None
            else f" {name} on patients held out: {f.value:.2f} (95% {f.low:.2f} to {f.high:.2f}, noise included)."
        )
    return text


def private_tiles(r: FederatedResults, p: PrivacyStatement) -> list[Tile]:
    """Sites, budget, patients, rounds."""
    here = [s for s in r.sites if not s.left]
    return [
        Tile("epsilon", f"{p.epsilon:g}", f"at delta {p.delta:g}, by patient"),
        Tile("sites", f"{len(here)} of {len(r.sites)}", f"quorum {r.plan.quorum}"),
        Tile("patients", f"≈ {sum(p.patients.values()):,.0f}", "noisy count"),
        Tile("rounds", str(r.rounds), count(p.steps, "noisy step")),
    ]


def privacy_section(r: FederatedResults, p: PrivacyStatement) -> dict[str, Any]:
    """What the template shows."""
    return {
        "promise": promise(p),
        "facts": _facts(p),
        "releases": _releases(p),
        "performance": _performance(p),
        "bounds": _bounds(p),
        "uncovered": [
            *_noise_source(p),
            *([] if r.secure is None else [MASKED]),
            *UNCOVERED,
            *(NETWORK_UNCOVERED if p.network else ()),
        ],
    }


def promise(p: PrivacyStatement) -> str:
    """The promise in words."""
    return (
        "Whatever a reader of all messages and of this page already knows, and however a patient's data look: everything that his site released "
        f"would have been released with almost the same chances, had he not been there. Almost: no event is more than exp({p.epsilon:g}) times "
        f"as likely, but for a chance of {p.delta:g}. The coordinator is among the readers: noise is added at each site, before anything leaves."
    )


def _facts(p: PrivacyStatement) -> list[tuple[str, str]]:
    """Name and value."""
    parts = (
        "all patients are in the fit"
        if not p.hold_out
        else f"{100 * p.hold_out:.0f}% of patients, by a hash of their id, are held out of the fit and are in the evaluation alone"
    )
    return [
        (
            "unit of privacy",
            "the patient with all his units: they share one weight, so that several visits count no more than one",
        ),
        (
            "neighbours",
            "two data sets of which one has one patient of one site more (add or remove); the number of patients is protected too",
        ),
        ("epsilon", f"{p.epsilon:g} was the budget, {p.spent:.4g} was spent"),
        ("delta", f"{p.delta:g}"),
        (
            "composition",
            (
                "exact for Gaussian noise (mu² adds up)"
                if p.sampled == 1
                else "privacy loss distributions, since patients are in steps by chance (dp-accounting)"
            )
            + "; no site can be asked for more than the table says",
        ),
        ("parts", parts),
        ("noise", _source(p)),
        (
            "gradients",
            f"each patient's{', over all numbers of the network that his site trains,' if p.network else ''} is cut to an L2 norm of {p.clip:.3g}",
        ),
        ("each site", "makes this promise for its own patients; sites do not add up, since each patient is at one"),
    ]


def _source(p: PrivacyStatement) -> str:
    if p.source == "system":
        return "discrete Gaussian on a grid, of OpenDP, from the operating system's cryptographic source at each site"
    return "Gaussian rounded to a grid, from the study's seed: this is a simulation, and hides nothing from who has the seed"


def _noise_source(p: PrivacyStatement) -> list[str]:
    if p.source == "system":
        return []
    return [
        "This page: a simulation draws its noise from the study's seed, so that it can be repeated, and whoever has the seed and the messages can take "
        "the noise off. Real sites draw from the operating system."
    ]


def _releases(p: PrivacyStatement) -> Table:
    rows = [
        [
            Cell(r.what, RELEASES[r.what], mark="prose"), Cell(PARTS.get(r.part, r.part), f"{r.times} ×"), Cell(f"{r.sensitivity:.3g}"),
            Cell(f"{r.deviation:.3g}", f"{r.deviation / r.sensitivity:.3g} × sensitivity"), Cell(f"{r.epsilon:.3g}", f"mu {r.mu:.3g}" if r.mu else f"each patient in a step by a chance of {p.sampled:g}"),
        ]
        for r in p.releases
    ]  # fmt: skip
    note = (
        f"Spent in all: epsilon {p.spent:.4g} at delta {p.delta:g}, for a patient in the costlier part. The epsilons of the rows do not add up to "
        f"it{': their mu² do' if p.sampled == 1 else ''}, and those of patients of the fit and of patients held out are for different people."
    )
    head = ["release", "of whom", "one patient changes it by", "noise on each number", "epsilon alone"]
    return Table(head, rows, note=note)


def _performance(p: PrivacyStatement) -> Table | None:
    if not p.performance:
        return None
    rows = []
    for f in p.performance:
        value = Cell("–", f.reason) if f.value is None else Cell(f"{f.value:.3f}", f"{f.low:.3f} to {f.high:.3f}")
        rows.append(
            [Cell(METRICS[f.metric][0], METRICS[f.metric][1], mark="prose"), value, Cell(f"≈ {f.patients:,.0f}")]
        )
    note = (
        "Of all sites together, from the released counts: the interval holds both the choice of patients and the noise."
    )
    return Table(["metric", "value (95%)", "patients held out"], rows, note=note)


def _bounds(p: PrivacyStatement) -> Table:
    rows = [[Cell(n), Cell(said)] for n, said in p.bounds.items()]
    lacking = "; ".join(f"{s} lacks {', '.join(names)}" for s, names in p.lacking.items())
    note = "Values beyond bounds are cut, other levels are unknown." + (
        f" {lacking}: unknown there." if lacking else ""
    )
    return Table(["feature", "bounds or levels"], rows, note=note)


def kinds_table() -> Table:
    """What each message of a private study holds."""
    rows = [
        [Cell(t.__name__), Cell(f), Cell(said, mark="prose")] for t in PRIVATE_ANSWERS for f, said in t.LEAVES.items()
    ]  # type: ignore[attr-defined]
    rows.append([Cell("Withdrawn"), Cell("reason"), Cell("why, in words without counts or values", mark="prose")])
    return Table(
        ["message", "field", "what it is"], rows, note="Beside these: the site's name, the plan's digest, the round."
    )
