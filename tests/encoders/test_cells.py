"""Single cells in a fold: what is learned, from whom, and a study from its file to predictions of new patients."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

import cohortium
from cohortium.cohort.cells import Cells, centred_log_ratio
from cohortium.encoders import fit_encoder, restore_encoder
from cohortium.encoders.cells import CellRepresentation
from cohortium.errors import DataError
from tests.leaderboards import roc_auc
from tests.sources import cell_files as files

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


def cells(folder: Path, n: int = 24, most: int = 2000, min_cells: int = 10, **more: Any) -> Cells:
    files.write(folder, files.simulated(n=n, **more), n=n)
    found = files.read(folder, genes=most, min_cells=min_cells).cohort.modalities["cells"]
    assert isinstance(found, Cells)
    return found


def test_shares_are_centred_log_ratios(tmp_path: Path) -> None:
    data = cells(tmp_path)
    table = CellRepresentation().fit(data).table(data)
    logs = np.log(data.n_of_type + 0.5)
    np.testing.assert_allclose(table.values[:, :3], logs - logs.mean(axis=1, keepdims=True))
    assert list(table.features.index[:3]) == [f"share of {t} (clr)" for t in files.TYPES]
    np.testing.assert_allclose(table.values[:, :3].sum(axis=1), 0, atol=1e-12)
    assert np.isnan(centred_log_ratio(np.zeros((1, 3), dtype=np.int64))).all()


def test_expression_by_type_is_unknown_where_there_are_few_cells(tmp_path: Path) -> None:
    data = cells(tmp_path, min_cells=12)
    table = CellRepresentation().fit(data).table(data)
    for k, t in enumerate(files.TYPES):
        x = table.values[:, table.features.index.get_loc(f"{t} | g3")]
        np.testing.assert_array_equal(np.isnan(x), data.n_of_type[:, k] < 12)
    assert np.isfinite(table.values[:, table.features.index.get_loc("all cells | g3")]).all()
    assert np.isfinite(fit_encoder(data).transform(data)).all(), "the encoder imputes"


def test_the_most_variable_genes_are_kept_and_the_planted_one_is_first(tmp_path: Path) -> None:
    ill = np.arange(40) % 2 == 0
    data = cells(tmp_path, n=40, ill=ill, most=3)
    names = list(CellRepresentation().fit(data).table(data).features.index)
    assert "T cells | g3" in names, "it varies most, in T cells only"
    assert len([n for n in names if n.startswith("all cells")]) == 3
    assert [len([n for n in names if n.startswith(f"{t} |")]) for t in files.TYPES] == [1, 1, 1]


def test_what_counting_alone_makes_vary_is_not_chosen(tmp_path: Path) -> None:
    """Among genes of equal mean in everybody the deeper ones vary less; one varies truly."""
    rng = np.random.default_rng(0)
    n, g = 60, 200
    rate = np.exp(rng.normal(0, 1.5, g))
    mean = np.tile(rate, (n, 1))
    mean[:, 7] *= np.exp(rng.normal(0, 0.35, n))
    sums = rng.poisson(mean * 3).astype(np.float32)
    data = Cells(
        pd.Index([f"u{i}" for i in range(n)]), np.array([f"g{j}" for j in range(g)], dtype=object),
        np.zeros(0, dtype=object), np.full(n, 10), np.zeros((n, 0), dtype=np.int64), (sums > 0).astype(np.int32), sums,
        np.arange(n + 1), np.full(n, -1), True, 20,
    )  # fmt: skip
    chosen = CellRepresentation().fit(replace(data, most=1)).blocks_[0][1]
    wide = CellRepresentation().fit(data).blocks_[0][1]
    assert "g7" in wide and len(wide) == 20 and len(chosen) == 1


def test_rare_types_and_rare_genes_get_no_features(tmp_path: Path) -> None:
    raw = files.simulated(n=24)
    raw.obs["cell_type"] = raw.obs["cell_type"].astype(str)
    of_four = raw.obs["patient"].isin([f"p{i:02d}" for i in range(4)]).to_numpy()
    raw.obs.loc[of_four & (raw.obs["cell_type"] == "NK cells").to_numpy(), "cell_type"] = "mast cells"
    x = raw.X.toarray()
    x[~of_four, 5] = 0
    raw.X = x
    files.write(tmp_path, raw, n=24)
    data = files.read(tmp_path).cohort.modalities["cells"]
    names = " ".join(CellRepresentation().fit(data).table(data).features.index)
    assert "mast" not in names and "| g5 " not in names and "NK cells" in names


def test_nothing_is_learned_from_other_rows(tmp_path: Path) -> None:
    """Test units replaced by garbage, with types and genes of their own: the encoder does not change by a bit."""
    data = cells(tmp_path, most=8)
    train = np.arange(0, 24, 2)
    first = fit_encoder(data.take(train))
    other = replace(
        data, n_of_type=data.n_of_type.copy(), expressing=data.expressing.copy(), sums=data.sums.copy(),
        n_cells=data.n_cells.copy(),
    )  # fmt: skip
    rng = np.random.default_rng(3)
    for i in range(1, 24, 2):
        other.n_of_type[i] = rng.integers(0, 9000, 3)
        other.n_cells[i] = 30_000
        other.expressing[i] = rng.integers(0, 900, 30)
        other.sums[data.offsets[i] : data.offsets[i + 1]] = rng.integers(
            0, 10**6, (data.offsets[i + 1] - data.offsets[i], 30)
        )
    again = fit_encoder(other.take(train))
    assert json.dumps(first.representation.state()) == json.dumps(again.representation.state())  # type: ignore[union-attr]
    np.testing.assert_array_equal(first.transform(data.take(train)), again.transform(data.take(train)))
    assert CellRepresentation().fit(other).state() != first.representation.state()  # type: ignore[union-attr]


def test_rows_do_not_depend_on_their_company_and_states_are_restored(tmp_path: Path) -> None:
    data = cells(tmp_path, most=10)
    encoder = fit_encoder(data.take(np.arange(16)))
    whole = encoder.transform(data)
    rows = np.array([20, 3, 11])
    np.testing.assert_array_equal(encoder.transform(data.take(rows)), whole[rows])
    state = encoder.state()
    state["representation"] = json.loads(json.dumps(state["representation"]))
    np.testing.assert_array_equal(restore_encoder(state).transform(data), whole)
    assert encoder.transform(data.take(np.zeros(0, dtype=np.intp))).shape == (0, whole.shape[1])


def test_new_files_may_order_and_lack_genes_and_types(tmp_path: Path) -> None:
    data = cells(tmp_path)
    fitted = CellRepresentation().fit(data)
    raw = files.simulated(n=24)
    keep = [f"g{j}" for j in range(29, 1, -1)]
    part = raw[(raw.obs["cell_type"] != "NK cells").to_numpy(), keep].copy()
    files.write(tmp_path, part, n=24)
    new = files.read(tmp_path).cohort.modalities["cells"]
    old, table = fitted.table(data), fitted.table(new)
    assert list(old.features.index) == list(table.features.index)
    at = {str(n): i for i, n in enumerate(old.features.index)}
    assert np.isnan(table.values[:, [at["all cells | g0"], at["NK cells | g9"]]]).all()
    known = np.isfinite(table.values[:, at["T cells | g9"]])
    np.testing.assert_array_equal(known, np.isfinite(old.values[:, at["T cells | g9"]]))
    assert (table.values[:, at["share of NK cells (clr)"]] < -1).all(), "nobody has one"
    for attribute, message in (("types", "none of the 2 cell types"), ("genes", "none of the 28 genes")):
        strange = replace(new, **{attribute: np.array([f"x{v}" for v in getattr(new, attribute)], dtype=object)})
        with pytest.raises(DataError, match=message):
            fitted.table(strange)


def test_few_units_and_one_type(tmp_path: Path) -> None:
    raw = files.simulated(n=12)
    raw.obs["cell_type"] = "T cells"
    files.write(tmp_path, raw)
    data = files.read(tmp_path).cohort.modalities["cells"]
    names = list(CellRepresentation().fit(data).table(data).features.index)
    assert not any(n.startswith("share") for n in names) and "T cells | g3" in names
    for n in (1, 2, 3):
        part = data.take(np.arange(n))
        assert np.isfinite(fit_encoder(part).transform(part)).all()


STUDY = """\
name: cells
cohort:
  units: {file: units.csv, id: id}
  modalities:
    clinical: {file: units.csv, columns: [age]}
    cells: {shape: cells, file: cells.h5ad, id: patient, cell_type: cell_type, genes: 30}
