"""Identities in notes replaced by tags: rules for what has a form.

Dates, phone numbers, e-mail and web addresses, numbers of records and of social security, and ages over 89 (45 CFR
164.514(b)(2)). Names and places have no form that a rule could know: they stay. Rules err on the side of measured
values: ``7.4``, ``120/80``, ``500 mg`` and ``3/5`` are no identities.
"""

from __future__ import annotations

import re
from collections import Counter

TAGS = ("DATE", "PHONE", "EMAIL", "URL", "SSN", "ID", "AGE")

TAG = re.compile(rf"\[(?:{'|'.join(TAGS)})\]")
"""What stands where an identity was."""

_YEAR = r"(?:1[89]|2[0-3])\d\d"
_MONTH = (
    r"(?:(?i:jan(?:uary)?|feb(?:ruary)?|march|mar|apr(?:il)?|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)|May|MAY)\b\.?"
)
_DAY = r"(?:[12]\d|3[01]|0?[1-9])(?i:st|nd|rd|th)?"
_HOUR = r"(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
_AMOUNT = r"(?!\s{0,2}(?i:mg|mcg|ug|ml|cm|mm|kg|units?|iu|cells|copies|k\b|/|%|x\s?10))"
_FREE, _END = r"(?<![\w./,-])", r"(?![\w/]|[.,-]\d)"

# In the order in which they are looked for.
_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("URL", re.compile(r"(?i)\b(?:https?|ftp)://[^\s<>\[\]]{1,2000}|\bwww\.[^\s<>\[\]]{1,2000}")),
    ("EMAIL", re.compile(r"[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")),
    ("SSN", re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")),
    ("DATE", re.compile(rf"(?<!\d){_YEAR}([-/.])(?:1[0-2]|0?[1-9])\1(?:3[01]|[12]\d|0?[1-9])(?!\d){_HOUR}")),
    ("DATE", re.compile(rf"{_FREE}(?:3[01]|[12]\d|0?[1-9])([-/.])(?:3[01]|[12]\d|0?[1-9])\1{_YEAR}(?!\d){_HOUR}")),
    ("DATE", re.compile(rf"{_FREE}(?:3[01]|[12]\d|0?[1-9])([-/])(?:3[01]|[12]\d|0?[1-9])\1\d\d{_END}")),
    ("DATE", re.compile(rf"{_FREE}(?:3[01]|[12]\d|0[1-9])\.(?:1[0-2]|0[1-9])\.\d\d{_END}")),
    ("DATE", re.compile(rf"{_FREE}{_DAY}(?:\s|-| of ){_MONTH}(?:[\s,-]{{1,2}}(?:{_YEAR}|'?\d\d\b))?")),
    ("DATE", re.compile(rf"\b{_MONTH}\s{{0,2}}{_DAY}(?:,?\s{{1,2}}{_YEAR}|,\s?\d\d)?\b(?!\.\d){_AMOUNT}")),
    ("DATE", re.compile(rf"\b{_MONTH},?\s{{0,2}}(?:of\s)?{_YEAR}\b")),
    ("DATE", re.compile(r"(?i)(?<=\bon )(?:1[0-2]|0?[1-9])/(?:3[01]|[12]\d|0?[1-9])(?![\w/]|[.,]\d)")),
    ("PHONE", re.compile(r"(?<![\w.-])(?:\+?1[-. ])?(?:\(\d{3}\)[-. ]?|\d{3}[-.])\d{3}[-.]\d{4}(?!\w|[.-]\d)")),
    ("PHONE", re.compile(r"(?<!\w)\+\d{1,3}(?:[ ()-]{1,2}\d{2,8}){2,5}(?!\d)|(?<!\w)\+\d{8,15}(?!\d)")),
    (
        "PHONE",
        re.compile(r"(?i)(?<=\b)((?:tele)?phone|tel|fax|pager|beeper|mobile|cell)\b([.:# ]{1,4})\d(?:[ ()./-]{0,2}\d){4,14}"),
    ),
    (
        "ID",
        re.compile(
            r"(?i)\b(mrn|(?:medical )?record (?:number|no)|account (?:number|no)|acct|patient id|case (?:number|no)|"
            r"accession(?: number| no)?)\b([.:# ]{0,4})(?=[a-z-]{0,6}\d)[a-z\d-]{3,30}"
        ),
    ),
    ("ID", re.compile(rf"(?<![\w.,/])[A-Za-z]{{0,3}}\d{{6,}}+(?![.,]\d){_AMOUNT}")),
    ("ID", re.compile(r"(?<![\w.-])(?=(?:-?\d){7})\d{2,5}(?:-\d{2,5}){2,4}+(?![\w-]|\.\d)")),
    ("AGE", re.compile(r"(?<![\d.])(?:9\d|1[0-4]\d)(?=[\s-]{0,2}(?i:(?:years?|yrs?)[\s-]{0,2}(?:old|of age)|y\.?/?o\b))")),
    ("AGE", re.compile(r"(?i)\b(age|aged)(\s{0,2}[:=]?\s{0,2}|\sis\s)(?:9\d|1[0-4]\d)(?![\d%/]|\.\d)")),
)  # fmt: skip


def deidentified(text: str) -> tuple[str, Counter[str]]:
    """The text with tags such as ``[DATE]`` in it, and how many of each were put.

    What it gives does not change when given to it again. Cost: O(length), some milliseconds for a long note.
    """
    put: Counter[str] = Counter()
    while True:
        before = text
        for tag, pattern in _RULES:
            # What says that a number follows is no identity and stays.
            text, n = pattern.subn(rf"\1\2[{tag}]" if pattern.groups == 2 else f"[{tag}]", text)
            put[tag] += n
        # A tag may leave something free-standing that was part of a longer string before.
        if text == before:
            return text, put
