"""Health records as hospitals store them -> events that a unit may see.

Readers (:mod:`tables`, :mod:`meds`, :mod:`omop`, :mod:`fhir`) give :class:`~cohortium.sources.events.record.Record`
rows; :mod:`assemble` puts them on the units' clock and cuts them at the index time.
"""

from cohortium.sources.events.assemble import EventsReader

__all__ = ["EventsReader"]
