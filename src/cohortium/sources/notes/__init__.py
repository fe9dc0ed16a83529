"""Clinical notes -> one text per unit, of what was known before its index time.

:mod:`files` reads tables and folders, :mod:`deidentify` replaces identities, :mod:`assemble` cuts at the index time
and joins, :mod:`minilm` runs the frozen language model where the study asks for it.
"""

from cohortium.sources.notes.assemble import NotesReader

__all__ = ["NotesReader"]
