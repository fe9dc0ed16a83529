"""What the coordinator of a federated study does: answers of sites in, the next question or the result out.

``begin`` and ``step`` are pure; the state between them is a record that can be stored and taken up again.
May know: contracts, masking, numpy, scipy. May not know: cohort, sources, patients, files, any engine: it handles counts and sums.
"""

from cohortium.federation_coordinator.running import begin, joined, question, restore, results, step, store
from cohortium.federation_coordinator.state import State

__all__ = ["State", "begin", "joined", "question", "restore", "results", "step", "store"]
