"""Which instances of a unit mattered: its prediction when one is left out, of what it has many of.

Tiles, slices and cells of a bag; codes of a history; sentences of a note, where words are counted. What is left out alone
says nothing of instances that tell the same, and these changes do not add up to the prediction.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Bag, Events, Modality, Texts
from cohortium.explanation.patient import Asked, copies
from cohortium.explanation.shown import Shown

Array = NDArray[np.float64]

MOST = 200
"""Parts that one modality is cut into; beyond, neighbouring instances are left out together."""

AT_ONCE = 32

_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")


@dataclass(frozen=True, eq=False)
class LeftOut:
    """labels: (P,) of the parts: ``instance 3`` (from 1), a code, a sentence. change: (P, K) prediction with all of them less
    that without the part: above zero where the part raises it. groups: (P,) positions of the instances, events or sentences of each."""

    modality: str
    labels: tuple[str, ...]
    change: Array
    groups: tuple[NDArray[np.intp], ...]


def left_out(asked: Asked, name: str) -> LeftOut | None:
    """Leave out each part of a modality of the single unit in turn; None where it has fewer than two, or is of another shape."""
    data = asked.one.modalities[name]
    cut = _parts(data)
    if cut is None:
        return None
    labels, groups = cut
    whole = asked.target.of(Shown(asked.predictor, asked.one, asked.grid).all())[0]
    found = list[Array]()
    for a in range(0, len(groups), AT_ONCE):
        some = groups[a : a + AT_ONCE]
        shown = Shown(asked.predictor, copies(asked.one, len(some)), asked.grid)
        made = replace(_without(data, some), units=shown.cohort.units.index)  # type: ignore[type-var]
        found.append(whole - asked.target.of(shown.with_modalities({name: made})))
    return LeftOut(name, tuple(labels), np.concatenate(found), tuple(groups))


def sentences(text: str) -> list[str]:
    """The sentences of a text, without what stands between them; joined by blanks they are the text again, but for that."""
    return [s for s in _SENTENCE.split(text.strip()) if s]


def pieces(text: str) -> list[tuple[str, int | None]]:
    """The whole text in stretches: each sentence with its number among :func:`sentences`, and what stands between them with None."""
    out, at = list[tuple[str, int | None]](), 0
    for i, said in enumerate(sentences(text)):
        begin = text.index(said, at)
        if begin > at:
            out.append((text[at:begin], None))
        out.append((said, i))
        at = begin + len(said)
    return [*out, (text[at:], None)] if at < len(text) else out


def _parts(data: Modality) -> tuple[list[str], list[NDArray[np.intp]]] | None:
    """Labels, and for each part positions of its instances, events or sentences; None for fewer than two."""
    if isinstance(data, Bag):
        runs = np.array_split(np.arange(len(data.values)), min(len(data.values), MOST))
        labels = [f"instance {r[0] + 1}" if len(r) == 1 else f"instances {r[0] + 1} to {r[-1] + 1}" for r in runs]
        groups = [r.astype(np.intp) for r in runs]
    elif isinstance(data, Events):
        seen = np.arange(data.start[0], data.stop[0])
        codes = np.unique(data.code[seen])
        labels, groups = [str(data.vocabulary[c]) for c in codes], [seen[data.code[seen] == c] for c in codes]
    elif isinstance(data, Texts) and data.vectors is None:
        labels = sentences(str(data.texts[0]))
        groups = [np.array([i], dtype=np.intp) for i in range(len(labels))]
    else:
        return None
    return (labels, groups) if len(groups) > 1 else None


def _without(data: Modality, groups: list[NDArray[np.intp]]) -> Modality:
    """The single unit once for each part, without it."""
    again = data.take(np.zeros(len(groups), dtype=np.intp))
    if isinstance(data, Texts) and isinstance(again, Texts):
        said = sentences(str(data.texts[0]))
        texts = [" ".join(s for i, s in enumerate(said) if i not in g) for g in groups]
        return replace(again, texts=np.array(texts, dtype=object))
    if isinstance(data, Bag):
        keep = [np.setdiff1d(np.arange(len(data.values)), g) for g in groups]
        offsets = np.concatenate([[0], np.cumsum([len(k) for k in keep])]).astype(np.int64)
        counts = None if data.counts is None else np.array([data.counts[0] - len(g) for g in groups])
        return Bag(again.units, data.values[np.concatenate(keep)], offsets, data.features, counts)
    assert isinstance(data, Events)
    return _events(data, list(groups), again)


def _events(data: Events, groups: list[NDArray[np.intp]], again: Modality) -> Events:
    seen = np.arange(data.start[0], data.stop[0])
    keep = [np.setdiff1d(seen, g) for g in groups]
    at, length = np.concatenate(keep), np.array([len(k) for k in keep], dtype=np.int64)
    stop = np.cumsum(length)
    owner = np.repeat(np.arange(len(groups)), length).astype(np.int64)
    index = np.repeat(data.index[:1], len(groups))
    return Events(
        again.units, data.vocabulary, owner, data.time[at], data.code[at], data.value[at], stop - length, stop, index, data.windows,
    )  # fmt: skip
