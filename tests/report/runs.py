"""A synthetic run folder with every kind of endpoint, as the experiment room writes one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cohortium.contracts import Estimate
from cohortium.contracts.description import DescribedGroup, DescribedVariable, Description, Summary
from cohortium.contracts.results import (
    AddedValueRow,
    CalibrationRow,
    CohortRecord,
    Contrast,
    CoverageRow,
    Curve,
    DecisionPoint,
    DecisionRow,
    EndpointRecord,
    EvaluationRecord,
    Finding,
    LeaderboardRow,
    LearningCurveRow,
    ModalityRecord,
    PatternRecord,
    Results,
    Selected,
    StudyRecord,
    SubgroupRow,
    Versus,
)
from cohortium.report import to_json

MODALITIES = (
    "clinical", "pathological", "blood", "icd_codes", "ops_codes", "tma_cell_density", "tma_cd3", "tma_cd8",
    "tma_cd56", "tma_cd68", "wsi_primary_tumour", "wsi_lymph_node", "surgery_report_embeddings",
)  # fmt: skip
HOSTILE = '<script>alert("x")</script>'
GRID = np.linspace(3, 60, 20)
METRICS = {
    "survival": [("harrell_c", None), ("uno_c", None), ("auc_t", 24.0), ("auc_t", 60.0), ("integrated_brier", None)],
    "binary": [("roc_auc", None), ("average_precision", None), ("brier", None), ("balanced_accuracy", None)],
    "multiclass": [("balanced_accuracy", None), ("f1_macro", None), ("log_loss", None)],
    "ordinal": [("quadratic_kappa", None), ("balanced_accuracy", None)],
    "continuous": [("r2", None), ("mae", None), ("spearman", None)],
}
CLASSES = {
    "binary": ("no", "yes"),
    "multiclass": ("Basal", "Her2", "LumA", "LumB"),
    "ordinal": ("grade 1", "grade 2", "grade 3"),
}


def make_results(
    kinds: tuple[str, ...] = ("survival",),
    *,
    modalities: tuple[str, ...] = MODALITIES,
    reference: tuple[str, ...] = ("clinical", "pathological"),
    extra_learners: int = 0,
    n: int = 300,
    low_powered: bool = False,
    gain: float = 0.05,
    half: float = 0.03,
    classes: dict[str, tuple[str, ...]] | None = None,
) -> Results:
    """Records of a made-up study. gain, half: difference of auto to the reference and half its interval."""
    rng = np.random.default_rng(5)
    classes = classes or CLASSES
    reference = tuple(m for m in reference if m in modalities)
    endpoints = [_endpoint(k, n, classes) for k in kinds]
    board = [
        row for e in endpoints for row in _board(rng, e, modalities, reference, extra_learners, gain, half, low_powered)
    ]
    rows = [
        AddedValueRow(
            e.name,
            m,
            [_est(rng, k, h, rng.normal(0, 0.01), 0.012, n) for k, h in METRICS[e.kind]],
            [] if m in reference else [_est(rng, k, h, rng.normal(0.015, 0.01), 0.02, n) for k, h in METRICS[e.kind]],
        )
        for e in endpoints
        for m in modalities
    ]
    return Results(
        study=StudyRecord(
            "hancock_os", "Head and neck cancer: what do the assays add?", endpoints[0].name, list(reference),
            ["reference", *(f"single:{m}" for m in modalities), "best_single", "early", "late", "priority", "auto"],
            "default", 7,
        ),
        cohort=_cohort(rng, endpoints, modalities, reference, n),
        evaluation=EvaluationRecord(
            "nested", 1 if low_powered else 5, 5, 5, 5 if low_powered else 25, "patient", low_powered,
            ["Two folds were redrawn because a class was missing from them."],
        ),
        selected=[
            Selected(
                e.name, "auto",
                "named before the run: blends the candidates by inner folds only, then refitted on everyone",
                {"weights": {"early:linear": 0.41, "late": 0.33, "priority": 0.2, "reference": 0.06},
                 "inner_loss": 0.512,
                 "parts": {"early:linear": {"weights": {"ridge": 0.55, "net": 0.45},
                                            "parts": {"ridge": {"penalty": 31.6, "scheme": "evidence"}, "net": {}}},
                           "late": {"weights": {f"single:{m}": 0.1 for m in modalities}}}},
            )
            for e in endpoints
        ],
        leaderboard=board,
        added_value=rows,
        checks=[
            Finding("outcome_in_disguise:icd_codes.Z51", "serious", "The column 'Z51' of icd_codes determines the "
                    "outcome in 212 of 300 units (AUC 0.98 alone). If it was recorded later, declare it.",
                    "icd_codes", ["Z51"], endpoints[0].name, True),
            Finding("presence_predicts:wsi_lymph_node", "warning", "Having wsi_lymph_node predicts the outcome "
                    "(AUC 0.61); a model that sees presence would learn the clinic's routine.", "wsi_lymph_node"),
            Finding("constant_columns:blood", "note", "4 columns of blood are constant and were left out.", "blood"),
        ],
        learning_curve=[
            LearningCurveRow(e.name, "auto", f, int(240 * f),
                             [_est(rng, k, h, 0.6 + 0.1 * f, 0.04, n) for k, h in METRICS[e.kind]])
            for e in endpoints for f in (0.25, 0.5, 0.75, 1.0)
        ],
        calibration=[row for e in endpoints for row in _calibration(rng, e)],
        decisions=[row for e in endpoints for row in _decisions(rng, e, bool(reference))],
        subgroups=[row for e in endpoints for row in _subgroups(rng, e, modalities)],
        coverage=[row for e in endpoints for row in _covered(e)],
        descriptions=[_described(e, modalities) for e in endpoints],
        hashes={"study": "9f2c41aa03b1d7e2", "data": "b81f02c9975de310", "plan": "1177ab90ce00f4d2"},
        versions={"cohortium": "0.1.0", "python": "3.11.2", "numpy": "2.2.1", "lightgbm": "4.5.0"},
    )  # fmt: skip


CALIBRATION = ("calibration_slope", "calibration_intercept", "expected_observed", "ici", "e50", "e90", "ici_by_chance")


def _calibration(rng, e) -> list[CalibrationRow]:
    """Rows of auto and reference; none of the latter for several classes."""
    if e.kind == "continuous":
        return []
    labels = list(e.classes or [""])
    looks = [("", h) for h in e.horizons] or [(c, None) for c in (labels[1:] if len(labels) == 2 else labels)]
    at = [i / 50 for i in range(51)]
    rows = []
    for learner in ("auto", "reference"):
        for label, h in looks:
            level = [1.0 if k in ("calibration_slope", "expected_observed") else 0.05 for k in CALIBRATION]
            own = [Estimate(k, v + rng.normal(0, 0.02), v - 0.04, v + 0.04, e.n_units, 60, "nadeau_bengio", h)
                   for k, v in zip(CALIBRATION, level, strict=True)]  # fmt: skip
            value = [None if x > 0.9 else x**1.1 for x in at]
            low, high = ([None if v is None else min(max(v + d, 0.0), 1.0) for v in value] for d in (-0.08, 0.08))
            rows.append(CalibrationRow(e.name, learner, label, h, own, Curve(at, value, low, high)))
    return rows


def _decisions(rng, e, reference: bool) -> list[DecisionRow]:
    if e.kind not in ("binary", "survival"):
        return []
    at = [i / 100 for i in range(1, 100)]

    def curve(level: float) -> Curve:
        value = [max(level * (1 - 2 * t), 0.0) for t in at]
        return Curve(at, value, [v - 0.02 for v in value], [v + 0.02 for v in value])

    def net(value: float, h: float | None) -> Estimate:
        return Estimate("net_benefit", value, value - 0.01, value + 0.01, e.n_units, 60, "nadeau_bengio", h)

    rows = []
    for h in e.horizons or [None]:
        points = [DecisionPoint(t, net(0.3 - t, h), net(0.2 - t, h), net(0.02, h), *((net(0.28 - t, h), net(rng.normal(0, 0.02), h)) if reference else ()))
                  for t in (0.05, 0.1, 0.2)]  # fmt: skip
        label = "" if e.kind == "survival" else list(e.classes)[1]
        pair = (curve(0.28), curve(0.01)) if reference else (None, None)
        rows.append(DecisionRow(e.name, "auto", label, h, curve(0.3), curve(0.25), points, *pair))
    return rows


def _subgroups(rng, e, modalities) -> list[SubgroupRow]:
    """Sites, one of them too small, and patterns of availability."""
    metric, h = METRICS[e.kind][0]
    more = {
        "binary": ["sensitivity", "specificity", "expected_minus_observed"],
        "survival": ["expected_minus_observed"],
    }
    asks = [(metric, h), *((m, 24.0 if e.kind == "survival" else None) for m in more.get(e.kind, []))]
    rows = []
    for variable, group in (("site", "north"), ("site", "south"), ("site", "Žďár"), ("availability", modalities[-1])):
        if group == "Žďár":
            nothing = [
                Estimate(m, None, n=9, horizon=t, reason="too small to say: fewer than 20 units") for m, t in asks
            ]
            rows.append(SubgroupRow(e.name, "auto", variable, group, 9, 2, nothing))
            continue
        own = [_est(rng, m, t, rng.normal(0.7, 0.03), 0.06, 90) for m, t in asks]
        gaps = [Contrast(_est(rng, m, t, rng.normal(0, 0.02), 0.05, 90), 0.2, 1.0) for m, t in asks]
        rows.append(SubgroupRow(e.name, "auto", variable, group, 90, 40, own, gaps))
    return rows


def _covered(e: EndpointRecord) -> list[CoverageRow]:
    """Everybody, a class or pattern in which too few are held, and a group that is too small."""
    more = {"continuous": ["interval_width"], "survival": ["lower_bound"]}.get(e.kind, ["one_class", "one_class_right"])

    def row(variable: str, group: str, held: float, half: float) -> CoverageRow:
        others = [Estimate(m, 0.6, 0.5, 0.7, 90, None, "nadeau_bengio") for m in more]
        return CoverageRow(e.name, "auto", 0.9, variable, group, 90, [
            Estimate("coverage", held, held - half, held + half, 90, None, "nadeau_bengio"), *others])  # fmt: skip

    few = [Estimate(m, None, n=9, reason="too small to say: fewer than 20 units") for m in ("coverage", *more)]
    return [
        row("everyone", "everyone", 0.91, 0.03),
        row("site", "south", 0.7, 0.1),
        CoverageRow(e.name, "auto", 0.9, "site", HOSTILE, 9, few),
    ]


def _described(e: EndpointRecord, modalities: tuple[str, ...]) -> Description:
    """A number, levels of which some are withheld, and follow-up, in everyone, two patterns and a range over folds."""
    numbers = Summary(e.n_units - 7, 4, 3, 61.3, 53.0, 70.2, 61.0, 9.9)
    sex = Summary(e.n_units, counts=[e.n_units - 100, 100])
    few = Summary(90, counts=[None, None], few=[0])
    variables = [
        DescribedVariable("follow-up", "outcome", "follow_up", unit="months"),
        DescribedVariable("age", modalities[0], "numeric", unit="years"),
        DescribedVariable(HOSTILE if HOSTILE in modalities else "sex", modalities[0], "levels", ["f", "m"]),
    ]
    part = [Summary(90, median=None), Summary(84, 6, 0, 58.1, 50.0, 67.4, difference=0.31), few]
    rest = [
        Summary(e.n_units - 90, median=40.2),
        Summary(0, 0, e.n_units - 90),
        Summary(e.n_units - 90, counts=[90, 95]),
    ]
    low = [Summary(50, median=38.0), Summary(50, 0, 0, 58.0, 50.0, 66.0, difference=0.02), Summary(50, counts=[20, 25])]
    high = [
        Summary(60, median=44.0),
        Summary(58, 2, 1, 64.0, 56.0, 73.0, difference=0.08),
        Summary(60, counts=[33, 31]),
    ]
    return Description(
        e.name, variables,
        [
            DescribedGroup("everyone", "everyone", e.n_units, [Summary(e.n_units, median=51.3), numbers, sex]),
            DescribedGroup("availability", "all modalities", 90, part),
            DescribedGroup("availability", "other patterns", e.n_units - 90, rest),
            DescribedGroup("test_folds", "range over 25 test folds", 57, low, 58, high),
        ],
        ["12 further columns of clinical are not described"],
    )  # fmt: skip


def _endpoint(kind: str, n: int, classes: dict[str, tuple[str, ...]]) -> EndpointRecord:
    names = {
        "survival": "os",
        "binary": "recurrence",
        "multiclass": "subtype",
        "ordinal": "grade",
        "continuous": "score",
    }
    used = n - 12
    excluded = {"no_label": 9, "zero_time": 3}
    if kind == "survival":
        return EndpointRecord(
            "os", kind, used, used, 121, None, excluded, "months", [24.0, 60.0], 84.0, 51.3, "harrell_c"
        )
    if kind == "continuous":
        return EndpointRecord(names[kind], kind, used, used, None, None, excluded)
    k = len(classes[kind])
    sizes = {c: used // k + (i == 0) * (used % k) for i, c in enumerate(classes[kind])}
    return EndpointRecord(
        names[kind], kind, used, used, sizes[classes[kind][1]] if kind == "binary" else None, sizes, excluded
    )


def _cohort(rng, endpoints, modalities, reference, n) -> CohortRecord:
    share = {
        m: 1.0 if m in reference else float(p)
        for m, p in zip(modalities, rng.uniform(0.4, 1, len(modalities)), strict=True)
    }
    have = pd.DataFrame({m: rng.random(n) < share[m] for m in modalities})
    patterns = have.value_counts()
    return CohortRecord(
        n, n, endpoints[0].n_events, endpoints[0].classes, {"duplicate_patient": 4, "consent_withdrawn": 9},
        [ModalityRecord(m, int(have[m].sum()), 5 + 37 * i, {"numeric": 4 + 37 * i, "nominal": 1}, m in reference,
                        ["date_of_death"] if m == "clinical" else [], ["features in rows, turned"] if i == 2 else [])
         for i, m in enumerate(modalities)],
        [PatternRecord([m for m, on in zip(modalities, row, strict=True) if on], int(k))
         for row, k in patterns.items()],
        endpoints,
        n + 13,
    )  # fmt: skip


def _est(rng, metric, horizon, value, half, n, low=False, events=121) -> Estimate:
    lower = metric in ("brier", "log_loss", "integrated_brier", "mae")
    value = float(1 - value if lower and value > 0.4 else value)
    return Estimate(metric, value, value - half, value + half, n, events, "nadeau_bengio", horizon, None, low)


def _board(rng, e, modalities, reference, extra, gain, half, low) -> list[LeaderboardRow]:
    base = 0.66
    entries = [("reference", "reference", reference, base, {})] if reference else []
    entries += [(f"single:{m}", "single", (m,), base + rng.normal(-0.05, 0.03), {}) for m in modalities]
    entries += [("best_single", "single", modalities, base + 0.02, {"blood": 19, "clinical": 6})]
    fusions = ["early", "late", "priority", *(f"variant_{i}" for i in range(extra))]
    entries += [(f, "fusion", modalities, base + rng.normal(0.03, 0.015), {}) for f in fusions]
    entries += [("auto", "auto", modalities, base + gain, {"late": 20, "early": 5})]
    rows = []
    for name, role, used, value, chosen in entries:
        own = [_est(rng, k, h, value, 0.03, e.n_units, low) for k, h in METRICS[e.kind]]
        if name == "single:tma_cd68":
            own = [Estimate(k, None, horizon=h, reason="no unit of a test fold has it") for k, h in METRICS[e.kind]]
        to_ref = (
            []
            if name == "reference" or not reference
            else [_est(rng, k, h, value - base, half, e.n_units) for k, h in METRICS[e.kind]]
        )
        to_single = (
            []
            if name == "best_single"
            else [_est(rng, k, h, value - base - 0.02, half, e.n_units) for k, h in METRICS[e.kind]]
        )
        rows.append(
            LeaderboardRow(e.name, name, role, list(used), own, Versus(to_ref, to_single), name == "auto", chosen)
        )
    return rows


def make_run(folder: Path, results: Results, *, validation: bool = True, seed: int = 3) -> Path:
    """Write a run folder for ``results``: JSON files and both parquet files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(to_json(results), encoding="utf-8")
    rng = np.random.default_rng(seed)
    predictions, outcomes = [], []
    for e in results.cohort.endpoints:
        o, p = _endpoint_frames(
            rng, e, [r for r in results.leaderboard if r.endpoint == e.name], results.evaluation.repeats
        )
        outcomes.append(o)
        predictions.append(p)
    table = pa.Table.from_pandas(pd.concat(predictions, ignore_index=True), preserve_index=False)
    grids = {e.name: GRID.tolist() for e in results.cohort.endpoints if e.kind == "survival"}
    table = table.replace_schema_metadata({b"cohortium": json.dumps({"survival_times": grids}).encode()})
    pq.write_table(table, folder / "predictions.parquet")
    pd.concat(outcomes, ignore_index=True).to_parquet(folder / "outcomes.parquet")
    (folder / "run.json").write_text(
        json.dumps({"seconds": 812.4, "peak_memory_bytes": 1_310_000_000, "machine": {"system": "Linux", "cores": 2}})
    )
    if validation:
        e = results.cohort.endpoints[0]
        estimate = {"value": 0.69, "low": 0.63, "high": 0.75, "n": 211, "n_events": 88, "method": "bootstrap_patients"}
        calibration = {
            "predicted": [0.1, 0.3, 0.5, 0.7],
            "observed": [0.12, 0.27, 0.58, 0.71],
            "low": [0.05, 0.2, 0.45, 0.6],
            "high": [0.2, 0.36, 0.7, 0.81],
        }
        entry = {
            "endpoint": e.name,
            "data": "hospital_b",
            "n": 211,
            "estimates": [{"metric": k, "horizon": h, **estimate} for k, h in METRICS[e.kind]],
            "calibration": [calibration],
        }
        (folder / "validation.json").write_text(json.dumps([entry]))
    return folder


