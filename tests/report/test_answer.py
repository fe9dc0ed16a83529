"""The answer says plainly what the numbers allow, and no more."""

from __future__ import annotations

import dataclasses

import pytest

from cohortium.contracts.results import Results
from cohortium.report import answer
from tests.report.runs import make_results


def _auto(results: Results, **change: object) -> Results:
    """The same results with fields of auto's estimates replaced."""

    def row(r):
        if r.learner != "auto":
            return r
        return dataclasses.replace(r, estimates=[dataclasses.replace(e, **change) for e in r.estimates])

    return dataclasses.replace(results, leaderboard=[row(r) for r in results.leaderboard])


def test_the_question_names_what_is_asked():
    question, _ = answer(make_results(("survival",), modalities=("clinical", "blood"), reference=("clinical",)))
    assert question == "Does adding blood to clinical improve the prediction of os?"


def test_a_clear_gain():
    _, text = answer(make_results(gain=0.05, half=0.02))
    assert "auto reaches a C-index of 0.710 (95% interval 0.680 to 0.740)" in text
    assert "0.050 (0.030 to 0.070) better than the reference (clinical + pathological)" in text
    assert "most often blood" in text
    assert "fusion beats it: auto is 0.030 (0.010 to 0.050) better" in text


def test_an_interval_that_includes_zero_is_said():
    _, text = answer(make_results(gain=0.01, half=0.03))
    assert "includes zero, so these data do not show that the other modalities add anything" in text
    assert "does not clearly beat it: auto is 0.010 (−0.020 to 0.040) worse, an interval that includes zero" in text


def test_a_loss_is_said():
    _, text = answer(make_results(gain=-0.05, half=0.01))
    assert "0.050 (0.040 to 0.060) worse than the reference (clinical + pathological): the further modalities" in text
    assert "fusion does not beat it" in text


def test_smaller_is_better_turns_the_words():
    results = make_results(("continuous",), gain=0.05, half=0.01)
    endpoint = dataclasses.replace(results.cohort.endpoints[0], headline_metric="mae")
    results = dataclasses.replace(results, cohort=dataclasses.replace(results.cohort, endpoints=[endpoint]))
    _, text = answer(results)  # the made-up difference of auto is +0.05, which is a larger error
    assert "0.050 (0.040 to 0.060) worse than the reference" in text


def test_low_power_is_said():
    _, text = answer(make_results(low_powered=True))
    assert "Low-powered: only 5 test folds stand behind these numbers" in text
    assert "Low-powered" not in answer(make_results())[1]


def test_no_reference_is_said():
    question, text = answer(make_results(reference=()))
    assert question.startswith("How well can os be predicted from clinical")
    assert "No reference is declared" in text
    assert "than the reference" not in text


def test_acknowledged_serious_findings_are_said():
    results = make_results()
    assert (
        "1 serious finding that the study file acknowledges (outcome_in_disguise:icd_codes.Z51)" in answer(results)[1]
    )
    assert "serious" not in answer(dataclasses.replace(results, checks=results.checks[1:]))[1]


def test_what_could_not_be_estimated_is_said():
    _, text = answer(_auto(make_results(), value=None, low=None, high=None, reason="no event in any test fold"))
    assert "auto has no C-index on these data: no event in any test fold." in text


def test_no_interval_is_said():
    assert "0.710 (no interval)" in answer(_auto(make_results(), low=None, high=None))[1]


def test_another_endpoint_can_be_asked_for():
    results = make_results(("survival", "binary"))
    assert "recurrence" in answer(results, "recurrence")[0]
    with pytest.raises(KeyError, match="known: os, recurrence"):
        answer(results, "death")


def test_no_better_than_chance_is_said():
    _, text = answer(_auto(make_results(), value=0.53, low=0.48, high=0.58))
    assert "The interval includes 0.500, the level of a model that knows nothing" in text
    _, text = answer(_auto(make_results(), value=0.49, low=0.44, high=0.54))
    assert "This is no better than 0.500" in text
    assert "knows nothing" not in answer(make_results())[1]


def test_two_learners_that_are_the_same_are_not_called_better():
    text = answer(make_results(gain=0.0, half=0.0))[1]
    assert "the reference (clinical + pathological) reaches exactly the same." in text
