"""A trained network on the modalities of a cohort, behind which a joint representation stands.

What networks see of each modality, in encoded features (:class:`Views`); torch is imported where they run. Narrow modalities are seen
feature by feature, those of more than :data:`NARROW` features in the leading directions of their training units. Tables of
counts that are declared so are seen relative to each unit's library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort, Table
from cohortium.encoders import Encoder, TableEncoder
from cohortium.encoders.block import rotate
from cohortium.errors import DataError
from cohortium.joint.model import Array, Embedding

NARROW, COMPONENTS = 128, 256
"""Modalities of up to so many features are seen as they are, wider ones in so many leading directions."""

MOST_COUNTS = 2000
"""Features of a table of counts that are decoded, the most variable ones."""

STORED = ("kinds", "basis", "scale", "rest", "columns", "library", "centre", "spread")
GAUSSIAN, BERNOULLI, COUNTS = 0, 1, 2


@dataclass(frozen=True)
class NetworkSettings:
    """latent: K. width, dropout: of the network. batch, rate, decay: of training. epochs: most. counts: modalities of shape table
    that hold counts."""

    latent: int = 16
    width: int = 32
    dropout: float = 0.1
    batch: int = 128
    rate: float = 3e-3
    decay: float = 0.01
    epochs: int = 300
    counts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class View:
    """How the network sees a modality of q encoded features, and what it decodes.

    kinds: (p,) likelihoods. basis: (q, c) from features to directions, None when features are seen as they are. scale: of
    the directions. rest: (q,) variance of features beside what is decoded. Of counts: columns: (p,) features that are
    decoded; library: the mean one; centre, spread: (q,) of the logarithms of counts relative to it, which the network sees.
    """

    kinds: NDArray[np.int64]
    basis: Array | None = None
    scale: float = 1.0
    rest: Array = field(default_factory=lambda: np.zeros(0))
    columns: NDArray[np.int64] | None = None
    library: float = 1.0
    centre: Array | None = None
    spread: Array | None = None

    def see(self, encoder: Encoder, data: Any) -> tuple[Array, Array, Array]:
        """(m, d) inputs, (m, p) what is to be decoded, (m,) relative libraries."""
        if self.columns is not None:
            assert isinstance(encoder, TableEncoder)
            raw = encoder.raw(data)
            size = np.maximum(np.nansum(raw, axis=1) / self.library, 1e-6)
            x = np.nan_to_num((np.log1p(raw / size[:, None]) - self.centre) / self.spread)
            return x if self.basis is None else x @ self.basis, raw[:, self.columns], size
        x, ones = encoder.transform(data), np.ones(len(data.units))
        seen = x if self.basis is None else x @ self.basis
        if self.basis is not None:
            return seen, seen, ones
        y = encoder.transform(data, impute=False)
        binary = self.kinds == BERNOULLI
        if binary.any():
            assert isinstance(encoder, TableEncoder)
            y[:, binary] = encoder.raw(data)[:, binary]
        return seen, y, ones

    def features(self, encoder: Encoder, value: Array, variance: Array) -> tuple[Array, Array]:
        """(n, q) encoded features and variances of decoded values (n, p): means, probabilities, or rates at the mean library."""
        if self.columns is not None:
            assert isinstance(encoder, TableEncoder)
            raw = np.tile(encoder.decode(np.zeros((1, len(self.rest)))), (len(value), 1))
            raw[:, self.columns] = value
            return encoder.encode(raw), np.broadcast_to(self.rest, raw.shape).copy()
        if self.basis is not None:
            back = self.basis.T / self.scale**2
            return value @ back, variance @ np.square(back) + self.rest
        binary = self.kinds == BERNOULLI
        if binary.any():
            assert isinstance(encoder, TableEncoder)
            value, variance = value.copy(), variance.copy()
            p = value[:, binary]
            value[:, binary] = (p - encoder.mean_[binary]) / encoder.sd_[binary]
            variance[:, binary] = np.maximum(p * (1 - p), 1e-4) / encoder.sd_[binary] ** 2
        return value, variance


def fit_view(name: str, encoder: Encoder, data: Any, counts: bool) -> View:
    """The view of a modality's training rows. Raises :class:`DataError` when declared counts are none."""
    if counts:
        return _counts_view(name, encoder, data)
    x = encoder.transform(data)
    basis, scale, rest = _span(x)
    if basis is not None:
        return View(np.zeros(basis.shape[1], dtype=np.int64), basis, scale, rest)
    kinds = np.full(x.shape[1], GAUSSIAN, dtype=np.int64)
    if isinstance(encoder, TableEncoder):
        raw = encoder.raw(data)
        codes = (encoder.level_ >= 0) | ~encoder.is_numeric_[encoder.source_]
        kinds[codes & (np.isnan(raw) | (raw == 0) | (raw == 1)).all(axis=0)] = BERNOULLI
    return View(kinds, rest=rest)


