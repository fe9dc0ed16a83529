"""What is lost as modalities go missing at prediction: every fusion, at random and one at a time.

usage: python benchmarks/robustness.py [--cohorts breast,hancock_os] [--repeats 1] [--draws 3] [--out runs] [--plot FILE]
Fitted once a fold on what is there; then of each tested unit 0 to 80% of its modalities are taken away at random (whoever
would be left with none keeps one), and each modality in turn from everybody. ``mean imputed`` is early fusion with what is absent
at its mean: ridge on all modalities side by side. Losses are differences from the same learner with nothing
taken away, means over folds and draws, with the corrected interval of the difference from ``mean imputed``'s loss.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from deep import study_file

import cohortium
from cohortium.cohort import Cohort
from cohortium.contracts import Fold
from cohortium.learners import DeepSpec, JointSpec, LearnerConfig, predict_all
from cohortium.learners.suite import Suite
from cohortium.metrics import nadeau_bengio, score
from cohortium.resampling import inner, nested

FRACTIONS = (0.0, 0.2, 0.4, 0.6, 0.8)
DEEP = ("attention", "gated", "tensor", "experts")
JOINT = ("factors", "cca")
FUSED = ("late", "early", "priority", "auto", *(f"deep:{n}" for n in DEEP), *(f"joint:{n}" for n in JOINT))
RIVAL, DEFAULT = "mean imputed", "deep:attention"


def thinned(cohort: Cohort, keep: np.ndarray, names: list[str]) -> Cohort:
    """The cohort with the modalities of ``keep`` (n, M) alone."""
    kept = {}
    for j, name in enumerate(names):
        data = cohort.modalities[name]
        own = cohort.units.index.get_indexer(data.units)
        kept[name] = data.take(np.flatnonzero(keep[own, j]))
    return replace(cohort, modalities=kept)


def at_random(have: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """(n, M) what is left; whoever would have nothing keeps one of what there was."""
    draw = rng.random(have.shape)
    keep = have & (draw >= fraction)
    empty = ~keep.any(axis=1) & have.any(axis=1)
    last = np.where(have, draw, -1).argmax(axis=1)
    keep[np.flatnonzero(empty), last[empty]] = True
    return keep


def fold_scores(cohort, outcome, train, test, seed: int, reference, draws: int) -> list[dict]:
    config = LearnerConfig(
        reference=reference,
        models=("linear",),
        deep=tuple(DeepSpec(n, fusion=n) for n in DEEP),
        joint=tuple(JointSpec(n, model=n) for n in JOINT),
    )
    part = outcome.take(train)
    groups = np.arange(len(train))
    fold = Fold(cohort.take(train), part, groups, inner(part, groups, 5, seed), seed, f"robustness/{seed}")
    suite = Suite(config, fold)
    fitted = {name: suite.finish(name) for name in FUSED}
    plain = suite.stack({"ridge": suite.base(suite.modalities, "ridge", "block")}, True, (1e6,))
    fitted[RIVAL] = replace(fitted["late"], name=RIVAL, node=plain.node)
    new, truth = cohort.take(test), outcome.take(test)
    names = list(new.modalities)
    have = new.presence()[names].to_numpy()
    metric = "harrell_c" if outcome.endpoint.kind.value == "survival" else "roc_auc"
    rng, out = np.random.default_rng([seed, 3]), []
    cases = [("random", f, at_random(have, f, rng)) for f in FRACTIONS for _ in range(draws if f else 1)]
    cases += [("without", m, have & (np.arange(len(names)) != j)) for j, m in enumerate(names)]
    for kind, what, keep in cases:
        found = predict_all(fitted, thinned(new, keep, names))
        for name, p in found.items():
            out.append({"kind": kind, "what": what, "learner": name, "value": score(metric, truth, p)})
    return out


def one(cohort_name: str, args: argparse.Namespace) -> pd.DataFrame:
    from cohortium.study.data import load_data

    file = args.out / f"robustness_{cohort_name}.csv"
    study = cohortium.load_study(study_file(cohort_name, args.out, 1))
    data = load_data(study)
    outcome = data.outcomes[study.spec.primary_name]
    rows = data.read.cohort.units.index.get_indexer(outcome.units)
    cohort = data.read.cohort.take(rows)
    splits = nested(outcome, cohort.groups(), args.repeats, 5, 0)
    done = pd.read_csv(file) if file.exists() else pd.DataFrame()
    for k, s in enumerate(splits):
        if len(done) and (done["fold"] == k).any():
            continue
        train, test = np.asarray(s.train), np.asarray(s.test)
        rows = pd.DataFrame(fold_scores(cohort, outcome, train, test, k, tuple(study.spec.reference), args.draws))
        rows["fold"], rows["n_train"], rows["n_test"] = k, len(train), len(test)
        done = pd.concat([done, rows])
        done.to_csv(file, index=False)
    return done


def show(cohort_name: str, scores: pd.DataFrame) -> pd.DataFrame:
    """Loss of each learner at each point, (kind, what) by learner; prints it with the default against the rival."""
    mean = scores.groupby(["kind", "what", "learner", "fold", "n_train", "n_test"], sort=False)["value"].mean().reset_index()  # fmt: skip
    mean["what"] = mean["what"].astype(str)
    full = mean[(mean["kind"] == "random") & (mean["what"] == "0.0")].set_index(["learner", "fold"])["value"]
    mean["loss"] = full.reindex(pd.MultiIndex.from_frame(mean[["learner", "fold"]])).to_numpy() - mean["value"]
    table = mean.pivot_table(index=["kind", "what"], columns="learner", values="loss", sort=False)[[*FUSED, RIVAL]]
    print(f"\n## {cohort_name}: {len(full) // len(table.columns)} folds; loss from nothing taken away (which is)")
    print(full.groupby("learner").mean().reindex(table.columns).round(4).to_frame("nothing").T.to_string())
    print(table.round(4).to_string())
    sizes = mean[["n_train", "n_test"]].mean()
    for (kind, what), rows in mean.groupby(["kind", "what"], sort=False):
        wide = rows.pivot_table(index="fold", columns="learner", values="loss")
        value, low, high = nadeau_bengio((wide[RIVAL] - wide[DEFAULT]).to_numpy(), *sizes)
        if (kind, what) != ("random", "0.0"):
            print(f"{kind} {what}: {DEFAULT} loses less than {RIVAL} by {value:+.4f} ({low:+.4f} to {high:+.4f})")
    return table


def plot(tables: dict[str, pd.DataFrame], file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * len(tables), 4), layout="constrained")
    for axis, (name, table) in zip(np.atleast_1d(figure.subplots(1, len(tables))), tables.items(), strict=True):
        for learner in table.columns:
            axis.plot([100 * f for f in FRACTIONS], -table.loc["random", learner], marker="o", ms=3, label=learner, lw=2 if learner in (RIVAL, DEFAULT) else 1)  # fmt: skip
        axis.set(title=name, xlabel="modalities taken away at random (%)", ylabel="change of AUC or concordance")
    axis.legend(fontsize=7)
    figure.savefig(file, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", default="breast,hancock_os")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    tables = {c: show(c, one(c, args)) for c in args.cohorts.split(",")}
    if args.plot:
        plot(tables, args.plot)


if __name__ == "__main__":
    main()
