"""Stacks and preparing in the study file: what is refused, and a simulation from file to page."""

from __future__ import annotations

import json

import pytest

from cohortium.contracts.prepare_plan import PreparePlan
from cohortium.errors import StudyError
from cohortium.study import simulate_federation
from cohortium.study.federating import plan_of
from cohortium.study.load import load_study
from tests.federation import sites as cut

STUDY = """\
name: trial
cohort:
  units: {{file: data.csv, id: id}}
  modalities:
    clinical: {{file: data.csv, columns: [age, grade]}}
    tumour: {{file: data.csv, columns: [size, node]}}
endpoints:
  resp: {{kind: binary, column: resp, positive: 1}}
design: {{site: site}}
federation: {{least_patients: 5, least_events: 3, least_cell: 3, {more}}}
"""


def study(folder, more):
    (folder / "data.csv").write_bytes((cut.ORACLE / "data.csv").read_bytes())
    file = folder / "study.yaml"
    file.write_text(STUDY.format(more=more))
    return file


def plan(folder, more):
    return plan_of(load_study(study(folder, more)))


REFUSED = {
    "method: trees, prepare: {unknown: median}": "trees take unknown cells",
    "secure: true, prepare: {skewed: compress}": "secure aggregation hides",
    "privacy: {epsilon: 1, delta: 1.0e-5}, prepare: {outliers: clip}": "private fit",
    "prepare: {unknown: mode}": "unknown",
    "stack: {folds: 4}": "method: stack",
    "method: stack, modalities: [clinical], stack: {parts: [linear]}": "stack of one part",
    "method: stack, stack: {parts: [network]}": "linear",
    "method: stack, stack: {parts: []}": "parts",
    "method: stack, secure: true": "not yet stacks",
    "method: stack, privacy: {epsilon: 1, delta: 1.0e-5}": "private form",
    "method: stack, stack: {penalties: {tumor: 3}}": "Did you mean 'tumour'",
    "method: stack, stack: {penalties: {tumour: -3}}": "not below 0",
    "method: stack, lacks: [blood]": "federation.lacks names 'blood'",
    "method: linear, lacks: [blood]": "methods network and stack",
}


@pytest.mark.parametrize("more", list(REFUSED))
def test_what_is_refused_says_why(tmp_path, more):
    with pytest.raises(StudyError) as e:
        plan(tmp_path, more)
    assert REFUSED[more] in str(e.value)


def test_what_differs_from_the_plain_way_is_in_the_plan(tmp_path):
    assert plan(tmp_path, "penalty: 1").prepare is None and plan(tmp_path, "prepare: {unknown: mean}").prepare is None
    said = plan(tmp_path, "prepare: {unknown: median, skewed: compress, outliers: clip}").prepare
    assert said == PreparePlan("median", "compress", True)
    found = plan(tmp_path, "method: stack, penalty: 2, stack: {by: both, penalties: {tumour: 3}}").stack
    assert [(p.name, p.penalty) for p in found.parts] == [
        ("linear:clinical", 2), ("linear:tumour", 3), ("linear:all", 2), ("trees:clinical", 0), ("trees:tumour", 0), ("trees:all", 0),
    ]  # fmt: skip
    same = plan(tmp_path, "method: stack, modalities: [clinical], stack: {by: both}")
    assert [p.name for p in same.stack.parts] == ["linear:clinical", "trees:clinical"] and same.trees is not None
    assert plan(tmp_path, "method: stack, stack: {parts: [linear]}").trees is None


def test_from_file_to_page(tmp_path):
    file = study(tmp_path, "method: stack, stack: {parts: [linear], folds: 2}, folds: 2, prepare: {outliers: clip}")
    found = simulate_federation(file, tmp_path / "out", by="site", evaluate=True, compare=True)
    page = (tmp_path / "out/federation.html").read_text()
    assert [p.name for p in found.stack.parts] == ["linear:clinical", "linear:tumour"]
    for text in ('id="stack"', "linear:tumour", "never", "own stack", "end at 6"):
        assert text in page
    assert 'id="coefficients"' not in page and "encoder" not in page
    kept = json.loads((tmp_path / "out/federation.json").read_text())["stack"]
    assert kept["parts"][0]["weight"] == found.stack.parts[0].weight and kept["model"]["type"] == "StackModel"
    assert any(p.against == "pooled" and p.value is not None for p in found.stack.paired)


def test_the_page_says_that_parts_chose_columns():
    from cohortium.contracts.federation import FederationPlan, Selection
    from cohortium.contracts.federation_results import FederatedStack
    from cohortium.report.federation_stack import _notes
    from tests.report.made_up import made_up

    s, plain = made_up(FederatedStack), made_up(FederationPlan, prepare=None, select=None)
    chosen = made_up(FederationPlan, prepare=None, select=Selection(7, "association", ("clinical",)))
    assert any("keeps 7 of its columns" in n for n in _notes(s, chosen))
    assert not any("keeps" in n for n in _notes(s, plain))
