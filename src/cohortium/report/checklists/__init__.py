"""Reporting checklists filled from a run's own records: TRIPOD+AI, CLAIM, MI-CLAIM and PROBAST+AI.

What a run knows is said by it (``evidence``); what only a person can say comes from the key ``statements`` of the study file; what
neither says is open. May know: records of a run, words of the report. May not know: data, models, the study file.
"""

from cohortium.report.checklists.fill import Checklist, Row, checklists, checklists_csv, open_keys, open_yaml

__all__ = ["Checklist", "Row", "checklists", "checklists_csv", "open_keys", "open_yaml"]
