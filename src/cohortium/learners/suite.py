"""Fitting every learner of a leaderboard on one fold, each base model once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.calibration import Recalibration, cross_fitted, fit_recalibration
from cohortium.cohort import Cohort
from cohortium.contracts import ClassOutcome, CumulativeIncidence, Fold, Prediction, Probabilities, Survival
from cohortium.errors import EndpointError
from cohortium.fusion import Fill, StackFit, scheme_weights, stack_out_of_fold
from cohortium.fusion.joining import SCHEMES
from cohortium.heads.families import Family, family_of, to_prediction
from cohortium.heads.newton import fit_theta
from cohortium.learners.base import Base, BaseFitter, Spec, oof_losses
from cohortium.learners.config import DEEP_SEEDS, NETWORKS, TREES, LearnerConfig, fitted_config, plan
from cohortium.learners.nodes import (
    Guarded,
    Node,
    PresenceNode,
    ScorePredictor,
    StackNode,
    ZeroFill,
    ZeroNode,
    modalities_of,
    presence_matrix,
)
from cohortium.learners.plugins import PluginPredictor
from cohortium.learners.plugins import fit as fit_plugin
from cohortium.learners.views import Views
from cohortium.schema import EndpointKind

Array = NDArray[np.float64]
Finished = ScorePredictor | PluginPredictor

SELDOM = 10
"""A modality that fewer training units lack is one whose absence a joint model has not been fitted on."""

HEAD_PENALTIES = (20.0,)
"""Heads on the same features say nearly the same: their weights are shrunk to their mean without a search."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted part: out-of-fold scores (n, K), NaN where absent; node; facts; chosen part; out-of-fold scores to judge it by,
    where they are others than those that it hands on (:class:`~cohortium.fusion.stacking.Stacked`)."""

    oof: Array
    node: Node
    facts: dict[str, Any]
    chosen: str | None = None
    honest: Array | None = None


class Suite:
    """The parts of all learners of one fold, made when first asked for."""

    def __init__(self, config: LearnerConfig, fold: Fold) -> None:
        self.config, self.fold = fitted_config(config, fold.outcome.endpoint), fold
        self.family: Family = family_of(fold.outcome)
        self.views = Views(fold, self.family)
        self.modalities = tuple(m for m in fold.cohort.modalities if self.views.usable(m))
        if not self.modalities:
            raise EndpointError(
                f"In fold {fold.key} no modality can be learned from: each has fewer than 10 training units or no "
                "feature that varies. Use fewer folds, or check which units have which modality."
            )
        self.fitter = BaseFitter(fold, self.views, self.family, TREES[self.config.preset])
        self._null = oof_losses(self.family, np.zeros((self.family.n, self.family.n_scores)))

    def base(self, names: tuple[str, ...], head: str, scheme: str = "block") -> Base:
        """One head on the given modalities."""
        weights = tuple(map(float, self._weights(names, scheme)))
        tag = f"{'+'.join(names)}/{head}/{scheme}"
        return self.fold.store.get(f"base/{tag}", lambda: self.fitter.fit(Spec(names, weights, head), tag))  # type: ignore[no-any-return]

    def _weights(self, names: tuple[str, ...], scheme: str) -> Array:
        if len(names) == 1:
            return np.ones(1)
        sizes = np.array([self.views.split(m, None).size for m in names], dtype=float)
        gains = np.array([self.gain(m)[0] for m in names]) if scheme == "evidence" else np.zeros(len(names))
        return scheme_weights(scheme, sizes, gains)

    def gain(self, modality: str) -> tuple[float, float]:
        """Mean fall of inner loss of the modality alone below the null model, and its standard error."""
        gain = self._null - self.losses(self.single(modality))
        return float(gain.mean()), float(gain.std(ddof=1) / np.sqrt(len(gain)))

    def stack(
        self, parts: Mapping[str, Fitted | Base], complete: bool, penalties: tuple[float, ...] | None = None
    ) -> Fitted:
        """Late fusion of parts."""
        names = list(parts)
        scores = np.stack([parts[n].oof for n in names], axis=1)
        present = ~np.isnan(scores).all(axis=(1, 2))
        rows = np.flatnonzero(present | complete)
        position = np.full(len(present), -1)
        position[rows] = np.arange(len(rows))
        inner = tuple((position[a][position[a] >= 0], position[b][position[b] >= 0]) for a, b in self.fold.inner)
        family = self.family if len(rows) == self.family.n else self.family.take(rows)
        made = (
            stack_out_of_fold(scores[rows], family, inner, penalties)
            if penalties
            else stack_out_of_fold(scores[rows], family, inner)
        )
        stack = made.stack
        oof, honest = (np.full((self.family.n, self.family.n_scores), np.nan) for _ in range(2))
        oof[rows], honest[rows] = made.oof, made.honest
        facts = {
            "weights": {n: round(float(w), 4) for n, w in zip(names, stack.weights, strict=True)},
            "inner_loss": round(made.loss, 5),
            "shrinkage": "equal weights" if stack.penalty >= 1e5 else stack.penalty,
            "parts": {n: parts[n].facts for n in names},
        }
        return Fitted(oof, StackNode(tuple(parts[n].node for n in names), stack, complete), facts, honest=honest)

    def single(self, modality: str) -> Fitted:
        """All heads on one modality, stacked; NaN where it is absent."""
        return self.joint((modality,), {h: "block" for h in self.config.heads}, complete=False)

    def joint(self, names: tuple[str, ...], schemes: Mapping[str, str], complete: bool) -> Fitted:
        """Heads on joined modalities, stacked."""

        def make() -> Fitted:
            parts = {h: self.base(names, h, s) for h, s in schemes.items()}
            return self.stack(parts, complete, HEAD_PENALTIES)

        key = f"joint/{'+'.join(names)}/{'+'.join(f'{h}.{s}' for h, s in schemes.items())}/{complete}"
        return self.fold.store.get(key, make)  # type: ignore[no-any-return]

    def reference(self) -> Fitted:
        """All heads on the routine modalities together."""
        names = tuple(m for m in self.config.reference if m in self.modalities)
        if not names:
            return Fitted(np.zeros((self.family.n, self.family.n_scores)), ZeroNode(self.family.n_scores), {})
        if len(names) == 1:
            return self.single(names[0])
        joint = self.joint(names, {h: "feature" for h in self.config.heads}, complete=False)
        return self._backed(joint, self.late(names))

    def best_single(self) -> Fitted:
        """The single modality with the smallest inner loss over all units."""
        losses = {m: float(self.losses(self.single(m)).mean()) for m in self.modalities}
        name = min(losses, key=lambda m: (losses[m], m))
        part = self.single(name)
        return Fitted(part.oof, part.node, {"chosen": name, **part.facts}, name, part.honest)

    def early(self, family: str | None = None) -> Fitted:
        """Early fusion: heads on all modalities joined; linear block weights chosen by inner loss."""
        heads = (
            self.config.heads
            if family is None
            else tuple(h for h in self.config.heads if (h in ("ridge", "net")) == (family == "linear"))
        )
        parts: dict[str, Fitted | Base] = {}
        for h in heads:
            parts[h] = self._early_head(h)
        return self._backed(self.stack(parts, False, HEAD_PENALTIES), self.late())

    def _backed(self, part: Fitted, late: Fitted) -> Fitted:
        """A joint model that is not asked about gaps it was not fitted on.

        Its weights rely on every modality that (nearly) all training units have. A unit that lacks one is given the
        expectation of its score given that of late fusion of the same modalities, which makes good what is missing.
        """
        lacking = {m: self.family.n - len(self.views.rows(m)) for m in sorted(modalities_of(part.node))}
        needs = tuple(m for m, k in lacking.items() if k < SELDOM)
        if not needs:
            return part
        flat = np.concatenate([part.oof, late.oof], axis=1)
        stack = StackFit(np.array([1.0, 0.0]), Fill.fit(flat), 0.0, np.zeros(self.family.n_scores))
        assert isinstance(late.node, StackNode)
        open_end = replace(late.node, complete=False)  # of units that lack everything neither says anything
        node = StackNode((Guarded(part.node, needs), open_end), stack, False)
        return Fitted(part.oof, node, part.facts, honest=part.honest)

    def _early_head(self, head: str) -> Base:
        gated = self.gated(self.modalities)
        if head in ("forest", "boost"):
            # Columns of noise blocks crowd out the others at every split, and cost time: no second set is tried.
            return self.base(gated, head, "feature")
        sets = list(dict.fromkeys([self.modalities, gated]))
        tried = [(names, s) for names in sets for s in SCHEMES]
        ridge = {t: self.base(t[0], "ridge", t[1]) for t in tried}
        best = min(tried, key=lambda t: (ridge[t].loss, tried.index(t)))
        # The net follows ridge's choice: its own search would cost three paths for a tie.
        return ridge[best] if head == "ridge" else self.base(best[0], "net", best[1])

    def gated(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The modalities with evidence on inner folds (a gain above its standard error), and the reference's."""
        kept = tuple(m for m in names if m in self.config.reference or self.gain(m)[0] > self.gain(m)[1])
        return kept or (max(names, key=lambda m: (self.gain(m)[0], m)),)

    def losses(self, part: Fitted | Base) -> Array:
        """(n,) inner losses of a part."""
        honest = part.honest if isinstance(part, Fitted) else None
        return oof_losses(self.family, part.oof if honest is None else honest)

    def late(self, names: tuple[str, ...] | None = None, penalties: tuple[float, ...] | None = None) -> Fitted:
        """Late fusion of the single modalities: of all, or of those with evidence, as inner folds say."""
        use = self.modalities if names is None else names

        def make() -> Fitted:
            sets = list(dict.fromkeys([use, self.gated(use)]))
            made = [self.stack({f"single:{m}": self.single(m) for m in n}, True, penalties) for n in sets]
            return min(made, key=lambda part: float(self.losses(part).mean()))

        return self.fold.store.get(f"late/{'+'.join(use)}/{penalties}", make)  # type: ignore[no-any-return]

    def late_penalty(self) -> tuple[float, ...]:
        """The penalty that the full late fusion chose: probes use it too, so that they differ in inputs only."""
        node = self.late().node
        assert isinstance(node, StackNode)
        return (node.stack.penalty,)

    def priority(self) -> Fitted:
        """Reference first; then each further modality fitted to what the ones before leave unexplained.

        Each step starts from the out-of-fold scores so far as offsets (Klau 2018, BMC Bioinformatics 19:322:
        with fitted offsets the first blocks would look better than they are and leave too little).
        """
        return self.fold.store.get("priority", lambda: self._backed(self._priority(), self.late()))  # type: ignore[no-any-return]

    def _priority(self) -> Fitted:
        order = self.config.priority or tuple(m for m in self.modalities if m not in self.config.reference)
        order = tuple(m for m in order if m in self.modalities and m not in self.config.reference)
        steps: dict[str, Fitted | Base] = {}
        if any(m in self.modalities for m in self.config.reference):
            start = self.stack({"reference": self.reference()}, True, (1e6,))
            steps["reference"] = start
            so_far = np.nan_to_num(start.oof)
        else:
            so_far = np.zeros((self.family.n, self.family.n_scores))
        heads = [h for h in ("ridge", "boost") if h in self.config.heads]
        for m in order:
            fitter = BaseFitter(self.fold, self.views, self.family, self.fitter.trees, offset=so_far)
            fits = [fitter.fit(Spec((m,), (1.0,), h), f"priority/{m}/{h}") for h in heads]
            best = min(fits, key=lambda b: b.loss)
            gain = oof_losses(self.family, so_far) - oof_losses(self.family, so_far + np.nan_to_num(best.oof))
            if gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)):
                steps[m] = best
                so_far = so_far + np.nan_to_num(best.oof)
        if not steps:
            return self.stack({m: self.single(m) for m in order[:1]}, True, (1e6,))
        zeroed = {n: Fitted(np.nan_to_num(p.oof), ZeroFill(p.node), p.facts) for n, p in steps.items()}
        return self.stack(zeroed, True)

    def deep(self, name: str) -> Fitted:
        """A network of that name: on all modalities, or on those with evidence, as inner folds say."""
        from cohortium.learners.deep import DeepFitter

        def make() -> Fitted:
            spec = next(s for s in self.config.deep if s.name == name)
            late, seeds = self.late(), DEEP_SEEDS[self.config.preset]
            presence = self.config.presence_as_predictor
            fitter = DeepFitter(self.fold, self.views, self.family, seeds, (late.oof, late.node), presence)
            sets = list(dict.fromkeys([self.modalities, self.gated(self.modalities)]))
            best = min((fitter.fit(spec, s) for s in sets), key=lambda f: f.loss)
            return Fitted(best.oof, best.node, best.facts)

        return self.fold.store.get(f"deep/{name}", make)  # type: ignore[no-any-return]

    def represented(self, name: str) -> Fitted:
        """A head on a joint representation, or on a graph: of all modalities, or of those with evidence, as inner folds say."""
        from cohortium.learners.joint import CanonicalFitter, JointFitter

        def make() -> Fitted:
            spec = next(s for s in self.config.joint if s.name == name)
            sets = list(dict.fromkeys([self.modalities, self.gated(self.modalities)]))
            seeds, presence = DEEP_SEEDS[self.config.preset], self.config.presence_as_predictor
            if spec.model == "graph":
                from cohortium.learners.deep_graph import GraphFitter

                late = (self.late().oof, self.late().node)
                found = GraphFitter(spec, self.fold, self.views, self.family, seeds, late, presence).fit_best(sets)
                return Fitted(found.oof, found.node, found.facts)
            fitter = (CanonicalFitter if spec.model == "cca" else JointFitter)(self.fold, self.family)
            if spec.model in NETWORKS:
                from cohortium.learners.joint_network import NetworkFitter

                fitter = NetworkFitter(self.fold, self.family, self.late().oof, seeds, presence)
            best = fitter.fit(spec, sets)
            return Fitted(best.oof, best.node, best.facts)

        return self.fold.store.get(f"represented/{name}", make)  # type: ignore[no-any-return]

    def auto(self, plain: bool = False) -> Fitted:
        """Blend of reference, early, late and priority fusion, the first deep learner and the first on a joint representation,
        by their inner scores.

        A part that is worse than the best by more than the standard error of their paired difference is dropped.
        plain: leave the deep and joint ones out.
        """
        deep: dict[str, Fitted | Base] = {}
        if not plain:
            deep = {f"deep:{s.name}": self.deep(s.name) for s in self.config.deep[:1]}
            deep |= {f"joint:{s.name}": self.represented(s.name) for s in self.config.joint[:1]}
        if len(self.modalities) == 1:
            alone = self.single(self.modalities[0])
            return self.stack({"single": alone, **deep}, True) if deep else alone
        parts: dict[str, Fitted | Base] = {}
        if any(m in self.modalities for m in self.config.reference):
            parts["reference"] = self.reference()
        for family in self.config.models:
            parts[f"early:{family}"] = self.early(family)
        parts["late"] = self.late()
        parts["priority"] = self.priority()
        parts.update(deep)
        losses = {name: self.losses(part) for name, part in parts.items()}
        best = min(losses.values(), key=lambda v: float(v.mean()))
        for name, loss in losses.items():
            worse = loss - best
            if worse.mean() > worse.std(ddof=1) / np.sqrt(len(worse)):
                del parts[name]
        return self.stack(parts, True)

    def part(self, name: str) -> Fitted:
        """The learner of that name."""
        kind, _, rest = name.partition(":")
        if kind == "single":
            return self.single(rest) if rest in self.modalities else self._nothing()
        if kind == "early":
            return self.early(rest or None)
        if kind == "deep":
            return self.deep(rest)
        if kind == "joint":
            return self.represented(rest)
        if name == "auto:plain":
            return self.auto(plain=True)
        if kind == "without":
            names = tuple(m for m in self.modalities if m != rest)
            return self.late(names, self.late_penalty()) if names and rest in self.modalities else self.late()
        if kind == "with":
            parts = {"reference": self.reference()}
            if rest in self.modalities:
                parts[rest] = self.single(rest)
            return self.stack(parts, True)
        make = {
            "reference": self.reference,
            "best_single": self.best_single,
            "late": self.late,
            "priority": self.priority,
            "auto": self.auto,
        }
        return make[kind]()

    def _nothing(self) -> Fitted:
        node = ZeroNode(self.family.n_scores)
        return Fitted(np.zeros((self.family.n, self.family.n_scores)), node, {"note": "not learnable in this fold"})

    def finish(self, name: str, bounded: bool = False) -> ScorePredictor:
        """The learner with one calibrated weight, nuisance parameters and threshold, ready to predict everybody.

        bounded: also with what its out-of-fold predictions say of how sure it is, where the configuration asks for that.
        """
        predictor, oof = self.finish_with_oof(name)
        if not bounded or self.config.coverage is None:
            return predictor
        from cohortium.learners.bounding import bound

        return bound(predictor, oof, self.fold, self.config, self.modalities)

    def finish_with_oof(self, name: str) -> tuple[ScorePredictor, Prediction]:
        """The learner and its out-of-fold predictions of the training units."""
        part = self.part(name)
        whole = self.stack({name: part}, True, (1e6,))
        if self.config.presence_as_predictor and name != "reference" and not name.startswith("single:"):
            whole = self._with_presence(whole)
        eta = whole.oof
        theta = fit_theta(self.family, eta)
        finish = self.family.finish(eta, theta)
        outcome, threshold = self.fold.outcome, None
        oof = to_prediction(outcome.endpoint, outcome.units, eta, finish)
        recalibration, oof = self._recalibrated(oof)
        if outcome.endpoint.kind is EndpointKind.BINARY:
            from cohortium.metrics import choose_threshold

            assert isinstance(outcome, ClassOutcome) and isinstance(oof, Probabilities)
            threshold = choose_threshold(outcome, oof.p[:, 1])
        made = ScorePredictor(name, outcome.endpoint, whole.node, finish, threshold, part.chosen, part.facts)
        return replace(made, recalibration=recalibration), oof

    def _recalibrated(self, oof: Prediction) -> tuple[Recalibration | None, Prediction]:
        """The map that the study asks for, and out-of-fold probabilities each mapped by what the other inner folds say."""
        outcome, method = self.fold.outcome, self.config.recalibration
        if method == "slope" or outcome.endpoint.kind not in (EndpointKind.BINARY, EndpointKind.MULTICLASS):
            return None, oof
        assert isinstance(outcome, ClassOutcome) and isinstance(oof, Probabilities)
        better = cross_fitted(oof.p, outcome.codes, self.fold.inner, method)
        return fit_recalibration(oof.p, outcome.codes, method), replace(oof, p=better)

    def _with_presence(self, whole: Fitted) -> Fitted:
        from cohortium.heads.newton import fit_ridge

        x = presence_matrix(self.fold.cohort, self.modalities)
        mean = x.mean(axis=0)
        start = (np.zeros((x.shape[1], self.family.n_scores)), self.family.start())
        penalty = np.full(x.shape[1], 4.0)

        def coef(rows: NDArray[np.intp], offset: Array) -> Array:
            return fit_ridge(x[rows] - mean, self.family.take(rows), penalty, start, offset[rows])[0]

        base = np.nan_to_num(whole.oof)
        oof = base.copy()
        for train, test in self.fold.inner:
            oof[test] += (x[test] - mean) @ coef(train, base)
        node = PresenceNode(self.modalities, mean, coef(np.arange(len(x)), base), self.family.n_scores)
        presence = Fitted(oof - base, node, {"presence": "used as predictor, as the study asks"})
        return self.stack({"modalities": Fitted(base, whole.node, whole.facts), "presence": presence}, True, (1e6,))


