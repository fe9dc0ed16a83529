"""Durations as people write them: ``24h``, ``30 days``, ``all``."""

from __future__ import annotations

import re

_DAYS = {
    "min": 1 / 1440, "minute": 1 / 1440, "minutes": 1 / 1440, "h": 1 / 24, "hour": 1 / 24, "hours": 1 / 24, "d": 1.0,
    "day": 1.0, "days": 1.0, "w": 7.0, "week": 7.0, "weeks": 7.0, "month": 30.4375, "months": 30.4375, "y": 365.25,
    "year": 365.25, "years": 365.25,
}  # fmt: skip
_FORM = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*$")

UNITS = ("minutes", "hours", "days", "weeks", "months", "years")


def days_of(text: str) -> float:
    """Days of a duration; ``all`` is infinite. Raises ValueError."""
    if text.strip() == "all":
        return float("inf")
    found = _FORM.match(text.lower())
    if found is None or found[2] not in _DAYS:
        raise ValueError(f"'{text}' is no duration; write it as 24h, 30d, 6 months, 1y or all")
    return float(found[1]) * _DAYS[found[2]]


def unit_days(unit: str) -> float:
    """Days of one unit of time, such as ``months``."""
    return _DAYS[unit]
