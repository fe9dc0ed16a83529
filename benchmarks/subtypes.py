"""Subtypes: PAM50 without labels, *none* where there are none, and planted clusters, each through the whole way of the command.

usage: python benchmarks/subtypes.py [--breast] [--nulls 100] [--planted 20] [--families gaussian:0.4,…] [--out runs]
--breast: the 150 training patients of breast.TCGA, three modalities; adjusted Rand index with PAM50 beside that of k-means
(scikit-learn, n_init=20) on the leading principal components of each modality side by side. --nulls, --planted: simulated
cohorts of 120 patients with three modalities of 40 features.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from cohortium.cohort import Cohort, Table
from cohortium.cohort.table import feature_frame
from cohortium.joint.choosing import choose_factors
from cohortium.subtypes import find_subtypes

NAMES, N, P = ("rna", "protein", "mirna"), 120, 40


def cohort_of(blocks: dict[str, np.ndarray], rng: np.random.Generator, missing: float = 0.0) -> Cohort:
    """missing: share of patients who lack a modality, each by itself; everybody keeps one."""
    n = len(next(iter(blocks.values())))
    ids = pd.Index([f"{i:04d}" for i in range(n)], dtype=object)
    have = rng.random((n, len(blocks))) >= missing
    have[~have.any(axis=1), 0] = True
    units = pd.DataFrame({"patient": ids}, index=ids)
    made = {}
    for (name, x), h in zip(blocks.items(), have.T, strict=True):
        made[name] = Table(ids[h], x[h], feature_frame([f"{name}_{j}" for j in range(x.shape[1])]))
    return Cohort(units, made)


def of_factors(z: np.ndarray, rng: np.random.Generator, noise: float = 1.0) -> dict[str, np.ndarray]:
    """Three modalities that all tell of the columns of z."""
    return {m: z @ rng.normal(size=(z.shape[1], P)) * 0.5 + noise * rng.normal(size=(len(z), P)) for m in NAMES}


def null_blocks(family: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    if family == "gaussian":
        return {m: rng.normal(size=(N, P)) for m in NAMES}
    if family == "t3":
        return {m: rng.standard_t(3, size=(N, P)) for m in NAMES}
    if family == "counts":
        return {m: rng.poisson(rng.gamma(0.5, 4.0, size=P), size=(N, P)).astype(float) for m in NAMES}
    z = {
        "correlated": lambda: rng.normal(size=(N, 3)) * [2.0, 1.0, 1.0],
        "t4_factors": lambda: rng.normal(size=(N, 3)) / np.sqrt(rng.chisquare(4, size=(N, 1)) / 4),
        "skewed": lambda: rng.exponential(size=(N, 3)) - 1,
        "flat": lambda: np.column_stack([rng.uniform(-3, 3, N), rng.normal(size=(N, 2))]),
        "curved": lambda: (lambda u: np.column_stack([3 * u, 3 * u * u, 0.5 * rng.normal(size=N)]))(
            rng.uniform(-1, 1, N)
        ),
    }[family]()
    return of_factors(z, rng)


NULLS = ("gaussian", "correlated", "t3", "t4_factors", "skewed", "counts", "flat", "curved")


def planted(
    k: int, apart: float, rng: np.random.Generator, shares: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """k clusters whose centres are ``apart`` standard deviations from each other, in as many of five factors."""
    label = rng.choice(k, size=N, p=shares)
    centre = np.eye(k, 5) * apart / np.sqrt(2)
    return of_factors(centre[label] + rng.normal(size=(N, 5)), rng), label


def found_in(cohort: Cohort, seed: int):
    joint, _ = choose_factors(cohort, 24, seed)
    return find_subtypes(cohort, joint, np.random.default_rng([seed, 41]), draws=99)


def run_nulls(draws: int, settings: list[str]) -> None:
    print("| family | missing | none | p ≤ 0.05 | number of clusters otherwise | seconds |\n|---|---|---|---|---|---|")
    for setting in settings:
        family, _, share = setting.partition(":")
        missing, made, p, begin = float(share or 0), Counter[int](), list[float](), time.perf_counter()
        for i in range(draws):
            rng = np.random.default_rng([i, NULLS.index(family), int(10 * missing)])
            found = found_in(cohort_of(null_blocks(family, rng), rng, missing), i).evidence
            made[found.chosen or 0] += 1
            p.append(found.p)
        rest = {k: v for k, v in sorted(made.items()) if k}
        cells = (family, missing, f"{made[0]} of {draws}", f"{np.mean(np.array(p) <= 0.05):.2f}", rest or "")
        print(f"| {' | '.join(map(str, cells))} | {time.perf_counter() - begin:.0f} |", flush=True)


def run_planted(draws: int) -> None:
    from sklearn.metrics import adjusted_rand_score

    print(
        "| clusters | apart | missing | found | right number | adjusted Rand index where found |\n|---|---|---|---|---|---|"
    )
    for k, apart, missing, shares in (
        (2, 4, 0.0, None), (2, 5, 0.0, None), (3, 4, 0.0, None), (3, 5, 0.0, None), (3, 5, 0.4, None), (4, 5, 0.0, None),
        (3, 6, 0.0, np.array([0.6, 0.25, 0.15])),
    ):  # fmt: skip
        some, right, ari = 0, 0, []
        for i in range(draws):
            rng = np.random.default_rng([i, k, int(apart), int(10 * missing)])
            blocks, label = planted(k, apart, rng, shares)
            cohort = cohort_of(blocks, rng, missing)
            found = found_in(cohort, i)
            if found.subtypes is not None:
                some, right = some + 1, right + (found.evidence.chosen == k)
                ari.append(adjusted_rand_score(label, found.subtypes.assign(cohort)["subtype"]))
        sizes = k if shares is None else f"{k} ({', '.join(f'{s:.0%}' for s in shares)})"
        print(
            f"| {sizes} | {apart} | {missing} | {some} of {draws} | {right} | {np.mean(ari) if ari else np.nan:.2f} |",
            flush=True,
        )


def run_breast(out: Path) -> None:
    from breast import folders
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.metrics import adjusted_rand_score

    from cohortium.encoders import fit_encoder
    from cohortium.study import load_study
    from cohortium.study.data import read_study

    folder = folders(out)[0]
    cohort = read_study(load_study(folder / "study.yaml")).cohort
    truth = pd.read_csv(folder / "labels.csv", index_col=0).loc[cohort.ids, "subtype"]
    begin = time.perf_counter()
    joint, _ = choose_factors(cohort, 24, 0)
    rule = find_subtypes(cohort, joint, np.random.default_rng(0))
    print(f"rule: {rule.evidence.chosen} clusters, p = {rule.evidence.p:.3f}, {time.perf_counter() - begin:.0f} s")
    assert rule.subtypes is not None
    print(pd.crosstab(truth.to_numpy(), rule.subtypes.assign(cohort)["subtype"].to_numpy()))
    encoded = [fit_encoder(m).transform(m) for m in cohort.modalities.values()]
    print("| clusters | subtype | k-means, 5 components each | 10 each | 20 each |\n|---|---|---|---|---|")
    for k in (3, 4, 5):
        forced = find_subtypes(cohort, joint, np.random.default_rng(0), clusters=k)
        assert forced.subtypes is not None
        cells = [adjusted_rand_score(truth, forced.subtypes.assign(cohort)["subtype"])]
        for c in (5, 10, 20):
            side = np.hstack([PCA(c, random_state=0).fit_transform(x) for x in encoded])
            cells.append(adjusted_rand_score(truth, KMeans(k, n_init=20, random_state=0).fit_predict(side)))
        print(f"| {k} | {' | '.join(f'{x:.3f}' for x in cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--breast", action="store_true")
    parser.add_argument("--nulls", type=int, default=0, help="draws of each family")
    parser.add_argument("--planted", type=int, default=0, help="draws of each setting")
    parser.add_argument(
        "--families", default=",".join(f"{n}:{m}" for n in NULLS for m in (0.4, 0)), help="family:share missing"
    )
    parser.add_argument("--out", type=Path, default=Path("runs"))
    args = parser.parse_args()
    if args.breast:
        run_breast(args.out)
    if args.nulls:
        run_nulls(args.nulls, args.families.split(","))
    if args.planted:
        run_planted(args.planted)


if __name__ == "__main__":
    main()
