"""Checks before fitting: what would make the answer wrong, told before anybody believes it.

May know: cohort, contracts, metrics, resampling. May not know: learners, study files, reports. Looks at
outcomes and features together, fits nothing that is kept, and never names a patient or a value of one.
"""

from cohortium.checks.running import run_checks

__all__ = ["run_checks"]
