"""Vocabulary: endpoint kinds, column kinds, presence reasons, and the declarations of a study file.

May know: pydantic and :mod:`cohortium.errors`. May not know: data, pandas, files.
"""

from cohortium.schema.endpoints import Endpoint, EndpointKind
from cohortium.schema.kinds import COVERAGE_GROUP, ColumnKind, Presence

__all__ = ["COVERAGE_GROUP", "ColumnKind", "Endpoint", "EndpointKind", "Presence"]
