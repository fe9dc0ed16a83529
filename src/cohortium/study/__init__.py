"""The study file and the verbs on it. The only room that knows all rooms and reads YAML.

``load_study`` reads the file; ``check`` looks for what could make its answer wrong; ``run`` does it and writes a
run folder, ``report`` writes its pages anew; ``predict`` and ``validate`` use the finished model; ``compare`` holds two runs against each other;
``embed`` makes one vector of all modalities of a unit; ``impute`` predicts a modality that is absent; ``similar`` finds
the units most like a given one; ``subtype`` looks for kinds of patients; ``audit`` shows that nothing of the test units reached a
model; ``drift`` whether new units are like those of a run; ``explain`` says what predictions rest on;
``biomarkers`` which features an endpoint depends on; ``simulate_federation`` fits as sites would that share sums, ``preview`` says what would leave one.
Names are imported on first use, so that a command that needs one verb does not load them all.
"""

from __future__ import annotations

from typing import Any

_PUBLIC = {
    "Study": "load",
    "load_study": "load",
    "parse_study": "load",
    "study_schema": "load",
    "StudySpec": "spec",
    "Data": "data",
    "load_cohort": "data",
    "load_data": "data",
    "audit": "auditing",
    "check": "checking",
    "RunResult": "running",
    "run": "running",
    "open_run": "running",
    "default_folder": "running",
    "report": "reporting",
    "Expected": "costs",
    "expected_fits": "costs",
    "predict": "predicting",
    "validate": "validating",
    "drift": "drifting",
    "embed": "embedding",
    "Imputation": "imputing",
    "impute": "imputing",
    "Similar": "likeness",
    "similar": "likeness",
    "Explained": "explaining",
    "explain": "explaining",
    "explain_patient": "explaining_patient",
    "Subtyping": "subtyping",
    "subtype": "subtyping",
    "Biomarkers": "discovering",
    "biomarkers": "discovering",
    "plan_of": "federating",
    "simulate_federation": "simulating_federation",
    "preview": "previewing",
    "Comparison": "comparing",
    "compare": "comparing",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        from importlib import import_module

        return getattr(import_module(f"cohortium.study.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'cohortium.study' has no attribute {name!r}")
