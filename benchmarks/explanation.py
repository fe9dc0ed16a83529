"""What predictions rest on, on real patients: HANCOCK (survival, 13 modalities) and breast.TCGA (classes, 3 modalities).

usage: python benchmarks/explanation.py [hancock breast] [--out runs] [--jobs 2] [--repeats 1] [--coverage 60]
Modalities by their Shapley values of the held-out metric, leading features, deletion in order against random orders. Then, of
units that have every modality in turn: is the prediction that it leads to inside the 8 of 10 that similar units promised?
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from breast import folders
from perfold import cost, with_models

import cohortium
from cohortium.cli.show_explanation import show_explanation
from cohortium.cohort import Cohort
from cohortium.explanation import Shown, target_of
from cohortium.explanation.patient import Asked, donors_of, if_measured
from cohortium.joint.similar import fit_peers
from cohortium.metrics import wilson
from cohortium.study import refitting

HERE = Path(__file__).parent


def study_of(name: str, out: Path):
    """The study of a data set, with linear models."""
    if name == "hancock":
        return with_models(cohortium.load_study(HERE / "studies" / "hancock_os.yaml"), ["linear"])
    study = cohortium.load_study(folders(out)[0] / "study.yaml")
    return with_models(study, ["linear"])


def coverage(run: Path, study, most: int) -> dict[str, list[tuple[bool, float, float]]]:
    """modality -> of held-out units of the first fold that have it: inside 8 of 10; error of the expectation; change it made."""
    source = refitting.open_source(run, study)
    name, e = refitting.pick_endpoint(source, None)
    target, out = target_of(e.outcome.endpoint, refitting.middle_horizon(e)), {}
    with refitting.shared_work(source) as shared:
        refitting.refit(shared, name, source.plan.headline, 0)
        model = refitting.fold_model(shared, name, 0, refitting.ask_of(source, name, e), [])
    trained = source.data.cohort.select(list(e.outcome.units[np.asarray(e.splits[0].train)]))
    peers, used = fit_peers(trained, source.plan.seed), Shown(model.predictor, model.cohort).looked_at
    for m in (m for m in trained.modalities if used is None or m in used):
        have = np.flatnonzero(model.cohort.presence()[m].to_numpy(bool))[:most]
        for i in have:
            whole = model.cohort.take(np.array([i]))
            hidden = whole.modalities[m].take(np.zeros(0, dtype=np.intp))
            blind = Cohort(whole.units, {**whole.modalities, m: hidden})
            asked = Asked(model.predictor, blind, trained, target, e.grid)
            before, truth = (target.of(Shown(model.predictor, c, e.grid).all())[0] for c in (blind, whole))
            near = peers.like(blind).get("")
            donors = donors_of(trained, m, None if near is None else near.similarity)
            k = int(before.argmax()) if len(before) > 1 else 0
            values = target.of(if_measured(asked, m, donors))[:, k]
            low, high = np.quantile(values, [0.1, 0.9])
            held = bool(low - 1e-9 <= truth[k] <= high + 1e-9)
            out.setdefault(m, []).append((held, abs(values.mean() - truth[k]), abs(before[k] - truth[k])))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["hancock", "breast"])
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--coverage", type=int, default=60, help="units of each modality; 0: none")
    args = parser.parse_args()
    args.out.mkdir(exist_ok=True, parents=True)
    for name in args.names:
        study = study_of(name, args.out)
        result = cohortium.run(study, args.out / f"explained_{name}", jobs=args.jobs)
        begin = time.perf_counter()
        found = cohortium.explain(result.folder, study, jobs=args.jobs, repeats=args.repeats)
        print(
            f"\n## {name}: run {cost(result.folder)}; explained in {time.perf_counter() - begin:.0f} s, {args.jobs} jobs"
        )
        show_explanation(found.results, None, False, False)
        if not args.coverage:
            continue
        print(
            "modality: 8 of 10 hold the prediction that measuring it leads to; mean error of its expectation; mean change"
        )
        for m, rows in coverage(result.folder, study, args.coverage).items():
            held, error, change = np.array(rows, dtype=float).T
            share, low, high = wilson(held.sum(), len(held))
            print(f"{m}: {share:.2f} ({low:.2f} to {high:.2f}) of {len(held)}; {error.mean():.4f}; {change.mean():.4f}")


if __name__ == "__main__":
    main()
