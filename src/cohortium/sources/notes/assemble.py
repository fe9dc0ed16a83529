"""Notes -> one text per unit: what was known before its index time, identities taken out, oldest first."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Texts
from cohortium.cohort.events import STATIC
from cohortium.errors import DataError
from cohortium.schema import Presence
from cohortium.schema.notes import NotesSource
from cohortium.sources.notes.files import Notes, read_folder, read_table
from cohortium.sources.times import Times, check_clock


class NotesReader:
    """Reads one modality of texts.

    units: the cohort's unit table (index: unit id; column ``patient``). index: index time of each unit, needed where
    notes have times. After :meth:`read`: notes (what was done), unmatched (notes of nobody in the cohort), left_out
    (nothing, always), paths, why (n,) reason of units without a text.
    """

    def __init__(self, name: str, source: NotesSource, root: Path, units: pd.DataFrame, index: Times | None) -> None:
        if source.time is not None and index is None:
            raise DataError(
                f"modality '{name}' has notes with times, which are seen up to an index time, and the study names none. "
                "Say design: {index_time: <date column of the unit table>}, or index_after where times count from zero."
            )
        self.name, self.source, self.root, self.units, self.index = name, source, root, units, index
        self.notes: list[str] = []
        self.left_out: list[str] = []
        self.paths: list[Path] = []
        self.unmatched = 0

    def read(self) -> Texts:
        """What the units may see. Raises :class:`DataError`."""
        whose = self.units.index if self.source.of == "unit" else pd.Index(self.units["patient"].unique())
        if self.source.folder is not None:
            found, self.paths = read_folder(self.source, self.root, set(map(str, whose)))
        else:
            found, self.paths = read_table(self.source, self.root)
        if not len(found.text):
            raise DataError(f"{found.file}: no note of modality '{self.name}' has a text.")
        if found.blank:
            self.notes.append(f"{found.blank:,} notes without a text are not used")
        found = self._timed(found)
        owner = whose.get_indexer(pd.Index(found.owner, dtype=object))
        self.unmatched = int((owner < 0).sum())
        if self.unmatched == len(owner):
            raise DataError(self._no_match(found, whose))
        if self.unmatched:
            self.notes.append(f"{self.unmatched:,} of {len(owner):,} notes are nobody's of this cohort")
        mine = owner >= 0
        return self._joined(found.take(mine), owner[mine], whose)

    def _timed(self, found: Notes) -> Notes:
        """Notes whose time can be compared with the index time."""
        if found.times is None:
            if self.index is not None:
                self.notes.append("notes have no time: all of them are taken to be known when the prediction is made")
            return found
        assert self.index is not None
        lacks = found.times.us == STATIC
        if lacks.any():
            row = int(found.rows[np.flatnonzero(lacks)[0]])
            if self.source.no_time == "error":
                raise DataError(
                    f"{found.file}, row {row}, column '{self.source.time}': this note has no time ({int(lacks.sum())} "
                    "such row(s)). Say no_time: drop to leave them out."
                )
            if lacks.all():
                raise DataError(f"{found.file}, column '{self.source.time}': no note has a time.")
            self.notes.append(f"{int(lacks.sum()):,} notes have no time and are not used")
            found = found.take(~lacks)
        assert found.times is not None
        check_clock(found.file, found.times, self.index)
        return found

    def _no_match(self, found: Notes, whose: pd.Index) -> str:
        from cohortium.sources.ids import hint, lengths

        ids, known = list(dict.fromkeys(map(str, found.owner[:2000]))), pd.Index(whose.astype(str))
        return (
            f"{found.file}: no note of modality '{self.name}' belongs to the cohort. Ids have {lengths(ids)} characters, "
            f"the cohort's have {lengths(known)}.{hint(ids, known)} Are 'id' and 'of' right?"
        )

    def _joined(self, found: Notes, owner: NDArray[np.intp], whose: pd.Index) -> Texts:
        """Sort by owner, time and row; a unit's text is its notes before its index time."""
        known = found.times.known if found.times is not None else np.zeros(len(owner), dtype=np.int64)
        order = np.lexsort((found.rows, known, owner))
        owner, known, text = owner[order], known[order], found.text[order]
        of_unit = (
            np.arange(len(self.units))
            if self.source.of == "unit"
            else whose.get_indexer(pd.Index(self.units["patient"]))
        )
        begin, end = np.searchsorted(owner, of_unit, "left"), np.searchsorted(owner, of_unit, "right")
        stop = end
        if found.times is not None and self.index is not None:
            pairs = zip(begin, end, self.index.us, strict=True)
            stop = np.array([b + np.searchsorted(known[b:e], i, "left") for b, e, i in pairs], dtype=np.intp)
            later = int((end - stop).sum())
            self.notes.append(
                f"{int((stop - begin).sum()):,} notes before the index time are seen, {later:,} at or after it are not"
            )
        seen = stop > begin
        self.why = np.where(
            seen, Presence.PRESENT.value, np.where(end > begin, "after_index", self.source.absent_reason)
        )
        if not seen.any():
            raise DataError(
                f"modality '{self.name}': nobody has a note before the index time. Is the index time right?"
            )
        used = np.zeros(len(text), dtype=bool)
        for b, s in zip(begin[seen], stop[seen], strict=True):
            used[b:s] = True
        text = self._cleaned(text, used)
        joined = np.array(["\n\n".join(text[b:s]) for b, s in zip(begin[seen], stop[seen], strict=True)], dtype=object)
        keywords = {name: tuple(phrases) for name, phrases in self.source.keywords.items()}
        return Texts(self.units.index[seen], joined, keywords, self._vectors(joined))

    def _cleaned(self, text: NDArray[np.object_], used: NDArray[np.bool_]) -> NDArray[np.object_]:
        """Identities taken out of the notes that are used."""
        from cohortium.sources.notes.deidentify import deidentified

        if not self.source.deidentify:
            self.notes.append("identities are left in the texts, as the study says (deidentify: false)")
            return text
        put: Counter[str] = Counter()
        out = text.copy()
        for i in np.flatnonzero(used):
            out[i], tags = deidentified(str(text[i]))
            put += tags
        told = ", ".join(f"{n:,} {tag}" for tag, n in sorted(put.items()))
        self.notes.append(
            f"identities replaced by tags: {told or 'none found'}; names of people are not found by rules"
        )
        return out

    def _vectors(self, texts: NDArray[np.object_]) -> NDArray[np.float32] | None:
        if self.source.representation != "minilm":
            return None
        from cohortium.sources.notes.minilm import embedded

        vectors, told = embedded(list(texts), self.root)
        self.notes.append(told)
        return vectors
