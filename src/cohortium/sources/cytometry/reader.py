"""FCS files -> one modality, a bag of events."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Bag
from cohortium.cohort.table import feature_frame
from cohortium.errors import DataError, did_you_mean
from cohortium.schema import Presence
from cohortium.schema.cytometry import CytometrySource
from cohortium.sources.columns import some
from cohortium.sources.cytometry.channels import FLUORESCENCE, MASS, compensation, is_mass, key_of, named, usual
from cohortium.sources.cytometry.fcs import FcsFile, Ints, read_header
from cohortium.sources.cytometry.listing import Listed, of_folder, of_index
from cohortium.sources.formats import find
from cohortium.sources.ids import apply_rule, hint, lengths


class CytometryReader:
    """Reads one modality of flow or mass cytometry.

    units: the cohort's unit table (index: unit id; column ``patient``). index: not used, events of a cytometer have no
    date. After :meth:`read`: notes (what was done), transform, unmatched (files of nobody in the cohort), left_out
    (nothing, always), paths, why (n,) reason of units without events.
    """

    def __init__(self, name: str, source: CytometrySource, root: Path, units: pd.DataFrame, index: Any) -> None:
        self.name, self.source, self.root, self.units = name, source, root, units
        self.notes: list[str] = []
        self.left_out: list[str] = []
        self.paths: list[Path] = []
        self.unmatched, self.transform = 0, ""
        self._whose = units.index if source.of == "unit" else pd.Index(units["patient"].unique())
        if index is not None:
            self.notes.append("samples have no time: all of them are taken to be known when the prediction is made")

    def read(self, expected: pd.DataFrame | None = None) -> Bag:
        """Events of the units. expected: features of a fitted model, to which they are brought. Raises :class:`DataError`."""
        files = self._files()
        number = {owner: sum(f.n_events for f in mine) for owner, mine in files.items()}
        enough = {owner for owner, n in number.items() if n >= self.source.min_events}
        if not enough and expected is None:
            raise DataError(
                f"{self._at}: nobody of modality '{self.name}' has {self.source.min_events} events; the most is "
                f"{max(number.values())}. Say min_events."
            )
        used = {owner: mine for owner, mine in files.items() if owner in enough}
        names, places = self._channels([f for mine in used.values() for f in mine], expected)
        cofactor = self._cofactor(used, places)
        features = feature_frame(names)
        features["unit"] = f"arcsinh(x / {cofactor:g})"
        if expected is not None and used and (expected["unit"] != features["unit"].iloc[0]).any():
            raise DataError(
                f"{self._at}: these are read as {features['unit'].iloc[0]}, and the model was fitted to {expected['unit'].iloc[0]}. "
                "Are files of mass and of fluorescence cytometers mixed up?"
            )
        self.transform = f"arcsinh(x / {cofactor:g})"
        events = self._events(used, places, len(names), cofactor)
        return self._by_unit(events, number, features if expected is None else expected)

    @property
    def _at(self) -> str:
        """What holds the files, for complaints."""
        return f"'{Path(self.source.paths[0]).name}'"

    def _files(self) -> dict[str, list[FcsFile]]:
        """Files of each owner in the cohort, their headers read."""
        source = self.source
        if source.folder is not None:
            listed, others = of_folder(self.root / source.folder)
            if others:
                self.notes.append(f"{others} entries of the folder are no FCS files, and were passed over")
        else:
            index = find(self.root, str(source.file))
            self.paths.append(index)
            listed = of_index(index, source.id, source.path)
            if not listed:
                raise DataError(f"{self._at} lists no FCS file.")
        out: dict[str, list[FcsFile]] = {}
        for owner, one in zip(self._owners(listed), listed, strict=True):
            if owner:
                out.setdefault(owner, []).append(read_header(one.path, one.place))
                self.paths.append(one.path)
        return out

    def _owners(self, listed: list[Listed]) -> list[str]:
        """The id of each file where it is somebody's in the cohort, else ""."""
        try:
            ids = apply_rule(pd.Series([f.label for f in listed], dtype=object), self.source.id_rule, self._at)
        except DataError as e:
            # Rows of the list of files are rows of no file.
            raise DataError(f"{self._at}: a name of a file is empty, or id_rule does not fit it.") from e
        known = set(map(str, self._whose))
        owners = [i if i in known else "" for i in ids]
        self.unmatched = owners.count("")
        if self.unmatched == len(owners):
            raise DataError(
                f"{self._at}: no file of modality '{self.name}' belongs to the cohort. Ids have {lengths(ids)} characters, the "
                f"cohort's {self.source.of}s have {lengths(known)}.{hint(list(ids), pd.Index(sorted(known)))} Are 'of' and "
                "id_rule right?"
            )
        if self.unmatched:
            self.notes.append(f"{self.unmatched:,} of {len(owners):,} files are nobody's of this cohort")
        return owners

    def _channels(
        self, files: list[FcsFile], expected: pd.DataFrame | None
    ) -> tuple[list[str], dict[Path, list[tuple[int, int]]]]:
        """Names of channels; for each file, which of its channels (second) is which of them (first)."""
        wanted = self.source.channels if expected is None else list(map(str, expected.index))
        if wanted is None:
            found = [usual(f, self.source.exclude) for f in files]
            spelt: dict[str, str] = {}
            for f in found:
                for name in f:
                    spelt.setdefault(key_of(name), name)
            wanted = list(spelt.values())
            if not wanted:
                raise DataError(f"{self._at}: no file has a channel beside time and scatter. Name channels.")
        else:
            found = [named(f, wanted) for f in files]
        number = {key_of(name): k for k, name in enumerate(wanted)}
        having = Counter(key_of(name) for f in found for name in f)
        self._lacking(wanted, having, files, expected)
        places = {f.path: [(number[key_of(n)], j) for n, j in got.items()] for f, got in zip(files, found, strict=True)}
        return wanted, places

    def _lacking(
        self, wanted: list[str], having: Counter[str], files: list[FcsFile], expected: pd.DataFrame | None
    ) -> None:
        """Channels that no file, or not every file has."""
        gone = [n for n in wanted if not having[key_of(n)]]
        known = {n for f in files for n in (*f.markers, *f.detectors) if n}
        if files and gone and (expected is None or len(gone) == len(wanted)):
            raise DataError(
                f"{self._at}: no file of modality '{self.name}' has the channel '{gone[0]}'.{did_you_mean(gone[0], known)}"
            )
        partly = [f"{n} ({having[key_of(n)]})" for n in wanted if having[key_of(n)] < len(files)]
        if partly:
            self.notes.append(
                f"channels that not all of {len(files):,} files have are unknown in the others: {some(partly)}"
            )

    def _cofactor(self, files: dict[str, list[FcsFile]], places: dict[Path, list[tuple[int, int]]]) -> float:
        if self.source.cofactor is not None:
            return self.source.cofactor
        mass = [is_mass(f, [j for _, j in places[f.path]]) for mine in files.values() for f in mine if places[f.path]]
        if any(mass) and not all(mass):
            raise DataError(
                f"{self._at}: {sum(mass):,} of {len(mass):,} files are of a mass cytometer by the names of their detectors, the "
                "others are not. Make two modalities of them, or say cofactor."
            )
        return MASS if any(mass) else FLUORESCENCE

    def _events(
        self, files: dict[str, list[FcsFile]], places: dict[Path, list[tuple[int, int]]], p: int, cofactor: float
    ) -> dict[str, NDArray[np.float32]]:
        """(k, p) of each owner: events evenly spaced over its files, NaN for channels that a file has not."""
        out: dict[str, NDArray[np.float32]] = {}
        self._compensated = Counter[str]()
        strange = 0
        for owner, mine in files.items():
            parts = []
            for f, at in zip(mine, _spread([f.n_events for f in mine], self.source.events), strict=True):
                part = np.full((len(at), p), np.nan, dtype=np.float32)
                to, of = [k for k, _ in places[f.path]], [j for _, j in places[f.path]]
                with np.errstate(all="ignore"):
                    x = np.arcsinh(self._linear(f, at)[:, of] / cofactor)
                x[~np.isfinite(x)] = np.nan
                strange += int(np.isnan(x).sum())
                part[:, to] = x
                parts.append(part)
            out[owner] = np.concatenate(parts)
        if strange:
            self.notes.append(f"{strange:,} values are no finite numbers, and stand as unknown")
        self._say_compensation()
        return out

    def _linear(self, file: FcsFile, at: Ints) -> NDArray[np.float64]:
        x = file.values(at)
        found = compensation(file) if self.source.compensate else None
        self._compensated["yes" if found is not None else "no"] += 1
        if found is not None:
            columns, inverse = found
            with np.errstate(all="ignore"):
                x[:, columns] = x[:, columns] @ inverse
        return x

    def _say_compensation(self) -> None:
        done, total = self._compensated["yes"], sum(self._compensated.values())
        if not self.source.compensate:
            self.notes.append("values are not compensated (compensate: false)")
        elif done:
            self.transform += " of compensated values"
            self.notes.append(f"{done:,} of {total:,} files are compensated by their own spillover matrices")
        else:
            self.notes.append("no file has a spillover matrix: values are taken to be compensated, or in no need of it")

    def _by_unit(self, events: dict[str, NDArray[np.float32]], number: dict[str, int], features: pd.DataFrame) -> Bag:
        """A unit has the events of its patient; the reason where it has none, or too few."""
        owners = self.units.index if self.source.of == "unit" else self.units["patient"]
        has = np.array([o in events for o in owners], dtype=bool)
        few = np.array([o in number and o not in events for o in owners], dtype=bool)
        self.why = np.where(has, Presence.PRESENT.value, np.where(few, "failed_qc", self.source.absent_reason))
        mine = [o for o, h in zip(owners, has, strict=True) if h]
        counts = np.array([number[o] for o in mine], dtype=np.int64)
        length = np.array([len(events[o]) for o in mine], dtype=np.int64)
        nothing = [np.zeros((0, len(features)), dtype=np.float32)]
        values = np.concatenate([events[o] for o in mine] or nothing)
        if len(mine):
            self.notes.append(
                f"{counts.sum():,} events of {len(mine):,} unit(s), {len(features)} channels, {self.transform}; up to "
                f"{self.source.events:,} of each unit, evenly spaced, are used"
            )
        if few.any():
            self.notes.append(
                f"{int(few.sum())} unit(s) with fewer than {self.source.min_events} events lack the modality"
            )
        offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
        return Bag(self.units.index[has], values, offsets, features, counts)


def _spread(lengths: list[int], most: int) -> list[Ints]:
    """Positions in each of several files: at most so many in all, evenly spaced over them one after another."""
    total = sum(lengths)
    k = min(total, most)
    # The middle of each of k equal parts, in whole numbers.
    at = (2 * np.arange(k, dtype=np.int64) + 1) * total // (2 * k) if k else np.zeros(0, dtype=np.int64)
    ends = np.cumsum([0, *lengths])
    return [at[(at >= a) & (at < b)] - a for a, b in pairwise(ends)]
