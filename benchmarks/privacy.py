"""Privacy against utility: epsilon 1, 3, 8 and none, two mechanisms, on real cohorts cut into sites.

usage: python benchmarks/privacy.py [--data ../shared/data] [--cohorts brca support2] [--seeds 20]

Each seed is another split (30% of each site's patients held out) and other noise. Metric: C-index within sites (pairs weighted) or ROC-AUC of
the patients held out, computed exactly, since here the question is what noise in the fit costs. ``exact`` is the federated Newton fit
without privacy (Cox, logistic), ``none`` the private method's own steps without noise. ``gradient`` is the method that Cohortium has,
``output`` output perturbation at each site (Chaudhuri, Monteleoni & Sarwate 2011), averaged by size, at the best of its penalties
in hindsight, which is not counted against it. Where noisy counts leave no site there is no model: .5.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from cohortium.errors import FederationError
from cohortium.federation_site.private import outcomes_of, values_of
from cohortium.federation_site.scoring import concordance
from cohortium.federation_site.trials import take
from cohortium.privacy import models
from cohortium.privacy.gaussian import mu_of
from cohortium.study.data import load_data
from cohortium.study.federating import asking, drive, plan_of
from cohortium.study.load import load_study
from cohortium.study.private_fitting import PrivateModel, fit_private
from cohortium.study.simulating_federation import cut

EPSILONS = (8.0, 3.0, 1.0)
SMALLER = (0.3, 0.1, 0.03)
DELTA = 1e-5
PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
HEAD = """\
name: {name}
cohort:
  units: {{file: data.csv, id: {id}}}
  modalities:
    clinical: {{file: data.csv, columns: [{columns}]}}
endpoints:
  y: {endpoint}
