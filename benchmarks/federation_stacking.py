"""Stacks of federated models on real cohorts: against one linear model, trees, and the best part, on the same folds and held-out sites, paired by site.

usage: python benchmarks/federation_stacking.py brca|hancock [--data ../shared/data] [--folds 3] [--only "NAME;NAME"]

Cohorts as in federation_networks.py: brca, six regions, one table; hancock, four sites dealt at random, of which one has no blood counts and one no image
embeddings. Ridge penalties are declared by a rule, not chosen: the number of columns of a part (a prior standard deviation of its score of 1); of brca 1, as in
section 25. Everything else is a default of the study file.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from federation_networks import LEAST, brca, hancock, text
from scipy import stats

from cohortium.contracts.federation_results import FederatedResults
from cohortium.study import simulate_federation

STUDY = """\
name: {name}
cohort:
  units: {{file: units.csv, id: id}}
  modalities:
{modalities}
endpoints:
  os: {{kind: survival, time: time, event: event, time_unit: days, zero_times: exclude}}
design: {{site: site}}
federation: {{folds: {folds}, {more}, {least}}}
"""
PREPARED = "prepare: {unknown: median, skewed: compress, outliers: clip}"
TREES = "trees: {rounds: 50, depth: 2}"
PENALTIES = "penalties: {clinical: 10, pathological: 40, blood: 28, he: 512}"
ALL = "modalities: [clinical, pathological, blood, he]"
WAYS = {
    "brca": {
        "linear": "penalty: 1",
        "linear, prepared": f"penalty: 1, {PREPARED}",
        "trees": f"method: trees, {TREES}",
        "stack": f"method: stack, penalty: 1, {TREES}",
        "stack, prepared": f"method: stack, penalty: 1, {TREES}, {PREPARED}",
    },
    "hancock": {
        "linear": f"penalty: 590, {ALL}",
        "linear, no images": "penalty: 78, modalities: [clinical, pathological, blood]",
        "linear, no images, prepared": f"penalty: 78, modalities: [clinical, pathological, blood], {PREPARED}",
        "trees": f"method: trees, {ALL}, {TREES}",
        "stack": f"method: stack, {ALL}, stack: {{parts: [linear], {PENALTIES}}}",
        "stack, prepared": f"method: stack, {ALL}, {PREPARED}, stack: {{parts: [linear], {PENALTIES}}}",
        "stack of both": f"method: stack, {ALL}, {PREPARED}, {TREES}, stack: {{parts: [linear, trees], {PENALTIES}}}",
    },
}
DESIGNS = ("leave_one_site_out", "folds")


def values(found: FederatedResults, design: str) -> dict[str, float]:
    """C-index by site."""
    assert found.evaluation is not None
    rows = [r for r in found.evaluation.sites if (r.design, r.metric) == (design, "c_index")]
    return {r.site: r.value for r in rows if r.value is not None}


def difference(a: dict[str, float], b: dict[str, float]) -> str:
    """Mean over sites of a less b, with a 95% interval by t."""
    d = np.array([a[s] - b[s] for s in a if s in b])
    if len(d) < 3:
        return "–"
    half = float(stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d)))
    return f"{d.mean():+.3f} ({d.mean() - half:+.3f} to {d.mean() + half:+.3f}), {len(d)} sites"


def show(name: str, found: FederatedResults, seconds: float) -> None:
    """Means across sites of each design, parts, bytes and seconds."""
    e = found.evaluation
    assert e is not None
    left = [m.size for m in found.messages if m.to == "coordinator"]
    print(f"== {name}: {found.rounds} rounds, {sum(left):,} bytes left all sites, {seconds:.0f} CPU s", flush=True)
    for p in e.across:
        print(f"  {p.design} {p.metric}: {p.sites} sites, {text(p)} {p.reason}", flush=True)
    if found.stack is not None:
        for part in found.stack.parts:
            print(
                f"  part {part.name}: weight {part.weight} spread {part.spread} units {part.units} {part.reason}",
                flush=True,
            )
    if found.preparing is not None and found.preparing.shaping is not None:
        print(f"  {found.preparing.shaping}", flush=True)
    for n in [*found.notices, *e.notices]:
        print("  !", n[:200], flush=True)


def main() -> None:
    """Print a block for each way, then paired differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", choices=list(WAYS))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    found: dict[str, FederatedResults] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        modalities = {"brca": brca, "hancock": hancock}[asked.cohort](asked.data.resolve(), folder)
        for way, more in WAYS[asked.cohort].items():
            if asked.only and way not in asked.only.split(";"):
                continue
            study = folder / "study.yaml"
            study.write_text(
                STUDY.format(name=asked.cohort, modalities=modalities, folds=asked.folds, more=more, least=LEAST)
            )
            begun = time.process_time()
            found[way] = simulate_federation(study, evaluate=True)
            show(way, found[way], time.process_time() - begun)
    for design in DESIGNS:
        for a in found:
            for b in list(found)[: list(found).index(a)]:
                print(
                    f"{design}: {a} less {b}: {difference(values(found[a], design), values(found[b], design))}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
