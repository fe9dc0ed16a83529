"""Plain numbers that say what an image looks like: intensity, texture and shape, each with a name to be explained.

Grey values as stored (0 to 255, Hounsfield units, within the window if one is declared) for intensity; texture and shape
look at the image between 0 and 1. Haralick 1973, IEEE Trans SMC 3:610 (co-occurrence); Ojala 2002, IEEE TPAMI 24:971 (local
binary patterns); Otsu 1979 (threshold).
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium._optional import require
from cohortium.schema.images import Window
from cohortium.sources.images.pixels import Floats, Pixels, grey, limits, scaled

VERSION = 1

LEVELS = 32
"""Grey levels of the co-occurrence matrix."""

LARGEST = 512
"""Longer sides are shrunk to this many pixels."""

PERCENTILES = (5, 25, 50, 75, 95)
COOCCURRENCE = ("contrast", "homogeneity", "energy", "correlation")
PATTERNS = 10
"""Uniform local binary patterns of 8 neighbours: 0 to 8 bright neighbours in a row, and all others."""

Row = dict[str, float]


class Descriptors:
    """The encoder ``descriptors``; see :class:`~cohortium.sources.images.embed.Encoder`."""

    batch = 64
    ahead = False  # most of it is Python's own work, which two threads do no faster

    def __init__(self, window: Window | None) -> None:
        self.window = window
        skimage = require("skimage", extra="imaging", purpose="describing images")
        self.version = f"descriptors {VERSION} skimage {skimage.__version__} {window}"

    def ready(self) -> AbstractContextManager[None]:
        """Nothing to prepare."""
        return nullcontext()

    def shown(self, pixels: Pixels) -> list[Any]:
        """Per plane (height, width[, 3]): as stored and between 0 and 1."""
        low, high = limits(pixels, self.window)
        values = np.asarray(pixels.planes, dtype=np.float32)
        if self.window is not None:
            values = np.clip(values, low, high)
        return list(zip(values, scaled(pixels, self.window), strict=True))

    def encode(self, planes: list[Any]) -> tuple[Floats, list[str]]:
        """(k, p) descriptors and their p names. What cannot be said of an image (shape of a flat one) is NaN."""
        rows = [describe(stored, shown) for stored, shown in planes]
        return np.array([list(r.values()) for r in rows], dtype=np.float32), list(rows[0])


def describe(stored: Floats, shown: Floats) -> Row:
    """All descriptors of one plane (height, width[, 3]), as stored and between 0 and 1."""
    x, y = _shrunk(grey(stored)), _shrunk(grey(shown))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # flat images: what is undefined is NaN
        return _intensity(x) | _colour(shown) | _texture(y) | _shape(y)


def _shrunk(x: Floats) -> Floats:
    if max(x.shape) <= LARGEST:
        return x
    from skimage.transform import resize

    scale = LARGEST / max(x.shape)
    to = tuple(max(1, round(n * scale)) for n in x.shape)
    out: Floats = resize(x, to, order=1, anti_aliasing=True, preserve_range=True).astype(np.float32)
    return out


def flat(x: NDArray[Any]) -> bool:
    """Whether an image is of one value, but for what rounding in luminance may do."""
    return not float(np.ptp(x)) > 1e-5 * max(1.0, float(np.abs(x).max()))


def _intensity(x: Floats) -> Row:
    v = x[np.isfinite(x)].astype(np.float64)
    if not v.size:
        v = np.full(1, np.nan)
    mean, sd, even = float(v.mean()), float(v.std()), flat(v)
    z = np.full_like(v, np.nan) if even else (v - mean) / sd
    p = np.ones(1) if even else np.histogram(v, bins=LEVELS)[0] / v.size
    out = {"intensity mean": mean, "intensity sd": sd}
    out |= {f"intensity p{q}": float(np.percentile(v, q)) for q in PERCENTILES}
    out |= {"intensity skewness": float((z**3).mean()), "intensity kurtosis": float((z**4).mean())}
    return out | {"intensity entropy": float(-(p[p > 0] * np.log2(p[p > 0])).sum())}


def _colour(shown: Floats) -> Row:
    if shown.ndim == 2:
        return {"colour saturation mean": 0.0, "colour saturation sd": 0.0}
    top = shown.max(axis=-1)
    s = np.where(top > 0, (top - shown.min(axis=-1)) / np.where(top > 0, top, 1), 0)
    return {"colour saturation mean": float(s.mean()), "colour saturation sd": float(s.std())}


def _texture(y: Floats) -> Row:
    from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

    levels = np.minimum((y * LEVELS).astype(np.uint8), LEVELS - 1)
    steps = [d for d in (1, 4) if d < min(y.shape)] or [1]
    turns = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    matrix = graycomatrix(levels, steps, turns, LEVELS, symmetric=True, normed=True)
    out: Row = {}
    for what in COOCCURRENCE:
        found = graycoprops(matrix, what).mean(axis=1)
        for d in (1, 4):
            out[f"texture {what} at {d}"] = float(found[steps.index(d)]) if d in steps else np.nan
    codes = local_binary_pattern((y * 255).astype(np.uint8), 8, 1, "uniform").astype(int)
    share = np.bincount(codes.ravel(), minlength=PATTERNS)[:PATTERNS] / codes.size
    names = [f"{k} bright neighbours" for k in range(PATTERNS - 1)] + ["no edge or spot"]
    out |= {f"texture pattern {n}": float(s) for n, s in zip(names, share, strict=True)}
    steep = np.hypot(*np.gradient(y)) if min(y.shape) > 1 else np.zeros_like(y)
    return out | {"texture gradient mean": float(steep.mean()), "texture gradient sd": float(steep.std())}


SHAPES = (
    "shape bright area", "shape bright regions", "shape largest area", "shape eccentricity", "shape solidity",
    "shape extent", "shape roundness", "shape off centre",
)  # fmt: skip


def _shape(y: Floats) -> Row:
    """Of what is brighter than Otsu's threshold, and of its largest connected region; shares of the image."""
    if flat(y):
        return dict.fromkeys(SHAPES, np.nan)
    from skimage.filters import threshold_otsu
    from skimage.measure import label, regionprops

    bright = y > threshold_otsu(y)
    labels = label(bright)
    sizes = np.bincount(labels.ravel())[1:]
    if not sizes.size:
        return dict.fromkeys(SHAPES, np.nan)
    region: Any = regionprops((labels == 1 + int(np.argmax(sizes))).astype(np.uint8))[0]
    edge = float(region.perimeter)
    middle = np.array(region.centroid) / np.array(y.shape) - 0.5
    values: NDArray[Any] = np.array(
        [bright.mean(), np.log1p(len(sizes)), region.area / y.size, region.eccentricity, region.solidity, region.extent,
         4 * np.pi * region.area / edge**2 if edge > 0 else np.nan, np.hypot(*middle)], dtype=np.float64
    )  # fmt: skip
    return dict(zip(SHAPES, map(float, values), strict=True))
