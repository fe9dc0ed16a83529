"""Federated studies on one machine: the plan that a study file declares, its sites, and the rounds between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cohortium.contracts.federation import (
    Answer,
    BaselinePlan,
    FederationPlan,
    SecurePlan,
    Selection,
    TreesPlan,
    Withdrawn,
)
from cohortium.contracts.federation_results import MessageRow
from cohortium.contracts.federation_wire import MessageError, decode, digest, encode, holds
from cohortium.errors import DataError, StudyError, did_you_mean
from cohortium.study.federating_network import network_plan
from cohortium.study.federating_stack import prepare_plan, stack_plan

if TYPE_CHECKING:
    from cohortium.federation_coordinator import State
    from cohortium.federation_site import Site
    from cohortium.federation_site.secure import Journal
    from cohortium.masking import SiteKeys
    from cohortium.study.load import Study

NOT_APPROVED = "its person has not approved this study"
KINDS = ("continuous", "binary", "multiclass", "survival")


def plan_of(study: Study, evaluate: bool = False, secure: bool = False) -> FederationPlan:
    """What a study file declares of a federated fit; no data are read. evaluate, secure: also where the file does not ask for it.

    Raises :class:`StudyError`.
    """
    spec, f = study.spec, study.spec.federation
    name = spec.primary_name
    endpoint = spec.endpoints[name]
    if endpoint.kind not in KINDS:
        raise StudyError(
            f"{study.path.name}: endpoint '{name}' is of kind {endpoint.kind}; federated fits know {', '.join(KINDS)}. "
            "Name another one as primary."
        )
    if f.method == "trees" and f.penalty:
        raise StudyError(
            f"{study.path.name}: federation.penalty shrinks coefficients, and method: trees has none. Take it out, or set "
            "federation: {trees: {ridge: ...}}."
        )
    baseline = _baseline(study, endpoint.kind)
    network = network_plan(study, f.secure or secure) if f.method == "network" and f.privacy is None else None
    several = f.method in ("network", "stack")
    if f.lacks and not several:
        raise StudyError(
            f"{study.path.name}: federation.lacks is of methods network and stack; a linear fit names tables of this site alone."
        )
    every = list(spec.cohort.modalities)
    modalities = f.modalities if f.modalities is not None else every if several else spec.reference or every
    for m in modalities:
        if m not in f.lacks:
            _table(study, m)
    classes = tuple(str(c) for c in getattr(endpoint, "classes", None) or ())
    prepare, stack = prepare_plan(study, f.secure or secure), stack_plan(study, modalities)
    trees = f.method == "trees" or (stack is not None and "trees" in f.stack.parts)
    if f.secure or secure:
        _secure_alone(study, modalities)
    if f.privacy is not None:
        from cohortium.study.private_plan import private_plan

        return private_plan(study, modalities, classes, evaluate, f.secure or secure)
    return FederationPlan(
        spec.name, name, endpoint.kind, classes, str(getattr(endpoint, "time_unit", "")), tuple(modalities),
        f.penalty, f.least_patients, f.least_events, f.least_cell, f.quorum, f.rounds, spec.design.weight is not None,
        *((f.folds, spec.seed) if f.evaluate or evaluate else (0, 0)),
        select=_selection(study, modalities), harmonise=_harmonised(study, modalities) if network is None else (),
        method="binned" if baseline else f.method,
        trees=TreesPlan(**f.trees.model_dump()) if trees else None,
        secure=SecurePlan() if f.secure or secure else None,
        network=network,
        baseline=baseline,
        prepare=prepare,
        stack=stack,
    )  # fmt: skip


def _baseline(study: Study, kind: str) -> BaselinePlan | None:
    """The hazard that sites share, where they do. Raises :class:`StudyError`."""
    f = study.spec.federation
    times = None if f.baseline_times is None else tuple(f.baseline_times)
    if f.baseline == "site":
        if times is not None:
            raise StudyError(
                f"{study.path.name}: federation.baseline_times are of baseline: common. Add it, or take them out."
            )
        return None
    if kind != "survival" or f.method != "linear":
        raise StudyError(
            f"{study.path.name}: federation.baseline is of Cox models: an endpoint of kind survival, and method: linear. Take it out."
        )
    if f.privacy is not None:
        raise StudyError(
            f"{study.path.name}: federation.baseline does not go with privacy, whose hazards are common to all sites anyway. Take one out."
        )
    if times is not None and not all(a < b < float("inf") for a, b in zip((0.0, *times), times, strict=False)):
        raise StudyError(f"{study.path.name}: federation.baseline_times are to rise from above 0.")
    return BaselinePlan(times)


def _secure_alone(study: Study, modalities: list[str]) -> None:
    """Refuse what does not go with secure aggregation. Raises :class:`StudyError`."""
    f = study.spec.federation
    if f.method == "trees":
        reason = (
            "secure aggregation knows linear models and networks; under method: trees each site decides itself which bins of a node hold enough "
            "patients to be told, and shares the rest among their neighbours"
        )
    elif f.method == "stack":
        reason = "secure aggregation knows linear models and networks, not yet stacks of several fits"
    elif f.method == "network" and f.privacy is not None:
        reason = "a private network does not go through secure aggregation yet: privacy and secure go together for linear models"
    elif f.method == "network":
        return
    elif f.select is not None and _harmonised(study, modalities):
        reason = (
            "under secure aggregation each site takes out its own effect, shrunken over all columns of a table, of which select would leave it some. "
            "Take one of select and harmonise: combat out"
        )
    elif f.baseline == "common":
        reason = "bins of a common baseline are chosen from counts of single sites, which secure aggregation hides"
    else:
        return
    raise StudyError(f"{study.path.name}: {reason}{'' if 'out' in reason[-4:] else '. Leave one of the two out'}.")


def _table(study: Study, m: str) -> None:
    """Refuse what is no table of measured values."""
    said = study.spec.cohort.modalities[m]
    if said.shape != "table":
        raise StudyError(
            f"{study.path.name}: modality '{m}' is of shape {said.shape}; federated fits take tables. Name those under "
            "federation: {modalities: [...]}."
        )


def _selection(study: Study, modalities: list[str]) -> Selection | None:
    """What is chosen of the fit's tables. Raises :class:`StudyError`."""
    s = study.spec.federation.select
    if s is None:
        return None
    named = modalities if s.modalities is None else s.modalities
    for m in named:
        if m not in modalities:
            raise StudyError(
                f"{study.path.name}: federation.select.modalities names '{m}', which is no table of the fit."
                f"{did_you_mean(m, modalities)} The fit takes: {', '.join(modalities)}."
            )
    return Selection(s.features, s.by, tuple(named))


