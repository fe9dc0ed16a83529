"""Figures: what is shown and what is left out, and nothing global is touched."""

from __future__ import annotations

import re

import matplotlib as mpl
import numpy as np
import pytest

from cohortium.contracts.results import CohortRecord, ModalityRecord, PatternRecord
from cohortium.report.figures import continuous, whiskers
from cohortium.report.figures.cohort import presence
from cohortium.report.figures.style import draw
from cohortium.report.folder import Scored
from cohortium.report.words import endpoint_of
from tests.report.runs import make_results


def _cohort(n_modalities: int, n_patterns: int, least: int = 5) -> CohortRecord:
    names = [f"m{i}" for i in range(n_modalities)]
    patterns = [
        PatternRecord([m for j, m in enumerate(names) if (i >> j) & 1], n_patterns - i + least - 1)
        for i in range(n_patterns)
    ]
    n = sum(p.n_units for p in patterns)
    return CohortRecord(n, n, None, None, {}, [ModalityRecord(m, n // 2, 3) for m in names], patterns, [])


def _text(svg: str) -> str:
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))


def test_presence_cuts_at_twenty_and_counts_the_rest():
    svg = presence(_cohort(6, 30), "k").svg
    assert "10 other patterns" in _text(svg)
    assert "95 (16%)" in _text(svg)  # 5 + ... + 14 of 585
    assert "other pattern" not in _text(presence(_cohort(4, 16), "k").svg)


def test_patterns_of_few_units_are_neither_named_nor_counted():
    drawing = presence(_cohort(3, 8, least=1), "k")  # 8, 7, ... 1
    assert "4 other patterns" in _text(drawing.svg) and "10 (28%)" in _text(drawing.svg)
    assert [r["units"] for r in drawing.data if r["what"] == "pattern"] == [8, 7, 6, 5]
    few = presence(_cohort(2, 2, least=1), "k")
    assert "1 to 4" in _text(few.svg) and not [r for r in few.data if r["what"] == "pattern"]


def test_presence_of_one_modality_and_of_none():
    assert "5 units" not in presence(_cohort(1, 2), "k").svg
    assert presence(_cohort(0, 0), "k") is None


def test_the_leaderboard_shows_everyone_who_has_a_value():
    results = make_results()
    drawing = whiskers.leaderboard(results, endpoint_of(results, None), "harrell_c", None, "k")
    shown = _text(drawing.svg)
    assert all(name in shown for name in ("auto", "reference", "blood", "level of the reference", "chance"))
    assert "tma_cd68" not in shown, "it has no estimate"


def test_chance_far_away_is_not_drawn():
    results = make_results(("continuous",))
    drawing = whiskers.leaderboard(results, endpoint_of(results, None), "r2", None, "k")
    assert "chance" not in _text(drawing.svg)


def test_ids_carry_the_key():
    a, b = (draw(lambda f: f.subplots().plot([0, 1]), width=100, height=100, alt="x", key=k) for k in ("a", "b"))
    ids = [set(re.findall(r'id="([^"]+)"', s)) for s in (a, b)]
    assert ids[0] and not ids[0] & ids[1]
    assert set(re.findall(r"url\(#([^)]+)\)", a)) <= ids[0]


def test_text_keeps_its_digits():
    svg = draw(lambda f: f.text(0.5, 0.5, "p < 0.001"), width=100, height=100, alt="x", key="k")
    assert "p &lt; 0.001" in svg


def test_nothing_global_is_touched():
    before, backend = dict(mpl.rcParams), mpl.get_backend(auto_select=False) if _has_auto() else None
    presence(_cohort(3, 5), "k")
    assert dict(mpl.rcParams) == before
    if _has_auto():
        assert mpl.get_backend(auto_select=False) == backend


def _has_auto() -> bool:
    import inspect

    return "auto_select" in inspect.signature(mpl.get_backend).parameters


def test_a_large_scatter_is_thinned_and_says_so():
    rng = np.random.default_rng(0)
    y = rng.normal(size=20_000)
    scored = Scored(
        np.arange(20_000).astype(object), np.zeros(20_000, int), np.zeros(20_000, int), prediction=y, value=y
    )
    drawing = continuous.predicted_observed(scored, "score", "k")
    assert len(drawing.svg) < 300_000
    assert "1,500 of 20,000 units are drawn" in drawing.caption


@pytest.mark.parametrize("n", [1, 3])
def test_a_tiny_scatter(n):
    scored = Scored(
        np.arange(n).astype(object), np.zeros(n, int), np.zeros(n, int), prediction=np.ones(n), value=np.ones(n)
    )
    assert continuous.predicted_observed(scored, "score", "k") is not None
