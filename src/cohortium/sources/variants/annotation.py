"""What a VCF says of a variant's genes and consequences: the INFO fields of SnpEff (ANN) and VEP (CSQ)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_FORMAT = re.compile(r"[\"']?\s*(Allele\s*\|[^\"'>]*)", re.IGNORECASE)
_SNPEFF = ("Allele", "Annotation", "Annotation_Impact", "Gene_Name", "Gene_ID")
_GENE, _WHAT = ("SYMBOL", "Gene_Name", "Gene"), ("Consequence", "Annotation")


@dataclass(frozen=True)
class Effect:
    """One annotation of one alternate allele. fields: name -> text."""

    gene: str
    terms: tuple[str, ...]
    fields: dict[str, str]


@dataclass(frozen=True)
class Annotation:
    """key: ``CSQ`` or ``ANN``. names: of the parts between bars, in order."""

    key: str
    names: tuple[str, ...]

    @staticmethod
    def declared(meta: Iterable[str]) -> Annotation | None:
        """From the header's lines ``##INFO=<ID=CSQ,...>``; None when there is neither CSQ nor ANN."""
        found: dict[str, Annotation] = {}
        for line in meta:
            m = re.match(r"##INFO=<ID=(CSQ|ANN)\b", line)
            if m is None:
                continue
            names = _FORMAT.search(line[m.end() :])
            if names is not None:
                found[m[1]] = Annotation(m[1], tuple(n.strip() for n in names[1].split("|")))
            elif m[1] == "ANN":
                found["ANN"] = Annotation("ANN", _SNPEFF)
        return found.get("CSQ", found.get("ANN"))

    def effects(self, value: str, ref: str, alts: Sequence[str]) -> list[list[Effect]]:
        """Effects of each alternate allele; what cannot be told to be of one of several alleles is left out."""
        out: list[list[Effect]] = [[] for _ in alts]
        short = _as_vep(ref, alts)
        for text in value.split(","):
            parts = dict(zip(self.names, text.split("|"), strict=False))
            gene = next((parts[n] for n in _GENE if parts.get(n)), "")
            terms = next((parts[n] for n in _WHAT if parts.get(n)), "")
            effect = Effect(gene, tuple(t.strip() for t in terms.split("&") if t.strip()), parts)
            for k in _alleles(parts, alts, short):
                out[k].append(effect)
        return out


def _as_vep(ref: str, alts: Sequence[str]) -> list[str]:
    """Alleles as VEP writes them: without the first base, where all share it and one is longer; ``-`` for nothing."""
    plain = [a for a in alts if a != "*"]
    if all(len(a) == len(ref) for a in plain) or not all(a[:1] == ref[:1] for a in plain):
        return list(alts)
    return [a if a == "*" else a[1:] or "-" for a in alts]


def _alleles(parts: dict[str, str], alts: Sequence[str], short: Sequence[str]) -> list[int]:
    if len(alts) == 1:
        return [0]
    number = parts.get("ALLELE_NUM", "")
    if number.isascii() and number.isdigit() and len(number) < 6:
        return [int(number) - 1] if 0 < int(number) <= len(alts) else []
    allele = parts.get("Allele", "").strip()
    exact = [k for k, a in enumerate(alts) if a == allele]
    return exact or [k for k, a in enumerate(short) if a == allele]


@dataclass
class Patterns:
    """Patterns of consequences. seen: terms met; hit: patterns that fitted one."""

    patterns: Sequence[str]
    seen: set[str] = field(default_factory=set)
    hit: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._known: dict[str, bool] = {}

    def fit(self, term: str) -> bool:
        """Whether a term fits one of the patterns, whatever its capitals; everything does when there is none."""
        import fnmatch

        if not self.patterns:
            return True
        if term not in self._known:
            if len(self._known) > 10_000:
                self._known.clear()
            fitting = [p for p in self.patterns if fnmatch.fnmatchcase(term.lower(), p.lower())]
            self._known[term] = bool(fitting)
            self.hit.update(fitting)
            if len(self.seen) < 1000:
                self.seen.add(term)
        return self._known[term]