def _span(x: Array) -> tuple[Array | None, float, Array]:
    """Basis and scale of the leading directions of wide features (n, q), and the variance (q,) that they leave out."""
    if x.shape[1] <= NARROW:
        return None, 1.0, np.zeros(x.shape[1])
    z, dual, primal = rotate(x)
    c = min(z.shape[1], COMPONENTS)
    v = primal[:, :c] if primal.shape[1] else x.T @ dual[:, :c]
    scale = float(1 / np.sqrt(max(np.square(z[:, :c]).mean(), 1e-12)))
    return v * scale, scale, np.square(x - (x @ v) @ v.T).mean(axis=0)


def _counts_view(name: str, encoder: Encoder, data: Any) -> View:
    if not isinstance(data, Table) or not isinstance(encoder, TableEncoder) or (encoder.level_ >= 0).any():
        raise DataError(f"modality '{name}' is named under counts, but is no table of numbers.")
    raw = encoder.raw(data)
    known = raw[~np.isnan(raw)]
    if (known < 0).any() or (known != np.round(known)).any():
        raise DataError(
            f"modality '{name}' is named under counts, but holds negative numbers or fractions. Counts are declared without a "
            "transform; leave it out of counts if they are something else."
        )
    library = max(float(np.nansum(raw, axis=1).mean()), 1.0)
    size = np.maximum(np.nansum(raw, axis=1) / library, 1e-6)
    x = np.log1p(raw / size[:, None])
    centre, spread = np.nanmean(x, axis=0), np.maximum(np.nanstd(x, axis=0), 1e-3)
    columns = np.sort(np.argsort(-spread, kind="stable")[:MOST_COUNTS]).astype(np.int64)
    basis, scale, _ = _span(np.nan_to_num((x - centre) / spread))
    rest = np.maximum(encoder.transform(data).var(axis=0), 1e-4)
    kinds = np.full(len(columns), COUNTS, dtype=np.int64)
    return View(kinds, basis, scale, rest, columns, library, centre, spread)


