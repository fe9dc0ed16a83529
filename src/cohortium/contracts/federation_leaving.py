"""What would leave a site, as the person there is shown it before anything does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Leaving:
    """One kind of message. within: the message that it is a part of, or empty. times: in the trial run. largest: bytes of the
    largest, with all its parts. fields: name, what it is, and how much of it there was, in words."""

    kind: str
    within: str
    times: int
    largest: int
    fields: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class LeavingPreview:
    """A trial run of a study with this site alone. plan: digest of what the study declares. reason: why the site would take no
    part, or empty. features: names that leave; levels: feature -> names of its levels that leave. rounds: of the trial run;
    most_rounds: after which the site refuses. cut: whether the trial run was ended early. digest: BLAKE2b of kinds, fields and shapes."""

    site: str
    study: str
    endpoint: str
    plan: str
    units: int
    patients: int
    reason: str
    features: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]
    messages: tuple[Leaving, ...]
    rounds: int
    most_rounds: int
    cut: bool
    digest: str