endpoints:
  ill: {kind: binary, column: ill, positive: 1}
reference: [clinical]
preset: quick
evaluation: {repeats: 1, folds: 4, inner_folds: 3}
"""


def study(folder: Path, n: int = 90, seed: int = 0) -> Path:
    """Illness shows in the cells and not in age; some patients have no cells, or too few."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < 0.5
    data = files.simulated(n=n, cells=50, seed=seed, ill=ill)
    data = _fewer(data, n)
    files.write(folder, data, n=n, age=rng.normal(60, 9, n).round(1), ill=ill.astype(int))
    (folder / "study.yaml").write_text(STUDY)
    return folder / "study.yaml"


def _fewer(data: anndata.AnnData, n: int) -> anndata.AnnData:
    number = data.obs["patient"].str[1:].astype(int).to_numpy()
    keep = number % 8 != 0
    some = np.flatnonzero(number == 8)
    keep[some[:3]] = n > 8
    return data[keep].copy()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("cells")
    return cohortium.run(study(root / "data"), root / "run", jobs=1)


def test_cells_tell_what_age_does_not(finished: Any) -> None:
    assert roc_auc(finished, "single:cells") > 0.9 > roc_auc(finished, "reference")
    assert roc_auc(finished, "auto") > 0.8
    cells = next(m for m in finished.results.cohort.modalities if m.name == "cells")
    assert cells.n_features == 30 and cells.n_units == 78
    stored = "".join(p.read_text() for p in (finished.folder / "model").rglob("*.json"))
    assert "share of NK cells (clr)" in stored and "T cells | g3" in stored


