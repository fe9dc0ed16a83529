"""Marks of tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest


def thorough_but(cases: Sequence[Any], *kept: Any) -> list[Any]:
    """Cases of a parametrised test; those that are not ``kept`` are run by ``make test-all`` alone: CI has ten minutes."""
    assert set(kept) <= set(cases)
    return [
        c if c in kept else pytest.param(*(c if isinstance(c, tuple) else (c,)), marks=pytest.mark.thorough)
        for c in cases
    ]
