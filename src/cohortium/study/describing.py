"""Table one: outcome and variables of an endpoint's units, of everybody, by availability pattern, site and partition.

Nothing is fitted and nothing tested: whether two groups were drawn from one population is not the question, how unlike they
are is. Groups are compared by standardised differences, which do not grow with the number of patients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cohortium.contracts import Outcome
from cohortium.contracts.description import FEWEST, DescribedGroup, DescribedVariable, Description, GroupKind
from cohortium.errors import StudyError
from cohortium.study import measuring
from cohortium.study.grouping import AVAILABILITY, SITE, groupings
from cohortium.study.measuring import Measured
from cohortium.study.summarising import Rows, level_counts, over_folds, summarise, withhold
from cohortium.study.withholding import withheld

if TYPE_CHECKING:
    from cohortium.experiment import EndpointPlan, Plan
    from cohortium.study.data import Data
    from cohortium.study.load import Study

MOST_PATTERNS, MOST_PARTS = 5, 8
Groups = Mapping[str, Mapping[str, str]]
Part = tuple[str, Rows]


def describe(study: Study, data: Data, plan: Plan) -> list[Description]:
    """Table one of every endpoint."""
    groups = groupings(study, data)
    return [_endpoint(study, data, name, e, groups) for name, e in plan.endpoints.items()]


def _endpoint(study: Study, data: Data, name: str, e: EndpointPlan, groups: Groups) -> Description:
    columns, notes = measuring.measured(study, data.cohort, e.outcome, groups)
    everyone = np.arange(len(e.outcome))
    parts: list[tuple[GroupKind, str, Rows, Rows | None]] = [("everyone", "everyone", everyone, None)]
    blocks = list[list[int]]()
    for kind, block in _blocks(study, data, e, groups):
        blocks.append(list(range(len(parts), len(parts) + len(block))))
        parts += [(kind, label, rows, np.setdiff1d(everyone, rows)) for label, rows in block]
    hidden = [_hidden(m, [rows for _, _, rows, _ in parts], blocks) for m in columns]
    made = []
    for g, (kind, label, rows, rest) in enumerate(parts):
        own = [
            withhold(summarise(m, rows, rest), h[:, g], few[:, g], bool(h[:, 0].any()))
            for m, (h, few) in zip(columns, hidden, strict=True)
        ]
        made.append(DescribedGroup(kind, label, len(rows), own))
    folds = _test_folds(e, columns, [h[:, 0] for h, _ in hidden], any(k == "partition" for k, *_ in parts))
    return Description(name, [m.variable for m in columns], [*made, *folds], notes)


def _hidden(m: Measured, groups: Sequence[Rows], blocks: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    if m.variable.kind != "levels":
        return np.zeros((0, len(groups)), bool), np.zeros((0, len(groups)), bool)
    return withheld(np.stack([level_counts(m, rows) for rows in groups], axis=1), blocks)


def _blocks(study: Study, data: Data, e: EndpointPlan, groups: Groups) -> list[tuple[GroupKind, list[Part]]]:
    """Ways in which everyone falls into parts: patterns, sites, and real partitions."""
    out: list[tuple[GroupKind, list[Part]]] = []
    if AVAILABILITY in groups:
        labels = measuring.labels_of(groups[AVAILABILITY], e.outcome.units)
        out.append(("availability", in_parts(labels, MOST_PATTERNS, "other patterns")))
    partitions = _partitions(study, data, e)
    by_site = study.evaluation.design == "leave_one_site_out" and bool(partitions)
    of_site = groups.get(SITE) or groups.get(study.spec.design.site or "")  # a subgroup where the study names it as one
    if of_site and not by_site:
        labels = measuring.labels_of(of_site, e.outcome.units)
        out.append(("site", in_parts(labels, MOST_PARTS, "other sites")))
    out.append(("partition", partitions))
    return [(kind, parts) for kind, parts in out if len(parts) > 1]


def in_parts(labels: Sequence[str], most: int, other: str) -> list[Part]:
    """(label, rows): the ``most`` largest, each of at least five units, and the others together, of whom there are none or at
    least five; the largest first."""
    counts = Counter(labels)
    ordered = sorted((x for x in counts if x != other), key=lambda x: (-counts[x], x))
    kept = [x for x in ordered[:most] if counts[x] >= FEWEST]
    while kept and 0 < len(labels) - sum(counts[x] for x in kept) < FEWEST:
        kept.pop()
    of = np.array([x if x in kept else other for x in labels], object)
    return [(x, np.flatnonzero(of == x)) for x in [*kept, other] if (of == x).any()]


def _partitions(study: Study, data: Data, e: EndpointPlan) -> list[Part]:
    """Real partitions: the two parts of one split, or test parts that are disjoint and not drawn at random."""
    n, splits = len(e.outcome), list(e.splits)
    if len(splits) == 1:
        test = np.asarray(splits[0].test)
        parts = [("training part", np.setdiff1d(np.arange(n), test)), ("test part", test)]
        unused = np.setdiff1d(parts[0][1], splits[0].train)
        if len(unused):
            parts[0] = ("training part", np.asarray(splits[0].train))
            parts.append(("in neither part", unused))
        return parts if all(len(rows) >= FEWEST for _, rows in parts) else []
    times_tested = np.bincount(np.concatenate([s.test for s in splits]), minlength=n) if splits else np.zeros(n)
    if study.evaluation.design == "nested" or times_tested.max(initial=0) > 1:
        return []
    labels = ["never tested"] * n
    for k, s in enumerate(splits):
        name = _name_of(study, data, e.outcome, s) or f"test part {k + 1}"
        for i in s.test:
            labels[i] = name
    return in_parts(labels, MOST_PARTS, "other parts")


def _name_of(study: Study, data: Data, outcome: Outcome, split: Any) -> str:
    """The label that all test units of a split share: its site, or what the fold column says."""
    column = {"leave_one_site_out": study.spec.design.site, "column": study.evaluation.column}.get(
        study.evaluation.design
    )
    if column is None or column not in data.raw_units:
        return ""
    return f"test part {str(data.raw_units[column].reindex(outcome.units).iloc[split.test[0]]).strip()}"


def _test_folds(
    e: EndpointPlan, columns: Sequence[Measured], hidden_in_all: Sequence[np.ndarray], partitioned: bool
) -> list[DescribedGroup]:
    """The range of each summary over the test folds of cross-validation, each compared with its training part."""
    splits = list(e.splits)
    if partitioned or len(splits) < 2 or min(len(s.test) for s in splits) < FEWEST:
        return []
    pairs = [
        over_folds([summarise(m, np.asarray(s.test), np.asarray(s.train)) for s in splits], hidden)
        for m, hidden in zip(columns, hidden_in_all, strict=True)
    ]
    sizes = [len(s.test) for s in splits]
    name = f"range over {len(splits)} test folds"
    return [DescribedGroup("test_folds", name, min(sizes), [p[0] for p in pairs], max(sizes), [p[1] for p in pairs])]


def describe_new(known: Description, study: Study, new: Any, outcome: Outcome, name: str) -> DescribedGroup:
    """The units of ``outcome`` of new data (cohort, raw_units) in the variables of the study's table one; differences are
    those to the study's everyone."""
    try:
        groups: Groups = groupings(study, new)
    except StudyError:
        groups = {}
    of_outcome = measuring.of_outcome(outcome)
    n, everyone, own = len(outcome), known.groups[0].summaries, []
    for k, v in enumerate(known.variables):
        if v.source == measuring.OUTCOME:
            m = next((x for x in of_outcome if x.variable.kind == v.kind), None)
        else:
            m = _new_values(v, new, groups, outcome)
        m = measuring.nothing(v, n) if m is None else measuring.like(v, m)
        own.append(_beside(m, everyone[k]))
    return DescribedGroup("external", name, n, own)


