"""Reconstruction of rows from what was released about them (Zhu 2019, NeurIPS, "Deep leakage from gradients").

Rows are looked for whose messages are those that were seen. The attacker here knows all that a coordinator may: the model, the
parameters he asked about, how many patients there are, and more than he should, each patient's outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]

CLOSE = 0.25
"""A row is recovered when it is nearer than so many standard deviations of the columns, on the average (root mean square)."""


@dataclass(frozen=True)
class Recovered:
    """share: of rows that are recovered. chance: the same of rows drawn from what means, variances and shares of levels say of each column. distance: median root
    mean square to the true row, in standard deviations. misfit: what is left between messages, relative."""

    share: float
    chance: float
    distance: float
    misfit: float
    rows: int
    columns: int


def match(
    messages: Callable[[torch.Tensor], torch.Tensor], seen: Array, shape: tuple[int, int], seed: int,
    steps: int = 300, restarts: int = 4,
) -> tuple[Array, float]:  # fmt: skip
    """Rows (n, q), on the scale of standardised columns, whose messages come closest to those that were ``seen`` (flat), and the
    relative misfit. messages: differentiable, from rows (double) to the same flat vector."""
    import torch

    target = torch.as_tensor(seen, dtype=torch.float64)
    scale = target.abs().clamp_min(1e-3 * float(target.abs().max()) + 1e-12)
    best: tuple[float, Array] = (np.inf, np.zeros(shape))
    for k in range(restarts):
        rng = np.random.default_rng([seed, k + 1])
        start = rng.normal(size=shape)
        x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        found = torch.optim.LBFGS(
            [x], max_iter=steps, tolerance_grad=1e-12, tolerance_change=1e-14, line_search_fn="strong_wolfe"
        )

        def loss(x: torch.Tensor = x, found: torch.optim.LBFGS = found) -> torch.Tensor:
            found.zero_grad()
            off = (((messages(x) - target) / scale) ** 2).mean()
            off.backward()  # type: ignore[no-untyped-call]
            return off

        found.step(loss)  # type: ignore[arg-type]
        end = float((((messages(x) - target) / scale) ** 2).mean().detach())
        if end < best[0]:
            best = end, x.detach().numpy().copy()
    return best[1], float(np.sqrt(best[0]))


def recovered(found: Array, truth: Array, misfit: float, seed: int) -> Recovered:
    """How near rows come to the true ones (n, q), in the assignment that is best for the attacker."""
    near = _nearest(found, truth)
    rng = np.random.default_rng(seed)
    guesses = [np.column_stack([_guess(c, rng) for c in truth.T]) for _ in range(20)]
    chance = float(np.mean([(_nearest(g, truth) < CLOSE).mean() for g in guesses]))
    return Recovered(float((near < CLOSE).mean()), chance, float(np.median(near)), misfit, *truth.shape)


def _guess(column: Array, rng: np.random.Generator) -> Array:
    """A column from its moments: two values in their shares, or a normal law."""
    two = len(np.unique(column)) <= 2
    return rng.permutation(column) if two else rng.normal(column.mean(), column.std(), len(column))


def snapped(found: Array, levels: dict[int, tuple[float, float]]) -> Array:
    """Rows in which columns that can have two values alone (position -> both) have the nearer one."""
    out = found.copy()
    for j, (low, high) in levels.items():
        out[:, j] = np.where(found[:, j] > (low + high) / 2, high, low)
    return out


def _nearest(found: Array, truth: Array) -> Array:
    """Root mean square distance of each true row to the row that is assigned to it."""
    from scipy.optimize import linear_sum_assignment

    apart = np.sqrt(((truth[:, None, :] - found[None, :, :]) ** 2).mean(2))
    rows, columns = linear_sum_assignment(apart)
    return np.asarray(apart[rows, columns])
