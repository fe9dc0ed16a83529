"""How much work a study is: fits, and a rough time before anything is timed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cohortium.experiment import Plan
    from cohortium.study.data import Data
    from cohortium.study.load import Study


@dataclass(frozen=True)
class Expected:
    """n_fits: model fits (points along one path count as one). seconds: rough, on ``jobs`` processes. n_parts:
    tasks that progress counts."""

    n_fits: int
    seconds: float
    n_parts: int
    jobs: int
