"""Factor analysis of several blocks at once, of units that lack whole blocks or single cells.

``x_mij = b_mj + w_mj' z_i + noise``, ``z_i ~ N(0, I)``, ``w_mjk ~ N(0, 1 / a_mk)``, noise of variance ``v_mj``: group
factor analysis (Klami 2015, IEEE TNNLS 26:2136), as MOFA has it for Gaussian features (Argelaguet 2018, Mol Syst Biol
14:e8124). A precision ``a`` for each block and factor says whether the factor is in the block at all, so that factors are shared
by any set of blocks. What is absent has no term anywhere: neither block nor cell is filled in.

Fitted by variational EM: the distributions of ``z`` and of each feature's ``w`` (with its intercept, all jointly Gaussian)
are exact given each other, precisions and noise are point estimates. It is deterministic: it starts from the leading
components. An iteration costs O(n p k); cells that are missing cost O(k²) each, beside.

*Wide blocks*: more than :data:`TIED` features without a missing cell, and more than units, share one noise variance. The
model is then the same in every rotation of the features, and is fitted in the span of its units, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.fusion.joining import sample_space

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

TIED = 2000
"""A block with more features than this and than units, all known, has one noise variance."""

LEAST_NOISE = 0.01
"""Of a feature's variance: columns that repeat each other would otherwise be explained without noise, and nothing else."""

LEAST_SHARE = 1e-3
"""A factor that explains less than this of every block is dropped."""

FLAT = 1e-6
"""Prior precision of intercepts."""

MOST_PRECISION = 1e8

SMALL = 3000
"""Up to so many units start from the eigenvectors of their Gram matrix, more from Lanczos vectors."""

ROUNDS, TOLERANCE = 300, 1e-5
"""Most iterations; they end when the bound rises by less than this per known cell. On simulated cohorts a tenth of it takes twice
as long and predicts no better."""


@dataclass(frozen=True, eq=False)
class Block:
    """One block of n units. x: (m, q) values of the m units that have it, NaN where a cell is unknown. rows: (m,) their
    positions among the n. weight: power of its likelihood while fitting, see :func:`fit_factors`."""

    x: Array
    rows: Rows
    weight: float = 1.0


@dataclass(frozen=True, eq=False)
class Latent:
    """Posterior of the factors of n units. mean: (n, K). cov: (P, K, K), one for each pattern of what is known.
    of: (n,) the pattern of each unit. A unit of which nothing is known has the prior: mean 0, covariance I."""

    mean: Array
    cov: Array
    of: NDArray[np.intp]

    def sd(self) -> Array:
        """(n, K) posterior standard deviations."""
        return np.sqrt(np.diagonal(self.cov, axis1=1, axis2=2))[self.of]


@dataclass(frozen=True, eq=False)
class FactorModel:
    """A fitted model; blocks in the order in which they were given.

    loadings: per block (q, K). intercepts, noise: per block (q,), noise as variances. spread: per block (K + 1, K + 1)
    mean over features of precision times covariance of (loadings, intercept). weights: of the blocks. explained: (M, K) share
    of a block's variance by each factor; factors stand in the order of its sum. bound: its value after each iteration.
    """

    loadings: tuple[Array, ...]
    intercepts: tuple[Array, ...]
    noise: tuple[Array, ...]
    spread: tuple[Array, ...]
    weights: tuple[float, ...]
    explained: Array
    bound: tuple[float, ...] = field(default=())

    @property
    def size(self) -> int:
        """K."""
        return int(self.explained.shape[1])

    def latent(self, blocks: Sequence[Block | None], n: int) -> Latent:
        """Factors of n units from whatever is known of them; None for a block that nobody has."""
        k = self.size
        patterns, linear = _Patterns(n), np.zeros((n, k))
        grams = []
        for j, block in enumerate(blocks):
            if block is None or not len(block.rows):
                continue
            w, v = np.column_stack([self.loadings[j], self.intercepts[j]]), self.weights[j] / self.noise[j]
            known = ~np.isnan(block.x)
            gaps, which = _kinds(~known)
            whole = (w.T * v) @ w + len(v) * self.spread[j]
            gram = np.stack([whole - (w[g].T * v[g]) @ w[g] - g.sum() * self.spread[j] for g in gaps])
            linear[block.rows] += np.where(known, block.x, 0.0) @ (w[:, :k] * v[:, None]) - gram[which, :k, k]
            patterns.add(block.rows, which)
            grams.append(gram)
        cov = np.asarray(np.linalg.inv(np.eye(k) + patterns.total(grams, k)), dtype=np.float64)
        return Latent(np.einsum("nkl,nl->nk", cov[patterns.of], linear), cov, patterns.of)

    def predict(self, block: int, latent: Latent) -> tuple[Array, Array]:
        """(n, q) expected values of a block's features, and their variances, noise included."""
        w = self.loadings[block]
        inside = np.einsum("qk,pkl,ql->pq", w, latent.cov, w, optimize=True)
        return latent.mean @ w.T + self.intercepts[block], inside[latent.of] + self.noise[block]

    def state(self) -> dict[str, Any]:
        """Arrays and lists; :meth:`restore` makes the model again."""
        names = ("loadings", "intercepts", "noise", "spread")
        return {
            **{k: list(getattr(self, k)) for k in names},
            "weights": list(self.weights),
            "explained": self.explained,
        }

    @staticmethod
    def restore(state: dict[str, Any]) -> FactorModel:

        def arrays(name: str) -> tuple[Array, ...]:
            return tuple(np.asarray(a, dtype=np.float64) for a in state[name])

        explained = np.asarray(state["explained"], dtype=np.float64)
        weights = tuple(map(float, state["weights"]))
        return FactorModel(
            arrays("loadings"), arrays("intercepts"), arrays("noise"), arrays("spread"), weights, explained
        )


