"""What a page says of secure aggregation: how sums were protected, what that does not protect, what it cost."""

from __future__ import annotations

from cohortium.contracts.federation_results import FederatedResults
from cohortium.contracts.federation_secure import SECURE_ANSWERS, SecureRecord
from cohortium.contracts.federation_wire import ANSWERS
from cohortium.report.tables import Cell, Table
from cohortium.report.words import count


def protected(r: FederatedResults) -> list[str]:
    """In plain words; empty where there was no secure aggregation."""
    s = r.secure
    if s is None:
        return []
    sites = count(s.fewest, "site")
    return [
        f"Server and lead saw sums over at least {sites} and nothing of a single one: {_nothing(r)}. What a site sent "
        "is masked: a random number is added to each of its numbers, so that what travels is uniformly random, and the masks of all sites "
        f"cancel in the sum. {count(s.sums, 'sum')} were opened, each by shares of more than two thirds of its sites (at first "
        f"{s.needed} of {s.first}); a site gives its share for one set of sites only, and never for fewer than "
        f"{max(r.plan.secure.least_sites if r.plan.secure else 3, r.plan.quorum)}.",
        "Masks: ChaCha20 from keys that each two sites agree on by X25519 (Bonawitz 2017, ACM CCS, 1175), shares: Shamir's. Sites have "
        "these keys in their kits, server and lead have none."
        + ("" if "FLARE" in r.engine else " This was a simulation: all keys were made for it, on one machine."),
        _exact(r, s),
    ]


def _exact(r: FederatedResults, s: SecureRecord) -> str:
    if r.privacy is not None:
        return (
            "What is masked has its noise already: noise is each site's own, and enough by itself. It could be smaller, were it shared out among sites so "
            "that only the sum had enough; but then sites that tell each other theirs, or one that adds none, would take it from the others' patients."
        )
    same = "the weights" if r.network else "coefficients"
    return (
        f"Sums are exact to {s.bound:.1g} ({s.bits} bits after the point), far below the rounding of the fit: {same} are those without secure "
        "aggregation."
    )


def _nothing(r: FederatedResults) -> str:
    """What nobody saw of a single site."""
    if r.privacy is not None:
        return "not even its noisy counts and gradients"
    return (
        "no counts, means, changes of weights, mean embeddings or losses"
        if r.network is not None
        else "no counts, means, gradients or Hessians"
    )


def unseen(r: FederatedResults) -> str:
    """How a sentence goes on that says that no row left a site."""
    what = "update" if r.network is not None else "site's noisy sums" if r.privacy is not None else "site's sums"
    if r.secure is None:
        return ""
    if r.secure.dropped:
        return f", and nobody saw a single {what} but about those of {', '.join(r.secure.dropped)}, which dropped out"
    return f", and nobody saw a single {what}"


def unprotected(r: FederatedResults) -> list[str]:
    """What a sum over sites still tells, and to whom."""
    s = r.secure
    if s is None:
        return []
    fewest = max(r.plan.secure.least_sites if r.plan.secure else 3, r.plan.quorum)
    dropped = f" Here that happened: {', '.join(s.dropped)}." if s.dropped else " Here none did."
    return [
        "Who knows all parts of a sum but one knows that one. Sites that join forces see the sum of the rest; with a coordinator that lies about who "
        f"dropped out, {fewest - 1} of them (the quorum less one), or more than a third of all, can see any one other.",
        "A site that drops out after a sum with it was opened: the difference between sums with and without it shows about what is seen of it "
        f"without secure aggregation, also where the coordinator only says that it dropped out.{dropped} With all sites as quorum a study ends "
        "instead.",
        "Names and coding of features, levels that enough patients of a site share, and who takes part are seen site by site. A coordinator that lies can ask for a column that one site alone has.",
        "The sums themselves are exact: there is no noise in them. With more columns than patients of all sites together they can be solved for rows.",
        *_of_network(r),
        "Nobody can check a single site's sums. Sites check and clip their own; one that lies changes the answer as far as the sum stays possible, or "
        "spoils the study, and cannot be told from the others.",
    ]


def _of_network(r: FederatedResults) -> list[str]:
    """What the sums of a network tell."""
    if r.network is None:
        return []
    return [
        "The mean change of a round is a sum of gradients over the patients of all sites, and can be inverted as a single site's can, the less so the more "
        "patients and sites are in it. A part of the network that three sites train is a sum of three. The final weights are known to all: what a model tells "
        "of its patients it tells here too.",
        "The number of patients behind each part, in each round, is that of all sites together: after a drop-out the difference is that site's.",
    ]


def cost(r: FederatedResults) -> Table | None:
    """Bytes and seconds, by what messages are for."""
    if r.secure is None:
        return None
    answers = [m for m in r.messages if m.to == "coordinator"]
    asked = [m for m in r.messages if m.to != "coordinator"]
    rows = []
    for kind, said in (("SiteNames", "names"), ("SiteSealed", "masked numbers and shares of what undoes them"),
                       ("SiteOpening", "opening sums"), ("Withdrawn", "withdrawals")):  # fmt: skip
        own = [m for m in answers if m.kind == kind]
        if own:
            mean = sum(m.size for m in own) // len(own)
            rows.append(
                [Cell(kind, said), Cell(f"{len(own):,}"), Cell(f"{sum(m.size for m in own):,}"), Cell(f"{mean:,}")]
            )
    rows.append([Cell("questions", "among them the boxes with shares"), Cell(f"{len(asked):,}"),
                 Cell(f"{sum(m.size for m in asked):,}"), Cell(f"{sum(m.size for m in asked) // max(len(asked), 1):,}")])  # fmt: skip
    note = f"Two rounds for each sum, one to seal and one to open it; {sum(r.seconds):.1f} s in {count(len(r.seconds), 'round')}."
    return Table(["messages", "times", "bytes", "bytes each"], rows, note=note)


def kinds(r: FederatedResults) -> list[type]:
    """The messages that leave sites in such a study."""
    withdrawn = [t for t in ANSWERS if t.__name__ == "Withdrawn"]
    return [t for t in ANSWERS if t not in SECURE_ANSWERS] if r.secure is None else [*SECURE_ANSWERS, *withdrawn]


def units(r: FederatedResults) -> int:
    """Of the sites that took part to the end; with secure aggregation of those of the first sums."""
    return r.secure.units if r.secure else sum(s.units or 0 for s in r.sites if not s.left)


def events(r: FederatedResults) -> int:
    """The same."""
    return r.secure.counts[-1] if r.secure else sum(s.counts[-1] for s in r.sites if not s.left and s.counts)
