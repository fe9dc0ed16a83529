"""Trees of a study file: from the file to the page, and keys that are wrong."""

from __future__ import annotations

import json

import pytest

from cohortium.errors import StudyError
from cohortium.study import simulate_federation
from tests.federation import sites as cut

STUDY = """\
name: small
cohort:
  units: {{file: data.csv, id: id}}
  modalities: {{clinical: {{file: data.csv, columns: [age, size, grade, node]}}}}
endpoints: {{resp: {{kind: binary, column: resp, positive: 1}}}}
design: {{site: site}}
federation: {{{how}}}
"""


def write(folder, how):
    d = cut.table().assign(id=lambda d: [f"p{i}" for i in range(len(d))])
    d.to_csv(folder / "data.csv", index=False)
    (folder / "study.yaml").write_text(STUDY.format(how=how))
    return folder / "study.yaml"


def test_from_file_to_page(tmp_path):
    how = "method: trees, least_cell: 5, least_events: 5, folds: 2, trees: {rounds: 2, depth: 2, bins: 8}"
    found = simulate_federation(write(tmp_path, how), tmp_path / "out", compare=True, evaluate=True)
    t = found.trees
    assert t is not None and t.pooled is not None
    assert t.trees == 2 and t.pooled.same < 1e-9 < t.pooled.plain and 0.5 < t.pooled.correlation <= 1
    assert sum(i.gain for i in t.importance) == pytest.approx(1) and t.losses[1] < t.losses[0]
    assert {p.design for p in found.evaluation.across} == {"leave_one_site_out", "folds", "own"}
    page = (tmp_path / "out" / "federation.html").read_text()
    assert "What the trees use" in page and "Boosting on all rows together" in page and 'id="coefficients"' not in page
    stored = json.loads((tmp_path / "out" / "federation.json").read_text())["trees"]
    assert len(stored["splits"]) == 2 * 3 and len(stored["values"]) == 2 and len(stored["edges"]) == len(t.columns)


@pytest.mark.parametrize(("how", "said"), [
    ("method: trees, penalty: 1", "penalty shrinks coefficients"), ("method: forest", "expected 'linear'"),
    ("method: trees, trees: {round: 1}", "Did you mean 'rounds'"), ("method: trees, trees: {depth: 0}", "depth"),
])  # fmt: skip
def test_keys_that_are_wrong(tmp_path, how, said):
    with pytest.raises(StudyError, match=said):
        simulate_federation(write(tmp_path, how), tmp_path / "out")
    assert not (tmp_path / "out").exists()
