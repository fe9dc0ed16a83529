"""One learner of ours on one outer fold. usage: python ours.py <study.yaml> <learner> <repeats> <repeat> <fold> <out>

Reads the study's own files, fits on the fold's training units, and writes predictions of its test units (predictions.csv)
and the number of fits (fits.json). Plain learners are linear ones, as in benchmarks/deep.py; all else is the default.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import folds
import pandas as pd

NETWORKS = ("auto", "deep:attention", "joint:vae")


def configured(learner: str, reference: str):
    """The configuration with nothing in it that the learner does not need, and the learner's name there."""
    from cohortium.learners import DeepSpec, JointSpec, LearnerConfig

    plain = LearnerConfig(reference=(reference,), models=("linear",), probes=False)
    more = {
        "auto": {"deep": (DeepSpec("attention"),)},
        "deep:attention": {"deep": (DeepSpec("attention"),)},
        "joint:factors": {"joint": (JointSpec("factors"),)},
        "joint:vae": {"joint": (JointSpec("vae", "vae"),)},
    }
    return replace(plain, **more.get(learner, {})), "auto" if learner == "auto:plain" else learner


def main() -> None:
    from cohortium.contracts import Fold
    from cohortium.learners import fit_all, predict_all
    from cohortium.resampling import inner

    study, learner, repeats, repeat, number, out = sys.argv[1:]
    cohort, outcome = folds.read(Path(study))
    split = next(
        s for s in folds.splits(cohort, outcome, int(repeats)) if (s.repeat, s.fold) == (int(repeat), int(number))
    )
    train = outcome.take(split.train)
    groups = cohort.groups()[split.train]
    config, name = configured(learner, next(iter(cohort.modalities)))
    within = inner(train, groups, 5, folds.SEED)
    fold = Fold(cohort.take(split.train), train, groups, within, folds.SEED, f"peers/{repeat}/{number}")
    made = predict_all(fit_all(config, fold, [name]), cohort.take(split.test))[name]
    if folds.is_survival(train):
        frame = pd.DataFrame({"risk": made.risk}, index=made.units)
    else:
        frame = pd.DataFrame(made.p, index=made.units, columns=[f"p_{c}" for c in made.classes])
    frame.to_csv(Path(out) / "predictions.csv")
    (Path(out) / "fits.json").write_text(json.dumps(fits(learner, config, train, list(cohort.modalities), len(within))))


def fits(learner: str, config, outcome, modalities: list[str], inner_folds: int) -> dict[str, int]:
    """Models fitted (points of a path count as one) and networks among them: at least so many, for autoencoders that are
    fitted again without the modalities that seem to say nothing. Networks and factors need the single modalities."""
    from cohortium.learners import plan
    from cohortium.learners.config import DEEP_SEEDS

    counted = {i.name: i.n_fits for i in plan(config, outcome.endpoint, modalities, inner_folds)}
    networks = inner_folds + DEEP_SEEDS[config.preset] if learner in NETWORKS else 0
    if learner in ("auto", "auto:plain"):
        return {"fits": sum(counted.values()), "networks": networks}
    singles = sum(n for name, n in counted.items() if name.startswith("single:"))
    return {"fits": singles + (networks or counted[learner]), "networks": networks}


if __name__ == "__main__":
    main()
