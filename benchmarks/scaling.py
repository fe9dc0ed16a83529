"""Time and memory: 500 units × 60,000 features; ten times the patients; against a plain scikit-learn pipeline.

usage: python benchmarks/scaling.py wide|patients|peer [--models linear] [--jobs 2] [--out runs]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from perfold import cost

import cohortium

DATA = (Path(__file__).parent / "../../shared/data").resolve()

WIDE = """\
name: wide
cohort:
  units: {{file: units.csv, id: id}}
  modalities:
    clinical: {{file: clinical.csv}}
    genes: {{file: genes.npz}}
endpoints:
  response: {{kind: binary, column: response, positive: 1}}
reference: [clinical]
models: [{models}]
evaluation: {{repeats: 1, folds: 5, inner_folds: 5}}
"""


def wide(models: str, jobs: int, out: Path) -> None:
    folder = out / "wide"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    ids = np.array([f"P{i:04d}" for i in range(500)])
    x = rng.normal(size=(500, 60_000)).astype(np.float32)
    age = rng.normal(60, 10, 500)
    y = (x[:, :30].sum(1) / 4 + (age - 60) / 15 + rng.logistic(size=500) > 0).astype(int)
    pd.DataFrame({"id": ids, "response": y}).to_csv(folder / "units.csv", index=False)
    pd.DataFrame({"id": ids, "age": age}).to_csv(folder / "clinical.csv", index=False)
    np.savez(folder / "genes.npz", X=x, ids=ids, features=np.array([f"g{j}" for j in range(60_000)]))
    (folder / "study.yaml").write_text(WIDE.format(models=models.replace(",", ", ")))
    result = cohortium.run(folder / "study.yaml", out / f"wide_run_{models.replace(',', '_')}", jobs=jobs)
    print(f"500 units × 60,000 features, 5 outer × 5 inner, {models}: {cost(result.folder)}")


def patients(models: str, jobs: int, out: Path) -> None:
    text = (Path(__file__).parent / "studies" / "support2.yaml").read_text()
    source = pd.read_csv(DATA / "support2" / "support2.csv.gz")
    rng = np.random.default_rng(0)
    seconds = {}
    for times in (1, 10):
        folder = out / f"support2_x{times}"
        folder.mkdir(parents=True, exist_ok=True)
        copies = []
        for k in range(times):
            part = source.copy()
            part["person"] = "P" + part["sno"].astype(str)
            part["sno"] = [f"{s}_{k}" for s in part["sno"]]
            if k:
                for c in part.select_dtypes("float"):
                    part[c] = part[c] + rng.normal(0, 0.01 * part[c].std(), len(part))
                part["d.time"] = np.maximum(1, part["d.time"] + rng.integers(-3, 4, len(part)))
            copies.append(part)
        pd.concat(copies).to_csv(folder / "support2.csv.gz", index=False)
        study = text.replace("../../../shared/data/support2/", "").replace("id: sno}", "id: sno, patient: person}")
        (folder / "study.yaml").write_text(study + f"models: [{models.replace(',', ', ')}]\n")
        result = cohortium.run(
            folder / "study.yaml", out / f"support2_x{times}_run_{models.replace(',', '_')}", jobs=jobs
        )
        print(f"support2 x{times}, {models}: {cost(result.folder)}", flush=True)
        import json

        seconds[times] = json.loads((result.folder / "run.json").read_text())["seconds"]
    print(f"ratio of times: {seconds[10] / seconds[1]:.1f}")


def peer(jobs: int, out: Path) -> None:
    """The same nested work for one linear learner: ridge logistic regression, 12 penalties, 5 inner, 3 × 5 outer."""
    from joblib import Parallel, delayed
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from cohortium.cohort import Cohort, Table
    from cohortium.cohort.table import feature_frame
    from cohortium.contracts import ClassOutcome, Fold
    from cohortium.learners import LearnerConfig, fit_all, predict_all
    from cohortium.resampling import inner
    from cohortium.schema import Endpoint, EndpointKind

    for n, p in ((500, 50), (500, 2000), (500, 20_000)):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(n, p))
        y = (x[:, :5].sum(1) + rng.logistic(size=n) > 0).astype(int)
        ids = pd.Index([f"P{i}" for i in range(n)])
        table = Table(ids, x, feature_frame([f"g{j}" for j in range(p)]))
        cohort = Cohort(pd.DataFrame({"patient": ids}, index=ids), {"x": table})
        outcome = ClassOutcome(Endpoint("y", EndpointKind.BINARY, ("0", "1")), cohort.ids, y)
        splits = list(RepeatedStratifiedKFold(n_splits=5, n_repeats=1, random_state=0).split(x, y))

        def ours(train, test, cohort=cohort, outcome=outcome):
            part = outcome.take(train)
            groups = np.arange(len(train))
            fold = Fold(cohort.take(train), part, groups, inner(part, groups, 5, 0), 0, "peer")
            config = LearnerConfig(models=("linear",), preset="quick", probes=False)
            return predict_all(fit_all(config, fold), cohort.take(test))

        def theirs(train, test, x=x, y=y):
            grid = {"logisticregression__C": np.geomspace(1e-6, 1e1, 12)}
            pipe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            return GridSearchCV(pipe, grid, cv=5, scoring="neg_log_loss").fit(x[train], y[train]).predict_proba(x[test])

        times = []
        for work in (ours, theirs):
            begin = time.perf_counter()
            Parallel(jobs)(delayed(work)(a, b) for a, b in splits)
            times.append(time.perf_counter() - begin)
        print(
            f"{n} × {p}: ours {times[0]:.1f} s, scikit-learn {times[1]:.1f} s, ratio {times[0] / times[1]:.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["wide", "patients", "peer"])
    parser.add_argument("--models", default="linear")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    args = parser.parse_args()
    if args.what == "wide":
        wide(args.models, args.jobs, args.out)
    elif args.what == "patients":
        patients(args.models, args.jobs, args.out)
    else:
        peer(args.jobs, args.out)


if __name__ == "__main__":
    main()