@dataclass(frozen=True, eq=False)
class Views:
    """Encoders and views of some modalities, all that stands between a cohort and the network."""

    names: tuple[str, ...]
    encoders: tuple[Encoder, ...]
    views: tuple[View, ...]

    def inputs(self, cohort: Cohort, without: str | None = None, double: bool = True) -> tuple[Any, NDArray[np.bool_]]:
        """Inputs of the network, and (n,) who has any of the modalities."""
        import torch

        from cohortium.networks.batch import Inputs
        from cohortium.networks.vae import SeenRows

        dtype = torch.float64 if double else torch.float32
        parts, known = [], np.zeros(len(cohort), dtype=bool)
        for name, encoder, view in zip(self.names, self.encoders, self.views, strict=True):
            data = None if name == without else cohort.modalities.get(name)
            if data is None or not len(data.units):
                d = len(encoder.names_) if view.basis is None else view.basis.shape[1]
                x, y, size = np.zeros((0, d)), np.zeros((0, len(view.kinds))), np.zeros(0)
                rows = np.zeros(0, dtype=np.intp)
            else:
                x, y, size = view.see(encoder, data)
                rows = cohort.units.index.get_indexer(data.units)
            known[rows] = True
            tensors = [torch.as_tensor(np.ascontiguousarray(a), dtype=dtype) for a in (x, y, size)]
            parts.append(SeenRows(*tensors, torch.as_tensor(rows, dtype=torch.long)))
        return Inputs(len(cohort), tuple(parts)), known

    def state(self) -> list[dict[str, Any]]:
        """Of the views; encoders are stored by themselves."""
        return [{k: getattr(v, k) for k in STORED} for v in self.views]

    @staticmethod
    def restore(names: Sequence[str], encoders: Sequence[Encoder], state: list[dict[str, Any]]) -> Views:
        views = tuple(
            View(**{k: np.asarray(v) if isinstance(v, np.ndarray) else v for k, v in s.items()}) for s in state
        )
        return Views(tuple(names), tuple(encoders), views)


@dataclass(frozen=True, eq=False)
class JointNetwork:
    """A trained network. design: what makes it again. members: weights of networks of one design; the first is the
    representation, all of them make outputs. kept: (K,) latent variables of the representation, in their order. explained:
    (M, K) share of a modality's variance by each of them, where it was worked out.

    Everything is computed in double precision, a unit's numbers by themselves.
    """

    views: Views
    design: dict[str, Any]
    members: tuple[dict[str, np.ndarray], ...]
    kept: tuple[int, ...]
    explained: Array

    @property
    def names(self) -> tuple[str, ...]:
        return self.views.names

    @property
    def encoders(self) -> tuple[Encoder, ...]:
        return self.views.encoders

    @property
    def size(self) -> int:
        """K."""
        return len(self.kept)

    def build(self) -> Any:
        """A fresh network of the design."""
        raise NotImplementedError

    def model(self, member: int = 0) -> Any:
        """The network in evaluation mode."""
        import torch

        with torch.random.fork_rng(devices=[]):
            model = self.build().double()
        model.load_state_dict({k: torch.as_tensor(np.asarray(v)) for k, v in self.members[member].items()})
        return model.eval()

    def embed(self, cohort: Cohort) -> Embedding:
        """Means and standard deviations of the representation; see :class:`~cohortium.joint.model.Joint`."""
        inputs, known = self.views.inputs(cohort)
        mean, variance = infer(self.model(), inputs, len(cohort))
        at = list(self.kept)
        return Embedding(mean[:, at], np.sqrt(variance[:, at]), known)

    def outputs(self, cohort: Cohort) -> tuple[list[Array], NDArray[np.bool_]]:
        """(n, H) outputs of the head of each member, and (n,) who has any of the modalities."""
        import torch

        from cohortium.training.loop import one_thread

        inputs, known = self.views.inputs(cohort)
        out = []
        with one_thread(), torch.no_grad():
            for k in range(len(self.members)):
                model = self.model(k)
                made = [model(inputs.batch(rows)).numpy() for rows in torch.arange(len(cohort)).split(4096)]
                out.append(np.concatenate(made) if made else np.zeros((0, self.design["outputs"])))
        return out, known


def infer(model: Any, inputs: Any, n: int) -> tuple[Array, Array]:
    """(n, K) posterior means and variances."""
    import torch

    from cohortium.training.loop import one_thread

    with one_thread(), torch.no_grad():
        parts = [model.infer(inputs.batch(rows)) for rows in torch.arange(n).split(4096)]
    if not parts:
        return np.zeros((0, model.design.latent)), np.ones((0, model.design.latent))
    mean, variance = (torch.cat([p[i] for p in parts]).numpy() for i in (0, 1))
    return mean, variance
