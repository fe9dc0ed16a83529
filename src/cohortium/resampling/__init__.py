"""Splits: who is trained on and who is tested, with everybody of one patient on one side.

May know: contracts, numpy, scikit-learn. May not know: features, learners, study files.
"""

from cohortium.resampling.checking import check_splits
from cohortium.resampling.designs import (
    OuterSplit,
    by_column,
    fixed_test,
    from_file,
    inner,
    leave_one_site_out,
    nested,
    temporal,
)

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
