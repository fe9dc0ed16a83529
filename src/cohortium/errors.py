"""One tree of errors. Everything that a user can mend is a :class:`UserError`.

A message says what was found, what was expected, where (file, column, row number) and what to do
next. It never holds a patient's id or values. May know: nothing of the other rooms.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class CohortiumError(Exception):
    """Root of all errors raised on purpose."""


class UserError(CohortiumError):
    """The input is wrong and the user can mend it (exit code 2)."""


class StudyError(UserError):
    """The study file is wrong: an unknown key, a wrong type, a name that is not declared."""


class DataError(UserError):
    """A data file is wrong: missing, empty, truncated, an unknown column, a duplicate id, a bad cell."""


class EndpointError(UserError):
    """An endpoint cannot be used: one class, no events, negative times, a fold without events."""


class RunFolderError(UserError):
    """A run folder is missing, unfinished, of another study, or not ours."""


class ChecksFailed(UserError):
    """``check`` found something serious that the study file does not acknowledge (exit code 3)."""


class FederationError(UserError):
    """A federated study has no answer: too few sites are left, or the model has no finite estimate."""


class MissingExtra(UserError):
    """An optional package is asked for and not installed; the message names the extra."""


_VALUE = re.compile(r"[-+\d.,:/\s]*|.*\d{3}.*|.{61,}|(?:\S+\s+){4,}.*", re.DOTALL)
"""What may be a patient's id or value rather than a column's name: numbers, dates, long texts, anything with three digits."""


def is_like_a_value(name: str) -> bool:
    """Whether the name of a column may be an id or a value: of a file without a header, or with patients in columns."""
    return bool(_VALUE.fullmatch(name))


def did_you_mean_column(name: str, header: Iterable[str]) -> str:
    """As :func:`did_you_mean`, of the columns of a file; without those that may be a patient's id or value."""
    known = [str(h) for h in header]
    names = [h for h in known if not is_like_a_value(h)]
    if 2 * len(names) < len(known):
        return " Its first row seems to hold ids or values, not names of columns: has the file a header?"
    return did_you_mean(name, names)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``" Did you mean 'attention'?"`` for the nearest of ``known``, else the (short) list, else ``""``."""
    names = sorted(map(str, known))
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean '{near[0]}'?"
    if 0 < len(names) <= 12:
        return " Known: " + ", ".join(names) + "."
    return ""
