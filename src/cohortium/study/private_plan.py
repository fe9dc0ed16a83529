"""Private studies: what the study file declares of them, and sites that answer with noise and keep a ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cohortium.contracts.federation import FederationPlan, SecurePlan
from cohortium.contracts.federation_wire import decode, digest, encode
from cohortium.contracts.private_plan import PrivacyPlan, PrivateColumn
from cohortium.errors import StudyError, did_you_mean
from cohortium.privacy.ledger import FILE, Ledger
from cohortium.privacy.schedule import schedule
from cohortium.study.private_network_plan import (
    NETWORK_CLIP,
    NETWORK_ROUNDS,
    NETWORK_STEP,
    as_declared,
    private_network_plan,
)

if TYPE_CHECKING:
    from cohortium.federation_site import Site
    from cohortium.schema.federation import PrivacySpec
    from cohortium.study.load import Study

METHOD, NETWORK = "private_linear", "private_network"
MOST_NAMED = 8

ROUNDS, CUT, LENGTH = 25, 0.2, 1.0
"""Of linear models where the study file does not say: rounds, clip, step; chosen on simulated sites."""


def private_plan(
    study: Study, modalities: Sequence[str], classes: tuple[str, ...], evaluate: bool, secure: bool = False
) -> FederationPlan:
    """The plan of a study file that asks for privacy. Reads no data. Raises :class:`StudyError`."""
    spec, f = study.spec, study.spec.federation
    assert f.privacy is not None
    name = spec.primary_name
    endpoint = spec.endpoints[name]
    kind = endpoint.kind
    if f.method not in ("linear", "network"):
        raise StudyError(
            f"{study.path.name}: federation.privacy: method: {f.method} has no private form yet. Take one of the two out."
        )
    network = f.method == "network"
    if f.select is not None:
        raise StudyError(
            f"{study.path.name}: federation.privacy: select chooses columns by exact sums, which would leave the sites. Take one of the two "
            "out; under privacy name the columns of the table yourself."
        )
    for m in modalities:
        if m in spec.cohort.modalities and getattr(spec.cohort.modalities[m], "harmonise", "none") != "none":
            raise StudyError(
                f"{study.path.name}: federation.privacy: modality '{m}' says harmonise: combat, which is fitted on exact sums. Take it out."
            )
    how = private_network_plan(study) if network else None
    wrong = _wrong(f.privacy, kind, classes, spec.design.weight is not None)
    if wrong:
        raise StudyError(f"{study.path.name}: federation.privacy: {wrong}")
    p = f.privacy
    columns = tuple(
        [_column(study, n, modalities, low, high, ()) for n, (low, high) in p.bounds.items()]
        + [_column(study, n, modalities, 0.0, 1.0, tuple(map(_text, v))) for n, v in p.levels.items()]
        + [_column(study, n, modalities, 0.0, 1.0, ("0", "1")) for n in p.binary]
    )
    made = PrivacyPlan(
        p.epsilon, p.delta, columns, p.outcome if kind == "continuous" and p.outcome else (0.0, 0.0),
        tuple(p.times) if kind == "survival" else (), p.rounds or (NETWORK_ROUNDS if network else ROUNDS),
        p.clip or (NETWORK_CLIP if network else CUT), p.step or (NETWORK_STEP if network else LENGTH), p.counts, p.moments,
        p.hold_out if f.evaluate or evaluate else 0.0, p.steps, p.sampled,
    )  # fmt: skip
    if not network and (p.steps, p.sampled) != (1, 1.0):
        raise StudyError(
            f"{study.path.name}: federation.privacy: steps and sampled are of networks; a linear fit takes one step of all patients in a round."
        )
    if kind == "binary":  # or sites that code the outcome the other way round would be added up in silence
        classes = (f"not {endpoint.positive}", str(endpoint.positive))
    return FederationPlan(
        spec.name, name, kind, classes, str(getattr(endpoint, "time_unit", "")), tuple(modalities), f.penalty,
        f.least_patients, f.least_events, f.least_cell, f.quorum, f.rounds, False, 0, spec.seed,
        NETWORK if network else METHOD, secure=SecurePlan() if secure else None, privacy=made, network=how,
    )  # fmt: skip


def _wrong(p: PrivacySpec, kind: str, classes: tuple[str, ...], weighted: bool) -> str:
    if weighted:
        return "design.weight is not used there: a weight has no bound. Leave it out of this study file."
    if not (p.bounds or p.levels or p.binary):
        return "no feature has bounds. Declare bounds: {age: [0, 110], ...}, levels: {grade: [low, high]} or binary: [...]; they must not be taken from the data."
    if kind == "survival" and not p.times:
        return "survival is fitted as hazards of intervals: the Cox partial likelihood is no sum over patients. Declare times: [...], the ends of the intervals in the endpoint's time unit."
    if kind == "continuous" and p.outcome is None:
        return "a continuous endpoint needs bounds that are not taken from the data. Declare outcome: [least, most]."
    if kind == "multiclass" and len(classes) < 2:
        return "the classes must not be taken from the data. Declare classes: [...] of the endpoint."
    return ""


def _column(
    study: Study, name: str, modalities: Sequence[str], low: float, high: float, levels: tuple[str, ...]
) -> PrivateColumn:
    """A declared feature; with several tables it says of which: ``clinical.age``."""
    first, dot, rest = name.partition(".")
    if dot and first in modalities:
        return PrivateColumn(first, rest, low, high, levels)
    if len(modalities) > 1:
        raise StudyError(
            f"{study.path.name}: federation.privacy: of which table is '{name}'? Say {modalities[0]}.{name}; tables are "
            f"{', '.join(modalities)}."
        )
    return PrivateColumn(modalities[0], name, low, high, levels)


def _text(level: str | int | float) -> str:
    return level if isinstance(level, str) else f"{level:g}"


def check_declared(sites: Mapping[str, Site], plan: FederationPlan, file: str, lacks: Sequence[str] = ()) -> None:
    """Raise :class:`StudyError` for features without declared bounds, and declared ones that no site has. lacks: modalities of other sites."""
    p = plan.privacy
    assert p is not None
    declared = {(c.modality, c.feature): c for c in p.columns}
    there = {(f.modality, f.name): f for s in sites.values() for f in s.features}
    free = [n for m, n in there if (m, n) not in declared]
    if free:
        said = ", ".join(f"'{n}'" for n in free[:MOST_NAMED])
        said += f" and {len(free) - MOST_NAMED} more" if len(free) > MOST_NAMED else ""
        raise StudyError(
            f"{file}: federation.privacy declares no bounds of {said}. A sum has a known sensitivity only where values are bounded, and bounds "
            "must not be taken from the data: declare them under bounds, levels or binary, or name fewer columns of the table."
        )
    for (m, n), c in declared.items():
        if m in lacks:
            continue
        if (m, n) not in there:
            names = [k for _, k in there]
            raise StudyError(f"{file}: federation.privacy declares '{n}', which no table has.{did_you_mean(n, names)}")
        f = there[m, n]
        if not c.levels and f.kind == "level" and not any(_is_number(x) for x in f.levels):
            raise StudyError(f"{file}: federation.privacy gives bounds to '{n}', which is coded: declare its levels.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def as_simulated(sites: Mapping[str, Site], plan: FederationPlan, file: str) -> dict[str, Site]:
    """The sites as their own study files would have them, after what a simulation can see at once, since it has all patients. Raises :class:`StudyError`."""
    found = as_declared(sites) if plan.network is not None else dict(sites)
    check_simulated(found, plan, file)
    return found


def check_simulated(sites: Mapping[str, Site], plan: FederationPlan, file: str) -> None:
    """Raise :class:`StudyError` for features that are not declared, or a delta that is too large for so many patients."""
    p = plan.privacy
    assert p is not None
    check_declared(sites, plan, file)
    n = sum(s.patients() for s in sites.values())
    if p.delta >= 1 / max(n, 1):
        raise StudyError(
            f"{file}: federation.privacy.delta is {p.delta:g}, and the study has {n:,} patients: a delta of 1/n or more lets a release "
            "give one of them away whole. Take one well below it, such as 1e-5."
        )


def asking_privately(
    site: Site, plan: FederationPlan, ledger: Ledger | None = None, seed: int | None = None
) -> Callable[[bytes], bytes]:
    """A site of a simulation: noise by the seed, the ledger in memory unless one is given."""
    answers = answering_privately(site, plan, ledger, seed)
    return lambda data: encode(answers(decode(data)))


def answering_privately(
    site: Site, plan: FederationPlan, ledger: Ledger | None = None, seed: int | None = None
) -> Callable[[Any], Any]:
    """The same, of records."""
    from cohortium.federation_site.private import private_answer
    from cohortium.privacy.grid import SeededNoise

    p = plan.privacy
    assert p is not None
    kept = Ledger(p.epsilon, p.delta) if ledger is None else ledger
    noise = SeededNoise(plan.seed if seed is None else seed, site.name)
    return lambda question: private_answer(site, plan, question, kept, noise)


def ledger_of(study: Study, plan: FederationPlan, kit: Path) -> Ledger:
    """The ledger in a site's kit, with the budget that the site's own study file gives it."""
    p, own = plan.privacy, study.spec.federation.privacy
    assert p is not None and own is not None
    return Ledger(p.epsilon if own.site_epsilon is None else own.site_epsilon, p.delta, kit / FILE)


def answering_from_kit(site: Site, plan: FederationPlan, study: Study, kit: Path | None) -> Callable[[Any], Any]:
    """A real site: noise of the operating system, the ledger in its kit."""
    from cohortium.federation_site.private import private_answer
    from cohortium.privacy.grid import SystemNoise

    if kit is None:
        raise StudyError("A private study needs the folder of the site's kit: its ledger is kept there.")
    ledger, noise = ledger_of(study, plan, kit), SystemNoise()
    return lambda question: private_answer(site, plan, question, ledger, noise)


def check_ready(study: Study, plan: FederationPlan, kit: Path) -> None:
    """What would stop a private site at its first answer, before it joins. Raises :class:`MissingExtra`, :class:`DataError`."""
    from cohortium._optional import require
    from cohortium.privacy.grid import SystemNoise

    SystemNoise()
    if plan.network is not None:
        require("torch", extra="deep", purpose="A network that is trained across sites")
    with ledger_of(study, plan, kit).open():
        pass


def said_privately(site: Site, plan: FederationPlan, study: Study, kit: Path) -> str:
    """What the site will release, for the person who starts it: not for others, since it counts without noise."""
    p = plan.privacy
    assert p is not None
    own = digest(encode(plan))
    with ledger_of(study, plan, kit).open() as ledger:
        before, again = ledger.spent(), any(r.plan == own for r in ledger.releases)
        refuses = "" if again else ledger.refuses(schedule(p).releases(own), p.epsilon, p.delta)
    text = (
        f"Site '{site.name}' answers for study '{plan.study}' (plan {own}) with noise: sums over {len(site):,} units, epsilon {p.epsilon:g} "
        f"at delta {p.delta:g} for each patient.{' It leaves masked, for sums over sites alone.' if plan.secure is not None else ''} Released so far from this kit: epsilon {before:.3g} of {ledger.epsilon:g}."
    )
    return text + (
        f" It will refuse, {refuses}. federation.privacy.site_epsilon is this site's own to raise." if refuses else ""
    )