def _endpoint_frames(rng, e, rows, repeats) -> tuple[pd.DataFrame, pd.DataFrame]:
    n = e.n_units
    units = np.array([f"u{i:05d}" for i in range(n)], object)
    truth = rng.normal(size=n)
    out = pd.DataFrame(
        {
            "endpoint": e.name,
            "unit": units,
            "patient": units,
            "label": None,
            "code": pd.NA,
            "value": np.nan,
            "time": np.nan,
            "event": pd.NA,
            "entry": np.nan,
        }
    )
    if e.classes:
        cuts = np.cumsum(list(e.classes.values()))
        code = np.searchsorted(cuts, np.argsort(np.argsort(truth + rng.normal(size=n))), side="right")
        out["code"], out["label"] = code, np.array(list(e.classes), object)[code]
    elif e.kind == "continuous":
        out["value"] = 50 + 10 * truth + rng.normal(0, 6, n)
    else:
        t, c = rng.exponential(70 * np.exp(-0.8 * truth)), rng.uniform(5, 120, n)
        out["time"], out["event"], out["entry"] = np.minimum(t, c), t <= c, 0.0
    out = out.astype({"code": "Int64", "event": "boolean"})
    keep = [r.learner for r in rows if r.role != "single" or r.learner == "best_single"][:6]
    keep += [r.learner for r in rows if r.headline and r.learner not in keep]
    frames = [_predictions(rng, e, units, truth, out, name, k) for name in keep for k in range(repeats)]
    return out, pd.concat(frames, ignore_index=True)


