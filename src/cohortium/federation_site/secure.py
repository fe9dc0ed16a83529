"""A site of a study with secure aggregation: what it says is names, masked numbers, and shares that open one sum of each.

Unlike the other answers these depend on more than the question: on the site's key, and on a journal of the sums that it helped to open,
which is stored before a share leaves. By it a site tells shares for one set of sites only, however often it is asked and whoever says
that another one dropped out.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import hmac
import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cohortium.contracts.federation import AskSchema, AskSums, Column, FeatureSchema, FederationPlan, Withdrawn
from cohortium.contracts.federation_network import AskUpdate
from cohortium.contracts.federation_preparing import AskAssociation
from cohortium.contracts.federation_secure import (
    COUNTING,
    COUNTS,
    AskOpen,
    AskSealed,
    Box,
    SealedQuestion,
    Share,
    SiteNames,
    SiteOpening,
    SiteSealed,
    content_of,
    context_of,
    form_of,
)
from cohortium.contracts.federation_wire import digest, encode
from cohortium.federation_site.answering import most_rounds, too_few
from cohortium.federation_site.encoding import schema_of
from cohortium.federation_site.network_data import enough_of
from cohortium.federation_site.numbers import numbers_of
from cohortium.federation_site.refusing import RefusedError
from cohortium.federation_site.secure_private import private_numbers, question_of
from cohortium.federation_site.site import Site
from cohortium.federation_site.trials import parts_of
from cohortium.masking import MaskError, SiteKeys, open_box, seal, to_fixed
from cohortium.masking.fixed import largest
from cohortium.masking.masks import SEED

MOST_REMARKS = 1000


class Journal:
    """Which sums this site has helped to open: plan -> content -> the sites in it; the sites of the last one; and remarks. file: where it
    is kept between processes; None in a simulation. Raises :class:`ValueError` where the file is damaged."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file
        self.opened: dict[str, dict[str, list[str]]] = {}
        self.last: dict[str, list[str]] = {}
        self.remarks: list[str] = []
        self.sealed: dict[str, dict[str, str]] = {}
        self.pinned: dict[str, dict[str, str]] = {}
        self.salt = secrets.token_hex(32)
        self._read()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The journal as it is on disk, for this process alone until the end of the block: two jobs at once must not open two sums of one
        content."""
        if self.file is None:
            yield
            return
        import fcntl

        lock = os.open(self.file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read()
            yield
        finally:
            os.close(lock)

    def _read(self) -> None:
        if self.file is not None and self.file.exists():
            kept = json.loads(self.file.read_text(encoding="utf-8"))
            self.opened, self.last, self.remarks = dict(kept["opened"]), dict(kept["last"]), list(kept["remarks"])
            self.sealed, self.pinned = dict(kept.get("sealed", {})), dict(kept.get("pinned", {}))
            self.salt = str(kept.get("salt", self.salt))

    def record(self, plan: str, content: str, inside: Sequence[str]) -> None:
        """Before shares leave."""
        self.opened.setdefault(plan, {})[content] = list(inside)
        self.last[plan] = list(inside)
        self._write()

    def seals(self, plan: str, content: str, sites: Sequence[str], numbers: Any, most: int) -> str:
        """Why these numbers must not be sealed for a content and a set of sites, or an empty text; written down before they leave. Masks belong
        to content and sites: under the same ones two vectors would tell their difference. most: contents of one plan."""
        mine, key = self.sealed.setdefault(plan, {}), f"{content} {','.join(sites)}"
        mark = hmac.new(self.salt.encode(), np.asarray(numbers, float).tobytes(), "sha256").hexdigest()
        if mine.get(key, mark) != mark:
            return "it has sealed other numbers for this: its data are no longer the same. Give the study another name"
        if key not in mine and len(mine) >= most:
            return "more sums were asked for than the study declares"
        if key not in mine:
            mine[key] = mark
            self._write()
        return ""

    def pins(self, plan: str, what: str, said: str) -> bool:
        """Whether something that is the same in all rounds of an honest study is what it was the first time."""
        known = self.pinned.setdefault(plan, {})
        if what not in known:
            known[what] = said
            self._write()
        return known[what] == said

    def remark(self, round_: int, text: str) -> None:
        """What the site's person should see: questions that were refused, numbers that were clipped."""
        self.remarks = [*self.remarks, f"round {round_}: {text}"][-MOST_REMARKS:]
        self._write()

    def _write(self) -> None:
        if self.file is not None:
            part = self.file.with_suffix(".part")
            kept = {
                "remarks": self.remarks, "last": self.last, "opened": self.opened, "sealed": self.sealed, "pinned": self.pinned,
                "salt": self.salt,
            }  # fmt: skip
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
                json.dump(kept, f, indent=1)
                f.flush()
                os.fsync(f.fileno())
            part.replace(self.file)
            folder = os.open(self.file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


@dataclass(frozen=True, eq=False)
class SecureSite:
    """A site's patients, its key and its journal. private: of a private study, its noisy answer to a question, which its ledger records first."""

    site: Site
    plan: FederationPlan
    keys: SiteKeys
    journal: Journal
    private: Callable[[Any], Any] | None = None

    def answer(self, question: Any) -> Any:
        """``SiteNames``, ``SiteSealed``, ``SiteOpening``, or ``Withdrawn`` where it may not or cannot answer."""
        with self.journal.held():
            return self._answer(question)

    def _answer(self, question: Any) -> Any:
        own, plan = digest(encode(self.plan)), self.plan
        try:
            if question.plan != own:
                raise RefusedError("its study file asks for something else")
            # Whether a private site takes part is decided by its noisy counts.
            if plan.privacy is None and (reason := too_few(self.site, plan)):
                raise RefusedError(reason)
            if question.round > 2 * most_rounds(plan):  # two for each sum
                raise RefusedError("more rounds were asked for than the study declares")
            if isinstance(question, AskSchema) and plan.privacy is None:
                return self._names(question, own)
            if isinstance(question, AskSealed):
                return self._sealed(question, own)
            if isinstance(question, AskOpen):
                return self._opening(question, own)
            raise RefusedError("its study file says that sums leave it only masked")
        except RefusedError as e:
            self.journal.remark(question.round, f"refused: {e}")
            return Withdrawn(self.site.name, question.plan, question.round, str(e))

    def _names(self, q: AskSchema, own: str) -> SiteNames:
        cut = parts_of(self.site, self.plan) if self.plan.folds else []
        site, least = self.site, self.plan.least_cell
        # What it has no values of is not named: others must not take it for one of those who are in a column's sum.
        features = _known(site, least)
        for part, _ in cut if not isinstance(cut, str) else ():  # nor what it has too few of where a fold is held out
            features = _both(features, _known(part, least))
        if self.plan.network is not None:
            features = enough_of(site, features, self.plan.least_patients)
        there = [bool((site.y == k).any()) or self.plan.kind != "multiclass" for k in range(len(site.classes))]
        classes = tuple(c for c, some in zip(site.classes, there, strict=True) if some)
        return SiteNames(site.name, own, q.round, classes, features, cut if isinstance(cut, str) else "")

    def _checked(self, sites: tuple[str, ...]) -> None:
        secure = self.plan.secure
        assert secure is not None
        if list(sites) != sorted(set(sites)) or self.site.name not in sites:
            raise RefusedError("the question names no set of sites that it is one of")
        strangers = set(sites) - set(self.keys.public)
        if strangers or self.keys.name != self.site.name:
            raise RefusedError("it has no key of a site that is named")
        if len(sites) < max(secure.least_sites, self.plan.quorum):
            raise RefusedError("the sum is of fewer sites than the study declares")

    def _sealed(self, q: AskSealed, own: str) -> SiteSealed:
        self._checked(q.sites)
        content, me = content_of(q.asks), self.site.name
        if set(self.journal.last.get(own, ())) - set(q.sites) and any(isinstance(a.question, COUNTING) for a in q.asks):
            raise RefusedError(
                "counts of fewer sites than before were asked for: the difference would be those of single ones"
            )
        self._usual(q, own)
        words, bits = form_of(q.asks, self.plan)
        numbers = np.concatenate([self._numbers(a, own) for a in q.asks])
        self._pinned(q, own)
        if not np.isfinite(numbers).all():
            raise RefusedError("its numbers are not finite")
        # A refusal would tell of this site alone: what is too large is cut, and noted here.
        most = largest(words, bits) * (1 - 1e-9)
        cut = np.clip(numbers, -most, most)
        if (cut != numbers).any():
            self.journal.remark(q.round, "cut: numbers that are larger than any that can be sealed")
        if reason := self.journal.seals(own, content, q.sites, cut, 2 * most_rounds(self.plan)):
            raise RefusedError(reason)
        fixed = to_fixed(cut, words, bits)
        made = seal(self.keys, q.sites, context_of(own, content, q.sites), fixed)
        boxes, pairs = (
            tuple(Box(me, s, _text(b)) for s, b in found.items()) for found in (made.own_boxes, made.pair_boxes)
        )
        return SiteSealed(
            me, own, q.round, content, q.sites, fixed.shape[1], _text(made.words), made.own, made.pairs, boxes, pairs
        )

    def _usual(self, q: AskSealed, own: str) -> None:
        """Refuse what no honest coordinator asks: two questions of a kind about one fit in one seal, and shifts of single sites' columns."""
        kinds = [(a.fold, type(a.question)) for a in q.asks]
        if len(set(kinds)) < len(kinds):
            raise RefusedError("the same was asked twice in one sum")
        for a in q.asks:
            for c in _columns_in(a.question):
                if c.batches and (c.modality not in self.plan.harmonise or any(name for name, _, _ in c.batches)):
                    raise RefusedError("the question moves columns of single sites")

    def _pinned(self, q: AskSealed, own: str) -> None:
        """Refuse scales and bounds that change from round to round, by which sums of clipped numbers would tell sizes of sites."""
        for a in q.asks:
            if isinstance(a.question, AskSums | AskAssociation | AskUpdate):
                scale = [
                    getattr(a.question, n) for n in ("mean", "sd", "outcome", "base", "edges") if hasattr(a.question, n)
                ]
                bounds = [a.weight, a.events if self.plan.kind == "survival" else 0.0]
                said = [np.asarray(x).tolist() for x in scale] + bounds + [c.name for c in a.question.columns]
                what = json.dumps([a.fold, type(a.question).__name__, q.sites])
                if not self.journal.pins(own, what, digest(json.dumps(said).encode())):
                    raise RefusedError("the question changes what is the same in all rounds of a fit")

    def _numbers(self, a: SealedQuestion, own: str) -> Any:
        if self.plan.privacy is not None:
            if self.private is None:
                raise RefusedError("the study is private, and the site has no ledger")
            return private_numbers(self.private(question_of(a)), self.plan)
        numbers, clipped = numbers_of(self.site, self.plan, a, own)
        if clipped:
            self.journal.remark(a.question.round, f"clipped: {', '.join(clipped)}")  # type: ignore[attr-defined]
        return numbers

    def _opening(self, q: AskOpen, own: str) -> SiteOpening:
        """Shares for the sum of ``q.inside``, once and for no other sum of the same content."""
        self._checked(q.sites)
        self._checked(q.inside)
        if set(q.inside) - set(q.sites):
            raise RefusedError("the question names no set of sites that it is one of")
        me, before = self.site.name, self.journal.opened.get(own, {}).get(q.content)
        if before is not None and before != list(q.inside):
            raise RefusedError("it has opened this sum for other sites: the difference would be those of single ones")
        last = set(self.journal.last.get(own, q.inside))
        if q.content.startswith(COUNTS) and last - set(q.inside):
            raise RefusedError("counts of fewer sites than before: the difference would be those of single ones")
        if set(q.inside) - last:
            raise RefusedError("a site that was not in the last sum cannot be in this one")
        context = context_of(own, q.content, q.sites)
        absent = [s for s in q.sites if s not in q.inside]
        shares, unreadable = [], []
        for sender in q.inside:
            try:
                shares += self._shares(q, sender, absent, context)
            except MaskError:
                unreadable.append(sender)
        if unreadable:
            return SiteOpening(me, own, q.round, q.content, q.inside, (), tuple(unreadable))
        self.journal.record(own, q.content, q.inside)
        return SiteOpening(me, own, q.round, q.content, q.inside, tuple(shares), ())

    def _shares(self, q: AskOpen, sender: str, absent: Sequence[str], context: bytes) -> list[Share]:
        """This site's shares of what hides a sender's numbers: of its own seed, and of those with sites that are not in the sum."""
        own = self._unboxed(q.own, sender, context, b"own")
        if len(own) != SEED:
            raise MaskError("a share of another length")
        out = [Share(sender, "", _text(own))]
        if absent:
            others = [s for s in q.sites if s != sender]
            pairs = self._unboxed(q.pairs, sender, context, b"pairs")
            if len(pairs) != SEED * len(others):
                raise MaskError("a share of another length")
            out += [Share(sender, s, _text(pairs[SEED * others.index(s) :][:SEED])) for s in absent]
        return out

    def _unboxed(self, boxes: Sequence[Box], sender: str, context: bytes, what: bytes) -> bytes:
        found = [b.text for b in boxes if (b.sender, b.receiver) == (sender, self.site.name)]
        if len(found) != 1:
            raise MaskError("a share is missing")
        try:
            data = base64.b64decode(found[0], validate=True)
        except (binascii.Error, ValueError) as e:
            raise MaskError("a share is no base64") from e
        return open_box(self.keys, sender, context, what, data)


def _known(site: Site, least: int) -> tuple[FeatureSchema, ...]:
    """Features of which the site has values that enough of its patients have, with such levels."""
    known = {(f.modality, f.name) for f in site.features if site.patients(~np.isnan(f.values)) >= least}
    return tuple(f for f in schema_of(site, least) if (f.modality, f.name) in known)


def _both(these: Sequence[FeatureSchema], those: Sequence[FeatureSchema]) -> tuple[FeatureSchema, ...]:
    """What is in both, with the levels that are in both; of ordered ones all."""
    other = {(f.modality, f.name): f for f in those}
    out = []
    for f in these:
        if (f.modality, f.name) in other:
            levels = (
                f.levels if f.kind == "ordinal" else tuple(n for n in f.levels if n in other[f.modality, f.name].levels)
            )
            out.append(dataclasses.replace(f, levels=levels))
    return tuple(out)


def _columns_in(x: Any) -> Iterator[Column]:
    """Every column that a question names, wherever in it."""
    if isinstance(x, Column):
        yield x
    elif isinstance(x, tuple):
        for v in x:
            yield from _columns_in(v)
    elif dataclasses.is_dataclass(x) and not isinstance(x, type):
        for f in dataclasses.fields(x):
            yield from _columns_in(getattr(x, f.name))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
