"""Ours and peers on the same folds: accuracy, CPU time and peak memory, measured in one session.

usage: python benchmarks/peers/run.py breast [--sides auto,flexynesis:DirectPred] [--repeats 1] [--folds 2] [--hpo 10]
       [--environments environments] [--out runs] [--first auto] [--table]
cohorts: those of benchmarks/deep.py. sides: auto, auto:plain, deep:attention, joint:factors, joint:vae (ours);
flexynesis:DirectPred, flexynesis:supervised_vae (``@N`` after it: N iterations of its tuning), mofa, avail. The README
beside this file says how their environments are made. Sides take turns within a fold. Folds that are done (in scores.csv)
are not done again. The others are compared with --first, or the first side of ours. avail is for classes alone.
--table runs nothing and prints the table of what is done.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import folds
import pandas as pd

HERE = Path(__file__).parent
OURS = ("auto", "auto:plain", "deep:attention", "joint:factors", "joint:vae")
PEERS = ("flexynesis:DirectPred", "flexynesis:supervised_vae", "mofa", "avail")


def study_file(cohort: str, out: Path) -> Path:
    sys.path.append(str(HERE.parent))
    import deep

    return deep.study_file(cohort, out, 10)


def command(side: str, study: Path, split, folder: Path, out: Path, args: argparse.Namespace) -> list[str]:
    """The command line of one side on one fold."""
    if side in OURS:
        where = [str(args.repeats), str(split.repeat), str(split.fold), str(out)]
        return [sys.executable, str(HERE / "ours.py"), str(study), side, *where]
    name, _, rest = side.partition(":")
    if name in ("mofa", "avail"):
        return [str(args.environments / name / "bin/python"), str(HERE / f"{name}.py"), str(folder), str(out)]
    model, _, tuned = rest.partition("@")
    clin = list(pd.read_csv(folder / "train" / "clin.csv", index_col=0, nrows=1))
    beside = [c for c in clin if ":" in c]
    narrow = {"clin", *(c.partition(":")[0] for c in beside)}
    layers = ",".join(sorted(f.stem for f in (folder / "train").glob("*.csv") if f.stem not in narrow))
    survival = ["--surv_event_var", "event", "--surv_time_var", "time"]
    target = survival if "event" in clin else ["--target_variables", "label"]
    target += ["--covariates", ",".join(beside)] if beside else []
    own = ["--hpo_iter", tuned or str(args.hpo), "--disable_marker_finding", "--device", "cpu", "--threads", "1"]
    files = ["--data_path", str(folder), "--data_types", layers, "--outdir", str(out), "--prefix", "job"]
    return [str(args.environments / "flexynesis/bin/flexynesis"), "--model_class", model, *files, *target, *own]


def predictions(side: str, out: Path) -> dict[str, pd.DataFrame]:
    """What a side wrote: name -> samples x columns."""
    if side.startswith("flexynesis"):
        rows = pd.read_csv(out / "job.predicted_labels.csv", dtype={"sample_id": str})
        rows = rows[rows["split"] == "test"]
        if rows["probability"].isna().all():  # survival: the log hazard
            return {side: rows.set_index("sample_id")[["predicted_label"]].set_axis(["risk"], axis=1)}
        wide = rows.pivot_table(index="sample_id", columns="class_label", values="probability")
        return {side: wide.add_prefix("p_")}
    if side == "avail":
        files = {f"avail:{f.stem.partition('_')[2]}": f for f in sorted(out.glob("predictions_*.csv"))}
    else:
        files = {side: out / "predictions.csv"}
    return {name: pd.read_csv(f, index_col=0, dtype={0: str}) for name, f in files.items()}


def fits(side: str, out: Path, n_train: int, n_modalities: int) -> tuple[int, int]:
    """Models that a side fitted on this fold, and how many of them are networks."""
    if side in OURS:
        counted = json.loads((out / "fits.json").read_text())
        return counted["fits"], counted["networks"]
    if side.startswith("flexynesis"):
        n = (out / "log.txt").read_text(errors="replace").count("training validation split")
        return n, n
    if side == "mofa":
        return 1 + 6, 0
    return (n_train + 1) * n_modalities * 4 + 2, 0  # three forests select features, one predicts


def one(
    side: str, study: Path, cohort, outcome, split, tau: float | None, args: argparse.Namespace
) -> list[dict[str, object]]:
    """A side on a fold: a row for each of its predictions. Empty, with the end of its log printed, when it failed."""
    base = args.out / f"peers_{args.cohort}" / f"{split.repeat}_{split.fold}"
    folder, out = base / "files", base / side.replace(":", "_")
    out.mkdir(parents=True, exist_ok=True)
    if not (folder / "test" / "clin.csv").exists():
        folds.write_fold(folder, cohort, outcome, split)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1")
    env = {**os.environ, **threads, "PYTHONHASHSEED": "0", "AVAIL_OFFLINE": "1"}
    usage, log = out / "usage.json", out / "log.txt"
    started = [sys.executable, "-S", "-E", str(HERE / "measure.py"), str(usage), str(log)]
    subprocess.run([*started, *command(side, study, split, folder, out, args)], env=env, check=True)
    facts = json.loads(usage.read_text())
    if facts.pop("status"):
        print(side, "failed:", log.read_text(errors="replace")[-2000:], flush=True)
        return []
    n, networks = fits(side, out, len(split.train), len(cohort.modalities))
    known = {"repeat": split.repeat, "fold": split.fold, "n_train": len(split.train), "n_test": len(split.test)}
    train, test = outcome.take(split.train), outcome.take(split.test)
    return [
        {"side": name, **known, **folds.scores(test, p, train, tau), **facts, "fits": n, "networks": networks}
        for name, p in predictions(side, out).items()
    ]


def compare(scores: pd.DataFrame, first: str) -> pd.DataFrame:
    """A row for each side: means, the first side's difference to it with its corrected interval, and ratios of cost."""
    from cohortium.metrics import nadeau_bengio

    scores = scores.drop_duplicates(["side", "repeat", "fold"], keep="last").set_index(["repeat", "fold"])
    ours = scores[scores["side"] == first]
    rows = []
    for side, theirs in scores.groupby("side", sort=False):
        both = ours.join(theirs, rsuffix="_theirs", how="inner")
        row = {"side": side, "folds": len(both)}
        for m in [m for m in folds.METRICS if m in scores]:
            row[m] = round(theirs[m].mean(), 4)
            if side != first and m != "log_loss" and len(both) > 1:
                d = (both[m] - both[f"{m}_theirs"]).to_numpy()
                value, low, high = nadeau_bengio(d, both["n_train"].mean(), both["n_test"].mean())
                row[f"{first} - it, {m}"] = f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
        cpu, cpu_ours = both["cpu_seconds_theirs"].mean(), both["cpu_seconds"].mean()
        row |= {"fits": round(theirs["fits"].mean(), 1), "networks": round(theirs["networks"].mean(), 1)}
        row |= {"CPU s": round(cpu, 1), "CPU ratio": round(cpu / cpu_ours, 2)}
        n = {"fit": theirs["fits"].mean(), "network": theirs["networks"].mean()}
        row |= {f"CPU s per {k}": round(theirs["cpu_seconds"].mean() / v, 2) if v else "" for k, v in n.items()}
        row["peak MB"] = round(theirs["peak_mb"].mean())
        row["memory ratio"] = round(both["peak_mb_theirs"].mean() / both["peak_mb"].mean(), 2)
        rows.append(row)
    return pd.DataFrame(rows)


