"""A site's own account of what it has released, over all studies, and the answers that it gave.

The same question gets the same answer again and costs nothing: a coordinator that was restarted, or a study that was begun anew,
cannot average noise away. Anything else is a new release, and is refused where the budget does not allow it. A release is written
down before it leaves.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from cohortium.errors import DataError
from cohortium.privacy.accountant import Release, refused, spent

FILE = "privacy_ledger.json"


@dataclass
class Ledger:
    """epsilon, delta: of everything that the site ever releases. file: where it is kept; None: in memory (simulation)."""

    epsilon: float
    delta: float
    file: Path | None = None
    releases: list[Release] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)

    def spent(self, plan: str | None = None) -> float:
        """Epsilon so far, of all plans or of one."""
        return spent([r for r in self.releases if plan is None or r.plan == plan], self.delta)

    def refuses(
        self, new: Sequence[Release], plan_epsilon: float, plan_delta: float, planned: Sequence[Release] = ()
    ) -> str:
        """Why these releases of one plan may not leave; empty where they may. planned: everything that the plan releases; what is a part of it
        spends no more than all of it, which is then asked once instead of in every round."""
        same = [r for r in self.releases if new and r.plan == new[0].plan]
        if planned and within([*same, *new], planned):
            others = [r for r in self.releases if r.plan != new[0].plan]
            if not refused([], planned, plan_epsilon, plan_delta) and not refused(
                others, planned, self.epsilon, self.delta
            ):
                return ""
        if said := refused(same, new, plan_epsilon, plan_delta):
            return f"the study's budget: {said}"
        if said := refused(self.releases, new, self.epsilon, self.delta):
            return f"the site's own budget over all studies: {said}"
        return ""

    @contextlib.contextmanager
    def open(self) -> Iterator[Ledger]:
        """The ledger as it is on disk, for this process alone until the end of the block. Raises :class:`DataError` where it is damaged."""
        if self.file is None:
            yield self
            return
        import fcntl

        lock = os.open(self.file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._read()
            yield self
        finally:
            os.close(lock)

    def record(self, new: Sequence[Release], question: str, answer: str) -> None:
        """Write down releases, and the answer to a question (by its digest); returns when it is on the disk."""
        self.releases.extend(new)
        self.answers[question] = answer
        if self.file is None:
            return
        part = self.file.with_suffix(".part")
        body = {"releases": [asdict(r) for r in self.releases], "answers": self.answers}
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as f:
            json.dump(body, f, indent=1)
            f.flush()
            os.fsync(f.fileno())
        part.replace(self.file)
        folder = os.open(self.file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # or the old file, with less spent, may be there after a power cut
        finally:
            os.close(folder)

    def _read(self) -> None:
        assert self.file is not None
        if not self.file.exists():
            return
        try:
            body = json.loads(self.file.read_text(encoding="utf-8"))
            self.releases = [Release(**r) for r in body["releases"]]
            self.answers = {str(k): str(v) for k, v in body["answers"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as e:
            raise DataError(
                f"{self.file} is damaged: what was spent is not known, and nothing may leave. Bring back a copy of it. Without one "
                "the budget of this site is to be taken as spent."
            ) from e


def within(some: Sequence[Release], planned: Sequence[Release]) -> bool:
    """Whether these releases are among the planned ones, each at most as often as there."""
    left: dict[Release, int] = {}
    for r in planned:
        left[replace(r, times=1)] = left.get(replace(r, times=1), 0) + r.times
    for r in some:
        left[replace(r, times=1)] = left.get(replace(r, times=1), 0) - r.times
    return all(n >= 0 for n in left.values())
