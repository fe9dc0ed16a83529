"""How far the work is. Drawing it is the command line's business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ProgressEvent:
    """stage: ``read``, ``check``, ``plan``, ``folds``, ``score`` or ``report``. done, total: steps of the stage.

    ``plan`` comes once, before the first fit: total is the number of fits, seconds_left what they may take.

    seconds: since the stage began. seconds_left: expected, None when not known. text: what is being done.
    """

    stage: str
    done: int
    total: int
    seconds: float = 0.0
    seconds_left: float | None = None
    text: str = ""


class Progress(Protocol):
    """Called in the main process, before the first step of a stage (``done = 0``) and after each."""

    def __call__(self, event: ProgressEvent) -> None: ...


def silent(event: ProgressEvent) -> None:
    """The progress that says nothing."""
