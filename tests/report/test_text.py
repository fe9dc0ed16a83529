"""The terminal table and the words of numbers."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from cohortium.contracts import Estimate
from cohortium.report import leaderboard_text
from cohortium.report.words import count, estimate_text, names, value_text
from tests.report.runs import make_results


def _printed(table) -> str:
    out = io.StringIO()
    Console(file=out, width=140).print(table)
    return out.getvalue()


def test_the_table_holds_the_metric_and_both_differences():
    lines = _printed(leaderboard_text(make_results(gain=0.05, half=0.02))).splitlines()
    auto = next(line for line in lines if line.strip().startswith("auto"))
    assert "0.710 [0.680,0.740]" in auto
    assert "+0.050 [+0.030,+0.070]" in auto
    assert "+0.030 [+0.010,+0.050]" in auto
    order = [line.split()[0] for line in lines if line.strip()]
    assert order.index("auto") < order.index("reference") < order.index("single:pathological")


def test_markup_in_names_is_text():
    text = _printed(leaderboard_text(make_results(modalities=("clinical", "[bold]x[/bold]", "[/]"))))
    assert "[bold]x[/bold]" in text
    assert "[/]" in text


def test_no_reference_no_column():
    assert "minus reference" not in _printed(leaderboard_text(make_results(reference=())))


@pytest.mark.parametrize(
    ("x", "signed", "text"),
    [(0.6721, False, "0.672"), (-0.05, True, "−0.050"), (0.05, True, "+0.050"), (-0.0004, True, "−0.0004"),
     (-4e-17, True, "0.000"),
     (1234.56, False, "1,234.6"), (None, False, "–")],
)  # fmt: skip
def test_values(x, signed, text):
    assert value_text(x, signed) == text


def test_words():
    assert names(["a", "b", "c"]) == "a, b and c"
    assert names(list("abcdefgh"), most=3) == "a, b and 6 more"
    assert count(1, "modality") == "1 modality"
    assert count(2, "modality") == "2 modalities"
    assert count(2001, "patient") == "2,001 patients"
    assert estimate_text(Estimate("mae", None, reason="no unit")) == "–"


def test_words_agree_with_the_metrics():
    from cohortium.metrics import METRICS
    from cohortium.report.words import LOWER_IS_BETTER, METRIC_NAMES, chance_level, endpoint_of

    assert set(METRIC_NAMES) == set(METRICS)
    assert {m for m in METRICS if not METRICS[m].higher_is_better} == LOWER_IS_BETTER
    endpoint = endpoint_of(make_results(), None)
    fixed = {m: METRICS[m].chance for m in METRICS if METRICS[m].chance is not None}
    assert {m: chance_level(m, endpoint) for m in fixed} == fixed
