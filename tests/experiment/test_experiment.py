"""Outer folds: the same numbers whatever the jobs and whenever it was killed; nothing of the test rows gets in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cohortium.contracts import Survival
from cohortium.experiment import Experiment, ProgressEvent, Task, run_experiment
from cohortium.experiment.folds import read_fold, same_plan
from cohortium.experiment.plan import LATE_EVENTS, MOST_GRID_POINTS, cohort_hash, endpoint_plan
from cohortium.experiment.work import build_fold, facts_of, subset
from cohortium.learners import fit_all
from cohortium.learners.saving import predictor_state
from tests.experiment import toy


def flat(x: object) -> list[object]:
    """Leaves of a structure, arrays as bytes."""
    if isinstance(x, dict):
        return [v for k in x for v in [k, *flat(x[k])]]
    if isinstance(x, list | tuple):
        return [v for y in x for v in flat(y)]
    if isinstance(x, np.ndarray):
        return x.tolist() if x.dtype == object else [x.tobytes()]
    return [x]


def same(a: Experiment, b: Experiment) -> bool:
    """Bitwise equal predictions, thresholds and final models."""
    for name in a.outer:
        for x, y in zip(a.outer[name], b.outer[name], strict=True):
            assert list(x.predictions) == list(y.predictions)
            assert x.learners == y.learners
            for learner, p in x.predictions.items():
                assert flat(vars(p)) == flat(vars(y.predictions[learner]))
    for name, (folder, facts) in a.finals.items():
        other, other_facts = b.finals[name]
        assert facts == other_facts
        for file in sorted((folder / "predictor").iterdir()):
            assert file.read_bytes() == (other / "predictor" / file.name).read_bytes()
    return True


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    c = toy.cohort()
    return run_experiment(c, toy.plan(c), tmp_path_factory.mktemp("first"), jobs=1)


def test_two_processes_give_the_same_bits_as_one(first: Experiment, tmp_path: Path) -> None:
    c = toy.cohort()
    events: list[ProgressEvent] = []
    second = run_experiment(c, toy.plan(c), tmp_path, jobs=2, progress=events.append)
    assert same(first, second)
    assert second.resumed == 0 and second.peak_bytes > 10_000_000
    assert [e.done for e in events] == list(range(9))
    assert events[-1].seconds_left == 0 and events[1].seconds_left is not None
    assert not list(tmp_path.glob("*.dump"))


def test_every_unit_is_predicted_once_by_every_learner(first: Experiment) -> None:
    results = first.outer["os"]
    assert sorted(np.concatenate([r.test for r in results])) == list(range(toy.N))
    for r in results:
        assert {"reference", "best_single", "late", "without:rna"} <= set(r.predictions)
        assert all(len(p) == len(r.test) for p in r.predictions.values())
        assert r.learners["best_single"]["chosen"] in ("clinical", "rna")
    os_plan = first.plan.endpoints["os"]
    late = results[0].predictions["late"]
    assert isinstance(late, Survival)
    assert os_plan.grid is not None and late.survival.shape == (len(results[0].test), len(os_plan.grid))


def test_a_killed_run_resumes_to_the_same_bits(first: Experiment, tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from tests.experiment import toy; from cohortium.experiment import run_experiment\n"
        f"c = toy.cohort(); run_experiment(c, toy.plan(c), Path({str(tmp_path)!r}), jobs=1)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "11", "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("e*.npz"))) < 2 and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (tmp_path / ".half.part").write_text("half")
    c = toy.cohort()
    resumed = run_experiment(c, toy.plan(c), tmp_path, jobs=1)
    assert 2 <= resumed.resumed < 8
    assert same(first, resumed)
    assert not list(tmp_path.glob(".*.part"))
    again = run_experiment(c, toy.plan(c), tmp_path, jobs=1)
    assert again.resumed == 8 and same(first, again)


def test_damaged_and_foreign_fold_files_are_made_again(first: Experiment, tmp_path: Path) -> None:
    c = toy.cohort()
    plan = toy.plan(c, names=("score",))
    run_experiment(c, plan, tmp_path, jobs=1)
    files = sorted(tmp_path.glob("e*.npz"))
    files[0].write_bytes(files[0].read_bytes()[:300])
    files[1].write_bytes(b"")
    e = plan.endpoints["score"]
    assert not same_plan(files[0], plan.hash)
    assert read_fold(files[1], plan.hash, e.outcome.units, (), None) is None
    assert read_fold(files[2], "another plan", e.outcome.units, (), None) is None
    (tmp_path / "e00-final" / "facts.json").write_text("{")
    assert run_experiment(c, plan, tmp_path, jobs=1).resumed == 1
    assert facts_of(tmp_path / "e00-final")["plan"] == plan.hash


def test_plan_hash_sees_data_splits_learners_and_seed() -> None:
    c = toy.cohort()
    base = toy.plan(c)
    assert toy.plan(c).hash == base.hash
    assert cohort_hash(toy.cohort(seed=1)) != cohort_hash(c)
    others = [
        replace(base, seed=8), replace(base, data_hash="x"), replace(base, inner_folds=4), replace(base, version="2"),
        replace(base, config=replace(base.config, preset="default")), replace(base, headline="auto"),
        toy.plan(c, names=("os",)),
    ]  # fmt: skip
    e = base.endpoints["os"]
    moved = replace(e, splits=[replace(e.splits[0], train=e.splits[0].train[1:]), *e.splits[1:]])
    others.append(replace(base, endpoints={**base.endpoints, "os": moved}))
    assert len({base.hash, *(o.hash for o in others)}) == len(others) + 1


def test_garbage_in_the_test_rows_changes_no_fitted_model() -> None:
    """Values, presence and labels of the outer test units are replaced; what is fitted stays the same to the bit."""
    c = toy.cohort()
    plan = toy.plan(c)
    e, split = plan.endpoints["os"], plan.endpoints["os"].splits[0]
    clean = fit_all(plan.config, build_fold(c, e, split.train, 3, plan.seed, "os/0/0"))
    rng = np.random.default_rng(9)
    tables = dict(c.modalities)
    values = tables["clinical"].values.copy()
    values[split.test] = rng.choice([np.nan, 1e30, -7.0], size=(len(split.test), 4))
    tables["clinical"] = replace(tables["clinical"], values=values)
    tested = set(c.ids[split.test])
    keep = np.array([u not in tested for u in tables["rna"].units])
    tables["rna"] = tables["rna"].take(np.flatnonzero(keep))
    time, event = e.outcome.time.copy(), e.outcome.event.copy()
    time[split.test], event[split.test] = 1e6, rng.random(len(split.test)) < 0.5
    dirty = replace(e, outcome=replace(e.outcome, time=time, event=event))
    garbage = fit_all(plan.config, build_fold(type(c)(c.units, tables), dirty, split.train, 3, plan.seed, "os/0/0"))
    assert list(clean) == list(garbage)
    for name, predictor in clean.items():
        assert flat(predictor_state(predictor)) == flat(predictor_state(garbage[name]))
    # The comparison can fail: another training row does change the model.
    other = fit_all(plan.config, build_fold(c, e, split.train[1:], 3, plan.seed, "os/0/0"))
    assert flat(predictor_state(other["late"])) != flat(predictor_state(clean["late"]))


def test_learning_curve_takes_nested_fractions_of_whole_patients(tmp_path: Path) -> None:
    c = toy.cohort(per_patient=3)
    plan = toy.plan(c, fractions=(0.5, 1.0), names=("score",))
    e, split = plan.endpoints["score"], plan.endpoints["score"].splits[1]
    rows = np.asarray(split.train)
    parts = {f: set(rows[subset(e, rows, Task("curve", "score", 0, 1, f), 7)]) for f in (0.25, 0.5, 1.0)}
    assert parts[0.25] < parts[0.5] < parts[1.0] == set(rows)
    groups = e.groups[sorted(parts[0.5])]
    assert all((groups == g).sum() == (e.groups[rows] == g).sum() for g in groups)
    result = run_experiment(c, plan, tmp_path, jobs=1)
    half = result.curve[("score", 0.5)]
    assert [list(r.predictions) for r in half] == [["late"]] * 3
    assert all(r.n_train < 0.7 * full.n_train for r, full in zip(half, result.outer["score"], strict=True))


def test_times_of_a_survival_endpoint() -> None:
    c = toy.cohort()
    o = toy.outcomes(c)["os"]
    e = toy.plan(c).endpoints["os"]
    events = o.time[o.event]
    assert e.tau is not None and e.grid is not None
    assert e.tau <= np.quantile(events, LATE_EVENTS, method="higher")
    assert all(e.tau <= o.time[s.train][o.event[s.train]].max() for s in e.splits)
    assert len(e.grid) <= MOST_GRID_POINTS and (np.diff(e.grid) > 0).all() and e.grid[-1] == e.tau
    assert len(e.horizons) == 3 and set(e.horizons) <= set(e.grid)
    asked = endpoint_plan(replace(o, endpoint=replace(o.endpoint, horizons=(0.5, 1e9))), c.groups(), e.splits)
    assert asked.horizons == (0.5,)
