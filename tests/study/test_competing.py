"""A study of competing risks from its file to report, predictions and validation; what it leaves out, and what it refuses."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from cohortium.errors import StudyError
from cohortium.metrics import incidence_at
from cohortium.report import answer
from cohortium.study import load_study, open_run, predict, run, validate
from cohortium.study.files import read_grid
from cohortium.testing import simulate_cohort, write_study_folder

SETTINGS = {
    "preset": "quick",
    "models": ["linear"],
    "learners": ["late", "auto"],
    "reference": ["labs"],
    "evaluation": {"repeats": 1, "folds": 3, "inner_folds": 3, "subgroups": ["sex"]},
}


def write(folder: Path, **settings) -> Path:
    """A study folder with two endpoints on the same times; 20 of the other events are of unknown cause."""
    s = simulate_cohort(np.random.default_rng(3), 240, {"labs": 5, "rna": 20}, "competing_risks", signal=2.0,
                        missing={"rna": 0.3}, prevalence=0.6, name="relapse")  # fmt: skip
    file = write_study_folder(s, folder, settings=SETTINGS | settings)
    spec = yaml.safe_load(file.read_text())
    units = folder / spec["cohort"]["units"]["file"]
    frame = pd.read_csv(units, dtype=str)
    frame.loc[np.flatnonzero(frame["relapse_cause"] == "death")[:20], "relapse_cause"] = "died of ?"
    frame["sex"] = np.resize(["f", "m"], len(frame))
    frame.to_csv(units, index=False)
    own = spec["endpoints"]["relapse"] | {"unknown": "died of ?", "horizons": [0.1, 0.3]}
    spec["endpoints"] = {"relapse": own, "by_cause": own | {"model": "cause_specific", "unknown_as": "exclude"}}
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("competing")
    return run(load_study(write(root / "study")), out=root / "run", jobs=1).folder


def _wolbers(time, cause, risk, tau: float, trained: tuple[np.ndarray, np.ndarray]) -> float:
    """Pair by pair (Wolbers 2014), with the training part's Kaplan-Meier of censoring."""

    @cache
    def free(t: float, before: bool) -> float:
        out = 1.0
        for c in np.unique(trained[0][trained[1] == 0]):
            if c < t or (c == t and not before):
                out *= 1 - ((trained[0] == c) & (trained[1] == 0)).sum() / (
                    (trained[0] > c).sum() + ((trained[0] == c) & (trained[1] == 0)).sum()
                )
        return out

    right = every = 0.0
    for i in np.flatnonzero((cause == 1) & (time <= tau)):
        for j in range(len(time)):
            if time[j] > time[i] or (time[j] == time[i] and cause[j] == 0):
                w = 1 / (free(time[i], True) * free(time[i], False))
            elif cause[j] > 1 and time[j] <= time[i]:
                w = 1 / (free(time[i], True) * free(time[j], True))
            else:
                continue
            every += w
            right += w * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
    return right / every


def test_unknown_causes_are_scored_as_if_they_were_known(folder: Path) -> None:
    results = open_run(folder).results
    rows = {(r.learner, r.treatment): r for r in results.sensitivity}
    assert {r.endpoint for r in results.sensitivity} == {"relapse"} and len(rows) == 4
    out, interest = (rows["auto", t] for t in ("left out of the test parts", "of the cause of interest"))
    first = results.cohort.endpoints[0]
    assert (out.n_units, interest.n_units) == (220, 240)
    assert (out.n_events, interest.n_events) == (first.classes["relapse"], first.classes["relapse"] + 20)
    assert out.versus_reference is not None and rows["reference", out.treatment].versus_reference is None
    told = pd.read_parquet(folder / "predictions.parquet").query("endpoint == 'relapse' and learner == 'auto'")
    both = told.merge(pd.read_parquet(folder / "outcomes.parquet").query("endpoint == 'relapse'"), on="unit")
    by_hand = {"out": [], "interest": []}
    for fold in sorted(both["fold"].unique()):
        test, train = both[both["fold"] == fold], both[both["fold"] != fold]
        trained = train["time"].to_numpy(), train["code"].to_numpy()
        time, cause, risk = (test[c].to_numpy() for c in ("time", "code", "risk"))
        keep = cause != 3
        by_hand["out"].append(_wolbers(time[keep], cause[keep], risk[keep], first.tau, trained))
        by_hand["interest"].append(_wolbers(time, np.where(cause == 3, 1, cause), risk, first.tau, trained))
    assert out.estimate.value == pytest.approx(np.mean(by_hand["out"]), abs=1e-6)
    assert interest.estimate.value == pytest.approx(np.mean(by_hand["interest"]), abs=1e-6)
    page = (folder / "report.html").read_text().replace("<wbr>", "")
    assert page.count("If the unknown causes were known") == 1 and page.count('href="#endpoint-0-unknown"') == 1
    assert "with them left out of the test parts and" in page and "with them of the cause of interest" in page


