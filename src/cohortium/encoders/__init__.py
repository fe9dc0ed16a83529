"""Encoders: from a modality to complete, standardised numbers, fitted on training rows only.

The only room that imputes. May know: cohort, contracts, schema, numpy, scikit-learn. May not know:
endpoints (beyond the null gradient handed over for screening), other modalities, learners.
"""

from cohortium.encoders.block import FittedBlock, fit_block
from cohortium.encoders.represent import Encoder, Represented, fit_encoder, restore_encoder
from cohortium.encoders.table import TableEncoder

__all__ = ["Encoder", "FittedBlock", "Represented", "TableEncoder", "fit_block", "fit_encoder", "restore_encoder"]