def _new_values(v: DescribedVariable, new: Any, groups: Groups, outcome: Outcome) -> Measured | None:
    if v.source == measuring.UNIT_TABLE:
        of = groups.get(v.name)
        made = None if of is None else measuring.of_groups(v.name, of, outcome.units)
        # Thirds of new data are cut elsewhere: groups of other names are not the same variable.
        return made if made is not None and set(made.variable.levels) <= set(v.levels) else None
    table = new.cohort.modalities.get(v.source)
    if table is None or table.shape != "table" or v.name not in table.features.index:
        return None
    return measuring.of_feature(new.cohort, v.source, v.name, outcome.units)


def _beside(m: Measured, known: Any) -> Any:
    """The summary of new values, compared with the study's own summary."""
    from cohortium.metrics import level_difference, mean_difference

    rows = np.arange(len(m.values))
    made = summarise(m, rows, None)
    if m.variable.kind == "levels":
        against = known.counts
        gap = None if None in against else level_difference(np.array(made.counts), np.array(against))
        hidden, few = withheld(np.array(made.counts, np.int64)[:, None], [])
        return withhold(replace(made, difference=gap), hidden[:, 0], few[:, 0], False)
    gap = None
    if made.mean is not None and known.mean is not None:
        gap = mean_difference(made.mean, made.sd, known.mean, known.sd)
    return replace(made, difference=gap, mean=None, sd=None)
