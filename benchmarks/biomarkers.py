"""Discovery on real patients: the list, its overlap between two disjoint halves of the patients, and genes named beforehand.

usage: python benchmarks/biomarkers.py [--studies kirc,brca,hancock,nki70] [--beyond] [--halves 10] [--out runs]
The genes below were written down from the literature before the first run, and not changed after. For each the rank of its smallest
p-value among all features of its modality is printed. Overlap: of the 50 groups with the smallest p in a random half, how many are
among the 50 of the other half, and how many would be by chance; mean over --halves divisions.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import cohortium

HERE = Path(__file__).parent
DATA = (HERE / "../../shared/data").resolve()

# KIRC: BAP1 (Hakimi 2013, Eur Urol 63:848), 9p loss with CDKN2A (El-Mokadem 2014, BJC 110:1250), CA9 (Bui 2003, Clin Cancer Res
# 9:802), the 16-gene score of Rini 2015 (Lancet Oncol 16:676: EIF4EBP1, LMNB1, IL6, EDNRB, NOS3, CX3CL1), proliferation.
# BRCA: the genes of Oncotype DX (Paik 2004, NEJM 351:2817) and FOXM1, EGFR; mutations of TP53, GATA3, PIK3CA.
# HANCOCK: what staging and HPV are known for (Ang 2010, NEJM 363:24), haemoglobin, CD8. NKI70: its proliferation genes, SCUBE2.
BEFOREHAND = {
    "kirc": {
        "mut": ["BAP1"],
        "cnv": ["CDKN2A"],
        "rnaseq": [
            "CA9",
            "EIF4EBP1",
            "LMNB1",
            "IL6",
            "EDNRB",
            "NOS3",
            "CX3CL1",
            "TOP2A",
            "AURKA",
            "BIRC5",
            "CDK1",
            "FOXM1",
            "KDR",
        ],
    },
    "brca": {
        "mut": ["TP53", "GATA3", "PIK3CA"],
        "rnaseq": [
            "ESR1",
            "PGR",
            "ERBB2",
            "MKI67",
            "AURKA",
            "BIRC5",
            "CCNB1",
            "MYBL2",
            "BCL2",
            "SCUBE2",
            "FOXM1",
            "EGFR",
            "BAG1",
            "GRB7",
        ],
    },
    "hancock": {
        "clinical": ["age_at_initial_diagnosis"],
        "pathological": [
            "pN_stage",
            "pT_stage",
            "perinodal_invasion",
            "number_of_positive_lymph_nodes",
            "infiltration_depth_in_mm",
        ],
        "blood": ["Hemoglobin [Mass/volume] in Blood"],
    },
    "nki70": {"genes": ["PRC1", "CENPA", "MELK", "NUSAP1", "ECT2", "DTL", "ORC6L", "RFC4", "SCUBE2", "CDCA7"]},
}
ROUTINE = {"kirc": ["clinical"], "brca": ["clinical"], "hancock": ["clinical", "pathological"], "nki70": ["clinical"]}
TOP = 50


def study_of(name: str, out: Path) -> Path:
    """Its study file, written where the repository has none."""
    if name == "nki70":
        from nki70 import write

        return write(out / "nki70")
    if name == "hancock":
        return HERE / "studies" / "hancock_os.yaml"
    from tcga import study_text

    file = out / f"{name}.yaml"
    file.write_text(study_text(name, "authors", "linear", out / "none"))
    return file


def halves(study: Path, beyond: list[str], divisions: int) -> tuple[float, float, float]:
    """Mean overlap of the leading groups of two halves, that of chance, and the share of their effects with the same sign."""
    from cohortium.discovery import univariate
    from cohortium.discovery.finding import all_groups
    from cohortium.study import load_study
    from cohortium.study.discovering import _material

    loaded = load_study(study)
    m = _material(loaded, loaded.spec.primary_name, beyond)
    groups = all_groups(m.features)
    n, top = int(groups.max()) + 1, min(TOP, (int(groups.max()) + 1) // 5)
    rng, shared, same = np.random.default_rng(0), list[float](), list[float]()
    for _ in range(divisions):
        order = rng.permutation(len(m.outcome))
        lists, effects = [], []
        for rows in (order[: len(order) // 2], order[len(order) // 2 :]):
            c = None if m.covariates is None else m.covariates[rows]
            found = univariate(m.outcome.take(rows), m.features.take(rows), c)
            best = np.full(n, np.inf)
            np.minimum.at(best, groups, np.nan_to_num(found.p, nan=np.inf))
            lists.append(set(np.argsort(best, kind="stable")[:top].tolist()))
            effects.append(found.effect)
        shared.append(len(lists[0] & lists[1]))
        leading = np.flatnonzero(np.isin(groups, list(lists[0])))
        same.append(float(np.nanmean(np.sign(effects[0][leading]) == np.sign(effects[1][leading]))))
    return float(np.mean(shared)), top * top / n, float(np.mean(same))


def one(name: str, adjusted: bool, divisions: int, out: Path) -> None:
    study, beyond = study_of(name, out), ROUTINE[name] if adjusted else []
    begin = time.perf_counter()
    made = cohortium.biomarkers(study, beyond=beyond)
    r, seconds = made.results, time.perf_counter() - begin
    print(f"\n## {name}{' beyond ' + ', '.join(beyond) if beyond else ''} ({seconds:.0f} s)")
    print(
        f"{r.n_patients} patients, {r.n_effective} events, {r.n_features} features in {r.n_groups} groups, tested {r.n_tested}"
    )
    print(
        f"knockoffs {r.n_found} {r.refused}; alone {r.associated}; stable {r.stability.found if r.stability else '-'}"
    )
    for g in r.groups[: max(r.n_found, 12)]:
        line = f"{'*' if g.selected else ' '} {g.modality} {g.lead.feature} (+{len(g.members) - 1}) effect {g.lead.effect:.2f} q {g.lead.q:.1e}"
        print(f"{line} again {g.again} stability {g.stability:.2f} folds {g.folds}")
    both, chance, same = halves(study, beyond, divisions)
    print(f"halves: {both:.1f} of the leading groups shared, {chance:.1f} by chance; same sign {same:.0%}")
    for modality, named in BEFOREHAND[name].items():
        own = made.table[made.table["modality"] == modality].sort_values("p", kind="stable").reset_index(drop=True)
        rank = {f: i + 1 for i, f in enumerate(own["feature"])}
        q = dict(zip(own["feature"], own["q"], strict=True))
        print(
            f"{modality}: "
            + ", ".join(f"{g} {rank[g]}/{len(own)} (q {q[g]:.2g})" if g in rank else f"{g} not measured" for g in named)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", default="kirc,brca,hancock,nki70")
    parser.add_argument("--beyond", action="store_true", help="adjusted for the routine modalities")
    parser.add_argument("--halves", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.studies.split(","):
        if name not in BEFOREHAND:
            raise SystemExit(f"no study called '{name}': {', '.join(BEFOREHAND)}")
        one(name, args.beyond, args.halves, args.out)


if __name__ == "__main__":
    main()