@dataclass(frozen=True)
class SuiteLearner:
    """One learner of the suite behind the :class:`~cohortium.contracts.Learner` protocol."""

    name: str
    role: str
    modalities: tuple[str, ...]
    config: LearnerConfig

    def fit(self, fold: Fold) -> ScorePredictor:
        """Fit on the fold; base models are shared with the fold's other learners through its store."""
        suite = fold.store.get("suite", lambda: Suite(self.config, fold))
        predictor: ScorePredictor = suite.finish(self.name)
        return predictor


def learner(name: str, config: LearnerConfig, fold: Fold) -> SuiteLearner:
    """The learner called ``name``. Raises StudyError when there is none."""

    infos = plan(replace(config, learners=None), fold.outcome.endpoint, list(fold.cohort.modalities))
    by_name = {i.name: i for i in infos}
    if name not in by_name:
        from cohortium.errors import StudyError, did_you_mean

        raise StudyError(f"No learner called '{name}'.{did_you_mean(name, by_name)}")
    return SuiteLearner(name, by_name[name].role, by_name[name].modalities, config)


def fit_all(
    config: LearnerConfig, fold: Fold, names: list[str] | None = None, bounded: str | None = None
) -> dict[str, Finished]:
    """Every learner of the plan (or the named ones), fitted on the fold. bounded: the one that also says how sure it is."""
    infos = plan(config, fold.outcome.endpoint, list(fold.cohort.modalities), len(fold.inner))
    suite = Suite(config, fold)  # not kept in the store: a ring of references would keep every fold in memory
    out: dict[str, Finished] = {}
    for name in (i.name for i in infos if names is None or i.name in names):
        kind, _, rest = name.partition(":")
        out[name] = fit_plugin(rest, fold) if kind == "plugin" else suite.finish(name, name == bounded)
    return out


def predict_all(predictors: Mapping[str, Finished], cohort: Cohort, grid: Array | None = None) -> dict[str, Prediction]:
    """Predictions of several learners of one fold; shared parts are evaluated once.

    grid: (m,) times that survival curves are kept at; by default all event times of the training part.
    """
    memo: dict[Any, Any] = {}
    out: dict[str, Prediction] = {}
    for name, p in predictors.items():
        made = p.predict(cohort, memo)
        out[name] = made.on(grid) if grid is not None and isinstance(made, Survival | CumulativeIncidence) else made
    return out


__all__ = ["StackFit", "Suite", "SuiteLearner", "fit_all", "learner", "predict_all"]
