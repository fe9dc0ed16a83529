"""Encoders: from a modality to complete, standardised numbers, fitted on training rows only.

The only room that imputes. May know: cohort, contracts, schema, numpy, scikit-learn. May not know:
endpoints (beyond the null gradient handed over for screening), other modalities, learners.
"""

from cohortium.encoders.block import FittedBlock, fit_block
from cohortium.encoders.table import TableEncoder

__all__ = ["FittedBlock", "TableEncoder", "fit_block"]