design: {{site: site}}
federation:
  {penalty}least_patients: 10
  least_events: 1
  least_cell: 1
{privacy}
"""


def study(folder: Path, name: str, table: pd.DataFrame, id_: str, columns: list[str], endpoint: str, privacy: str):
    """A private study and the same one without privacy."""
    table.to_csv(folder / "data.csv", index=False)
    quoted = ", ".join(f'"{c}"' for c in columns)
    made = []
    for p, penalty in ((f"  privacy: {{epsilon: 3, delta: {DELTA:.1e}, {privacy}}}", ""), ("", "penalty: 1\n  ")):
        file = folder / f"{name}{len(made)}.yaml"
        file.write_text(HEAD.format(name=name, id=id_, columns=quoted, endpoint=endpoint, privacy=p, penalty=penalty))
        made.append(load_study(file))
    return made


def brca(data: Path, folder: Path):
    """Six regions, overall survival, ten columns."""
    from federation import write

    write(data / "fed_tcga_brca", folder)
    table = pd.read_csv(folder / "brca.csv").rename(columns={"region": "site"})
    coded = [
        "ajcc_pathologic_t_T2", "ajcc_pathologic_t_T3", "ajcc_pathologic_n_N1", "ajcc_pathologic_n_N2", "treatment_or_therapy_yes",
        "tumor_stage_stage iia", "tumor_stage_stage iib", "tumor_stage_stage iiia", "race_white",
    ]  # fmt: skip
    names = ", ".join(f'"{c}"' for c in coded)
    return study(
        folder, "brca", table, "pid", ["age_at_index", *coded],
        "{kind: survival, time: T, event: E, time_unit: days, zero_times: exclude}",
        f"times: [730, 1460, 2190, 2920], bounds: {{age_at_index: [25, 90]}}, binary: [{names}]",
    )  # fmt: skip


def support2(data: Path, folder: Path):
    """Death in hospital of 9,105 patients, dealt to five sites; ten numbers of the third day."""
    table = pd.read_csv(data / "support2" / "support2.csv.gz")
    table.insert(0, "pid", [f"P{i:05d}" for i in range(len(table))])
    table["site"] = [f"s{i}" for i in np.random.default_rng(0).integers(0, 5, len(table))]
    bounds = {
        "age": (18, 100), "num.co": (0, 9), "scoma": (0, 100), "meanbp": (0, 200), "wblc": (0, 50), "hrt": (0, 200), "resp": (0, 60),
        "temp": (32, 42), "crea": (0, 10), "sod": (110, 170),
    }  # fmt: skip
    said = ", ".join(f"{k}: [{a}, {b}]" for k, (a, b) in bounds.items())
    return study(
        folder, "support2", table[["pid", "site", "hospdead", *bounds]], "pid", list(bounds),
        "{kind: binary, column: hospdead, positive: 1}", f"bounds: {{{said}}}",
    )  # fmt: skip


COHORTS = {"brca": brca, "support2": support2}


def score(kind: str, sites, scores) -> float:
    """Of the patients held out: C within sites, or AUC of all."""
    if kind == "survival":
        found = [concordance(s.time, s.y > 0, s.entry, r, s.patient) for s, r in zip(sites, scores, strict=True)]
        return sum(c * n for c, _, n in found) / sum(n for _, _, n in found)
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(np.concatenate([s.y for s in sites]), np.concatenate(scores)))


def output_perturbation(sites, plan, epsilon: float, penalty: float, seed: int) -> PrivateModel:
    """Ridge-penalised sums of losses at each site, minimised, with Gaussian noise of deviation (L / penalty) / mu: adding a patient whose gradient
    is at most L moves the minimum of a penalty-strongly convex sum by at most L / penalty. Averaged by size (taken for known)."""
    p = plan.privacy
    low, high = (np.array([getattr(c, n) for c in p.columns]) for n in ("low", "high"))
    mean, sd = (low + high) / 2, (high - low) / 4
    k = models.intercepts(plan.kind, p.times, 2)
    # Rows have a norm of at most one, so that gradients have one too: (r, r z) of a unit, or (r_k, sum of r_k times z).
    most = np.sqrt(2.0) if plan.kind == "binary" else np.sqrt(k + k * k)
    rng, parts, sizes = np.random.default_rng(seed), [], []
    for s in sites.values():
        x = values_of(s, p)
        z = np.where(np.isnan(x), 0.0, (x - mean) / sd) / np.sqrt(x.shape[1])
        z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1.0)
        o = outcomes_of(s, plan, np.ones(len(s), bool))

        def loss(b, z=z, o=o):
            g = models.unit_gradients(z, o, b).sum(0) + penalty * b
            return _loss(z, o, b) + penalty / 2 * b @ b, g

        b = minimize(loss, np.zeros(k + z.shape[1]), jac=True, method="L-BFGS-B").x
        parts.append(b + rng.standard_normal(len(b)) * (most / penalty) / mu_of(epsilon, DELTA))
        sizes.append(len(s))
    b = np.average(parts, axis=0, weights=sizes)
    return PrivateModel(plan, mean, sd, np.concatenate([b[:k], b[k:] / np.sqrt(len(mean))]))


def _loss(z, o, b) -> float:
    if o.kind == "binary":
        m = b[0] + z @ b[1:]
        return float((np.logaddexp(0, m) - o.y * m).sum())
    k = len(o.times)
    m = b[:k] + (z @ b[k:])[:, None]
    cell = models.unit_cell(o)
    last = np.where(cell < k, cell, cell - k - 1)
    there = np.arange(k) <= last[:, None]
    return float((there * (np.logaddexp(0, m) - (np.arange(k) == cell[:, None]) * m)).sum())


def one(cohort: str, data: Path, seeds: int) -> None:
    """Print a row for each epsilon."""
    with tempfile.TemporaryDirectory() as name:
        private, plain = COHORTS[cohort](data, Path(name))
        plan, exact = plan_of(private), plan_of(plain)
        loaded = load_data(private)
        sites, _ = cut(private, loaded, plan, "site")
        found: dict[tuple[str, str], list[float]] = {}
        for seed in range(seeds):
            held = {n: np.random.default_rng([seed, i]).random(len(s)) < 0.3 for i, (n, s) in enumerate(sites.items())}
            train = {n: take(s, np.flatnonzero(~held[n])) for n, s in sites.items()}
            test = [take(s, np.flatnonzero(held[n])) for n, s in sites.items()]

            def add(key, model, test=test, kind=plan.kind):
                found.setdefault(key, []).append(score(kind, test, [model.scores(t) for t in test]))

            add(("gradient", "none"), fit_private(train, plan, None, seed))
            for e in (*EPSILONS, *SMALLER):
                try:
                    add(("gradient", f"{e:g}"), fit_private(train, plan, e, seed))
                except FederationError:  # noisy counts leave no site: there is no model, and a coin predicts
                    found.setdefault(("gradient", f"{e:g}"), []).append(0.5)
            for e in EPSILONS:
                for penalty in PENALTIES:
                    add((f"output {penalty:g}", f"{e:g}"), output_perturbation(train, plan, e, penalty, seed))
            found.setdefault(("exact", "none"), []).append(newton(train, test, exact))
    print(
        f"{cohort}: {sum(map(len, sites.values()))} patients, {len(sites)} sites, {seeds} splits; mean (range of the middle 95%)"
    )
    best = {
        e: max((k for k in found if k[0].startswith("output") and k[1] == f"{e:g}"), key=lambda k: np.mean(found[k]))
        for e in EPSILONS
    }
    for key in [k for k in found if not k[0].startswith("output")] + list(best.values()):
        v = np.array(found[key])
        low, high = np.percentile(v, [2.5, 97.5])
        print(
            f"  {key[0]:12s} epsilon {key[1]:5s} {v.mean():.3f} ({low:.3f} to {high:.3f}), se {v.std(ddof=1) / np.sqrt(len(v)):.4f}",
            flush=True,
        )


def newton(train, test, plan) -> float:
    """The exact federated fit of the same patients."""
    from cohortium.contracts.federation import LinearModel
    from cohortium.federation_site.models import predicted_by

    made = replace(plan, quorum=1)
    state = drive(made, {n: asking(s, made) for n, s in train.items()}).state
    fit = state.fit
    model = LinearModel(state.columns, state.classes, state.mean, state.sd, state.outcome, fit.accepted)
    return score(plan.kind, test, [predicted_by(t, made, model) for t in test])


def main() -> None:
    """A block for each cohort."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cohorts", nargs="*", default=list(COHORTS))
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    for cohort in args.cohorts:
        one(cohort, args.data, args.seeds)


if __name__ == "__main__":
    main()
