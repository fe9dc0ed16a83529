"""Declared phrases in a text: whether they are said of the patient or denied; nothing learned from others.

The rule is that of NegEx (Chapman 2001, J Biomed Inform 34:301): a phrase is denied when a word of denial stands
before it in its sentence with at most five words between, and none of ``but``, ``however`` and their like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

WINDOW = 5
"""Words between a denial and what it denies."""

Phrases = Mapping[str, Sequence[str]]

_DENIALS = (
    "no", "not", "non", "nor", "never", "none", "without", "w/o", "denies", "denied", "deny", "denying", "negative for",
    "negative", "free of", "absence of", "absent", "lack of", "lacks", "rules out", "ruled out", "rule out", "excluded",
    "cannot see", "fails to reveal", "resolved", "unremarkable for", "isn't", "doesn't", "wasn't", "didn't",
)  # fmt: skip
# They look like denials and are none: the phrase that follows is there.
_PSEUDO = (
    "no change", "no changes", "no significant change", "no interval change", "no increase", "no longer", "not only",
    "no further", "not certain", "not changed", "no doubt", "gram negative", "without difficulty", "without change",
    "no definite change", "not resolved",
)  # fmt: skip
_TURNS = ("but", "however", "although", "though", "except", "aside from", "apart from", "yet", "nevertheless")

# A line that begins with a small letter goes on with the sentence: notes are wrapped.
_SENTENCE = re.compile(r"[.!?;](?=\s|$)|\n(?![ \t]*[a-z])|\n\s*\n")
_WORD = re.compile(r"\w+(?:[/'’-]\w+)*")


def _any_of(phrases: Sequence[str]) -> re.Pattern[str]:
    """Whole words of any of the phrases; the longest wins; blanks stretch."""
    ordered = sorted({" ".join(p.lower().split()) for p in phrases}, key=lambda p: (-len(p), p))
    body = "|".join(r"\s+".join(map(re.escape, p.split())) for p in ordered)
    return re.compile(rf"(?<!\w)(?:{body})(?!\w)")


def keyword_names(keywords: Phrases) -> list[str]:
    """Two columns per keyword: it is affirmed somewhere; it is denied somewhere."""
    return [f"{name}{end}" for name in keywords for end in (" (said)", " (denied)")]


def keyword_values(texts: Sequence[str], keywords: Phrases) -> NDArray[np.float64]:
    """(n, 2k) ones and zeros, columns as :func:`keyword_names`."""
    patterns = [_any_of(p) for p in keywords.values()]
    marks = _any_of(_PSEUDO), _any_of(_DENIALS), _any_of(_TURNS)
    out = np.zeros((len(texts), 2 * len(patterns)))
    if not patterns:
        return out
    for i, text in enumerate(texts):
        for sentence in _SENTENCE.split(str(text).lower()):
            if not sentence:
                continue
            for j, pattern in enumerate(patterns):
                for found in pattern.finditer(sentence):
                    out[i, 2 * j + int(_denied(sentence[: found.start()], *marks))] = 1.0
    return out


def _denied(before: str, pseudo: re.Pattern[str], denial: re.Pattern[str], turn: re.Pattern[str]) -> bool:
    """Whether what stands before a phrase in its sentence denies it."""
    turns = [m.end() for m in turn.finditer(before)]
    before = pseudo.sub(lambda m: " x" * len(m[0].split()), before[turns[-1] :] if turns else before)
    ends = [m.end() for m in denial.finditer(before)]
    return bool(ends) and len(_WORD.findall(before[ends[-1] :])) <= WINDOW