def _harmonised(study: Study, modalities: list[str]) -> tuple[str, ...]:
    """Tables of which the effects of sites are taken out. Raises :class:`StudyError`."""
    spec = study.spec
    tables = [m for m in modalities if getattr(spec.cohort.modalities[m], "harmonise", "none") != "none"]
    for m in tables:
        if getattr(spec.cohort.modalities[m], "harmonise_covariates", []):
            raise StudyError(
                f"{study.path.name}: modality '{m}' has harmonise_covariates, which federated ComBat does not know. Take them out, or "
                "name other tables under federation: {modalities: [...]}."
            )
        if spec.design.weight is not None:
            raise StudyError(
                f"{study.path.name}: modality '{m}' says harmonise: combat, which does not go with design.weight in a federated fit: "
                "what would leave the sites are weighted means. Take out one of the two."
            )
    return tuple(tables)


Ask = Callable[[bytes], bytes]
"""A site, seen from outside: the bytes of a question in, those of an answer out."""


def asking(
    site: Site,
    plan: FederationPlan,
    keys: SiteKeys | None = None,
    journal: Journal | None = None,
    private: Callable[[Any], Any] | None = None,
) -> Ask:
    """A site in this process. keys, journal: of a plan with secure aggregation. private: how it answers in a private study, where that is not by the noise of
    a simulation."""
    from cohortium.federation_site import answer

    if keys is not None:
        from cohortium.federation_site.secure import Journal, SecureSite

        if plan.privacy is not None and private is None:
            from cohortium.study.private_plan import answering_privately

            private = answering_privately(site, plan)
        one = SecureSite(site, plan, keys, Journal() if journal is None else journal, private)
        return lambda data: encode(one.answer(decode(data)))
    if private is not None:
        return lambda data: encode(private(decode(data)))
    if plan.privacy is not None:
        from cohortium.study.private_plan import asking_privately

        return asking_privately(site, plan)

    return lambda data: encode(answer(site, plan, decode(data)))


@dataclass(frozen=True, eq=False)
class Driven:
    """The end of a fit, all messages, and the seconds of each round."""

    state: State
    messages: list[MessageRow]
    seconds: list[float]


def keys_for(plan: FederationPlan, sites: Sequence[str]) -> dict[str, SiteKeys | None]:
    """New keys for each site of a simulation; None without secure aggregation. Raises :class:`cohortium.errors.MissingExtra`."""
    if plan.secure is None:
        return dict.fromkeys(sites)
    from cohortium.masking import make_keys
    from cohortium.masking.keys import need

    need("Crypto.Protocol.SecretSharing")
    return dict(make_keys(sites))


