"""Counts, beta values and ids of features: transforms of each row by itself, versions, what ``init`` proposes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from cohortium.errors import DataError
from cohortium.schema.declare import ModalitySource
from cohortium.sources import propose, transforms
from cohortium.sources.feature_ids import space_of, without_version
from tests.sources.helpers import UNITS, read, write_units

GENES = [f"ENSG{j:011d}.{j % 7 + 1}" for j in range(300)]


def counts(n: int = 4, genes: list[str] = GENES, seed: int = 0, ids: list[str] = UNITS) -> pd.DataFrame:
    """Counts of n units, genes in columns; the first genes are rare."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.6, 200, len(genes))
    rate[:20] = 0.3
    x = rng.poisson(rate * rng.gamma(5, 0.2, (n, 1)))
    return pd.DataFrame(x, columns=genes, index=pd.Index(ids[:n], name="id"))


def betas(n: int = 4, seed: int = 0, ids: list[str] = UNITS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.beta(0.6, 0.6, (n, 30)).round(4)
    x[0, :2] = [0, 1]
    return pd.DataFrame(x, columns=[f"cg{j:08d}" for j in range(30)], index=pd.Index(ids[:n], name="id"))


def put(folder: Path, frame: pd.DataFrame, name: str = "lab.csv", turned: bool = False) -> None:
    write_units(folder, list(UNITS))
    (frame.T.rename_axis("feature") if turned else frame).to_csv(folder / name)


def voom(frame: pd.DataFrame, library: Any = None) -> pd.DataFrame:
    """limma: ``y <- t(log2(t(counts + 0.5) / (lib.size + 1) * 1e6))``."""
    size = frame.sum(axis=1) if library is None else library
    return np.log2((frame + 0.5).div(size + 1, axis=0) * 1e6)


def table(folder: Path, **source: Any) -> pd.DataFrame:
    lab = read(folder, **source).cohort.modalities["lab"]
    return pd.DataFrame(lab.values, index=lab.units, columns=lab.features.index)  # type: ignore[attr-defined]


@pytest.mark.parametrize("turned", [False, True])
def test_counts_become_those_of_voom(tmp_path: Path, turned: bool) -> None:
    frame = counts()
    put(tmp_path, frame, turned=turned)
    found = read(tmp_path, transform="cpm_log")
    got = table(tmp_path, transform="cpm_log")
    np.testing.assert_allclose(got.to_numpy(), voom(frame).to_numpy(), rtol=1e-12)
    assert found.transforms == {"lab": "log2((count + 0.5) / (library size + 1) × 10⁶)"}
    assert "library sizes are sums over 300 counted columns" in found.notes["lab"]
    assert set(found.cohort.modalities["lab"].features["kind"]) == {"numeric"}, "a rare gene is no yes or no"


def test_libraries_are_of_all_that_is_counted(tmp_path: Path) -> None:
    frame = counts()
    put(tmp_path, frame.assign(name=["a", "b", "c", "d"]))
    few = table(tmp_path, transform="cpm_log", columns=GENES[30:33])
    np.testing.assert_allclose(few.to_numpy(), voom(frame)[GENES[30:33]].to_numpy(), rtol=1e-12)
    without = frame.drop(columns=GENES[250:])
    some = table(tmp_path, transform="cpm_log", columns=GENES[30:33], exclude=GENES[250:])
    np.testing.assert_allclose(some.to_numpy(), voom(without)[GENES[30:33]].to_numpy(), rtol=1e-12)
    # What does not count is told apart by its values, and taken out by hand.
    put(tmp_path, frame.assign(rin=[7.5, 8, 6.25, 9]))
    with pytest.raises(DataError, match=r"lab.csv, row 2, column 'rin': a fractional number.* under exclude"):
        read(tmp_path, transform="cpm_log", columns=GENES[30:33])
    again = table(tmp_path, transform="cpm_log", columns=GENES[30:33], exclude=["rin"])
    pd.testing.assert_frame_equal(again, few)


def test_reads_of_no_feature_are_not_counted(tmp_path: Path) -> None:
    frame = counts()
    more = frame.assign(N_unmapped=10**6, N_noFeature=5, **{"__no_feature": 7})
    put(tmp_path, more, turned=True)
    got = table(tmp_path, transform="cpm_log")
    np.testing.assert_allclose(got.to_numpy(), voom(frame).to_numpy(), rtol=1e-12)
    notes = read(tmp_path, transform="cpm_log").notes["lab"]
    assert "reads that belong to no feature are not counted: N_unmapped, N_noFeature, __no_feature" in notes


def test_unknown_cells_stay_unknown_and_empty_rows_lack_the_modality(tmp_path: Path) -> None:
    frame = counts().astype(float)
    frame.iloc[1, 40], frame.iloc[2] = np.nan, 0
    put(tmp_path, frame)
    got = table(tmp_path, transform="cpm_log")
    assert np.isnan(got.iloc[1, 40]) and np.isfinite(got.drop(columns=GENES[40])).all(axis=None)
    assert list(got.index) == ["001", "002", "004"], "without a single count nothing is known"
    assert "1 row(s) without a single count are unknown" in read(tmp_path, transform="cpm_log").notes["lab"]
    expected = voom(frame.loc[got.index])
    np.testing.assert_allclose(got.to_numpy(), expected.to_numpy(), rtol=1e-12)


def test_a_row_does_not_depend_on_the_others(tmp_path: Path) -> None:
    frame = counts()
    put(tmp_path, frame)
    alone = table(tmp_path, transform="cpm_log").loc["003"]
    other = counts(seed=9)
    other.loc["003"] = frame.loc["003"]
    put(tmp_path, other)
    pd.testing.assert_series_equal(table(tmp_path, transform="cpm_log").loc["003"], alone)


def test_rows_of_one_unit_are_merged_after_the_transform(tmp_path: Path) -> None:
    frame = counts()
    put(tmp_path, pd.concat([frame, frame.iloc[[0]] * 3 + 1]))
    got = table(tmp_path, transform="cpm_log", duplicates="mean").loc["001"]
    twice = voom(pd.concat([frame.iloc[[0]], frame.iloc[[0]] * 3 + 1])).mean()
    np.testing.assert_allclose(got.to_numpy(), twice.to_numpy(), rtol=1e-12)


def test_beta_values_become_m_values(tmp_path: Path) -> None:
    frame = betas()
    frame.iloc[3, 3] = np.nan
    put(tmp_path, frame, turned=True)
    got = table(tmp_path, transform="m_value", id_space="cpg")
    b = frame.to_numpy()
    np.testing.assert_allclose(got.to_numpy(), np.log2((b + 0.001) / (1.001 - b)), rtol=1e-10)
    assert np.isnan(got.iloc[3, 3]) and np.isnan(got.to_numpy()).sum() == 1
    np.testing.assert_allclose(got.iloc[0, :2], [-9.967, 9.967], atol=1e-3)
    inside = (b > 0.05) & (b < 0.95)
    np.testing.assert_allclose(got.to_numpy()[inside], np.log2(b[inside] / (1 - b[inside])), atol=0.03)


def test_float32_stays_float32(tmp_path: Path) -> None:
    write_units(tmp_path, list(UNITS))
    for frame, how in ((betas(), "m_value"), (counts(), "cpm_log")):
        frame.astype(np.float32).reset_index().to_parquet(tmp_path / "lab.parquet")
        lab = read(tmp_path, "lab.parquet", transform=how).cohort.modalities["lab"]
        assert lab.values.dtype == np.float32 and np.isfinite(lab.values).all()  # type: ignore[attr-defined]


REFUSED = {
    "negative": (2, -1.0, "cpm_log", r"lab.csv, row 4, column '{c}': a negative number; .* counts \(1 such"),
    "fractional": (1, 2.5, "cpm_log", r"lab.csv, row 3, column '{c}': a fractional number.*Round expected counts"),
    "above": (3, 1.2, "m_value", r"lab.csv, row 5, column '{c}': a number outside 0 to 1; .*beta values \(1 such"),
    "below": (0, -0.1, "m_value", r"lab.csv, row 2, column '{c}': a number outside 0 to 1"),
    "logs": (0, -0.1, "log2p1", r"lab.csv: transform: log2p1 of modality 'lab' needs values of at least 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_values_that_do_not_fit_are_refused(tmp_path: Path, name: str) -> None:
    row, value, how, message = REFUSED[name]
    frame = (betas() if how == "m_value" else counts()).astype(float)
    frame.iloc[row, 25] = value
    put(tmp_path, frame)
    column = frame.columns[25]
    with pytest.raises(DataError, match=message.format(c=column)) as e:
        read(tmp_path, transform=how)
    assert str(value) not in str(e.value) and "003" not in str(e.value)
    put(tmp_path, frame, turned=True)
    place = rf"lab.csv, row 27, column {row + 2}" if how != "log2p1" else "lab.csv: transform"
    with pytest.raises(DataError, match=place):
        read(tmp_path, transform=how)


def test_every_bad_cell_is_counted(tmp_path: Path) -> None:
    frame = counts(4).astype(float)
    frame.iloc[1:3, 5:10] = 0.5
    put(tmp_path, frame)
    with pytest.raises(DataError, match=r"row 3, .*\(10 such cell\(s\)\)"):
        read(tmp_path, transform="cpm_log")


def test_new_files(tmp_path: Path) -> None:
    """In ``predict`` further columns are ignored; so few counts that the total is another one are refused."""
    frame = counts()
    put(tmp_path, frame)
    fitted = read(tmp_path, transform="cpm_log", strip_version=True).cohort.modalities["lab"]
    new = frame.rename(columns={g: g.split(".")[0] + ".44" for g in GENES}).assign(rin=[7.5, 8, 6.25, 9])
    put(tmp_path, new[new.columns[::-1]])
    again = read(tmp_path, transform="cpm_log", strip_version=True, expected={"lab": fitted.features})
    np.testing.assert_allclose(again.cohort.modalities["lab"].values, fitted.values, rtol=1e-12)  # type: ignore[attr-defined]
    put(tmp_path, frame[GENES[:290]])
    some = read(tmp_path, transform="cpm_log", strip_version=True, expected={"lab": fitted.features})
    assert np.isnan(some.cohort.modalities["lab"].values[:, 290:]).all()  # type: ignore[attr-defined]
    put(tmp_path, frame[GENES[:200]])
    with pytest.raises(DataError, match=r"lab.csv has 200 of the 300 counted features .* another total"):
        read(tmp_path, transform="cpm_log", strip_version=True, expected={"lab": fitted.features})


def test_a_new_file_without_a_unit_table_may_lie_either_way(tmp_path: Path) -> None:
    frame = counts()
    put(tmp_path, frame)
    fitted = read(tmp_path, strip_version=True).cohort.modalities["lab"]
    (tmp_path / "units.csv").unlink()
    frame.rename(columns={g: g.split(".")[0] + ".9" for g in GENES}).T.to_csv(tmp_path / "lab.csv")
    new = read(tmp_path, strip_version=True, expected={"lab": fitted.features}, units_optional=True).cohort
    assert list(new.ids) == UNITS
    np.testing.assert_array_equal(new.modalities["lab"].values, fitted.values)  # type: ignore[attr-defined]


@pytest.mark.parametrize("turned", [False, True])
def test_versions_are_taken_off(tmp_path: Path, turned: bool) -> None:
    frame = counts()
    put(tmp_path, frame, turned=turned)
    got = table(tmp_path, strip_version=True, id_space="ensembl", columns=["ENSG00000000007", "ENSG00000000123"])
    assert list(got.columns) == ["ENSG00000000007", "ENSG00000000123"]
    np.testing.assert_array_equal(got, frame[[GENES[7], GENES[123]]])
    two = frame.rename(columns={GENES[8]: "ENSG00000000007.4"})
    put(tmp_path, two, turned=turned)
    message = (
        r"lab.csv: 'ENSG00000000007.1' and 'ENSG00000000007.4' are both 'ENSG00000000007' without .* \(1 such .*exclude"
    )
    with pytest.raises(DataError, match=message):
        read(tmp_path, strip_version=True)
    left = table(tmp_path, strip_version=True, exclude=["ENSG00000000007.4"])
    assert left.shape == (4, 299) and "ENSG00000000007" in left


def test_what_a_version_is() -> None:
    assert without_version("ENSG00000141510.17") == "ENSG00000141510"
    assert without_version("ENSG00000182378.14_PAR_Y") == "ENSG00000182378_PAR_Y"
    assert without_version("NM_000546.6") == "NM_000546"
    assert without_version("TP53") == "TP53" and without_version("HLA-A*02:01") == "HLA-A*02:01"


@pytest.mark.parametrize(
    ("names", "space"),
    [
        (GENES, "ensembl"),
        ([f"ENSMUSG{j:011d}" for j in range(30)], "ensembl"),
        ([f"cg{j:08d}" for j in range(30)], "cpg"),
        ([f"cg{j:08d}_TC{j}1" for j in range(30)] + ["ch.13.39564907R"], "cpg"),
        (["P04637", "P00533-2", "A0A024R1R8", "Q9Y6K9", "O15350"] * 3, "uniprot"),
        ([f"CHEBI:{j}" for j in range(15632, 15650)], "chebi"),
        (["TP53", "EGFR", "KRAS", "BRCA1", "MYC", "A1BG", "CD8A", "PTEN", "ESR1", "MKI67"], ""),
        ([str(j) for j in range(100, 130)], ""),
        (GENES[:5], ""),
    ],
)
def test_id_spaces_are_told_by_names(names: list[str], space: str) -> None:
    assert space_of(names) == space


def test_a_declared_id_space_is_held_against_the_names(tmp_path: Path) -> None:
    put(tmp_path, counts())
    assert set(read(tmp_path, id_space="ensembl").cohort.modalities["lab"].features["id_space"]) == {"ensembl"}
    for wrong in ("uniprot", "cpg", "entrez"):
        with pytest.raises(
            DataError, match=rf"lab.csv: modality 'lab' says id_space: {wrong}, and 0 of its 300 .* ens"
        ):
            read(tmp_path, id_space=wrong)
    with pytest.raises(DataError, match=r"says id_space: symbol, .* They look like ensembl"):
        read(tmp_path, id_space="symbol")
    with pytest.raises(ValidationError, match="ensembl"):
        ModalitySource(file="lab.csv", id_space="ensemble")  # type: ignore[arg-type]


def proposal(folder: Path, frame: pd.DataFrame, turned: bool) -> str:
    ids = [f"s{i:02d}" for i in range(len(frame))]
    frame.index = pd.Index(ids, name="id")
    pd.DataFrame({"id": ids, "age": range(40, 40 + len(ids)), "response": ["yes", "no"] * (len(ids) // 2)}).to_csv(
        folder / "clinical.csv", index=False
    )
    (frame.T.rename_axis("feature") if turned else frame).to_csv(folder / "omics.csv")
    return propose(folder)


@pytest.mark.parametrize("turned", [False, True])
def test_init_proposes_what_names_and_values_plainly_say(tmp_path: Path, turned: bool) -> None:
    from cohortium.sources import read_cohort
    from cohortium.study import parse_study

    ids = [f"s{i:02d}" for i in range(20)]
    text = proposal(tmp_path, counts(20, ids=ids).assign(N_unmapped=9), turned)
    for line in ("id_space: ensembl ", "strip_version: true ", "transform: cpm_log "):
        assert f"      {line}" in text
    spec = parse_study(text, "study.yaml")
    got = read_cohort(spec.cohort.units, spec.cohort.modalities, tmp_path, endpoints=spec.endpoints)
    assert got.cohort.modalities["omics"].values.shape == (20, 300)  # type: ignore[attr-defined]
    text = proposal(tmp_path, betas(20, ids=ids), turned)
    assert "      id_space: cpg " in text and "      transform: m_value " in text and "strip_version" not in text
    for plain in (voom(counts(20, ids=ids)), counts(20, ids=ids).clip(upper=2), counts(20, GENES[:150], ids=ids)):
        assert "transform" not in proposal(tmp_path, plain, turned)


def test_formulas_are_those_of_the_code() -> None:
    assert "0.5" in transforms.FORMULA["cpm_log"] and "0.001" in transforms.FORMULA["m_value"]
    x = np.array([[0.25, 1.0]])
    np.testing.assert_allclose(transforms.m_value(x), np.log2((x + 0.001) / (1.001 - x)))
