"""Which learners there are, before anything is fitted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cohortium.errors import StudyError, did_you_mean
from cohortium.schema import Endpoint, EndpointKind

HEADS = {
    "quick": {"linear": ("ridge",), "trees": ("boost",)},
    "default": {"linear": ("ridge", "net"), "trees": ("forest", "boost")},
    "thorough": {"linear": ("ridge", "net"), "trees": ("forest", "boost")},
}
TREES = {"quick": 100, "default": 200, "thorough": 500}


DEEP_SEEDS = {"quick": 1, "default": 2, "thorough": 5}
"""Networks whose scores a finished deep learner averages."""


NETWORKS = ("vae", "contrastive")
"""Joint representations that are networks."""


@dataclass(frozen=True)
class DeepSpec:
    """A deep learner. name: on the leaderboard, after ``deep:``. fusion, tables: of :mod:`cohortium.networks`; tables
    wider than 128 features are encoded in the span of their training units, by ``lowrank`` unless ``mlp`` is asked for.
    width: of an embedding. wide: a linear path beside the network. batch, rate, decay: of training. balanced: classes
    weigh the same. survival: ``cox`` or ``discrete_time``. start: ``late``: the network is fitted to what the
    plain late fusion leaves unexplained; ``null``: to everything. multitask: weight of the study's other endpoints.
    bags, events: how they are seen, ``summary`` for their representation alone, else also by an encoder of that name.
    instances: of a bag, drawn at random in each training step, at most. last: events of a unit that ``transformer`` sees."""

    name: str
    fusion: str = "attention"
    tables: str = "mlp"
    width: int = 32
    dropout: float = 0.2
    modality_dropout: float = 0.2
    wide: bool = True
    batch: int = 128
    rate: float = 3e-3
    decay: float = 0.05
    balanced: bool = False
    survival: str = "cox"
    start: str = "late"
    multitask: float = 0.0
    bags: str = "summary"
    events: str = "summary"
    instances: int = 1024
    last: int = 256


@dataclass(frozen=True)
class JointSpec:
    """A learner on a joint representation. name: on the leaderboard, after ``joint:``. model: ``factors``, ``cca``, ``vae``,
    ``contrastive`` or ``graph``. size: most latent variables. The networks': posterior (of vae): ``mopoe``, ``poe`` or
    ``moe``. alignment (of contrastive): ``infonce``, ``sigmoid`` or ``correlation``. supervised: weight of the endpoint in
    training. counts: modalities that are tables of counts. The graph's: neighbours: of a unit, at most.
    start: as in :class:`DeepSpec`. Of all of these: the rest. epochs: most."""

    name: str
    model: str = "factors"
    size: int = 24
    posterior: str = "mopoe"
    alignment: str = "infonce"
    supervised: float = 1.0
    counts: tuple[str, ...] = ()
    width: int = 32
    dropout: float = 0.1
    batch: int = 128
    rate: float = 3e-3
    decay: float = 0.01
    epochs: int = 300
    balanced: bool = False
    survival: str = "cox"
    neighbours: int = 15
    start: str = "late"


@dataclass(frozen=True)
class LearnerConfig:
    """What the study asks of its learners.

    reference: routine modalities. priority: order after the reference (None: as declared). models: families
    inside the learners, of ``linear`` and ``trees``. learners: names to report (None: all). preset: quick,
    default or thorough. presence_as_predictor: let having a modality predict. probes: also fit what added
    value needs. deep: deep learners, joint: learners on joint representations; ``auto`` may choose the first of each.
    coverage: level of the headline's sets, intervals and lower bounds (None: none are made).
    plugins: learners of other packages, by the names of their entry points.
    recalibration: of class probabilities beside their slope: ``slope`` (no more), ``isotonic`` or ``venn_abers``.
    """

    reference: tuple[str, ...] = ()
    priority: tuple[str, ...] | None = None
    models: tuple[str, ...] = ("linear", "trees")
    learners: tuple[str, ...] | None = None
    preset: str = "default"
    presence_as_predictor: bool = False
    probes: bool = True
    deep: tuple[DeepSpec, ...] = ()
    joint: tuple[JointSpec, ...] = ()
    coverage: float | None = None
    plugins: tuple[str, ...] = ()
    recalibration: str = "slope"

    @property
    def heads(self) -> tuple[str, ...]:
        """Heads inside every learner, linear ones first."""
        table = HEADS[self.preset]
        return tuple(h for family in ("linear", "trees") if family in self.models for h in table[family])


@dataclass(frozen=True)
class LearnerInfo:
    """A learner before fitting. role: reference, single, fusion, auto, or probe (feeds added value).

    n_fits: model fits that it adds within one outer fold (points of a path count as one).
    """

    name: str
    role: str
    modalities: tuple[str, ...]
    n_fits: int


def fitted_config(config: LearnerConfig, endpoint: Endpoint) -> LearnerConfig:
    """What is fitted to this endpoint: cause-specific hazards have no trees. Raises StudyError for what there is not."""
    if endpoint.kind is not EndpointKind.COMPETING_RISKS:
        return config
    networks = [f"deep '{d.name}'" for d in config.deep]
    networks += [f"joint '{j.name}' ({j.model})" for j in config.joint if j.model in (*NETWORKS, "graph")]
    if networks:
        raise StudyError(
            f"Networks do not learn competing risks, and {endpoint.name} is of that kind: {', '.join(networks)}. Leave them out "
            "(joint factors and cca stay), or ask for the event by kind: survival in a study of its own."
        )
    if endpoint.model != "cause_specific":
        return config
    if "linear" not in config.models:
        raise StudyError(
            f"{endpoint.name} has model: cause_specific, which is linear only, and models leaves linear out. Add it, or take "
            "model: fine_gray."
        )
    return replace(config, models=("linear",))


def plan(config: LearnerConfig, endpoint: Endpoint, modalities: list[str], inner_folds: int = 5) -> list[LearnerInfo]:
    """The learners, in the order of the leaderboard. Raises StudyError for an unknown name."""
    config, every = fitted_config(config, endpoint), tuple(modalities)
    splits = inner_folds + 1
    heads = len(config.heads)
    classes = len(endpoint.classes) if endpoint.kind is EndpointKind.MULTICLASS else 1
    out: list[LearnerInfo] = []
    if config.reference:
        joint = len(config.reference) > 1
        out.append(LearnerInfo("reference", "reference", config.reference, heads * splits * classes if joint else 0))
    out += [LearnerInfo(f"single:{m}", "single", (m,), heads * splits * classes) for m in every]
    if len(every) > 1:
        out.append(LearnerInfo("best_single", "single", every, 0))
        out.append(LearnerInfo("early", "fusion", every, (heads + 2) * splits * classes))
        if len(config.models) > 1:
            out += [LearnerInfo(f"early:{family}", "fusion", every, 0) for family in config.models]
        out.append(LearnerInfo("late", "fusion", every, 0))
        rest = [m for m in every if m not in config.reference]
        out.append(LearnerInfo("priority", "fusion", every, min(heads, 2) * len(rest) * splits))
    for spec in config.deep:
        out.append(LearnerInfo(f"deep:{spec.name}", "fusion", every, inner_folds + DEEP_SEEDS[config.preset]))
    out += [LearnerInfo(f"joint:{spec.name}", "fusion", every, 2 * splits) for spec in config.joint]
    out += [LearnerInfo(f"plugin:{name}", "fusion", every, 1) for name in config.plugins]
    if (config.deep or config.joint) and len(every) > 1:
        out.append(LearnerInfo("auto:plain", "fusion", every, 0))
    out.append(LearnerInfo("auto", "auto", every, 0))
    known = [i.name for i in out]
    if config.learners is not None:
        for name in config.learners:
            if name not in known:
                raise StudyError(f"No learner called '{name}'.{did_you_mean(name, known)}")
        # The rivals are always there: a leaderboard without them would be a claim, not a comparison.
        always = {"reference", "best_single"}
        out = [i for i in out if i.name in config.learners or i.name in always]
    if config.probes and len(every) > 1 and (config.learners is None or "late" in config.learners):
        out += [LearnerInfo(f"without:{m}", "probe", tuple(x for x in every if x != m), 0) for m in every]
    if config.probes and config.reference and config.learners is None:
        rest = [m for m in every if m not in config.reference]
        out += [LearnerInfo(f"with:{m}", "probe", (*config.reference, m), 0) for m in rest]
    return out