def markdown(frame: pd.DataFrame) -> str:
    lines = [
        list(frame.columns),
        ["---"] * frame.shape[1],
        *frame.astype(object).where(frame.notna(), "").astype(str).to_numpy().tolist(),
    ]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohort")
    parser.add_argument("--sides", default=",".join([*OURS, *PEERS]))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--folds", type=int, help="only so many, the first")
    parser.add_argument("--hpo", type=int, default=10, help="--hpo_iter of flexynesis")
    parser.add_argument("--environments", type=Path, default=Path("environments"))
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--first", help="the side that the others are compared with")
    parser.add_argument("--table", action="store_true", help="run nothing: the table of what is done")
    args = parser.parse_args()
    args.out, args.environments = args.out.resolve(), args.environments.absolute()
    args.out.mkdir(parents=True, exist_ok=True)
    study = study_file(args.cohort, args.out)
    cohort, outcome = folds.read(study)
    tau = folds.last_time(cohort, outcome, args.repeats)
    if "avail" in args.sides.split(",") and folds.is_survival(outcome):
        parser.error("avail predicts classes only: leave it out of --sides")
    file = args.out / f"peers_{args.cohort}" / "scores.csv"
    file.parent.mkdir(exist_ok=True)
    done = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["side", "repeat", "fold"])
    for split in [] if args.table else folds.splits(cohort, outcome, args.repeats)[: args.folds]:
        for side in args.sides.split(","):
            here = done[(done["repeat"] == split.repeat) & (done["fold"] == split.fold)]["side"]
            if (here.str.partition(":")[0] if side == "avail" else here).eq(side).any():
                continue
            for row in one(side, study, cohort, outcome, split, tau, args):
                done = pd.concat([done, pd.DataFrame([row])], ignore_index=True)
                print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
            done.to_csv(file, index=False)
    known = [args.first] if args.first else [s for s in [*args.sides.split(","), *OURS] if s in OURS]
    first = next((s for s in known if s in set(done["side"])), None)
    if first:
        print(markdown(compare(done, first)))


if __name__ == "__main__":
    main()
