"""How well a model predicts a site's own patients, as sums that can be added over sites.

Every measure is a ratio: over patients i of sums a_i to sums b_i. Five sums give it and its standard error, whoever's patients
they are: of a, b, a², a·b, b² (:data:`PER_RATIO`). Of pairs (concordance, AUC) a_i are those with patient i that are in the right order, b_i all: every
pair is counted with both of its patients. Pairs are within a site.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, logsumexp

from cohortium.contracts.federation import FederationPlan
from cohortium.contracts.federation_secure import AskHeld
from cohortium.federation_site.scoring import pairs_by_patient
from cohortium.federation_site.site import Site
from cohortium.federation_site.trials import take

Array = NDArray[np.float64]

PER_RATIO = 5


def held_numbers(site: Site, rows: NDArray[np.intp], predicted: Array, plan: FederationPlan, q: AskHeld) -> Array:
    """predicted: as :func:`cohortium.federation_site.models.predicted_by` gives it. Units, events, then five sums for each measure of the endpoint's kind, in the order of the coordinator's list."""
    held = take(site, rows)
    _, who = np.unique(held.patient, return_inverse=True)
    found: list[tuple[Any, ...]]
    if plan.kind == "survival":
        found = [pairs_by_patient(held.time, held.y > 0, held.entry, predicted, held.patient)]
    elif plan.kind == "continuous":
        off = held.y - predicted
        found = [(_by(who, off**2), _by(who, (held.y - held.y.mean()) ** 2)), (_by(who, np.abs(off)), _by(who))]
    elif plan.kind == "binary":
        y, p = held.y, expit(predicted)
        found = [_class_pairs(held, predicted, y > 0), (_by(who, (p - y) ** 2), _by(who)), (_by(who, y), _by(who, p)),
                 (_by(who, y - p), _by(who))]  # fmt: skip
    else:
        m = log_softmax(predicted, axis=1)
        found = []
        for c, name in enumerate(q.classes):
            own = np.array([n == name for n in held.classes])[held.y.astype(int)]
            found.append(_class_pairs(held, m[:, c] - logsumexp(np.delete(m, c, axis=1), axis=1), own))
    events = float((held.y > 0).sum()) if plan.kind in ("survival", "binary") else 0.0
    return np.concatenate([[len(rows), events], *(_five(*f) for f in found)])


def _five(a: Array, b: Array, pairs_a: float | None = None, pairs_b: float | None = None) -> Array:
    """pairs_a, pairs_b: of pairs, their numbers; sums over patients count each twice."""
    first = (a.sum(), b.sum()) if pairs_a is None or pairs_b is None else (2 * pairs_a, 2 * pairs_b)
    return np.array([*first, a @ a, a @ b, b @ b])


def _by(who: NDArray[np.intp], x: Array | None = None) -> Array:
    return np.bincount(who, x).astype(float)


def _class_pairs(site: Site, score: Array, own: NDArray[np.bool_]) -> tuple[Array, Array, float, float]:
    """By patient: pairs of a unit of the class with one of the others that are in the right order, a tie one half; and all."""
    # Those of the class have the event first, the others later: concordance is then that of the score as a risk.
    return pairs_by_patient(np.where(own, 1.0, 2.0), own, np.zeros(len(own)), score, site.patient)
