"""Sources: files as people have them -> a cohort and its outcomes.

May know: schema (declarations), cohort, contracts, pandas, the formats. May not know: learners, folds, how
anything is scored. Every complaint names file, column and spreadsheet row, and never an id or a value.
"""

from cohortium.sources.ids import apply_rule
from cohortium.sources.index import IndexTime
from cohortium.sources.outcomes import endpoint_columns, read_outcome
from cohortium.sources.propose import propose
from cohortium.sources.reading import ReadResult, read_cohort

__all__ = ["IndexTime", "ReadResult", "apply_rule", "endpoint_columns", "propose", "read_cohort", "read_outcome"]
