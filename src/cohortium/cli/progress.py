"""Progress on standard error: bars with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from cohortium.experiment import ProgressEvent

STAGES = {
    "read": "reading files",
    "check": "checking",
    "folds": "fitting",
    "fit": "fitting",
    "score": "scoring",
    "explain": "explaining",
    "clouds": "clustering",
    "markers": "markers",
    "trials": "trials",
    "attack": "shadow models",
    "report": "writing report",
}
SECONDS_BETWEEN_LINES = 10.0


def spoken(seconds: float) -> str:
    """``40 s``, ``3 min`` or ``2 h 10 min``: as rough as the estimate it tells."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def plan_line(event: ProgressEvent) -> str:
    """What a run is about to do, and how long it may take."""
    left = "" if event.seconds_left is None else f"; expected time about {spoken(event.seconds_left)}"
    return f"{event.text or f'{event.total} fits'}{left}"


class Lines:
    """One line when a stage begins to count or ends, and now and then in between."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else sys.stderr
        self.last = -SECONDS_BETWEEN_LINES

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.flush()

    def __call__(self, event: ProgressEvent) -> None:
        if event.stage == "plan":
            print(plan_line(event), file=self.stream, flush=True)
            return
        now, over = time.monotonic(), event.done >= event.total
        if event.done == 0 or (not over and now - self.last < SECONDS_BETWEEN_LINES):
            return
        self.last = now
        count = f" {event.done}/{event.total}" if event.total > 1 else ""
        left = f", {spoken(event.seconds_left)} left" if event.seconds_left is not None and not over else ""
        print(f"{STAGES.get(event.stage, event.stage)}{count}{left}", file=self.stream, flush=True)


class Bars:
    """A bar for every stage, with the time left where it is known."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.progress = Progress(
            TextColumn("{task.description:<15}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
        )
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def __call__(self, event: ProgressEvent) -> None:
        if event.stage == "plan":
            self.progress.console.print(plan_line(event), highlight=False)
            return
        if event.stage not in self.tasks:
            name = STAGES.get(event.stage, event.stage)
            self.tasks[event.stage] = self.progress.add_task(name, total=event.total, left="")
        known = event.seconds_left is not None and event.done < event.total
        left = f"{spoken(event.seconds_left or 0.0)} left" if known else ""
        self.progress.update(self.tasks[event.stage], completed=event.done, total=event.total, left=left)


class Quiet:
    """Nothing."""

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __call__(self, event: ProgressEvent) -> None: ...


def progress(quiet: bool = False) -> Bars | Lines | Quiet:
    """The fitting way to show progress here, as a context manager to be called with events."""
    if quiet:
        return Quiet()
    return Bars() if sys.stderr.isatty() else Lines()
