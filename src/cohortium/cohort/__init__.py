"""Patients, their units, and which unit has which modality.

May know: numpy, pandas, :mod:`cohortium.schema`. May not know: files of origin, endpoints, learners,
torch. ``anndata`` and ``mudata`` are imported only to convert and store.
"""

from cohortium.cohort.bag import Bag
from cohortium.cohort.cells import Cells
from cohortium.cohort.cohort import Cohort
from cohortium.cohort.events import Events
from cohortium.cohort.modality import Modality
from cohortium.cohort.storage import from_mudata, read_stored_cohort, to_mudata, write_cohort
from cohortium.cohort.table import Table
from cohortium.cohort.texts import Texts

__all__ = [
    "Bag",
    "Cells",
    "Cohort",
    "Events",
    "Modality",
    "Table",
    "Texts",
    "from_mudata",
    "read_stored_cohort",
    "to_mudata",
    "write_cohort",
]
