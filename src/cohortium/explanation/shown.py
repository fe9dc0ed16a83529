"""A cohort of which a predictor is shown this and that: some modalities only, or one with other values.

Every learner predicts from whatever modalities are there, so that what it makes of fewer is its own prediction and needs
no imputation here. Encoded features, and scores of parts of a model that do not look at what changes, are kept between
predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohortium.cohort import Cohort, Modality, Table
from cohortium.contracts import CumulativeIncidence, Prediction, Survival
from cohortium.encoders import TableEncoder
from cohortium.learners.nodes import ScorePredictor, carried, inputs_of, walk

Memo = dict[Any, Any]


class Shown:
    """A predictor and the units it is asked about. grid: (m,) times at which survival curves are kept."""

    def __init__(self, predictor: Any, cohort: Cohort, grid: NDArray[np.float64] | None = None) -> None:
        self.predictor, self.cohort, self.grid = predictor, cohort, grid
        self._memo: Memo = {}
        self._scores: dict[tuple[int, frozenset[str]], NDArray[np.float64]] = {}
        self._looks: dict[int, frozenset[str]] = {}
        known = inputs_of(predictor.node) if isinstance(predictor, ScorePredictor) else None
        self._encoders = {id(i.encoder): i.encoder for i in known or ()}
        self.looked_at = None if known is None else frozenset(i.modality for i in known)
        for node in walk(predictor.node) if isinstance(predictor, ScorePredictor) else ():
            if (own := inputs_of(node)) is not None:
                self._looks[id(node)] = frozenset(i.modality for i in own)

    def all(self) -> Prediction:
        """The prediction as it is."""
        return self.only(self.cohort.modalities)

    def only(self, names: Collection[str]) -> Prediction:
        """The prediction from the named modalities alone; a unit that has none of them is given the base rate."""
        keep = [m for m in self.cohort.modalities if m in names]
        return self._predict(self.cohort.only(keep), keep)

    def with_modalities(self, other: Mapping[str, Modality]) -> Prediction:
        """The prediction with other data of some modalities, of the same units or fewer."""
        return self._predict(self._having(other), list(self.cohort.modalities), frozenset(other))

    def with_columns(self, name: str, columns: NDArray[np.intp], source: NDArray[np.intp]) -> Prediction:
        """The prediction when units have the values of others in some columns of a table.

        columns: positions of features. source: (m,) position among the units that have the table of whom each of them has
        the values. What is known of the table encoded is used again: encoders of tables see one cell at a time.
        """
        table = self.cohort.modalities[name]
        assert isinstance(table, Table)
        values = table.values.copy()
        values[:, columns] = table.values[np.ix_(source, columns)]
        memo = self._known(self.cohort.modalities, frozenset([name]))
        for key, (x, rows) in self._memo.items():
            encoder = self._encoders.get(key[2])
            if key[1] == name and isinstance(encoder, TableEncoder):
                own = np.flatnonzero(np.isin(encoder.source_, columns))
                moved = x.copy()
                moved[:, own] = x[np.ix_(source, own)]
                memo[key] = (moved, rows)
        return self._asked(self._having({name: replace(table, values=values)}), memo)

    def says_what_it_encodes(self, name: str) -> bool:
        """Whether all that the predictor sees of a modality are its encoded features, which are kept between predictions."""
        if self.looked_at is None:
            return False
        for node in walk(self.predictor.node):
            items = getattr(node, "items", ()) or ()
            for source, item in zip(getattr(node, "inputs", ()), items, strict=False):
                if source.modality == name and item is not None:
                    return False
        return True

    def with_encoded(self, name: str, features: Collection[str], source: NDArray[np.intp]) -> Prediction:
        """The prediction when units have the encoded features of others, by their names. source: as of :meth:`with_columns`."""
        memo = self._known(self.cohort.modalities, frozenset([name]))
        return self._asked(self.cohort, memo | self._changed(name, features, lambda x: x[source]))

    def without(self, other: Mapping[str, Modality], encoded: Mapping[str, Collection[str]]) -> Prediction:
        """The prediction with other data of some modalities, and some encoded features of others at their mean in training, 0."""
        memo = self._known(self.cohort.modalities, frozenset([*other, *encoded]))
        for name, features in encoded.items():
            memo |= self._changed(name, features, np.zeros_like)
        return self._asked(self._having(other), memo)

    def _changed(self, name: str, features: Collection[str], to: Callable[[Any], Any]) -> Memo:
        """Encoded features of a modality, of which the named ones are changed."""
        out: Memo = {}
        for key, (x, rows) in self._memo.items():
            if key[1] == name:
                own = np.flatnonzero(np.isin(self._encoders[key[2]].names_, list(features)))
                moved = x.copy()
                moved[:, own] = to(x)[:, own]
                out[key] = (moved, rows)
        return out

    def _having(self, other: Mapping[str, Modality]) -> Cohort:
        return Cohort(self.cohort.units, {**self.cohort.modalities, **other}, self.cohort.absent)

    def _known(self, keep: Collection[str], changed: frozenset[str]) -> Memo:
        """What was computed before and holds when ``keep`` is shown and ``changed`` of it is new."""
        memo = carried(self._memo, [m for m in keep if m not in changed])
        for node, looks in self._looks.items():
            scores = self._scores.get((node, looks.intersection(keep)))
            if scores is not None and not looks & changed:
                memo[("node", node)] = scores
        return memo

    def _predict(self, cohort: Cohort, keep: Collection[str], changed: frozenset[str] = frozenset()) -> Prediction:
        memo = self._known(keep, changed)
        found = self._asked(cohort, memo)
        self._memo |= carried(memo, [m for m in keep if m not in changed])
        for node, looks in self._looks.items():
            if ("node", node) in memo and not looks & changed:
                self._scores[(node, looks.intersection(keep))] = memo[("node", node)]
        return found

    def _asked(self, cohort: Cohort, memo: Memo) -> Prediction:
        if isinstance(self.predictor, ScorePredictor):
            found: Prediction = self.predictor.predict(cohort, memo)
        else:
            found = self.predictor.predict(cohort)
        return (
            found.on(self.grid)
            if self.grid is not None and isinstance(found, Survival | CumulativeIncidence)
            else found
        )


def shuffled(data: Modality, source: NDArray[np.intp]) -> Modality:
    """The modality in which each unit has what another unit has; source: (m,) whose."""
    return replace(data.take(source), units=data.units)  # type: ignore[type-var]