def drive(plan: FederationPlan, sites: Mapping[str, Ask], tell: Callable[[int, str], None] | None = None) -> Driven:
    """Rounds between the coordinator and sites in this process until the fit is done. tell: called with round and phase.

    Raises :class:`cohortium.errors.FederationError`.
    """
    from cohortium.federation_coordinator import begin, question, step
    from cohortium.federation_coordinator.checking import read_answer

    state = begin(plan, list(sites))
    messages: list[MessageRow] = []
    seconds: list[float] = []
    while state.phase != "done":
        start = time.perf_counter()
        if tell is not None:
            tell(state.round, state.phase)
        asked = encode(question(state))
        sent = message_row(asked, state.round, "", "site")
        answers = {}
        for name in state.here:
            said = sites[name](asked)
            answers[name] = read_answer(said, name, state)
            messages += [
                replace(sent, site=name),
                message_row(said, state.round, name, "coordinator", _unless_refused(answers[name])),
            ]
        state = step(state, answers)
        seconds.append(time.perf_counter() - start)
    return Driven(state, messages, seconds)


def _unless_refused(found: Answer) -> Answer | None:
    """An answer as it was read; None for the withdrawal that stands for bytes that were none."""
    return None if isinstance(found, Withdrawn) else found


def message_row(data: bytes, round_: int, site: str, to: str, message: Any = None) -> MessageRow:
    """The record of a message's bytes, for the log. message: what is in them, where that is known already."""
    try:
        message = decode(data) if message is None else message
        kind, fields = type(message).__name__, holds(message)
    except MessageError:
        kind, fields = "unreadable", {}
    return MessageRow(round_, site, to, kind, fields, len(data), digest(data))


def site_of_study(name: str, study: Study, plan: FederationPlan) -> Site:
    """A site's own patients, read from the files of its study. Raises the errors of reading."""
    from cohortium.federation_site import site_of
    from cohortium.study.data import load_data

    data = load_data(study)
    found = site_of(name, data.cohort, data.outcomes[plan.endpoint], plan)
    if plan.privacy is not None:
        from cohortium.study.private_plan import check_declared

        check_declared({name: found}, plan, study.path.name, study.spec.federation.lacks)
    return found


def site_from_files(
    name: str,
    study: str,
    kit: Path | None = None,
    sealing: Path | None = None,
    journal: Path | None = None,
    permitted: Callable[[Site, FederationPlan], bool] | None = None,
) -> Ask:
    """A site that reads its study file now. Where it cannot be read it withdraws, and says no more than that. kit: where a private
    study keeps the site's ledger. sealing: file with its key for secure aggregation; journal: where it keeps which sums it opened.
    permitted: whether its person approved what would leave with the data as they are."""
    from cohortium.errors import UserError
    from cohortium.study.load import load_study

    try:
        loaded = load_study(study)
        plan = plan_of(loaded)
        site = site_of_study(name, loaded, plan)
        if permitted is not None and not permitted(site, plan):
            return lambda data: failed(name, data, NOT_APPROVED)
        private = None
        if plan.privacy is not None:
            from cohortium.study.private_plan import answering_from_kit

            private = answering_from_kit(site, plan, loaded, kit)
        if plan.secure is None:
            return asking(site, plan, private=private)
        from cohortium.federation_site.secure import Journal

        return asking(site, plan, sealing_key(sealing), Journal(journal), private)
    except UserError:
        return lambda data: failed(name, data, "its study cannot be read there")


def sealing_key(file: Path | None) -> SiteKeys:
    """The key of a site's kit. Raises :class:`DataError` where there is none, :class:`cohortium.errors.MissingExtra`."""
    import json

    from cohortium.masking import keys_from
    from cohortium.masking.keys import need

    need("cryptography")
    need("Crypto.Protocol.SecretSharing")
    try:
        return keys_from(json.loads(Path(file or "").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise DataError(
            f"{file} is no key for secure aggregation. Make new kits with 'cohortium federate keys'."
        ) from e


def failed(name: str, question: bytes, reason: str = "it failed there; its own log says why") -> bytes:
    """The withdrawal of a site that cannot answer, whatever the question was."""
    try:
        asked = decode(question)
        return encode(Withdrawn(name, str(asked.plan), int(asked.round), reason))
    except (MessageError, AttributeError):
        return encode(Withdrawn(name, "", 0, "it was sent something that is no question"))