def test_new_patients_are_predicted_from_their_cells(finished: Any, tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    new = study(tmp_path / "new", n=40, seed=7).parent
    frame = pd.read_csv(new / "units.csv")
    frame.drop(columns="ill").to_csv(new / "units.csv", index=False)
    p = cohortium.predict(finished, new)
    has = p["modalities"].str.contains("cells").to_numpy()
    assert has.sum() == 35
    assert roc_auc_score(frame["ill"][has], p["ill.p_1"][has]) > 0.85
    assert p["ill.p_1"].between(0, 1).all(), "those without cells too"
    few = anndata.read_h5ad(new / "cells.h5ad")[:20].copy()
    few.write_h5ad(new / "cells.h5ad")  # nobody has enough cells: all are predicted without them
    assert set(cohortium.predict(finished, new)["modalities"]) == {"clinical"}
    (new / "cells.h5ad").unlink()
    assert set(cohortium.predict(finished, new)["modalities"]) == {"clinical"}


def test_an_endpoint_is_no_cell_type(tmp_path: Path) -> None:
    path = study(tmp_path, n=30)
    path.write_text(STUDY.replace("cell_type: cell_type", "cell_type: ill"))
    with pytest.raises(DataError, match=r"cells.h5ad, column 'ill': an endpoint"):
        cohortium.check(cohortium.load_study(tmp_path))