def test_records_say_what_came_and_what_is_not_known(folder: Path) -> None:
    results = open_run(folder).results
    first, second = results.cohort.endpoints
    assert (
        list(first.classes or ()) == ["relapse", "death", "unknown cause"]
        and (first.classes or {})["unknown cause"] == 20
    )
    assert first.n_events == (first.classes or {})["relapse"] and first.headline_metric == "wolbers_c"
    assert second.excluded == {"event of unknown cause": 20} and second.n_units == 220
    assert any("20 events of unknown cause count as events of another cause" in n for n in results.evaluation.notes)
    board = open_run(folder).leaderboard()
    values = board[(board["metric"] == "wolbers_c") & (board["learner"] == "auto")].set_index("endpoint")["value"]
    assert values["relapse"] > 0.7 and values["by_cause"] > 0.7
    assert set(board["metric"]) == {"wolbers_c", "auc_t", "brier_t", "integrated_brier"}
    assert [(r.endpoint, r.horizon) for r in results.decisions] == [
        (e, h) for e in ("relapse", "by_cause") for h in (0.1, 0.3)
    ]
    assert not results.coverage
    ratio = [e for r in results.calibration for e in r.estimates if e.metric == "expected_observed"]
    assert len(ratio) == 8 and all(0.5 < e.value < 2 for e in ratio if e.value is not None)
    assert {e.reason for r in results.calibration for e in r.estimates if e.metric == "calibration_slope"} == {
        "not defined with competing risks"
    }
    assert {r.variable for r in results.subgroups} >= {"sex"}
    assert "C-index" in answer(results)[1]


def test_stored_predictions_are_incidences_beside_causes(folder: Path) -> None:
    p, o = pd.read_parquet(folder / "predictions.parquet"), pd.read_parquet(folder / "outcomes.parquet")
    one = p[(p["endpoint"] == "relapse") & (p["learner"] == "auto")]
    curves = np.stack(one["incidence"])
    assert (np.diff(curves, axis=1) >= 0).all() and 0 <= curves.min() <= curves.max() <= 1 and "survival" not in p
    o = o[o["endpoint"] == "relapse"].set_index("unit").loc[one["unit"]]
    assert (o["event"] == (o["code"] == 1)).all() and set(o["label"]) == {
        "censored",
        "relapse",
        "death",
        "unknown cause",
    }
    observed = incidence_at(o["time"].to_numpy(), o["code"].to_numpy(np.int64), 0.3)[0]
    grid = np.array(read_grid(folder / "predictions.parquet")["relapse"])
    assert curves[:, np.searchsorted(grid, 0.3)].mean() == pytest.approx(observed, rel=0.25)


def test_the_report_shows_incidences(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Cumulative incidence of relapse by predicted risk group" in page
    assert "Kaplan-Meier by predicted risk group" not in page
    assert "competing risks endpoint" in page and "20 events of unknown cause" in page


def test_new_patients_have_incidences_at_the_horizons(folder: Path) -> None:
    made = predict(folder, folder.parent / "study")
    assert {"relapse.risk", "relapse.incidence_0.1", "relapse.incidence_0.3", "by_cause.incidence_0.3"} <= set(
        made.columns
    )
    assert (made["relapse.incidence_0.1"] <= made["relapse.incidence_0.3"]).all()
    assert np.corrcoef(made["relapse.incidence_0.3"], made["by_cause.incidence_0.3"])[0, 1] > 0.9
    estimates = validate(folder, folder.parent / "study")
    c = next(e for e in estimates["relapse"] if e.metric == "wolbers_c")
    assert c.value is not None and c.value > 0.7 and c.method == "bootstrap_patients"
    entries = (folder / "validation.json").read_text()
    assert '"horizon": 0.3' in entries


def test_networks_are_refused_before_anything_is_fitted(tmp_path: Path) -> None:
    file = write(tmp_path / "study", deep=[{"name": "net"}])
    with pytest.raises(StudyError, match=r"Networks do not learn competing risks.*deep 'net'"):
        run(load_study(file), out=tmp_path / "run", jobs=1)
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
def test_it_is_audited_and_explained(folder: Path, tmp_path: Path) -> None:
    from cohortium.study import audit, explain

    made = audit(folder, folder.parent / "study", folds=1, shuffles=3, jobs=1)
    assert {p.metric for p in made.permuted} == {"wolbers_c"} and all(p.shuffled is not None for p in made.permuted)
    assert made.accused == {} and made.folds == 2 and {t.verdict for t in made.trials} == {"clean"}
    found = explain(folder, folder.parent / "study", jobs=1)
    assert found.results.endpoint == "relapse" and "risk of relapse by 0.1" in found.results.quantity


def test_biomarkers_are_those_of_the_cause_specific_hazard(folder: Path, tmp_path: Path) -> None:
    from cohortium.study import biomarkers

    found = biomarkers(folder.parent / "study" / "study.yaml", tmp_path / "found", endpoint="relapse", fdr=0.2)
    assert any("follow-up ends with another cause" in n for n in found.results.notes)
    assert len(found.table) >= 25
