"""External validation: what the finished model does on other patients."""

from __future__ import annotations

from typing import Any

import numpy as np

from cohortium.contracts.description import DescribedGroup, Summary
from cohortium.contracts.estimates import Estimate
from cohortium.contracts.results import Results
from cohortium.report import tables
from cohortium.report.curves import Calibration
from cohortium.report.description import TableOne, beside
from cohortium.report.figures import classes
from cohortium.report.words import number

_FIELDS = ("metric", "value", "low", "high", "n", "n_events", "method", "horizon", "reason", "low_powered")


def validation_sections(entries: list[dict[str, Any]], results: Results) -> list[dict[str, Any]]:
    """One section per entry of ``validation.json``: heading, count, table of estimates, calibration drawing."""
    units = {e.name: e.time_unit for e in results.cohort.endpoints}
    sections = []
    for i, entry in enumerate(entries):
        endpoint = str(entry.get("endpoint", results.study.primary))
        time_unit = units.get(endpoint, "")
        found = [Estimate(**{k: e[k] for k in _FIELDS if k in e}) for e in entry.get("estimates", []) if "metric" in e]
        n = entry.get("n")
        sections.append(
            {
                "endpoint": endpoint,
                "data": str(entry.get("data", "")),
                "learner": str(entry.get("learner", "")),
                "n": f"{n:,}" if isinstance(n, int) else "",
                "table": tables.estimates(found, time_unit) if found else None,
                "described": _described(entry.get("description"), endpoint, results),
                "calibration": _calibration(entry.get("calibration"), endpoint, time_unit, f"v{i}-cal"),
            }
        )
    return sections


def _described(raw: Any, endpoint: str, results: Results) -> TableOne | None:
    """The new units beside the study's; None where either was written by an older version."""
    known = next((d for d in results.descriptions if d.endpoint == endpoint), None)
    if known is None or not isinstance(raw, dict):
        return None
    summaries = [Summary(**s) for s in raw.get("summaries", [])]
    if len(summaries) != len(known.variables):
        return None
    return beside(known, DescribedGroup("external", str(raw.get("name", "")), int(raw.get("n_units", 0)), summaries))


def _calibration(raw: Any, endpoint: str, time_unit: str, key: str) -> Any:
    curves = [raw] if isinstance(raw, dict) else raw if isinstance(raw, list) else []
    drawn = []
    for c in curves:
        if not isinstance(c, dict) or not c.get("predicted") or not c.get("observed"):
            continue
        predicted, observed = np.asarray(c["predicted"], float), np.asarray(c["observed"], float)
        low = np.asarray(c.get("low") or observed, float)
        high = np.asarray(c.get("high") or observed, float)
        label = str(c.get("label") or c.get("class") or "")
        if c.get("horizon") is not None:
            label = f"{number(float(c['horizon']), 3)} {time_unit}".strip()
        drawn.append((label, Calibration(predicted, observed, low, high)))
    return classes.calibration(
        drawn,
        key,
        what="risk of the event by then"
        if any(isinstance(c, dict) and "horizon" in c for c in curves)
        else "probability",
        caption="Groups of similar prediction in the new patients; on the dotted line, predictions are right.",
        alt_of=f"the model for {endpoint} on new patients",
    )