def _kinds(gaps: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """(P, q) different rows of (m, q), in order, and (m,) which each is. Wide blocks have no gaps: they are not sorted."""
    if not gaps.any():
        return gaps[:1], np.zeros(len(gaps), dtype=np.intp)
    packed = np.packbits(gaps, axis=1)
    _, first, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    return gaps[first], which.ravel()


class _Patterns:
    """Who has the same blocks and the same gaps in them. of: (n,) the pattern of each unit."""

    def __init__(self, n: int) -> None:
        self.of, self.parts = np.zeros(n, dtype=np.intp), list[NDArray[np.intp]]()

    def add(self, rows: Rows, pattern: NDArray[np.intp]) -> None:
        """A further block: its own pattern for each of its rows."""
        own = np.full(len(self.of), -1, dtype=np.intp)
        own[rows] = pattern
        both = self.of * (own.max(initial=-1) + 2) + own + 1
        _, first, self.of = np.unique(both, return_index=True, return_inverse=True)
        self.of = self.of.ravel()
        self.parts.append(own)
        self.first = first

    def total(self, grams: Sequence[Array], k: int) -> Array:
        """(P, k, k) sum over blocks of what each adds to a pattern; grams: per block (own patterns, k + 1, k + 1)."""
        count = int(self.of.max(initial=-1)) + 1
        out = np.zeros((count, k, k))
        for own, gram in zip(self.parts, grams, strict=True):
            at = own[self.first]
            out[at >= 0] += gram[at[at >= 0], :k, :k]
        return out


def fit_factors(
    blocks: Sequence[Block],
    n: int,
    size: int,
    rounds: int = ROUNDS,
    tolerance: float = TOLERANCE,
) -> FactorModel:
    """Fit at most ``size`` factors to the blocks of n units. Features should be of about unit variance.

    Units that have no block have no influence. Each block has a feature and a unit at least. A block's weight multiplies
    its part of the log-likelihood: below 1 it counts as if its features were fewer, for features that have more in common
    than a few factors say, as those of wide blocks have.
    """
    views = [_View(b) for b in blocks]
    some = np.unique(np.concatenate([v.rows for v in views]))
    size = max(1, min(size, len(some) - 1, sum(v.count for v in views)))
    patterns = _Patterns(n)
    for v in views:
        patterns.add(v.rows, v.pattern)
    # Loadings first see factors without uncertainty: those of the leading components.
    latent = Latent(_start(views, n, size), np.zeros((int(patterns.of.max()) + 1, size, size)), patterns.of)
    for v in views:
        v.look(latent)
    cells, bound = sum(v.cells for v in views), list[float]()
    for round_ in range(rounds):
        for v in views:
            v.update()
        latent, entropy = _posterior(views, patterns, latent.mean.shape[1], some)
        for v in views:
            v.look(latent)
        bound.append(entropy + sum(v.bound() for v in views))
        for v in views:
            v.update_scales()
        if round_ and round_ % 10 == 0:
            latent = _prune(views, latent)
        if round_ > 1 and abs(bound[-1] - bound[-2]) < tolerance * cells:
            break
    return _finish(views, _prune(views, latent), tuple(bound))


def _start(views: list[_View], n: int, size: int) -> Array:
    """(n, size) leading components of the blocks side by side, each of the same total variance, gaps at their means."""
    from scipy.linalg import eigh
    from scipy.sparse.linalg import LinearOperator, svds

    parts = [v.y / np.sqrt(max(float(np.square(v.y).sum()), 1e-300)) for v in views]
    width = sum(x.shape[1] for x in parts)
    if n <= SMALL:
        gram = np.zeros((n, n))
        for v, x in zip(views, parts, strict=True):
            gram[np.ix_(v.rows, v.rows)] += x @ x.T
        vectors = eigh(gram, subset_by_index=[n - size, n - 1])[1][:, ::-1]
    else:
        edges = np.cumsum([0, *(x.shape[1] for x in parts)])

        def times(b: Array) -> Array:
            out = np.zeros((n, 1))
            for v, x, i, j in zip(views, parts, edges[:-1], edges[1:], strict=True):
                out[v.rows] += x @ b.reshape(-1, 1)[i:j]
            return out

        def transposed(u: Array) -> Array:
            return np.concatenate([x.T @ u.reshape(-1, 1)[v.rows] for v, x in zip(views, parts, strict=True)])

        whole = LinearOperator((n, width), matvec=times, rmatvec=transposed, dtype=np.float64)
        size_ = min(size, min(n, width) - 1)
        vectors = svds(whole, k=size_, v0=np.ones(min(n, width)))[0][:, ::-1]
    top = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.where(vectors[top, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    return np.asarray(vectors * np.sqrt(n))


def _posterior(views: list[_View], patterns: _Patterns, k: int, some: Rows) -> tuple[Latent, float]:
    """q(z) given the loadings, and minus its divergence from the prior, over the units of which something is known."""
    grams = [v.gram() for v in views]
    linear = np.zeros((len(patterns.of), k))
    for v, gram in zip(views, grams, strict=True):
        linear[v.rows] += v.projected() - gram[v.pattern, :k, k]
    cov = np.asarray(np.linalg.inv(np.eye(k) + patterns.total(grams, k)), dtype=np.float64)
    mean = np.einsum("nkl,nl->nk", cov[patterns.of], linear)
    of = patterns.of[some]
    logdet = np.linalg.slogdet(cov)[1]
    trace = np.trace(cov, axis1=1, axis2=2)
    entropy = 0.5 * float((logdet[of] + k - trace[of]).sum() - np.square(mean[some]).sum())
    return Latent(mean, cov, patterns.of), entropy


def _prune(views: list[_View], latent: Latent) -> Latent:
    """Leave out the factors that explain next to nothing of any block; one at least stays."""
    share = np.stack([v.explained(latent) for v in views])
    keep = share.max(axis=0) >= LEAST_SHARE
    if not keep.any():
        keep[share.sum(axis=0).argmax()] = True
    if keep.all():
        return latent
    at = np.flatnonzero(keep)
    for v in views:
        v.keep(at)
    return Latent(latent.mean[:, at], latent.cov[:, at][:, :, at], latent.of)


def _finish(views: list[_View], latent: Latent, bound: tuple[float, ...]) -> FactorModel:
    """Factors in the order of what they explain, loadings on the features themselves."""
    share = np.stack([v.explained(latent) for v in views])
    order = np.argsort(-share.sum(axis=0), kind="stable")
    for v in views:
        v.keep(order)
    made = [v.loadings() for v in views]
    return FactorModel(
        tuple(w for w, _ in made),
        tuple(b for _, b in made),
        tuple(v.noise() for v in views),
        tuple(v.mean_spread() for v in views),
        tuple(v.weight for v in views),
        share[:, order],
        bound,
    )


class _View:
    """A block while it is fitted: its known cells, and the distribution of the loadings of each feature.

    omega: (q, K + 1) means of loadings and intercept. precision: (q,) of the noise, times the block's weight. ard: (K,). ``self.cov_*`` describe
    covariances: those of features without gaps share the eigenbasis of one matrix, those with gaps have their own.
    """

    def __init__(self, block: Block) -> None:
        x, self.rows, self.weight = np.asarray(block.x, dtype=np.float64), block.rows, block.weight
        known = ~np.isnan(x)
        self.count = x.shape[1]
        self.basis: Array | None = None
        self.tied = bool(known.all()) and self.count > max(TIED, len(x))
        count = np.maximum(known.sum(axis=0), 1)
        self.offset = np.where(known, x, 0.0).sum(axis=0) / count
        x = np.where(known, x - self.offset, 0.0)
        self.variance = np.maximum(np.square(x).sum(axis=0) / count, 1e-12)
        if self.tied:
            x = self._rotate(x)
            known = np.ones(x.shape, dtype=bool)
            self.variance = np.full(x.shape[1], np.square(x).sum() / (len(x) * self.count))
        self.y, self.known = x, known
        self.cells = int(known.sum()) if not self.tied else len(x) * self.count
        self.square = np.square(x).sum(axis=0)
        self.seen = known.sum(axis=0)
        self._gaps()
        # A tied block has further features, all zero, in the directions that its units do not span.
        self.others = float(self.count - x.shape[1]) if self.tied else 0.0
        self.precision = self.weight / self.variance
        self.ard = np.zeros(0)

    def _rotate(self, x: Array) -> Array:
        vectors, s = sample_space(x)
        self.basis = x.T @ (vectors / s)
        return np.asarray(vectors * s)

    def _gaps(self) -> None:
        """Which features have gaps, which rows, and the sparse matrix of them; rows with the same gaps share a pattern."""
        from scipy.sparse import csr_matrix

        self.full = np.flatnonzero(self.known.all(axis=0))
        self.part = np.flatnonzero(~self.known.all(axis=0))
        self.pattern = np.zeros(len(self.y), dtype=np.intp)
        self.gap_rows = np.flatnonzero(~self.known.all(axis=1))
        if len(self.part):
            gaps = ~self.known[np.ix_(self.gap_rows, self.part)]
            kinds, which = _kinds(gaps)
            self.pattern[self.gap_rows] = 1 + which
            self.gaps_of_rows = csr_matrix(kinds.astype(np.float64))
            self.gaps_of_features = csr_matrix(gaps.T.astype(np.float64))

    def look(self, latent: Latent) -> None:
        """Sums over rows that everything else needs: of E[h h'], of y h', and for features with gaps their own; h = (z, 1)."""
        k = latent.mean.shape[1]
        h = np.column_stack([latent.mean[self.rows], np.ones(len(self.rows))])
        of = latent.of[self.rows]
        self.total, self.cross = h.T @ h, self.y.T @ h
        times = np.bincount(of, minlength=len(latent.cov)).astype(np.float64)
        self.total[:k, :k] += np.tensordot(times, latent.cov, axes=1)
        if len(self.part):
            each = h[self.gap_rows, :, None] * h[self.gap_rows, None, :]
            each[:, :k, :k] += latent.cov[of[self.gap_rows]]
            gone = self.gaps_of_features @ each.reshape(len(each), -1)
            self.own = self.total - gone.reshape(-1, k + 1, k + 1)

    def update(self) -> None:
        """q(w) of each feature given the factors last looked at."""
        if not len(self.ard):
            self.ard = np.ones(len(self.total) - 1)
        prior = np.r_[self.ard, FLAT]
        root = 1 / np.sqrt(prior)
        values, vectors = np.linalg.eigh(root[:, None] * self.total * root)
        self.turn = root[:, None] * vectors
        self.shrink = 1 / (1 + self.precision[:, None] * np.maximum(values, 0.0))
        self.omega = ((self.cross @ self.turn) * (self.precision[:, None] * self.shrink)) @ self.turn.T
        if len(self.part):
            tau = self.precision[self.part]
            self.own_cov = np.linalg.inv(np.diag(prior) + tau[:, None, None] * self.own)
            self.omega[self.part] = np.einsum("qkl,ql->qk", self.own_cov, tau[:, None] * self.cross[self.part])

    def _shared_cov(self) -> Array:
        """(K + 1, K + 1) sum over features without gaps of precision times covariance of loadings and intercept."""
        weight = self.precision[self.full] @ self.shrink[self.full] + self.others * self.precision[0] * self.shrink[0]
        return np.asarray((self.turn * weight) @ self.turn.T)

    def gram(self) -> Array:
        """(patterns, K + 1, K + 1) sum over the features known in each pattern of precision times E[w w']."""
        tau, w = self.precision, self.omega
        whole = (w.T * tau) @ w + self._shared_cov()
        if not len(self.part):
            return np.asarray(whole[None])
        whole = whole + np.tensordot(tau[self.part], self.own_cov, axes=1)
        own = tau[self.part, None, None] * (w[self.part, :, None] * w[self.part, None, :] + self.own_cov)
        gone = (self.gaps_of_rows @ own.reshape(len(own), -1)).reshape(-1, *whole.shape)
        return np.concatenate([whole[None], whole - gone])

    def projected(self) -> Array:
        """(m, K) known values times precision times loadings."""
        return np.asarray(self.y @ (self.omega[:, :-1] * self.precision[:, None]))

    def _residual(self) -> tuple[Array, float]:
        """(q,) expected squared residuals of each feature, and those of a tied block's further ones."""
        w, total = self.omega, self.total
        turned = np.einsum("kd,kl,ld->d", self.turn, total, self.turn)
        fit = ((w @ total) * w).sum(axis=1) + self.shrink @ turned
        if len(self.part):
            own, p = self.own, self.part
            fit[p] = np.einsum("qk,qkl,ql->q", w[p], own, w[p], optimize=True) + (self.own_cov * own).sum(axis=(1, 2))
        return self.square - 2 * (w * self.cross).sum(axis=1) + fit, self.others * float(self.shrink[0] @ turned)

    def bound(self) -> float:
        """Expected log-likelihood, minus the divergence of the loadings from their prior."""
        residual, rest = self._residual()
        tau, prior = self.precision, np.r_[self.ard, FLAT]
        noise = self.weight / tau
        value = (
            -self.weight * (float((self.seen * np.log(noise)).sum()) + self.cells * np.log(2 * np.pi)) - tau @ residual
        )
        value += float(np.log(self.shrink[self.full]).sum()) - (self.count - len(self.part)) * np.log(prior).sum()
        if self.others:
            value -= self.others * self.weight * len(self.y) * np.log(noise[0]) + tau[0] * rest
            value += self.others * float(np.log(self.shrink[0]).sum())
        if len(self.part):
            value += float(np.linalg.slogdet(self.own_cov)[1].sum())
        value += float(self.count * (np.log(prior) + 1).sum() - prior @ self._second())
        return 0.5 * float(value)

    def _second(self) -> Array:
        """(K + 1,) sum over features of E[w²]."""
        shrink = self.shrink[self.full].sum(axis=0) + self.others * self.shrink[0]
        out = np.square(self.omega).sum(axis=0) + np.square(self.turn) @ shrink
        if len(self.part):
            out = out + np.einsum("qkk->k", self.own_cov)
        return np.asarray(out)

    def update_scales(self) -> None:
        """Noise of each feature, and precision of each factor in this block."""
        residual, rest = self._residual()
        second = self._second()[:-1]
        if self.tied:
            v = (residual.sum() + rest) / self.cells
            self.precision = np.full(len(residual), self.weight / max(v, LEAST_NOISE * self.variance[0]))
        else:
            v = np.maximum(residual, 0.0) / np.maximum(self.seen, 1)
            self.precision = self.weight / np.maximum(v, LEAST_NOISE * self.variance)
        self.ard = np.minimum(self.count / np.maximum(second, 1e-300), MOST_PRECISION)

    def explained(self, latent: Latent) -> Array:
        """(K,) share of the block's variance that each factor explains alone."""
        z = np.square(latent.mean[self.rows]).mean(axis=0)
        total = self.square.sum() / max(self.cells / self.count, 1.0)
        return np.asarray(np.square(self.omega[:, :-1]).sum(axis=0) * z / max(float(total), 1e-300))

    def keep(self, at: Rows) -> None:
        """Leave only the factors ``at``, in that order."""
        with_b = np.r_[at, self.omega.shape[1] - 1]
        self.omega, self.ard = self.omega[:, with_b], self.ard[at]
        self.turn = self.turn[with_b]
        self.total, self.cross = self.total[np.ix_(with_b, with_b)], self.cross[:, with_b]
        if len(self.part):
            self.own_cov, self.own = (a[:, with_b][:, :, with_b] for a in (self.own_cov, self.own))

    def loadings(self) -> tuple[Array, Array]:
        """(p, K) loadings and (p,) intercepts on the features as they were given."""
        w = self.omega if self.basis is None else self.basis @ self.omega
        return np.ascontiguousarray(w[:, :-1]), w[:, -1] + self.offset

    def noise(self) -> Array:
        """(p,) noise variances."""
        return np.full(self.count, self.weight / self.precision[0]) if self.tied else self.weight / self.precision

    def mean_spread(self) -> Array:
        """(K + 1, K + 1) mean over features of precision times covariance of the loadings."""
        total = self._shared_cov()
        if len(self.part):
            total = total + np.tensordot(self.precision[self.part], self.own_cov, axes=1)
        return np.asarray(total / self.count)
