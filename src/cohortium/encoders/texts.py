"""Texts as numbers: words weighed by how rare they are, or vectors of a frozen model; and declared keywords."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohortium.cohort import Table, Texts
from cohortium.cohort.phrases import keyword_names
from cohortium.cohort.table import feature_frame
from cohortium.encoders.table import CLIP

Array = NDArray[np.float64]

MOST_WORDS = 5000
"""Words and pairs kept: those that occur most often in the training texts."""

_TAG = r"\[[A-Z]{2,5}\]"
"""What de-identification puts: no word of the author's."""

KEYWORD = "keyword: "
"""First part of the names of keyword features; no word or pair of words holds a colon."""


class WordRepresentation:
    """TF-IDF of words and pairs of words that enough training texts hold, then the keywords.

    Sublinear counts, rows of length one (Salton 1988, Inf Process Manag 24:513). A word needs 3 training texts or
    0.5% of them, whichever is more. After ``fit``: ``words_`` (q,) str, ``idf_`` (q,) float64, ``keywords_`` names.
    """

    common_scale = True

    def fit(self, data: Texts) -> WordRepresentation:
        """Learn the vocabulary and its weights from the texts of ``data``."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.keywords_ = keyword_names(data.keywords)
        least = max(3, int(np.ceil(0.005 * len(data.texts))))
        tool = TfidfVectorizer(**_settings(), min_df=least, max_features=MOST_WORDS, norm="l2")
        try:
            tool.fit(_plain(data))
        except ValueError:  # too few texts, or none of their words is frequent enough
            self.words_, self.idf_ = [], np.zeros(0)
            return self
        self.words_, self.idf_ = [str(w) for w in tool.get_feature_names_out()], np.asarray(tool.idf_, dtype=np.float64)
        return self

    def table(self, data: Texts) -> Table:
        """(n, q + 2k): words, pairs and keywords; whatever the training texts did not hold is not seen."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        x: NDArray[Any] = np.zeros((len(data.units), 0))
        if self.words_:
            tool = TfidfVectorizer(**_settings(), vocabulary=self.words_, norm="l2")
            tool.idf_ = self.idf_
            some = len(data.units) > 0
            x = tool.transform(_plain(data)).astype(np.float32).toarray() if some else np.zeros((0, len(self.words_)))
        return _with_keywords(data, x, list(self.words_), self.keywords_)

    def state(self) -> dict[str, Any]:
        return {"kind": "words", "words": list(self.words_), "idf": self.idf_, "keywords": list(self.keywords_)}

    @staticmethod
    def restore(state: dict[str, Any]) -> WordRepresentation:
        out = WordRepresentation()
        out.words_, out.idf_ = list(state["words"]), np.asarray(state["idf"], dtype=np.float64)
        out.keywords_ = list(state["keywords"])
        return out


class VectorRepresentation:
    """The vectors of a frozen language model as they are, then the keywords; learns nothing."""

    common_scale = False

    def fit(self, data: Texts) -> VectorRepresentation:
        assert data.vectors is not None
        self.width_, self.keywords_ = data.vectors.shape[1], keyword_names(data.keywords)
        return self

    def table(self, data: Texts) -> Table:
        """(n, d + 2k)."""
        assert data.vectors is not None and data.vectors.shape[1] == self.width_
        return _with_keywords(data, data.vectors, [f"dimension {j + 1}" for j in range(self.width_)], self.keywords_)

    def state(self) -> dict[str, Any]:
        return {"kind": "vectors", "width": int(self.width_), "keywords": list(self.keywords_)}

    @staticmethod
    def restore(state: dict[str, Any]) -> VectorRepresentation:
        out = VectorRepresentation()
        out.width_, out.keywords_ = int(state["width"]), list(state["keywords"])
        return out


class CommonScale:
    """Centred columns that keep their relative size, so that a rare word stays a small one.

    Z-scores would blow up the words of three texts to the size of those of half of them, and ridge would follow
    them. All columns that are no keywords share one divisor, which makes their mean variance one; keywords get
    z-scores. After ``fit``: ``names_`` (q,), ``source_`` (q,) input column, ``mean_``, ``sd_`` (q,).
    """

    def fit(self, table: Table) -> CommonScale:
        """Learn from the rows of ``table`` (n, p), which has no missing values."""
        x = table.values.astype(np.float64)
        names = np.array(list(map(str, table.features.index)), dtype=object)
        mean, sd = x.mean(axis=0), x.std(axis=0)
        own = np.array([n.startswith(KEYWORD) for n in names], dtype=bool)
        kept = np.flatnonzero(sd > 1e-9)
        shared = sd[kept[~own[kept]]]
        divisor = float(np.sqrt((shared * shared).mean())) if len(shared) else 1.0
        self.source_, self.names_, self.mean_ = kept, names[kept], mean[kept]
        self.sd_ = np.where(own[kept], sd[kept], divisor)
        return self

    def transform(self, table: Table, impute: bool = True) -> Array:
        """(n, q); keywords clipped as other features are, words being bounded already. impute: nothing is missing."""
        x = table.values[:, self.source_].astype(np.float64)
        x -= self.mean_
        x /= self.sd_
        own = np.array([str(n).startswith(KEYWORD) for n in self.names_], dtype=bool)
        x[:, own] = np.clip(x[:, own], -CLIP, CLIP)
        return x

    def state(self) -> dict[str, Any]:
        """Arrays and lists; :meth:`restore` makes the encoder again."""
        return {
            "kind": "common_scale",
            "names": list(self.names_),
            "source": self.source_,
            "mean": self.mean_,
            "sd": self.sd_,
        }

    @staticmethod
    def restore(state: dict[str, Any]) -> CommonScale:
        out = CommonScale()
        out.names_ = np.array(state["names"], dtype=object)
        out.source_ = np.asarray(state["source"], dtype=np.int64)
        out.mean_, out.sd_ = np.asarray(state["mean"], dtype=np.float64), np.asarray(state["sd"], dtype=np.float64)
        return out


def text_representation(data: Texts) -> WordRepresentation | VectorRepresentation:
    """What suits the texts: their vectors where a model has read them, else their words."""
    return WordRepresentation() if data.vectors is None else VectorRepresentation()


def _settings() -> dict[str, Any]:
    return {"ngram_range": (1, 2), "sublinear_tf": True, "lowercase": True, "dtype": np.float64}


def _plain(data: Texts) -> list[str]:
    return list(pd.Series(data.texts, dtype=object).astype(str).str.replace(_TAG, " ", regex=True))


def _with_keywords(data: Texts, x: NDArray[Any], names: list[str], keywords: list[str]) -> Table:
    found = data.keyword_table()
    at = pd.Index(found.features.index).get_indexer(pd.Index(keywords, dtype=object))
    # A keyword that these texts were not read for is not affirmed and not denied.
    said = np.where(at >= 0, found.values[:, at], 0.0) if len(keywords) and len(found.features) else None
    if said is None:
        said = np.zeros((len(data.units), len(keywords)))
    both = np.hstack([x.astype(np.float32), said.astype(np.float32)])
    return Table(data.units, both, feature_frame([*names, *(KEYWORD + k for k in keywords)]))
