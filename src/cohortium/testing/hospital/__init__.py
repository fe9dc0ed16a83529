"""A simulated hospital: one cohort with all four families of data, in the files that hospitals and labs write.

For tests, documentation and trying out. What causes the outcome is known and stands in ``truth.json``, which no
reader of ours opens. The patients exist nowhere.
"""

from cohortium.testing.hospital.folder import write_hospital
from cohortium.testing.hospital.people import EFFECTS, People, draw_people

__all__ = ["EFFECTS", "People", "draw_people", "write_hospital"]
