"""Result records -> one HTML file that opens offline, JSON for machines, a table for the terminal.

Fits nothing and estimates nothing: every number with an interval was made by the experiment and is
shown as it stands; the curves drawn here (ROC, calibration, Kaplan-Meier) are counts of stored predictions.
May know: contracts, schema, metrics. May not know: learners, folds being made, files of the user.
"""

from cohortium.report.answer import answer
from cohortium.report.html import write_report
from cohortium.report.records import from_json, results_schema, to_json
from cohortium.report.text import leaderboard_text

__all__ = ["answer", "from_json", "leaderboard_text", "results_schema", "to_json", "write_report"]