def _predictions(rng, e, units, truth, out, learner, repeat) -> pd.DataFrame:
    n = len(units)
    score = truth + rng.normal(0, 0.6 if learner == "auto" else 1.2, n)
    frame = pd.DataFrame(
        {"endpoint": e.name, "learner": learner, "unit": units, "repeat": repeat, "fold": rng.permutation(n) % 5}
    )
    if e.classes:
        k = len(e.classes)
        logits = -((np.linspace(-1, 1, k)[None, :] * 1.2 - score[:, None]) ** 2)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        for j, c in enumerate(e.classes):
            frame[f"p_{c}"] = p[:, j]
    elif e.kind == "continuous":
        frame["value"] = 50 + 8 * score
    else:
        frame["risk"] = 0.6 * score + frame["fold"] * 3.0  # another level in every fold, as Cox models have
        hazard = np.exp(0.6 * score) / 70
        frame["survival"] = list(np.exp(-hazard[:, None] * GRID[None, :]))
    return frame


if __name__ == "__main__":
    import sys

    from cohortium.report import write_report

    for name, kinds in {
        "survival": ("survival",),
        "all": ("survival", "binary", "multiclass", "ordinal", "continuous"),
    }.items():
        made = make_run(Path(sys.argv[1]) / name, make_results(kinds, extra_learners=22 if name == "all" else 0))
        print(write_report(made))
