"""Kinds of columns and states of presence."""

from __future__ import annotations

from enum import StrEnum

COVERAGE_GROUP = "coverage_group"
"""Column of a cohort's unit table: the declared group within which sets, intervals and bounds are calibrated, "" where unknown."""


class ColumnKind(StrEnum):
    """Measurement scale of a feature. ``date`` columns are read but are no features."""

    NUMERIC = "numeric"
    BINARY = "binary"
    ORDINAL = "ordinal"
    NOMINAL = "nominal"
    DATE = "date"


class Presence(StrEnum):
    """Why a unit has, or lacks, a modality. Distinct from NaN: a value looked for and not known."""

    PRESENT = "present"
    NOT_MEASURED = "not_measured"
    FAILED_QC = "failed_qc"
    AFTER_INDEX = "after_index"
    NOT_AT_SITE = "not_at_site"
    WITHHELD = "withheld"
