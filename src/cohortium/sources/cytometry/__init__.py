"""Flow and mass cytometry -> a bag of events.

:mod:`listing` finds whose files they are, :mod:`fcs` reads one file (:mod:`keywords` what stands before its values),
:mod:`channels` says what its channels are called and takes out spillover, :mod:`reader` puts the events of each unit together.
"""

from cohortium.sources.cytometry.reader import CytometryReader

__all__ = ["CytometryReader"]
