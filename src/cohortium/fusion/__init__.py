"""Fusion: joining blocks of features (early) and scores (late). Knows no modality by name.

May know: heads (likelihoods), numpy, scipy. May not know: cohorts, files, which block is which.
"""

from cohortium.fusion.joining import Joined, join_new, join_train, scheme_weights
from cohortium.fusion.stacking import Fill, StackFit, fit_slope, fit_stack, stack_out_of_fold

__all__ = [
    "Fill",
    "Joined",
    "StackFit",
    "fit_slope",
    "fit_stack",
    "join_new",
    "join_train",
    "scheme_weights",
    "stack_out_of_fold",
]
