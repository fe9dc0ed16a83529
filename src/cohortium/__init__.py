"""Cohortium: integrative analysis of multimodal biomedical cohorts.

The public names are imported on first use, so that ``import cohortium`` costs nothing::

    import cohortium
    study = cohortium.load_study("study.yaml")
    result = cohortium.run(study, out="run")
    print(result.leaderboard())
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "Cohort": "cohortium.cohort",
    "Table": "cohortium.cohort",
    "load_study": "cohortium.study",
    "load_cohort": "cohortium.study",
    "biomarkers": "cohortium.study",
    "check": "cohortium.study",
    "embed": "cohortium.study",
    "explain": "cohortium.study",
    "explain_patient": "cohortium.study",
    "impute": "cohortium.study",
    "similar": "cohortium.study",
    "run": "cohortium.study",
    "subtype": "cohortium.study",
    "load_subtypes": "cohortium.subtypes",
    "predict": "cohortium.study",
    "validate": "cohortium.study",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        from importlib import import_module

        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'cohortium' has no attribute {name!r}")
