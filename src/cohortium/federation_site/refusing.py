"""Why a site seals nothing."""

from __future__ import annotations


class RefusedError(ValueError):
    """Why a question is not answered, in words without counts or values."""
