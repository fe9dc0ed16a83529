"""A file of variants -> one modality, a table of the cohort's units."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Table
from cohortium.cohort.table import feature_frame
from cohortium.errors import DataError, did_you_mean
from cohortium.schema import Presence
from cohortium.schema.variants import VariantsSource
from cohortium.sources.formats import find
from cohortium.sources.ids import apply_rule, hint, lengths
from cohortium.sources.variants.annotation import Patterns
from cohortium.sources.variants.lines import lines_of, text_of
from cohortium.sources.variants.maf import MafFile
from cohortium.sources.variants.plink import PlinkFile
from cohortium.sources.variants.regions import read_gene_sets, read_regions
from cohortium.sources.variants.tally import BurdenTally, DosageTally
from cohortium.sources.variants.vcf import Filters, VcfFile

Tally = BurdenTally | DosageTally
Ints = NDArray[np.intp]


class VariantsReader:
    """Reads one modality of variants.

    units: the cohort's unit table (index: unit id; column ``patient``). index: not used, variants have no time. After
    :meth:`read`: notes (what was done), unmatched (samples of nobody in the cohort), left_out (nothing, always), paths,
    why (n,) reason of units without variants.
    """

    def __init__(self, name: str, source: VariantsSource, root: Path, units: pd.DataFrame, index: Any) -> None:
        self.name, self.source, self.root, self.units = name, source, root, units
        self.notes: list[str] = []
        self.left_out: list[str] = []
        self.paths: list[Path] = []
        self.unmatched = 0
        if index is not None:
            self.notes.append("variants have no time: all of them are taken to be known when the prediction is made")
        self._whose = units.index if source.of == "unit" else pd.Index(units["patient"].unique())

    def read(self, expected: pd.DataFrame | None = None) -> Table:
        """Burden or dosage of the units that the file has. expected: features of a fitted model, to which it is brought.

        Raises :class:`DataError`.
        """
        path = self._file(self.source.file)
        wanted = None if expected is None else list(map(str, expected.index))
        keep = self._filters()
        if self.source.kind == "maf":
            who, rows, tally = self._of_maf(MafFile(path), keep, wanted)
        else:
            file = VcfFile(path) if self.source.kind == "vcf" else PlinkFile(path)
            who, rows, tally = self._of_genotypes(file, keep, wanted)
        names, values = tally.table(wanted)
        if not names:
            raise DataError(f"{path.name}: no variant of modality '{self.name}' passes. {self._told}")
        if isinstance(tally, DosageTally) and tally.monomorphic:
            self.notes.append(f"{tally.monomorphic:,} variant(s) that nobody of this cohort has are left out")
        space = "symbol" if self.source.level == "gene" else "variant"
        features = feature_frame(names, id_space=space) if expected is None else expected
        return self._by_unit(who, values[rows], features)

    def _file(self, name: str) -> Path:
        path = find(self.root, name)
        if not path.resolve().is_relative_to(path.parent.resolve()):
            raise DataError(f"{path.name} leads out of its folder, through a link. Copy the file into the folder.")
        self.paths.append(path)
        return path

    def _filters(self) -> Filters:
        s = self.source
        regions = None if s.genes is None else read_regions(self._file(s.genes))
        self._sets = {} if s.gene_sets is None else read_gene_sets(self._file(s.gene_sets))
        patterns, needed = Patterns(s.consequences), s.level == "gene"
        return Filters(s.pass_only, s.min_quality, patterns, s.max_frequency, s.frequency, regions, needed)

    def _tally(self, n: int, wanted: Collection[str] | None, absent: float) -> Tally:
        if self.source.level == "gene":
            return BurdenTally(n, self._sets)
        return DosageTally(n, wanted, absent)

    def _of_genotypes(
        self, file: VcfFile | PlinkFile, keep: Filters, wanted: Collection[str] | None
    ) -> tuple[Ints, Ints, Tally]:
        """(m,) position among whose of each sample used, and its row of the tally; the tally."""
        if isinstance(file, VcfFile):
            self._can_filter(file, keep)
        else:
            self.paths += file.beside
        owner = self._owners(file.samples, file.name)
        columns = np.flatnonzero(owner >= 0)
        twice = pd.Series(owner[columns]).duplicated().to_numpy()
        if twice.any():
            raise DataError(
                f"{file.name}: two samples are of one {self.source.of} ({int(twice.sum())} such sample(s), after id_rule). "
                "Keep one of them."
            )
        tally = self._tally(len(columns), wanted, np.nan)
        for v in file.variants(columns, keep):
            tally.add(v.name, v.genes, v.dosage)
        self._say(file, keep)
        return owner[columns], np.arange(len(columns)), tally

    def _can_filter(self, file: VcfFile, keep: Filters) -> None:
        if keep.patterns.patterns and file.annotation is None:
            raise DataError(
                f"{file.name} has no consequences (INFO ANN or CSQ). Annotate it, or leave out consequences."
            )
        if keep.genes_needed and keep.regions is None and file.annotation is None:
            raise DataError(
                f"{file.name} names no genes (INFO ANN or CSQ). Annotate it with SnpEff or VEP, give genes (a file of their "
                "regions), or say level: variant."
            )
        if keep.max_frequency is not None:
            self._has_frequency(file, keep)
            if keep.frequency == "AF":
                self.notes.append(
                    "max_frequency goes by AF as the file gives it; where it was counted in these samples, it knows the units "
                    "tested too: name a reference population's by 'frequency'"
                )

    def _has_frequency(self, file: VcfFile | MafFile, keep: Filters) -> None:
        if keep.max_frequency is not None and not file.declares(keep.frequency):
            raise DataError(
                f"{file.name} declares no frequency '{keep.frequency}'. Say frequency: the INFO key, field of CSQ or column of "
                "the MAF that holds it, or leave out max_frequency."
            )

    def _of_maf(self, file: MafFile, keep: Filters, wanted: Collection[str] | None) -> tuple[Ints, Ints, Tally]:
        self._has_frequency(file, keep)
        position: dict[str, int] = {}
        n, seen = len(self._whose), np.zeros(len(self._whose), dtype=bool)
        if self.source.sequenced is not None:
            listed = self._listed(self._file(self.source.sequenced))
            owner = self._owners(listed, self.source.sequenced)
            seen[owner[owner >= 0]] = True
            position = dict(zip(listed, owner.tolist(), strict=True))
        tally, had = self._tally(n, wanted, 0.0), set[tuple[str, str, int]]()
        for m in file.mutations(keep):
            k = position.get(m.sample)
            if k is None:
                k = position[m.sample] = int(self._positions([m.sample], file.name)[0])
            if k < 0:
                continue
            seen[k] = True
            # A patient's second sample, or a second transcript, has the mutation again.
            if m.name is not None and (m.name, m.gene, k) not in had:
                had.add((m.name, m.gene, k))
                tally.add_one(m.name, [m.gene], k)
        self._count_strangers(list(position), np.array(list(position.values()), dtype=np.intp), file.name)
        if self.source.sequenced is None:
            self.notes.append(
                "a MAF names those with a mutation only: who is not in it lacks the modality, unless 'sequenced'"
            )
        elif not seen.all():
            self.notes.append(f"{int((~seen).sum())} {self.source.of}(s) are not among the sequenced")
        self._say(file, keep)
        who = np.flatnonzero(seen)
        return who, who, tally

    def _listed(self, path: Path) -> list[str]:
        out = [text_of(raw, f"{path.name}, line {k}").strip() for k, raw in lines_of(path)]
        return list(dict.fromkeys(x for x in out if x))

    def _positions(self, samples: list[str], file: str) -> Ints:
        try:
            ids = apply_rule(pd.Series([s.strip() for s in samples], dtype=object), self.source.id_rule, file)
        except DataError as e:
            # Rows of the list of samples are rows of no file.
            raise DataError(f"{file}: the name of a sample is empty, or id_rule does not fit it.") from e
        return self._whose.get_indexer(pd.Index(ids.to_numpy(dtype=object))).astype(np.intp)

    def _owners(self, samples: list[str], file: str) -> Ints:
        """(n,) position among whose, -1 for strangers."""
        owner = self._positions(samples, file)
        self._count_strangers(samples, owner, file)
        return owner

    def _count_strangers(self, samples: list[str], owner: Ints, file: str) -> None:
        self.unmatched = int((owner < 0).sum())
        if self.unmatched == len(owner):
            known = pd.Index(self._whose.astype(str))
            told = f" Ids have {lengths(samples)} characters, the cohort's {lengths(known)}." if samples else ""
            raise DataError(
                f"{file}: no sample of modality '{self.name}' belongs to the cohort.{told}{hint(samples, known)} Are 'of' and "
                "id_rule right?"
            )
        if self.unmatched:
            self.notes.append(f"{self.unmatched:,} of {len(owner):,} samples are nobody's of this cohort")

    def _say(self, file: VcfFile | MafFile | PlinkFile, keep: Filters) -> None:
        out = ", ".join(f"{n:,} by {why}" for why, n in sorted(file.left_out.items()))
        what = "mutations" if isinstance(file, MafFile) else "alternate alleles"
        self._told = f"{file.n_alleles:,} {what} read" + (f"; left out: {out}" if out else "")
        self.notes.append(self._told)
        for p in keep.patterns.patterns:
            if p not in keep.patterns.hit:
                near = did_you_mean(p, keep.patterns.seen)
                self.notes.append(f"no consequence in {file.name} fits '{p}'.{near}")

    def _by_unit(self, who: Ints, values: NDArray[np.float32], features: pd.DataFrame) -> Table:
        """A unit has the variants of its patient; a sample in which nothing was called is of no use."""
        called = ~np.isnan(values).all(axis=1)
        number = np.full(len(self._whose), -1)
        number[who[called]] = np.flatnonzero(called)
        of_unit = (
            np.arange(len(self.units)) if self.source.of == "unit" else self._whose.get_indexer(self.units["patient"])
        )
        has, failed = number[of_unit] >= 0, np.isin(of_unit, who[~called])
        self.why = np.where(has, Presence.PRESENT.value, np.where(failed, "failed_qc", self.source.absent_reason))
        if failed.any():
            self.notes.append(f"{int(failed.sum())} unit(s) without a single genotype called lack the modality")
        self.notes.append(f"{len(features):,} {self.source.level} feature(s) of {int(has.sum()):,} unit(s)")
        if not has.any():
            raise DataError(f"modality '{self.name}': no genotype of anybody in the cohort is called.")
        return Table(self.units.index[has], values[number[of_unit[has]]], features)
