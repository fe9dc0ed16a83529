"""Loss, gradient and Hessian of generalised linear models, summed over the rows of a site.

Columns are standardised; parameters: intercepts, then coefficients (q, K) by column. Each gives (loss, (P,), (P, P)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logsumexp, softmax

Array = NDArray[np.float64]


def with_intercept(z: Array) -> Array:
    """(n, 1 + q)."""
    return np.hstack([np.ones((len(z), 1)), z])


def linear_sums(z: Array, y: Array, weight: Array, parameters: Array) -> tuple[float, Array, Array]:
    """Half the weighted sum of squared residuals of y (n,), on any scale."""
    x = with_intercept(z)
    r = x @ parameters - y
    return 0.5 * float(weight @ (r * r)), x.T @ (weight * r), (x * weight[:, None]).T @ x


def logistic_sums(z: Array, y: Array, weight: Array, parameters: Array) -> tuple[float, Array, Array]:
    """Bernoulli, logit link; y (n,) of 0 and 1."""
    x = with_intercept(z)
    m = x @ parameters
    p = expit(m)
    loss = -float(weight @ (y * log_expit(m) + (1 - y) * log_expit(-m)))
    curvature = weight * p * expit(-m)
    return loss, x.T @ (weight * (p - y)), (x * curvature[:, None]).T @ x


def multinomial_sums(
    z: Array, codes: NDArray[np.int64], k: int, weight: Array, parameters: Array
) -> tuple[float, Array, Array]:
    """Softmax over k classes, a score for each of them (the coordinator fixes which is the reference)."""
    x = with_intercept(z)
    b = parameters.reshape(x.shape[1], k)
    m = x @ b
    p = softmax(m, axis=1)
    y = np.eye(k)[codes]
    loss = float(weight @ (logsumexp(m, axis=1) - (y * m).sum(1)))
    gradient = x.T @ ((p - y) * weight[:, None])
    hessian = np.zeros((x.shape[1], k, x.shape[1], k))
    for a in range(k):
        for c in range(a, k):
            curvature = weight * p[:, a] * ((a == c) - p[:, c])
            block = (x * curvature[:, None]).T @ x
            hessian[:, a, :, c] = block
            hessian[:, c, :, a] = block
    size = b.size
    return loss, gradient.ravel(), hessian.reshape(size, size)
