"""Run folders are made once per session: drawing them is what takes time."""

from __future__ import annotations

from pathlib import Path

import pytest

from cohortium.report import write_report
from tests.report.runs import HOSTILE, make_results, make_run

EVERY_KIND = ("survival", "binary", "multiclass", "ordinal", "continuous")


@pytest.fixture(scope="session")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reported run of all kinds of endpoints, 13 modalities, 40 learners."""
    run = make_run(tmp_path_factory.mktemp("every_kind"), make_results(EVERY_KIND, extra_learners=22))
    write_report(run)
    return run


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reported run whose modalities and classes are markup and mathtext."""
    classes = {"binary": ("no", HOSTILE), "multiclass": ("a&b", HOSTILE, "$x_{1}$")}
    results = make_results(
        ("binary", "multiclass"),
        modalities=("clinical", HOSTILE, "$\\frac{1}{2}$", "]]>&amp;"),
        classes=classes,
        n=120,
    )
    run = make_run(tmp_path_factory.mktemp("hostile"), results)
    write_report(run)
    return run
