"""Splits: who is trained on and who is tested, with everybody of one patient on one side.

May know: contracts, errors, numpy, pandas. May not know: features, learners, study files.
"""

from cohortium.resampling.checking import check_splits
from cohortium.resampling.designs import OuterSplit, by_column, fixed_test, inner, leave_one_site_out, nested
from cohortium.resampling.published import from_file
from cohortium.resampling.times import temporal

__all__ = [
    "OuterSplit",
    "by_column",
    "check_splits",
    "fixed_test",
    "from_file",
    "inner",
    "leave_one_site_out",
    "nested",
    "temporal",
]
