"""Event rows of all files -> one modality: on the units' clock, cut at each unit's index time."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Events
from cohortium.cohort.events import STATIC
from cohortium.errors import DataError, did_you_mean
from cohortium.schema import Presence
from cohortium.schema.shapes import EventsSource
from cohortium.sources.events.record import Record
from cohortium.sources.named_columns import MOST_NUMBER, read_columns, texts
from cohortium.sources.times import Times, check_clock

_MOST_UNITS = 6


class EventsReader:
    """Reads one modality of events.

    units: the cohort's unit table (index: unit id; column ``patient``). index: index time of each unit. After
    :meth:`read`: notes, unmatched (events of nobody in the cohort), paths, why (n,) reason of units without events.
    """

    def __init__(self, name: str, source: EventsSource, root: Path, units: pd.DataFrame, index: Times | None) -> None:
        self.name, self.source, self.root, self.units = name, source, root, units
        if index is None:
            raise DataError(
                f"modality '{name}' has events, which are seen up to an index time, and the study names none. Say "
                "design: {index_time: <date column of the unit table>}, or index_after where times count from zero."
            )
        self.index = index
        self.notes: list[str] = []
        self.left_out: list[str] = []
        self.paths: list[Path] = []
        self.unmatched = 0

    def read(self) -> Events:
        """What the units may see. Raises :class:`DataError`."""
        records = self._records()
        self._same_clock(records)
        owner, of_unit = self._owners(records)
        code = np.concatenate([r.code for r in records])
        value = np.concatenate([self._converted(r) for r in records])
        time = np.concatenate([r.times.known for r in records])
        keep = self._wanted(code) & self._timed(records)
        mine = keep & (owner >= 0)
        self.unmatched = int((keep & (owner < 0)).sum())
        if self.unmatched:
            self.notes.append(f"{self.unmatched:,} of {int(keep.sum()):,} events are nobody's of this cohort")
        if not mine.any():
            raise DataError(self._no_match(records))
        code = self._rolled(code[mine])
        return self._cut(owner[mine], time[mine], code, value[mine], of_unit)

    def _records(self) -> list[Record]:
        from cohortium.sources.events.fhir import read_fhir
        from cohortium.sources.events.meds import read_meds
        from cohortium.sources.events.omop import read_omop
        from cohortium.sources.events.tables import read_tables

        readers = {"tables": read_tables, "meds": read_meds, "omop": read_omop, "fhir": read_fhir}
        records, self.paths = readers[self.source.format](self.source, self.root)
        if not sum(len(r.code) for r in records):
            raise DataError(f"modality '{self.name}': the files hold no event.")
        return records

    def _same_clock(self, records: Sequence[Record]) -> None:
        for r in records:
            if not (r.times.us == STATIC).all():
                check_clock(r.file, r.times, self.index)

    def _owners(self, records: Sequence[Record]) -> tuple[NDArray[np.intp], dict[str, NDArray[np.intp]]]:
        """(N,) number of the owner, -1 for strangers; patients first, then units, where tables name these."""
        patients, units = pd.Index(self.units["patient"].unique()), self.units.index
        both = any(r.of == "unit" for r in records)
        if both and any(r.of == "patient" for r in records):
            raise DataError(f"modality '{self.name}': say of: unit, or of: patient, for all its tables.")
        whose = units if both else patients
        found = np.concatenate([whose.get_indexer(pd.Index(r.owner, dtype=object)) for r in records])
        of_unit = np.arange(len(units)) if both else patients.get_indexer(self.units["patient"])
        return found, {"unit": of_unit}

    def _no_match(self, records: Sequence[Record]) -> str:
        from cohortium.sources.ids import hint, lengths

        ids = list(dict.fromkeys(map(str, records[0].owner[:2000])))
        known = pd.Index(self.units["patient"].unique())
        return (
            f"{records[0].file}: no event of modality '{self.name}' belongs to the cohort. Ids have {lengths(ids)} "
            f"characters, the cohort's have {lengths(known)}.{hint(ids, known)} Is the id column right, and 'of'?"
        )

    def _timed(self, records: Sequence[Record]) -> NDArray[np.bool_]:
        """Events to keep: those without a time are kept, left out or refused, as the study says."""
        rule = self.source.no_time or ("static" if self.source.format == "meds" else "error")
        out = []
        for r in records:
            lacks = r.times.us == STATIC
            declared = self.source.format == "tables" and lacks.all()
            if lacks.any() and rule == "error" and not declared:
                raise DataError(
                    f"{r.place(lacks)}: this event has no time ({int(lacks.sum())} such row(s)). Say no_time: drop, or "
                    "static for facts that hold from the beginning (sex, blood group)."
                )
            if lacks.any() and rule == "drop":
                self.notes.append(f"{int(lacks.sum()):,} events of {r.file} have no time and are not used")
            out.append(~lacks if rule == "drop" and not declared else np.ones(len(lacks), dtype=bool))
        return np.concatenate(out)

    def _converted(self, r: Record) -> NDArray[np.float64]:
        """Values in comparable units."""
        has = np.isfinite(r.value)
        if not has.any():
            return r.value
        value = r.value.copy()
        unit = pd.Series(r.unit).map(lambda u: "" if pd.isna(u) else str(u).strip()).to_numpy(object)
        pairs = pd.DataFrame({"code": r.code[has], "unit": unit[has]}).drop_duplicates()
        for code, units in pairs.groupby("code", sort=True)["unit"]:
            table = self.source.units.get(str(code))
            if table is None:
                if len(units) > 1:
                    listed = ", ".join(sorted(u or "(none)" for u in units)[:_MOST_UNITS])
                    raise DataError(
                        f"{r.file}: values of '{code}' come in {len(units)} units ({listed}) and are not comparable. Say "
                        f"units: {{'{code}': {{{sorted(units)[-1] or 'unit'}: 1, ...}}}}, a factor for each."
                    )
                continue
            strange = [u for u in units if u not in table]
            if strange:
                raise DataError(
                    f"{r.file}: values of '{code}' come in the unit '{strange[0] or '(none)'}', for which the study gives "
                    f"no factor.{did_you_mean(strange[0], table)}"
                )
            at = has & (r.code == code)
            value[at] *= np.array([table[u] for u in unit[at]])
        return np.where(np.abs(value) <= MOST_NUMBER, value, np.nan)

    def _wanted(self, code: NDArray[np.object_]) -> NDArray[np.bool_]:
        if not self.source.only and not self.source.exclude:
            return np.ones(len(code), dtype=bool)
        names, at = np.unique(code.astype(str), return_inverse=True)
        keep = np.array([self._asked(n) for n in names])
        for pattern in self.source.only + self.source.exclude:
            if not fnmatch.filter(list(names), pattern):
                raise DataError(
                    f"modality '{self.name}': no code fits '{pattern}'.{did_you_mean(pattern, list(names)[:5000])}"
                )
        self.left_out = [str(n) for n in names[~keep]][:50]
        return keep[at]

    def _asked(self, name: str) -> bool:
        wanted = not self.source.only or any(fnmatch.fnmatchcase(name, p) for p in self.source.only)
        return wanted and not any(fnmatch.fnmatchcase(name, p) for p in self.source.exclude)

    def _rolled(self, code: NDArray[np.object_]) -> NDArray[np.object_]:
        rule = self.source.rollup
        if rule is None:
            return code
        names, at = np.unique(code.astype(str), return_inverse=True)
        new = names.astype(object)
        if rule.file is not None:
            frame = read_columns(self.root / rule.file, [rule.code, rule.to]).dropna()
            self.paths.append(self.root / rule.file)
            known = dict(zip(texts(frame[rule.code]), texts(frame[rule.to]), strict=True))
            unknown = [n for n in names if n not in known]
            if unknown and rule.unmapped == "error":
                raise DataError(f"{rule.file} does not say what '{unknown[0]}' becomes ({len(unknown)} such code(s)).")
            if unknown:
                self.notes.append(f"{len(unknown)} code(s) stand in no row of {rule.file}: {rule.unmapped}")
            other = {"keep": None, "drop": ""}.get(rule.unmapped)
            new = np.array([known.get(n, n if other is None else other) for n in names], dtype=object)
        if rule.first is not None:
            new = np.array(
                ["//".join([*n.split("//")[:-1], n.split("//")[-1][: rule.first]]) for n in new], dtype=object
            )
        return new[at]

    def _cut(
        self,
        owner: NDArray[np.intp],
        time: NDArray[np.int64],
        code: NDArray[np.object_],
        value: NDArray[np.float64],
        of_unit: dict[str, NDArray[np.intp]],
    ) -> Events:
        """Sort by owner and time; a unit's events end before its index time."""
        if (code == "").any():  # rolled up into nothing
            kept = code != ""
            owner, time, code, value = owner[kept], time[kept], code[kept], value[kept]
        vocabulary, number = np.unique(code.astype(str), return_inverse=True)
        # Equal times are put in an order that the file's own does not decide.
        order = np.lexsort((value, number, time, owner))
        owner, time, number, value = owner[order], time[order], number[order], value[order]
        mine, index = of_unit["unit"], self.index.us
        begin, end = np.searchsorted(owner, mine, "left"), np.searchsorted(owner, mine, "right")
        stop = np.array([b + np.searchsorted(time[b:e], i, "left") for b, e, i in zip(begin, end, index, strict=True)])
        seen = stop > begin
        later = int((end - stop).sum())
        self.why = np.where(
            seen, Presence.PRESENT.value, np.where(end > begin, "after_index", self.source.absent_reason)
        )
        self.notes.append(
            f"{int((stop - begin).sum()):,} events before the index time are seen, {later:,} at or after it are not"
        )
        if not seen.any():
            raise DataError(
                f"modality '{self.name}': nobody has an event before the index time. Is the index time right?"
            )
        return Events(
            self.units.index[seen], vocabulary.astype(object), owner.astype(np.int64), time, number.astype(np.int32),
            value, begin[seen].astype(np.int64), stop[seen].astype(np.int64), index[seen], self.source.window_days,
        ).take(np.arange(int(seen.sum())))  # fmt: skip
