"""Patients, their units, and which unit has which modality.

May know: numpy, pandas, :mod:`cohortium.schema`. May not know: files of origin, endpoints, learners,
torch. ``anndata`` and ``mudata`` are imported only to convert and store.
"""

from cohortium.cohort.cohort import Cohort
from cohortium.cohort.storage import from_mudata, read_stored_cohort, to_mudata, write_cohort
from cohortium.cohort.table import Table

__all__ = ["Cohort", "Table", "from_mudata", "read_stored_cohort", "to_mudata", "write_cohort"]
