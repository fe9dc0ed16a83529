"""Names that both halves of the engine use."""

TASK, QUESTION, ANSWER = "ask", "question", "answer"
STUDY_VARIABLE = "COHORTIUM_FEDERATED_STUDY"
"""Environment of a site's processes: the study file that its own person named."""

STATE, END, ROUNDS = "state.json", "end.json", "rounds.json"
"""On the server, for each plan: where the fit stands, how it ended, and the messages and seconds of its rounds."""

SEALING, JOURNAL = "sealing.json", "opened.json"
"""In a site's kit alone: its key for secure aggregation, and the sums that it helped to open."""
